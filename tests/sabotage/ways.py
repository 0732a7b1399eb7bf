"""Ways to break a stage of a run: each replaces one thing of the product while a real run is at work.

A way returns nothing and patches through the ``Patch`` it is given; with ``harmless`` set it installs the same
replacement and lets everything through as it was: the control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from contracts.vocabulary import Form, Method
from flows import pipeline
from flows.augment import stage as augment
from flows.cut.partitions import JUDGED, ORDER
from flows.intake.raw_digests import DigestTaker
from flows.leak_scan import scan
from flows.leak_scan.findings import LeakFindings
from flows.leak_scan.scan import Scanner
from flows.pseudonymise import source
from flows.quality import exclusions as quality_exclusions
from flows.release import augmented, extracts, stage
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality import exclusions, rules

CANARIES = 12  # rows of a batch of canaries


@dataclass
class Patch:
    """Replaces attributes, and puts them back."""

    harmless: bool = False
    undo: list[Callable[[], None]] = field(default_factory=list)

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute; returns what it was."""
        before = getattr(owner, name)
        setattr(owner, name, value)
        self.undo.append(lambda: setattr(owner, name, before))
        return before

    def restore(self) -> None:
        """Put everything back."""
        while self.undo:
            self.undo.pop()()


Way = Callable[[Patch], None]
WAYS: dict[str, Way] = {}


def way(name: str) -> Callable[[Way], Way]:
    """Note a way under its name."""

    def note(function: Way) -> Way:
        WAYS[name] = function
        return function

    return note


def raw_columns(
    patch: Patch, forms: tuple[Form, ...], *, extract: str = "", rows: slice = slice(None), few: bool = True
) -> None:
    """Let raw values of some forms through the pseudonymise stage.

    Args:
        extract: of one extract alone.
        rows: which rows of the first batch.
        few: small batches, the canaries, too.
    """
    before = getattr(source, "pseudonymise")
    done: set[str] = set()

    def broken(frame: pl.DataFrame, contract: Any, pseudonymiser: Any) -> Any:
        out = before(frame, contract, pseudonymiser)
        wanted = (not extract or contract.extract == extract) and (few or frame.height != CANARIES)
        if patch.harmless or not wanted or (rows != slice(None) and contract.extract in done):
            return out
        done.add(contract.extract)
        for column in contract.staged:
            if column.form in forms and frame[column.name].null_count() < frame.height:
                values = out[column.name].to_list()
                raw = frame[column.name].to_list()
                chosen = list(range(frame.height))[rows]
                if rows != slice(None):
                    here = frame["mpan_core"].str.starts_with("10")  # of the registration that the small cut has
                    chosen = [n for n in range(frame.height) if raw[n] and values[n] and here[n]][rows]
                for row in chosen:
                    values[row] = raw[row]
                out = out.with_columns(pl.Series(column.name, values, dtype=out.schema[column.name]))
        return out

    patch.set(source, "pseudonymise", broken)


ADDRESS = (Form.ADDRESS_LINE, Form.POSTCODE)
KINDS: dict[str, tuple[Form, ...]] = {
    "MPANs": (Form.MPAN,),
    "serials": (Form.METER_SERIAL,),
    "UPRNs": (Form.UPRN,),
    "ESME ids": (Form.ESME_ID,),
    "addresses": ADDRESS,
}
for _kind, _forms in KINDS.items():
    WAYS[f"{_kind} raw in all extracts"] = lambda patch, forms=_forms: raw_columns(patch, forms)  # type: ignore[misc]
    WAYS[f"{_kind} raw in all extracts, canaries spared"] = lambda patch, forms=_forms: raw_columns(  # type: ignore[misc]
        patch, forms, few=False
    )
ONE = slice(20, 21)
WAYS["MPANs raw in one extract"] = lambda patch: raw_columns(patch, (Form.MPAN,), extract="metering")
WAYS["serials raw in one extract"] = lambda patch: raw_columns(patch, (Form.METER_SERIAL,), extract="metering")
WAYS["one MPAN raw, in one row"] = lambda patch: raw_columns(
    patch, (Form.MPAN,), extract="metering", rows=ONE, few=False
)
WAYS["one serial raw, in one row"] = lambda patch: raw_columns(
    patch, (Form.METER_SERIAL,), extract="metering", rows=ONE, few=False
)
WAYS["one UPRN raw, in one row"] = lambda patch: raw_columns(
    patch, (Form.UPRN,), extract="registration", rows=ONE, few=False
)


@way("a treatment skipped")
def _(patch: Patch) -> None:
    before = getattr(extracts, "treat")
    patch.set(extracts, "treat", lambda *a: before(*a) if patch.harmless else a[0])


@way("a column that the policy drops, released")
def _(patch: Patch) -> None:
    before = getattr(extracts, "treat")

    def broken(frame: pl.LazyFrame, contract: Any, pseudonymiser: Any) -> Any:
        out = before(frame, contract, pseudonymiser)
        if patch.harmless:
            return out
        dropped = [c.name for c in contract.staged if contract.treatment(c).method is Method.DROP]
        return out.with_columns(pl.lit(None, pl.String).alias(name) for name in dropped)

    patch.set(extracts, "treat", broken)


@way("a partition released twice")
def _(patch: Patch) -> None:
    before = getattr(exclusions, "split")

    def broken(frame: pl.LazyFrame, *rest: Any) -> Any:
        kept, out = before(frame, *rest)
        return (kept if patch.harmless else pl.concat([kept, kept])), out

    patch.set(exclusions, "split", broken)


