"""Signing keys and small sealed packs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.keys.signing_key import PublicKey, Signer, load_signer, new_signing_key
from flows.pack.writer import PackWriter, SealedPack
from tests.evidence.specimen import model, specimen

Seal = Callable[..., SealedPack]


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("operator")
    new_signing_key(folder / "signing.pem", folder / "signing.pub")
    return load_signer(folder / "signing.pem")


@pytest.fixture(scope="session")
def approver(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("approver")
    new_signing_key(folder / "signing.pem", folder / "signing.pub")
    return load_signer(folder / "signing.pem")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PublicKey:
    folder = tmp_path_factory.mktemp("stranger")
    return new_signing_key(folder / "signing.pem", folder / "signing.pub")


def fill(writer: PackWriter) -> None:
    """Write a small payload: enough files of every room to be changed, swapped and lost."""
    writer.path("data/SUPA/portfolio.csv").write_bytes(b"mpan_core,supplier_mpid\n1454367008168,SUPA\n" * 9)
    writer.path("data/SUPA/metering.csv").write_bytes(b"mpan_core,meter_type\n1454367008168,2A\n" * 9)
    writer.path("data/SUPB/portfolio.csv").write_bytes(b"mpan_core,supplier_mpid\n1765302545857,SUPB\n" * 9)
    writer.path("excluded/SUPA/portfolio.csv").write_bytes(b"mpan_core,reason\n1362159763476,DQ20\n")
    writer.path("report/gx/portfolio.json").write_bytes(b'{"success":true}\n')


@pytest.fixture
def seal(operator: Signer) -> Seal:
    """Return a function that seals a small pack at a path."""

    def make(final: Path, *, signers: list[Signer] | None = None, replace: bool = False, **changes: Any) -> SealedPack:
        evidence = specimen(2, 0, kind="submission", **changes)
        chosen = signers or [operator]
        with PackWriter(final, replace=replace) as writer:
            fill(writer)
            writer.path("report/index.html").write_bytes(b"<!doctype html><title>Report</title>\n")
            return writer.seal({"Source-Organization": "Test"}, model(evidence), chosen)

    return make


@pytest.fixture
def pack(seal: Seal, tmp_path: Path) -> Path:
    return seal(tmp_path / "pack").path


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a pack to a fresh place."""
    count = iter(range(1_000_000))

    def make(source: Path) -> Path:
        target = tmp_path / f"copy-{next(count)}" / source.name
        shutil.copytree(source, target)
        return target

    return make
