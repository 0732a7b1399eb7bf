"""DTC user files: header ZHV, nested groups, trailer ZPT; one row for each record of a layout's row group.

A record belongs to the nearest record of its parent group before it. Whole blocks are parsed as one ragged table and
a row finds the records it hangs from by carrying their positions forward; the few records still open at the end of a
block are put before the next one, so a file of any size streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from contracts.errors import IntakeError, RefusedError
from contracts.model import DtcLayout
from flows.intake.csv_blocks import Block, BlockReader
from flows.intake.csv_reader import parse_text
from flows.intake.dtc_nesting import Nesting
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import ReadAhead, Reader, stated_date
from flows.intake.source import Limits, SourceSpec

_GROUP = re.compile(r"[0-9A-Z]{3}")
_FLOW = re.compile(r"D\d{7}")
_FLAG = re.compile(r"[0-9A-Z]{4}")
_TRAILER = "ZPT"
RESEND = "ask the sender for the file again"
_NO_RECORDS = "a DTC record is fields divided by | with one | at its end"


class DtcReader(Reader):
    """Reader of one DTC user file."""

    form = "dtc"
    delimiter = "pipe"

    def __init__(
        self,
        spec: SourceSpec,
        stream: ByteStream,
        limits: Limits,
        layout: DtcLayout | tuple[DtcLayout, ...] | None,
    ) -> None:
        """Read the header record.

        Raises:
            IntakeError: the header is not a ZHV, or its flow is not one of the layouts'.
            ContractError: the layout takes fields from below its row group.
        """
        super().__init__(spec, limits)
        self._lines = BlockReader(stream, label=spec.name, limits=limits, encoding=spec.encoding, quotes=False)
        self._lines.delimiter = b"|"
        fields = self._lines.first_line().decode().split("|")
        if fields[0] != "ZHV" or len(fields) < 9 or fields[-1]:
            raise IntakeError("does not begin with a ZHV header record", where=self.label, remedy=RESEND)
        self._file_id, flow, time = fields[1], fields[2], fields[7]
        self.stated_cut_date = stated_date(time[:8])
        flag = fields[11] if len(fields) > 11 else ""
        self.test_flag = flag if _FLAG.fullmatch(flag) else None
        self.flow = flow if _FLOW.fullmatch(flow) else flow[:5]
        self._layouts = self._choose(layout, flow)
        self._nesting = Nesting(self._layouts, self.label)
        self.header = self._nesting.columns
        deepest = max((place for _, place in self._named()), default=1)
        self._names = tuple(f"f{i}" for i in range(max(deepest, 2) + 1))
        self._widest: dict[str, int] = {}
        self._context: list[bytes] = []
        self._records = 0
        self._trailer: tuple[str | None, str | None] | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._lines.decoder.encoding

    @property
    def dropped_columns(self) -> int:  # type: ignore[override]
        """Fields seen so far that no layout names: they never left the reader."""
        taken = sum(1 for group, place in self._named() if place <= self._widest.get(group, 0))
        return sum(self._widest.values()) - taken

    def _named(self) -> set[tuple[str, int]]:
        """Return the fields that the layouts name, as (group, position)."""
        named = {place for layout in self._layouts for place in layout.fields.values()}
        folds = [layout.fold for layout in self._layouts if layout.fold is not None]
        return named | {(f.group, place) for f in folds for place in (f.position, f.flag_position) if place}

    def _choose(self, layout: DtcLayout | tuple[DtcLayout, ...] | None, flow: str) -> tuple[DtcLayout, ...]:
        layouts = () if layout is None else layout if isinstance(layout, tuple) else (layout,)
        if chosen := tuple(candidate for candidate in layouts if flow.startswith(candidate.flow)):
            return chosen
        known = ", ".join(dict.fromkeys(candidate.flow for candidate in layouts)) or "none"
        shown = flow[:5] if re.fullmatch(r"D\d{7}", flow) else "an unknown flow"
        raise IntakeError(
            f"holds {shown}; layouts known for this extract: {known}",
            where=self.label,
            remedy="give the file of that flow, or add its layout to the contract",
        )

    def _frames(self) -> Iterator[pl.DataFrame]:
        ahead = ReadAhead(self._lines.blocks())
        self._ending.append(ahead.close)
        for block in ahead:
            yield self._rows(block)
        self._judge_trailer()

    def _rows(self, block: Block) -> pl.DataFrame:
        """Return the rows of one block."""
        place = f"lines {block.line} to {block.line + block.lines - 1}"
        ends = self._judge_records(block)
        # The first line gives the parser the width, the context the records that are still open.
        padding = b"|" * (len(self._names) - 1) + b"\n"
        text = Block(b"".join([padding, *self._context, block.data]), block.line, block.lines, 0, 0, quoted=False)
        table = parse_text(text, self._names, "|", quotes=False, ragged=True)
        if table is None or table.height != 1 + len(self._context) + block.records:
            raise IntakeError(f"records cannot be told apart, {place}", where=self.label, remedy=_NO_RECORDS)
        table = table.slice(1)
        self._count(table.slice(len(self._context))["f0"], block, ends)
        self._take_trailer(table)
        ended = self._trailer is not None
        frame, opened = self._nesting.rows(table, block.line - len(self._context), complete=ended)
        self._context = [self._record(number, block.data, ends) for number in opened]
        self.judge_cells(frame, place)
        return frame

    def _record(self, number: int, data: bytes, ends: np.ndarray) -> bytes:
        """Return record ``number`` of context and block together, with its line end."""
        inner = number - len(self._context)
        if inner < 0:
            return self._context[number]
        return data[ends[inner - 1] + 1 if inner else 0 : ends[inner] + 1]

    def _judge_records(self, block: Block) -> np.ndarray:
        """See that every record ends with a pipe; return where the records end."""
        text = np.frombuffer(block.data, np.uint8)
        ends = np.flatnonzero(text == 0x0A)
        last = np.maximum(ends - 1, 0)
        last -= (text[last] == 0x0D) & (last > 0)
        wrong = text[last] != ord("|")
        if wrong.any():
            line = block.line + int(np.argmax(wrong))
            raise IntakeError(f"a record does not end with | at line {line}", where=self.label, remedy=RESEND)
        return ends

    def _count(self, groups: pl.Series, block: Block, ends: np.ndarray) -> None:
        """Count records, and the fields of each group, for the evidence of what was dropped."""
        if self._trailer is not None:
            raise IntakeError(f"goes on after its trailer at line {block.line}", where=self.label, remedy=RESEND)
        self._records += block.records
        pipes = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("|"))
        fields = np.diff(np.searchsorted(pipes, ends), prepend=0) - 1
        if fields.max() > self.limits.max_columns:
            raise IntakeError(
                f"has more than {self.limits.max_columns} fields in a record", where=self.label, remedy=RESEND
            )
        widest = pl.DataFrame({"group": groups, "fields": fields}).group_by("group").agg(pl.max("fields"))
        for group, width in widest.iter_rows():
            if not _GROUP.fullmatch(group or ""):
                raise IntakeError("has a record without a group id", where=self.label, remedy=_NO_RECORDS)
            if group == "ZHV":
                raise IntakeError("holds more than one file", where=self.label, remedy="give one file a source")
            if group != _TRAILER:
                self._widest[group] = max(self._widest.get(group, 0), width)

    def _take_trailer(self, table: pl.DataFrame) -> None:
        found = (table["f0"] == _TRAILER).arg_true()
        if not len(found):
            return
        if found[0] != table.height - 1:
            raise IntakeError("goes on after its trailer", where=self.label, remedy=RESEND)
        _, file_id, count = table.select("f0", "f1", "f2").row(-1)
        self._trailer = (file_id, count)

    def _judge_trailer(self) -> None:
        """Hold the trailer against what was read.

        Raises:
            IntakeError: there is none: the file was cut off.
            RefusedError: it belongs to another file or counts other groups than there are.
        """
        if self._trailer is None:
            raise IntakeError("ends without its ZPT trailer record", where=self.label, remedy=RESEND)
        file_id, stated = self._trailer
        if (file_id or "") != self._file_id:
            raise RefusedError("the trailer is of another file than the header", where=self.label, remedy=RESEND)
        found = self._records - 1
        if not re.fullmatch(r"\d{1,12}", stated or "", re.ASCII) or int(stated or 0) != found:
            raise RefusedError(
                f"the trailer states another number of groups than the {found} found",
                where=self.label,
                remedy=RESEND,
            )
