"""Rows of a pack in the form in which a participant writes its backup: CSV with its delimiter and names, or DTC."""

from __future__ import annotations

import codecs
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import polars as pl
import pyarrow.parquet as pq

from contracts.dtc.layout import DtcLayout
from contracts.errors import EvidenceError
from contracts.evidence_inputs import LackingItem, ReturnedFlow
from contracts.model import Contract
from flows.cut.config import Cut
from flows.cut.partitions import ORDER
from flows.cut.workspace import disk
from flows.intake.source import DELIMITERS
from flows.release.table_files import ROW_GROUP
from transforms.pseudonymise.mpan import order_key
from transforms.release.dtc_text import LAYOUT, DtcRecords, DtcText, not_carried
from transforms.release.source_form import SourceForm, as_text, dtc_header, dtc_trailer

NOT_EXPRESSIBLE = "not-expressible"
Place = Callable[[str], Path]
SENDER, SUPPLIER = ("Z", "SITD"), "X"


@dataclass(frozen=True, slots=True)
class ReturnedForm:
    """Released rows of one extract, and how its backup was written."""

    source: Path
    contract: Contract
    how: SourceForm


def write_form(forms: Sequence[ReturnedForm], place: Place, name: str, cut: Cut, mpid: str) -> dict[str, ReturnedFlow]:
    """Write the rows of one physical source as the participant's own kind of file; of Parquet nothing is written.

    Args:
        forms: one extract, or several that came in one DTC file.
        place: name of a file -> where to write it.

    Returns:
        Extract -> of DTC files, what became of its rows; rows that the flow cannot express are in a CSV file of their
        own.

    Raises:
        EvidenceError: a value cannot be written in that form. PlaceError: the disk is unfit.
    """
    how = forms[0].how
    if how.form == "dtc":
        path = place(f"{name}.usr")
        with disk(path), open(path, "wb") as file, _Left(place) as left:
            outer = sorted(forms, key=lambda form: _depth(form.contract, form.how.flow))  # meters before registers
            return _dtc(file, path.name, outer, left, cut, mpid)
    if how.form in ("csv", "database"):
        path = place(f"{name}.{'tsv' if how.delimiter == 'tab' else 'csv'}")
        with disk(path), open(path, "wb") as file:
            _delimited(file, forms[0].source, how)
    return {}


class _Left:
    """Rows that a flow cannot express, by extract; use as a context manager."""

    def __init__(self, place: Place) -> None:
        self._place, self._files = place, dict[str, IO[bytes]]()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> _Left:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, extract: str, rows: pl.DataFrame) -> None:
        """Take rows."""
        if not rows.height:
            return
        first = extract not in self._files
        if first:
            path = self._place(f"{extract}-{NOT_EXPRESSIBLE}.csv")
            self._files[extract] = open(path, "wb")  # noqa: SIM115 - closed by the context
        self._files[extract].write(rows.write_csv(include_header=first).encode())
        self.counts[extract] += rows.height


