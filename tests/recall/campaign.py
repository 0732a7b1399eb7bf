"""A campaign: leaks of every kind planted in what a run releases, and how many the scan finds."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.vocabulary import Field
from flows import pipeline
from flows.cut.context import Context, context
from flows.leak_scan.digests_of_run import run_scanner
from flows.leak_scan.scan import Scanner
from flows.release import extracts
from flows.sample import SampleRequest, generate
from tests.recall.carriers import CARRIERS, Place, Raw

LINES = [f"address_line_{n}" for n in range(1, 10)]


@dataclass(frozen=True)
class Found:
    """How many leaks of a kind were planted and found."""

    kind: str
    planted: int
    found: int


class Campaign:
    """A judged cut, what it releases, and its raw values row by row."""

    def __init__(self, folder: Path, mpans: int, seed: int) -> None:
        self.folder = folder
        generate(SampleRequest(mpans, seed, 0.0), folder / "sample")
        self.cut = str(folder / "sample" / "cut.yaml")
        plan = pipeline.prepare(self.cut)
        for mpid, extract in plan.sources:
            pipeline.pseudonymise(self.cut, mpid, extract)
        pipeline.tabulate(self.cut)
        pipeline.judge_part(self.cut, list(range(plan.partitions)))
        pipeline.judge(self.cut)
        self.known = context(self.cut)
        self.registration, self.raw_registration = self._tables("EELC", "registration", "EELC/registration.csv")
        self.metering, self.raw_metering = self._tables("MOPB", "metering", "MOPB/metering.csv")
        self.digests = run_scanner(self.known).known
        self._telling = [row for row in range(self.registration.height) if self._raw(row) is not None]

    def _tables(self, mpid: str, extract: str, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return an extract as it is released, and the raw rows that it was made from, in the same order."""
        known, out = self.known, self.folder / "released"
        source = next(h for h in known.extracts if (h.participant, h.extract) == (mpid, extract))
        raw = pl.read_csv(self.folder / "sample" / file, infer_schema=False)
        contract = known.contracts[extract]
        plain = {
            "".join(c for c in n.lower() if c.isalnum()): column.name
            for column in contract.columns
            for n in (column.name, *column.physical_names)
        }
        raw = raw.rename({h: plain["".join(c for c in h.lower() if c.isalnum())] for h in raw.columns})

        def place(name: str) -> Path:
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            return path

        extracts.release_extract(known, source, raw.height, place, ["parquet"])
        frame = pl.read_parquet(out / "data" / mpid / f"{extract}.parquet")
        names = known.pseudonymiser.values(Field.MPAN, raw["mpan_core"])
        keyed = raw.with_columns(names.alias("_name")).unique("_name", keep="first")
        frame = frame.unique("mpan_core", keep="first", maintain_order=True)
        rows = frame.select("mpan_core").join(
            keyed, left_on="mpan_core", right_on="_name", how="left", maintain_order="left"
        )
        rows = (
            rows.with_columns(rows["mpan_core_right"].alias("mpan_core")) if "mpan_core_right" in rows.columns else rows
        )
        return frame, rows

    def _raw(self, row: int) -> Raw | None:
        """Return the raw values of a row of the registration; nothing where one is missing."""
        values = self.raw_registration.row(row, named=True)
        street, house = values["address_line_5"], values["address_line_1"] or values["address_line_4"] or ""
        digit = street is not None and street[:1].isdigit()
        whole = street if digit else f"{house} {street}"
        fit = values["mpan_core"] and values["uprn"] and values["postcode"] and street and len(whole.split()) == 3
        if not fit or not whole[:1].isdigit() or not whole.split()[1].isalpha():
            return None
        meter = self.raw_metering.row(row % self.raw_metering.height, named=True)
        serial = meter["meter_serial_number"] or ""
        esme = next(e for e in self.raw_metering["esme_id"].drop_nulls().to_list()[row % 50 :] if len(e) == 23)
        serial = serial if len(serial) >= 8 and serial.isalnum() else self._serials()[row % 50]
        mpan = "".join(c for c in str(values["mpan_core"]) if c.isdigit())[-13:]
        return Raw(mpan, serial, str(values["uprn"]), esme, str(street), whole, str(values["postcode"]))

    def _serials(self) -> list[str]:
        return [
            s for s in self.raw_metering["meter_serial_number"].drop_nulls().to_list() if len(s) == 10 and s.isalnum()
        ]

    def plant(self, kind: str, count: int, choice: random.Random) -> list[bool]:
        """Plant leaks of one kind, one after another; tell of each whether it was found."""
        done = []
        for number in range(count):
            row = choice.choice([r for r in self._telling if r < self.metering.height])
            raw = self._raw(row)
            assert raw is not None
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            CARRIERS[kind](Place(folder, self.registration, self.metering, row, raw, self._column, number))
            done.append(self.finds(folder))
            shutil.rmtree(folder)
        return done

    def _column(self, name: str) -> pl.Series:
        frame = (
            self.raw_registration
            if name in self.raw_registration.columns and name not in ("meter_serial_number", "esme_id")
            else self.raw_metering
        )
        return frame[name]

    def finds(self, folder: Path) -> bool:
        """Search a folder as a release is searched."""
        scanner = Scanner(self.digests)
        for part in sorted(folder.iterdir()):
            scanner.folder(part, counts=part.name in ("report", "evidence"))
        return bool(scanner.findings.confirmed)

    def clean(self) -> dict[str, list[str]]:
        """Search what is released without any leak."""
        scanner = Scanner(self.digests)
        scanner.folder(self.folder / "released")
        return {"places": scanner.findings.places}


def campaign(folder: Path, *, mpans: int, seed: int, count: int, told: Callable[[Found], None]) -> list[Found]:
    """Plant every kind so many times."""
    made = Campaign(folder, mpans, seed)
    assert not made.clean()["places"]
    choice = random.Random(seed)
    results = []
    for kind in CARRIERS:
        hits = made.plant(kind, count, choice)
        results.append(Found(kind, count, sum(hits)))
        told(results[-1])
    pipeline.finish(made.cut)
    return results


__all__ = ["Campaign", "Context", "Found", "campaign"]