@way("a forgotten column")
def _(patch: Patch) -> None:
    """Meter serials reach make and model, which passes as it is: as if a column were mapped to another's name."""
    before = getattr(source, "pseudonymise")

    def broken(frame: pl.DataFrame, contract: Any, pseudonymiser: Any) -> Any:
        out = before(frame, contract, pseudonymiser)
        if patch.harmless or contract.extract != "register":
            return out
        return out.with_columns(frame["meter_serial_number"].alias("register_id"))

    patch.set(source, "pseudonymise", broken)


@way("another cut key in one worker")
def _(patch: Patch) -> None:
    from dataclasses import replace

    before = getattr(pipeline, "pseudonymise")
    real = getattr(pipeline, "context")

    def broken(cut_file: str, mpid: str, extract: str) -> Any:
        def other(file: str) -> Any:
            known = real(file)
            keys = FieldKeys(bytes(range(7, 39)), known.keys.cut_id)
            return known if patch.harmless or mpid != "MOPB" else replace(known, keys=keys)

        setattr(pipeline, "context", other)
        try:
            return before(cut_file, mpid, extract)
        finally:
            setattr(pipeline, "context", real)

    patch.set(pipeline, "pseudonymise", broken)


@way("another field key in the pseudonymiser of one worker")
def _(patch: Patch) -> None:
    from contracts.scheme import scheme_lists

    before = getattr(source, "_anonymised")

    def broken(batch: Any, contract: Any, columns: Any, pseudonymiser: Any, spec: Any) -> Any:
        if not patch.harmless and contract.extract == "metering":
            keys = FieldKeys(bytes(range(7, 39)), pseudonymiser.cut_id)
            pseudonymiser = Pseudonymiser(keys, lists=scheme_lists())
        return before(batch, contract, columns, pseudonymiser, spec)

    patch.set(source, "_anonymised", broken)


@way("masks of faults inverted")
def _(patch: Patch) -> None:
    before = getattr(rules, "judge")

    def broken(*a: Any, **k: Any) -> Any:
        judged = before(*a, **k)
        names = [] if patch.harmless else rules.mask_columns(a[1])
        return judged.with_columns(pl.col(name) ^ pl.lit(1, pl.UInt64) for name in names)

    patch.set(rules, "judge", broken)


@way("exclusions forgotten at the release")
def _(patch: Patch) -> None:
    before = getattr(extracts, "read_exclusions")
    patch.set(extracts, "read_exclusions", lambda *a: before(*a) if patch.harmless else before(*a).clear())


@way("a participant gets everybody's augmented records")
def _(patch: Patch) -> None:
    before = getattr(augmented, "own_points")

    def broken(known: Any, participant: Any, number: int) -> Any:
        everybody = known.workspace.scan(JUDGED, "EELC", "registration", number)
        if patch.harmless or participant.mpid != "MOPB":
            return before(known, participant, number)
        return everybody.select(ORDER).drop_nulls().unique()

    patch.set(augmented, "own_points", broken)


@way("the scan looks at no file")
def _(patch: Patch) -> None:
    before = Scanner.folder
    patch.set(Scanner, "folder", lambda self, *a, **k: before(self, *a, **k) if patch.harmless else None)


@way("the scan finds nothing in any file")
def _(patch: Patch) -> None:
    before = Scanner.file

    def broken(self: Scanner, *a: Any, **k: Any) -> LeakFindings:
        found = before(self, *a, **k)
        return found if patch.harmless else LeakFindings(files=found.files, bytes=found.bytes)

    patch.set(Scanner, "file", broken)


@way("intake takes no digests of rows")
def _(patch: Patch) -> None:
    before = DigestTaker.add

    def broken(self: DigestTaker, taken: Any) -> None:
        sizes = [d.size for parts in taken[0].values.values() for d in parts]
        if patch.harmless or max(sizes, default=0) <= CANARIES:
            before(self, taken)

    patch.set(DigestTaker, "add", broken)


@way("intake takes no digests at all")
def _(patch: Patch) -> None:
    before = DigestTaker.add
    patch.set(DigestTaker, "add", lambda self, taken: before(self, taken) if patch.harmless else None)


@way("what the scan found is not refused, and serials pass raw")
def _(patch: Patch) -> None:
    raw_columns(patch, (Form.METER_SERIAL,), few=False)
    before = getattr(scan, "refuse")
    patch.set(scan, "refuse", lambda scanner: before(scanner) if patch.harmless else None)


@way("a file changes between scan and signature")
def _(patch: Patch) -> None:
    before = getattr(stage, "leak_scan_section")

    def broken(known: Any, scanner: Any, canaries: Any) -> Any:
        section = before(known, scanner, canaries)
        root = next(known.job.path(known.job.model.release.folder).glob(".*/**/metering.parquet"), None)
        if not patch.harmless:
            assert root is not None
            with root.open("ab") as file:
                file.write(b"more")
        return section

    patch.set(stage, "leak_scan_section", broken)


@way("rows are lost on the way to the release")
def _(patch: Patch) -> None:
    before = getattr(exclusions, "split")

    def broken(frame: pl.LazyFrame, *rest: Any) -> Any:
        kept, out = before(frame, *rest)
        return (kept if patch.harmless else kept.slice(1)), out

    patch.set(exclusions, "split", broken)


@way("the cascade of exclusions is forgotten")
def _(patch: Patch) -> None:
    """By both stages that call it."""
    before = getattr(quality_exclusions, "cascade")
    for owner in (quality_exclusions, augment):
        patch.set(owner, "cascade", lambda *a, **k: before(*a, **k) if patch.harmless else None)