def rows_of(source: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of a Parquet file in pieces."""
    frame = pl.scan_parquet(source, glob=False)  # seven times faster than pyarrow, which wrote it
    for at in range(0, frame.select(pl.len()).collect().item(), ROW_GROUP):
        yield frame.slice(at, ROW_GROUP).collect()


def _delimited(file: IO[bytes], source: Path, how: SourceForm) -> None:
    first = True
    for frame in rows_of(source):
        file.write(delimited(as_text(frame, how).rename(dict(how.names)), how, header=first))
        first = False
    if first:
        empty = pl.DataFrame(schema=dict.fromkeys((how.names.get(c, c) for c in how.order), pl.String))
        file.write(delimited(empty, how, header=True))


def delimited(frame: pl.DataFrame, how: SourceForm, *, header: bool) -> bytes:
    """Return rows of text as delimited bytes in the participant's character set.

    Raises:
        EvidenceError: the character set has no such character.
    """
    style: Literal["never", "necessary"] = "never" if how.quote == "none" else "necessary"
    text = frame.write_csv(include_header=header, separator=DELIMITERS[how.delimiter or "comma"], quote_style=style)
    try:
        if how.encoding == "utf-16":  # its byte order is marked once, where the file begins
            return (codecs.BOM_UTF16_LE if header else b"") + text.encode("utf-16-le")
        return text.encode(how.encoding)
    except UnicodeEncodeError:
        raise EvidenceError(f"a value cannot be written in {how.encoding}", where="return") from None


def _dtc(
    file: IO[bytes], name: str, forms: Sequence[ReturnedForm], left: _Left, cut: Cut, mpid: str
) -> dict[str, ReturnedFlow]:
    layouts, owners = _layouts(forms, mpid)
    text = DtcText(layouts, cut.date)
    out = _DtcOut(file, text, layouts[0].label, cut, mpid)
    supplier = next(iter(layouts[0].header), None)
    own = [[k for k, owner in enumerate(owners) if owner == number] for number in range(len(forms))]
    unsent = 0
    lost: list[Counter[str]] = [Counter() for _ in forms]
    for rows in _together(forms, layouts, owners):
        for number, form in enumerate(forms):
            mine = rows.filter(pl.col(OWNER) == number).select(pq.read_schema(form.source).names)
            lost[number].update(not_carried([layouts[k] for k in own[number]], mine))
        # the header's addressee is the supplier: a file for each
        named = rows.filter(pl.col(supplier).is_not_null()) if supplier else rows
        parts = named.partition_by(supplier, maintain_order=True) if supplier else [rows]
        for part in parts:
            out.begin((SUPPLIER, part[supplier][0]) if supplier else ("Z", mpid))
            made = text.records(part)
            out.write(made)
            _leave(part.filter(~made.expressible), forms, left)
        if supplier:
            nobody = rows.filter(pl.col(supplier).is_null())
            unsent += nobody.height
            _leave(nobody, forms, left)
    out.begin(None)
    filled = tuple(text.filled())
    addressee = [LackingItem(item="ZHV", name="supplier that the file is sent to", rows=unsent)] if unsent else []
    return {
        form.contract.extract: ReturnedFlow(
            file=name,
            not_expressible=left.counts[form.contract.extract],
            filled=filled,
            lacking=(*text.lacking(own[n]), *addressee),
            not_carried=dict(sorted(lost[n].items())),
            left_empty=tuple(text.left_empty()),
            left_out=tuple(text.left_out()),
        )
        for n, form in enumerate(forms)
    }


def _leave(rows: pl.DataFrame, forms: Sequence[ReturnedForm], left: _Left) -> None:
    for number, form in enumerate(forms):
        mine = rows.filter(pl.col(OWNER) == number)
        if mine.height:
            left.add(form.contract.extract, mine.select(pq.read_schema(form.source).names))


class _DtcOut:
    """Files of one flow, one after the other: a new one begins where the addressee changes."""

    def __init__(self, file: IO[bytes], text: DtcText, flow: str, cut: Cut, mpid: str) -> None:
        self._file, self._text, self._flow, self._cut, self._mpid = file, text, flow, cut, mpid
        self._stamp = f"{cut.date:%Y%m%d}000000"
        self._to: tuple[str, str] | None = None
        self._id, self._count, self._files = "", 0, 0

    def begin(self, receiver: tuple[str, str] | None) -> None:
        """See that a file to a receiver is open; without one, end. There is one file at least."""
        if receiver is not None and receiver == self._to:
            return
        if self._to is None and receiver is None and not self._files:
            self.begin(("Z", self._mpid))
        if self._to is not None:
            self._file.write(dtc_trailer(self._id, self._count, self._stamp))
        self._to = receiver
        if receiver is None:
            return
        mark = hashlib.sha256(f"{self._cut.id}/{self._mpid}/{self._flow}/{self._files}".encode()).digest()
        self._id, self._files = f"{int.from_bytes(mark[:5], 'big') % 10**10:010d}", self._files + 1
        begins, self._count = self._text.prelude()
        self._file.write(dtc_header(self._id, self._flow, SENDER, receiver, self._stamp) + begins.encode("ascii"))

    def write(self, made: DtcRecords) -> None:
        """Add records to the open file."""
        self._file.write("".join(made.text.to_list()).encode("ascii"))
        self._count += made.count


OWNER = "_owner"


def _layouts(forms: Sequence[ReturnedForm], mpid: str) -> tuple[list[DtcLayout], list[int]]:
    """Return the layouts in which rows go back, and the extract that each is of."""
    layouts, owners = [], []
    for number, form in enumerate(forms):
        flow = returned_flow(form, mpid)
        back = [layout for layout in form.contract.dtc_layouts if layout.flow == flow]
        layouts += back
        owners += [number] * len(back)
    return layouts, owners


def returned_flow(form: ReturnedForm, mpid: str) -> str:
    """Return the flow that an extract goes back in: its own; of several, the contract's first, that has most places.

    Raises:
        EvidenceError: the contract does not have its flow.
    """
    known = form.contract.dtc_layouts
    came = [layout for layout in known if layout.takes(form.how.flow) or not form.how.flow]
    if not came:
        raise EvidenceError("its flow has no layout in the contract", where=f"{mpid}/{form.contract.extract}")
    return came[0].returned_as or came[0].flow


def _depth(contract: Contract, flow: str) -> int:
    """Return how deep in a flow the rows of an extract lie."""
    layouts = [layout for layout in contract.dtc_layouts if layout.takes(flow) and layout.catalogue is not None]
    return min((len(layout.catalogue.ancestors(layout.row_group)) for layout in layouts if layout.catalogue), default=0)


def _together(
    forms: Sequence[ReturnedForm], layouts: Sequence[DtcLayout], owners: Sequence[int]
) -> Iterator[pl.DataFrame]:
    """Yield the rows of all extracts by whole metering points, meters before their registers, with their layouts."""
    streams = [rows_of(form.source) for form in forms]
    held: list[pl.DataFrame | None] = [None] * len(forms)
    ended = [False] * len(forms)
    while not all(ended) or any(part is not None and part.height for part in held):
        for number, stream in enumerate(streams):
            if ended[number]:
                continue
            part = next(stream, None)
            ended[number] = part is None
            if part is not None:
                before = held[number]
                ready = _with_layout(part, number, layouts, owners)
                held[number] = ready if before is None else pl.concat([before, ready])
        parts = [part for part in held if part is not None and part.height]
        if not parts:
            return
        waiting = [p[ORDER][-1] for n, p in enumerate(held) if p is not None and p.height and not ended[n]]
        whole = pl.col(ORDER) < min(waiting) if waiting else pl.lit(value=True)
        rows = pl.concat([part.filter(whole) for part in parts], how="diagonal")
        held = [part if part is None else part.filter(~whole) for part in held]
        if rows.height:
            together = len(forms) > 1
            yield rows.sort(ORDER, "meter_serial_number", LAYOUT, maintain_order=True) if together else rows


def _with_layout(part: pl.DataFrame, owner: int, layouts: Sequence[DtcLayout], owners: Sequence[int]) -> pl.DataFrame:
    """Say of each row which of its extract's layouts writes it: the first with a column of its own that it fills."""
    own = [k for k, number in enumerate(owners) if number == owner]
    chosen: pl.Expr = pl.lit(own[0])
    for k in reversed(own):
        others = {c for j in own if j != k for c in layouts[j].fields}
        marks = [pl.col(c).is_not_null() for c in layouts[k].fields if c not in others and c in part.columns]
        if marks:
            chosen = pl.when(pl.any_horizontal(marks)).then(pl.lit(k)).otherwise(chosen)
    return part.with_columns(chosen.cast(pl.Int32).alias(LAYOUT), pl.lit(owner).alias(OWNER), order_key().alias(ORDER))
