"""A market's backups, sent as submission packs, and what its participants get back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from contracts.load import load_all
from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.cut.config import Job, load_cut
from flows.intake import SourceSpec, open_source
from flows.sample import SampleRequest, generate
from tests.command import Done, datacut
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import normalise
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

CUT = "SAMPLE-2023-08-19"
GROUPS = {"LDSO": "distributors", "SUP": "suppliers"}  # who sends together; each in a pack of its own would be as well
PARTICIPANTS = ("EELC", "YELG", "IPNL", "SUPA", "SUPB", "SUPC", "MOPA", "MOPB", "DCOL", "ELEX")


def one_system(folder: Path) -> None:
    """Leave each extract of the sample one source, so that a file goes in and one comes back."""
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    for participant in document["participants"]:
        participant["extracts"] = [e for e in participant["extracts"] if "D0268" not in e["source"]["path"]]
    (folder / "cut.yaml").write_text(yaml.safe_dump(document))
    (folder / "MOPA" / "D0268.usr").unlink()


def submit(folder: Path, *, recipients: str | list[str] = "all") -> Path:
    """Send every participant's backup as a submission pack; return the ``cut.yaml`` that takes the packs instead."""
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    senders: dict[str, list[dict[str, Any]]] = {}
    for participant in document["participants"]:
        senders.setdefault(GROUPS.get(participant["role"], "agents"), []).append(participant)
    for sender, participants in senders.items():
        own = {**document, "participants": participants, "work": f"work-{sender}"}
        own["release"] = {**document["release"], "folder": f"sent/{sender}"}
        own.pop("ring_fence", None)
        (folder / f"{sender}.yaml").write_text(yaml.safe_dump(own))
        done = datacut("anonymise", folder / f"{sender}.yaml", "--plain")
        assert done.code == 0, done.err
        source = {"pack": f"sent/{sender}/{CUT}-submission", "public_key": "keys/signing.pub"}
        for participant in participants:  # what several systems hold of an extract is one table of the pack
            names = dict.fromkeys(extract["contract"] for extract in participant["extracts"])
            participant["extracts"] = [{"contract": name, "source": dict(source)} for name in names]
    document["release"] = {**document["release"], "folder": "from-packs", "recipients": recipients}
    (folder / "si.yaml").write_text(yaml.safe_dump(document))
    return folder / "si.yaml"


@dataclass(frozen=True)
class Market:
    """The folder of a market, how its cut is described, and its key."""

    folder: Path
    job: Job
    pseudonymiser: Pseudonymiser

    def back(self, mpid: str) -> Path:
        """The folder that a participant restored into."""
        return self.folder / "back" / mpid

    def returned(self, mpid: str) -> Path:
        """A participant's return pack."""
        return self.folder / "from-packs" / f"{CUT}-return-{mpid}"

    def sources(self, mpid: str) -> dict[str, SourceSpec]:
        """Where a participant's backup lies, by extract."""
        (one,) = [p for p in self.job.model.participants if p.mpid == mpid]
        return {e.contract: self.job.source(one, e) for e in one.extracts}

    def mpans(self, mpid: str) -> set[str]:
        """Every MPAN of a participant's backup, as it should be written."""
        frames = [read(spec, name) for name, spec in self.sources(mpid).items()]
        columns = [f[c] for f in frames for c in (f"{MPAN}", "related_mpan", "linked_mpan") if c in f.columns]
        return set(normalise(pl.concat(columns)).drop_nulls())

    def pseudonyms(self, mpans: set[str]) -> set[str]:
        """Their pseudonyms."""
        return set(self.pseudonymiser.values(Field.MPAN, pl.Series(sorted(mpans))).drop_nulls())


MPAN = "mpan_core"


def read(spec: SourceSpec, extract: str) -> pl.DataFrame:
    """Read a backup or a load file as text, under the contract's names where it has one."""
    contract = load_all()[extract]
    with open_source(spec, layout=contract.dtc_layouts or None) as reader:
        names = map_columns(contract, reader.header, where=extract).names
        batches = [batch.rename(dict(names)) for batch in reader.batches()]
    return pl.concat(batches).with_columns(pl.all().cast(pl.String))


def load_file(market: Market, mpid: str, extract: str, folder: Path | None = None) -> Path:
    """Return the one load file of an extract."""
    made = {
        "augmented",
        "mhhs",
        "expected",
        "expected_steps",
        "counterparties",
        "allocations",
        "excluded",
        "unmatched",
        "expressible",
    }
    found = [
        p for p in (folder or market.back(mpid)).glob("*.*") if extract in p.stem.split("-") and p.stem not in made
    ]
    found = [p for p in found if not made & set(p.stem.split("-"))]
    assert len(found) == 1, found
    return found[0]


def as_written(path: Path, like: SourceSpec) -> SourceSpec:
    """Return how a load file is read: as the backup was, but neither packed nor inside an archive."""
    form = {"usr": "dtc", "parquet": "parquet"}.get(path.suffix[1:], "csv")
    return SourceSpec(name="load", path=path, form=form, delimiter=like.delimiter, encoding=like.encoding)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Backups -> submission packs -> run -> return packs -> restored by everybody from its own folder."""
    folder = tmp_path_factory.mktemp("returns") / "market"
    generate(SampleRequest(600, 5, 0.03), folder)
    one_system(folder)
    done = datacut("run", submit(folder), "--plain")
    assert done.code == 0, done.err
    job = load_cut(folder / "cut.yaml")
    keys = FieldKeys(bytes.fromhex((folder / "keys/cut.key").read_text().strip()), CUT)
    found = Market(folder, job, Pseudonymiser(keys, job.model.cut.policy.postcode, lists=scheme_lists()))
    before = os.umask(0o022)
    try:
        for mpid in PARTICIPANTS:
            done = restore(found, mpid, found.back(mpid))
            assert done.code == 0, done.err
    finally:
        os.umask(before)
    return found


def restore(market: Market, mpid: str, out: Path, **changed: object) -> Done:
    """Restore a return at the command line; ``changed`` replaces pack, backup or key."""
    backup = market.folder / ("elexon" if mpid == "ELEX" else mpid)
    given = {"pack": market.returned(mpid), "backup": backup, "key": market.folder / "keys/cut.key", **changed}
    trust = ["--public-key", market.folder / "keys/signing.pub"] if given.pop("trust", True) else []
    pack = given.pop("pack")
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    return datacut("restore", pack, *options, *trust, "--out", out)


@pytest.fixture
def copied(market: Market, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a folder of the market, to be spoilt."""

    def copy(name: str) -> Path:
        target = tmp_path / Path(name).name
        shutil.copytree(market.folder / name, target)
        return target

    return copy


def facts(folder: Path) -> dict[str, Any]:
    """Return what a restore reported."""
    found: dict[str, Any] = json.loads((folder / "restore.json").read_text())
    return found
