"""Runs a small cut with one thing broken, and says which guard ended it; beside it the same run with nothing broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from contracts.errors import DataCutError
from flows import pipeline
from flows.cut.context import forget
from flows.sample import SampleRequest, generate
from tests.sabotage.ways import WAYS, Patch

KEPT = ("EELC", "SUPA", "MOPB", "ELEX")
OVERLAY = {
    "reason": "a treatment to skip",
    "treatments": {"metering": {"make_and_model": "suppress", "meter_asset_provider_mpid": "drop"}},
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        caught: the error's line and exit code; empty where the run went through.
        visible: packs that lie there afterwards.
    """

    caught: str
    code: int
    visible: tuple[str, ...]


def prepare(folder: Path, mpans: int = 400, seed: int = 7) -> Path:
    """Write the sample that every run starts from; returns its folder."""
    generate(SampleRequest(mpans, seed, 0.02), folder)
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    document.pop("ring_fence")
    document["participants"] = [p for p in document["participants"] if p["mpid"] in KEPT]
    document["cut"]["policy"] = {"overlay": "overlay.yaml"}
    document["release"]["recipients"] = ["MOPB"]
    _spoil_a_companion(folder)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    (folder / "cut.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def _spoil_a_companion(folder: Path) -> None:
    """Give the second of two related metering points a fault: the first stands or falls with it."""
    registration, path = folder / "EELC" / "registration.csv", folder / "MOPB" / "metering.csv"
    related = pl.read_csv(registration, infer_schema=False)["Related MPAN"].drop_nulls()
    meters = pl.read_csv(path, infer_schema=False)
    held = related.filter(related.is_in(meters["MPAN_CORE"].implode()))
    others = pl.col("MPAN_CORE") != held[0]
    meters.with_columns(METER_SERIAL_NUMBER=pl.when(others).then("METER_SERIAL_NUMBER")).write_csv(path)


def run(sample: Path, way: str, folder: Path, *, harmless: bool = False, keep: bool = False) -> Outcome:
    """Run a copy of the sample with one thing broken.

    Args:
        harmless: the same thing is replaced by what it does: the control.
        keep: leave the folder, with what was published.
    """
    shutil.copytree(sample, folder)
    patch = Patch(harmless=harmless)
    caught, code = "", 0
    try:
        if way:
            WAYS[way](patch)
        pipeline.run_plain(folder / "cut.yaml")
    except DataCutError as fault:
        caught, code = f"{type(fault).__name__}: {fault.line()}", fault.exit_code
    finally:
        patch.restore()
        forget()
    out = folder / "out"
    visible = tuple(sorted(p.name for p in out.iterdir())) if out.is_dir() else ()
    if not keep:
        shutil.rmtree(folder)
    return Outcome(caught, code, visible)


def campaign(folder: Path, ways: list[str], *, controls: bool) -> Iterator[tuple[str, Outcome, Outcome | None]]:
    """Yield each way, how the run ended, and how its control ended."""
    sample = prepare(folder / "sample")
    for number, way in enumerate(ways):
        control = run(sample, way, folder / f"control-{number}", harmless=True) if controls else None
        yield way, run(sample, way, folder / f"run-{number}"), control
