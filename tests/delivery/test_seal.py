"""A sealed backup: read by its recipient alone, whole or not at all, and nowhere written down."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from flows.delivery.seal import MANIFEST, seal
from flows.delivery.unseal import unseal
from flows.intake import Limits, SourceFiles, SourceSpec
from flows.keys.age_files import identities_of, new_identity
from tests.command import Done, datacut

CSV = b"MPAN Core,Supplier Id\n" + b"".join(b"%013d,SUPA\n" % (10**12 + n) for n in range(2000))
FLOW = b"ZHV|0001|D0150001|M|MOPA|X|SUPA|20230819010000||||OPER|\nZPT|0001|0||0|20230819010000|\n"
SECRETS = (b"1000000000007", b"Supplier Id", b"portfolio", b"D0150")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A backup of four files, two identities, and signing keys of both sides."""
    backup = tmp_path / "backup"
    (backup / "mop").mkdir(parents=True)
    (backup / "portfolio.csv").write_bytes(CSV)
    (backup / "packed.csv.gz").write_bytes(gzip.compress(CSV))
    with zipfile.ZipFile(backup / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", CSV)
    (backup / "mop" / "D0150.usr").write_bytes(FLOW)
    (backup / "cut.key").write_bytes(b"0" * 64)
    for name in ("si", "other"):
        private, recipient = new_identity()
        (tmp_path / f"{name}.age").write_bytes(private)
        (tmp_path / f"{name}.age").chmod(0o600)
        (tmp_path / f"{name}.to").write_text(recipient)
    for name in ("supa", "programme"):
        assert datacut("key", "signing", "--out", tmp_path / f"{name}.pem").code == 0
    return tmp_path


def sealed(house: Path, *more: object) -> Done:
    arguments = ("--to", house / "si.to", "--out", house / "b.sealed", "--cut", "C1", "--participant", "SUPA", *more)
    return datacut("seal", house / "backup", *arguments)


def opened(house: Path, *more: object, identity: str = "si.age", file: str = "b.sealed") -> Done:
    return datacut("open", house / file, "--identity", house / identity, *more)


@pytest.mark.requirement("Q61", "Q66", "Q67")
def test_the_recipient_sees_what_was_sealed_and_the_sender_gets_a_receipt(house: Path) -> None:
    done = sealed(house, "--signing-key", house / "supa.pem")
    assert (done.code, "cut.key" in done.err) == (0, True), "what is left out is said by name"
    receipt = ("--receipt", house / "r.json", "--signing-key", house / "programme.pem")
    found = opened(house, "--public-key", house / "supa.pub", *receipt, "--json")
    document = json.loads(found.out)
    names = {"portfolio.csv", "packed.csv.gz", "packed.zip", "mop/D0150.usr"}
    assert {file["name"]: file["bytes"] for file in document["files"]} == {
        name: (house / "backup" / name).stat().st_size for name in names
    }
    assert (document["cut"], document["participant"]) == ("C1", "SUPA")
    assert document["sealed_sha256"] in done.out
    checked = ("receipt", house / "r.json", "--sealed", house / "b.sealed", "--public-key")
    assert datacut(*checked, house / "programme.pub").code == 0
    assert datacut(*checked, house / "supa.pub").code == 18, "somebody else signed it"
    (house / "b.sealed").write_bytes(b"another file")
    assert datacut(*checked, house / "programme.pub").code == 18


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 512])
def test_a_file_of_any_size_comes_through(tmp_path: Path, size: int) -> None:
    private, recipient = new_identity()
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_bytes(b"x" * size)
    seal([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "s", to=[recipient])
    found = unseal(tmp_path / "s", identities_of(private))
    assert [(file.name, file.bytes) for file in found.manifest.files] == [("a.csv", size), ("b.csv", size)]


@pytest.mark.requirement("R3")
def test_nothing_of_a_backup_is_readable_outside(house: Path) -> None:
    assert sealed(house).code == 0
    data = (house / "b.sealed").read_bytes()
    assert not [secret for secret in SECRETS if secret in data]


def test_somebody_else_cannot_open_it(house: Path) -> None:
    sealed(house)
    done = opened(house, identity="other.age")
    assert (done.code, "not sealed for your identity" in done.err) == (13, True)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999999])
def test_a_file_that_was_cut_off_is_refused(house: Path, share: float) -> None:
    sealed(house)
    data = (house / "b.sealed").read_bytes()
    (house / "b.sealed").write_bytes(data[: int(len(data) * share)])
    done = opened(house)
    assert (done.code, done.out) == (11, ""), done.err


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_changed_byte_is_noticed(house: Path, share: float) -> None:
    sealed(house)
    data = bytearray((house / "b.sealed").read_bytes())
    data[int(len(data) * share)] ^= 1
    (house / "b.sealed").write_bytes(data)
    assert opened(house).code == 11


def test_a_senders_signature_is_asked_for_and_missed(house: Path) -> None:
    sealed(house)
    assert opened(house, "--public-key", house / "supa.pub").code == 18


def test_what_could_not_be_opened_is_not_sealed(house: Path) -> None:
    for name in ("a:b.csv", "PORTFOLIO.csv"):
        (house / "backup" / name).write_bytes(CSV)
        done = sealed(house)
        assert (done.code, (house / "b.sealed").exists()) == (12, False), done.err
        (house / "backup" / name).unlink()
    assert sealed(house).code == 0


def test_what_is_there_already_is_not_written_over(house: Path) -> None:
    (house / "b.sealed").write_text("mine")
    assert (sealed(house).code, (house / "b.sealed").read_text()) == (2, "mine")


def test_another_age_file_is_no_sealed_backup(house: Path) -> None:
    import pyrage

    recipient = pyrage.x25519.Recipient.from_str((house / "si.to").read_text())
    (house / "b.sealed").write_bytes(pyrage.encrypt(b"hello" * 200, [recipient]))
    assert opened(house).code == 11
    assert opened(house, file="si.to").code == 11


@pytest.mark.parametrize("member", ["portfolio.csv", "packed.csv.gz", "packed.zip"])
@pytest.mark.requirement("Q61")
def test_intake_reads_a_sealed_file_as_it_reads_the_file(house: Path, member: str) -> None:
    seal([house / "backup"], house / "b.sealed", to=[str(house / "si.to")])
    identities = identities_of((house / "si.age").read_bytes())
    spec = SourceSpec(name="SUPA/portfolio", path=house / "b.sealed", member=member, identities=identities)
    assert rows(spec).equals(rows(SourceSpec(name="SUPA/portfolio", path=house / "backup" / member)))


def rows(spec: SourceSpec) -> pl.DataFrame:
    batches = []
    for reader in SourceFiles([spec], limits=Limits()).readers():
        with reader:
            batches += list(reader.batches())
    return pl.concat(batches)


def test_a_member_that_is_not_there_is_named_as_such(house: Path) -> None:
    from contracts.errors import IntakeError, KeyMaterialError

    seal([house / "backup"], house / "b.sealed", to=[str(house / "si.to")])
    identities = identities_of((house / "si.age").read_bytes())
    with pytest.raises(IntakeError, match="no member of that name"):
        rows(SourceSpec(name="SUPA/x", path=house / "b.sealed", member="none.csv", identities=identities))
    with pytest.raises(KeyMaterialError, match="seal_identity_file"):
        rows(SourceSpec(name="SUPA/x", path=house / "b.sealed", member="portfolio.csv"))


WATCHED = """
import sys
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & 3:
        opened.append(str(arguments[0]))
sys.addaudithook(hook)
from flows.cli.main import main
try:
    main()
finally:
    print("WRITTEN", sorted(set(opened)), file=sys.stderr)
"""


@pytest.mark.requirement("R3")
def test_neither_side_writes_anything_else_down(house: Path) -> None:
    def watched(*arguments: object) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-B", "-c", WATCHED, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        names = done.stderr.split("WRITTEN ")[1].strip().strip("[]").replace("'", "").split(", ")
        return [name for name in names if name.startswith("/")]

    out = house / "b.sealed"
    assert watched("seal", house / "backup", "--to", house / "si.to", "--out", out) == [f"{out}.part"]
    assert watched("open", out, "--identity", house / "si.age") == []


def test_the_manifest_is_no_backup() -> None:
    from flows.intake.files import beside

    assert beside(MANIFEST)
