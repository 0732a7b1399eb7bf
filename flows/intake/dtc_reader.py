"""DTC user files: header ZHV, nested groups, trailer ZPT; one row for each record of a layout's row group.

A record belongs to the nearest record of its parent group before it. Whole blocks are parsed as one ragged table and
a row finds the records it hangs from by carrying their positions forward; the few records still open at the end of a
block are put before the next one, so a file of any size streams. Several files one after the other are read as one;
each is held against its own trailer. What no layout names is left where the line is split: of a record that the next
block needs, the named fields alone are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from contracts.dtc.layout import DtcLayout
from contracts.errors import IntakeError
from flows.intake.across_files import AcrossFiles
from flows.intake.csv_blocks import BlockReader, ByteBlock
from flows.intake.csv_reader import parse_text
from flows.intake.dtc_lines import DtcStream
from flows.intake.dtc_nesting import HEADER, Nesting
from flows.intake.dtc_totals import RESEND, TRAILER, Totals
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import ReadAhead, Reader, stated_date
from flows.intake.source import Limits, SourceSpec

_GROUP = r"^[0-9A-Z]{2,3}$"
_FLOW = re.compile(r"D\d{7}")
_FLAG = re.compile(r"[0-9A-Z]{4}")
_HEADER_FIELDS = 8  # fields of a header that are kept, its name among them
_LEAST_HEADER = 8
_NO_RECORDS = "a DTC record is fields divided by | with one | at its end"


class DtcReader(Reader):
    """Reader of one DTC user file, or of several that follow each other."""

    form = "dtc"
    delimiter = "pipe"

    def __init__(
        self,
        spec: SourceSpec,
        stream: ByteStream,
        limits: Limits,
        layout: DtcLayout | tuple[DtcLayout, ...] | None,
        across: AcrossFiles | None = None,
    ) -> None:
        """Read the header record.

        Args:
            across: joins rows with those of other files of the source; without it those of this file are joined.

        Raises:
            IntakeError: the header is not a ZHV, or its flow is not one of the layouts'.
            ContractError: the layout takes fields from below its row group.
        """
        super().__init__(spec, limits)
        self._as_of = spec.as_of.strftime("%Y%m%d") if spec.as_of else ""
        self._alone = across is None
        self._known = () if layout is None else layout if isinstance(layout, tuple) else (layout,)
        source = DtcStream(stream)
        ahead = source.flows()
        self._lines = BlockReader(source, label=spec.name, limits=limits, encoding=spec.encoding, quotes=False)
        self._lines.delimiter = b"|"
        self._lines.begin_at(source.skipped + 1)
        line = self._lines.first_line().decode().rstrip(" \t")
        fields = line.split("|")
        if fields[0] != HEADER or len(fields) <= _LEAST_HEADER or fields[-1]:
            raise IntakeError("does not begin with a ZHV header record", where=self.label, remedy=RESEND)
        flow, time = fields[2].strip(), fields[7]
        self.stated_cut_date = stated_date(time[:8])
        flag = fields[11].strip() if len(fields) > 11 else ""
        self.test_flag = flag if _FLAG.fullmatch(flag) else None
        self.flow = flow if _FLOW.fullmatch(flow) else flow[:5]
        self._nestings = {flow: self._nesting(flow)}
        for other in ahead:
            self._nestings.setdefault(other, self._nesting(other))
        self.header = tuple(dict.fromkeys(name for nesting in self._nestings.values() for name in nesting.columns))
        self._across = across or AcrossFiles(self._known, self.label)
        self._context = [_kept(fields)]
        self._totals = Totals(self.label, fields[1].strip())
        self._widest: dict[str, int] = {}
        self.groups: Counter[str] = Counter()
        self._measure()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._lines.decoder.encoding

    @property
    def dropped_columns(self) -> int:  # type: ignore[override]
        """Fields seen so far that no layout names: they never left the reader."""
        taken = sum(1 for group, place in self._named if place <= self._widest.get(group, 0))
        return sum(self._widest.values()) - taken

    @property
    def skipped_groups(self) -> dict[str, int]:  # type: ignore[override]
        """Records of each group that nothing was taken from; ``?`` follows a group that the catalogue does not have."""
        taken = {group for nesting in self._nestings.values() for group in nesting.taken}
        flows = [layout.catalogue for layout in self._known if layout.catalogue and layout.label in self._nestings]
        listed = {name for flow in flows for name in flow.groups}
        return {
            group if group in listed or not flows else f"{group}?": count
            for group, count in sorted(self.groups.items())
            if group not in taken
        }

    @property
    def incomplete_days(self) -> int:  # type: ignore[override]
        """Settlement days at the edges of UTC days, of which a part is in no record; final at the end."""
        return self._across.days.left

    def _measure(self) -> None:
        """See which fields the layouts in use name, and how wide the table has to be."""
        self._named = {place for nesting in self._nestings.values() for place in nesting.places()}
        deepest = max((place for _, place in self._named), default=1)
        self._names = tuple(f"f{i}" for i in range(max(deepest, _HEADER_FIELDS) + 1))

    def _nesting(self, flow: str) -> Nesting:
        """Return the layouts of a header's flow.

        Raises:
            IntakeError: there is none.
        """
        chosen = tuple(candidate for candidate in self._known if candidate.takes(flow))
        if chosen:
            return Nesting(chosen, self.label, self._as_of)
        known = ", ".join(dict.fromkeys(candidate.label for candidate in self._known)) or "none"
        shown = flow if _FLOW.fullmatch(flow) else "an unknown flow"
        raise IntakeError(
            f"holds {shown}; layouts known for this extract: {known}",
            where=self.label,
            remedy="give the file of that flow and version, or add its layout to the contract",
        )

    def _frames(self) -> Iterator[pl.DataFrame]:
        ahead = ReadAhead(self._lines.blocks())
        self._ending.append(ahead.close)
        for block in ahead:
            yield self._rows(block)
        self._totals.judge_end()
        rest = self._across.registers.rest() if self._alone else None
        if rest is not None:
            yield pl.concat([self._empty(), rest], how="diagonal").select(self.header)

    def _rows(self, block: ByteBlock) -> pl.DataFrame:
        """Return the rows of one block."""
        place = f"lines {block.line} to {block.line + block.lines - 1}"
        ends = self._judge_records(block)
        table = self._split(block, place)
        fresh = table.slice(len(self._context))
        self._count(fresh["f0"], block, ends)
        self._judge_headers(fresh)
        self._totals.take(fresh, block.line)
        frames, opened = [], set()
        flows = self._flow_of_each(table)
        for flow, nesting in self._nestings.items():
            mine = table if flows is None else table.with_columns(pl.when(flows == flow).then("f0").alias("f0"))
            if flows is not None and not (flows == flow).any():
                continue
            found, still = nesting.rows(mine, block.line - len(self._context), complete=self._totals.ended)
            joined = zip(nesting.layouts, found, strict=True)
            frames += [self._across.take(layout, frame) for layout, frame in joined]
            opened.update(still)
        frame = pl.concat([self._empty(), *frames], how="diagonal").select(self.header)
        self._keep(table, opened)
        self.judge_cells(frame, place)
        return frame

    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=dict.fromkeys(self.header, pl.String))

    def _split(self, block: ByteBlock, place: str) -> pl.DataFrame:
        """Split the records that are still open and those of the block into fields.

        Raises:
            IntakeError: there are not as many records as lines.
        """
        # The first line gives the parser the width.
        padding = b"|" * (len(self._names) - 1) + b"\n"
        text = ByteBlock(b"".join([padding, *self._context, block.data]), block.line, block.lines, 0, 0, quoted=False)
        table = parse_text(text, self._names, "|", quotes=False, ragged=True)
        if table is None or table.height != 1 + len(self._context) + block.records:
            raise IntakeError(f"records run into each other, {place}", where=self.label, remedy=_NO_RECORDS)
        return table.slice(1)

    def _flow_of_each(self, table: pl.DataFrame) -> pl.Series | None:
        """Return the flow of the header above each record; nothing where there is one flow alone."""
        if len(self._nestings) == 1:
            return None
        return table.select(
            pl.when(pl.col("f0") == HEADER).then(pl.col("f2").str.strip_chars()).forward_fill()
        ).to_series()

    def _keep(self, table: pl.DataFrame, opened: set[int]) -> None:
        """Keep the named fields of the records that the next block hangs from, and nothing else of them."""
        self._context = [_kept(record, self._named) for record in table[sorted(opened)].iter_rows()]

    def _judge_records(self, block: ByteBlock) -> np.ndarray:
        """See that every record ends with a pipe, blanks after it aside; return where the records end."""
        text = np.frombuffer(block.data, np.uint8)
        ends = np.flatnonzero(text == 0x0A)
        last = np.maximum(ends - 1, 0)
        while (blank := ((text[last] == 0x0D) | (text[last] == 0x20) | (text[last] == 0x09)) & (last > 0)).any():
            last -= blank
        wrong = text[last] != ord("|")
        if wrong.any():
            line = block.line + int(np.argmax(wrong))
            raise IntakeError(f"a record does not end with | at line {line}", where=self.label, remedy=RESEND)
        return ends

    def _count(self, groups: pl.Series, block: ByteBlock, ends: np.ndarray) -> None:
        """Count records, and the fields of each group, for the evidence of what was dropped."""
        pipes = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("|"))
        fields = np.diff(np.searchsorted(pipes, ends), prepend=0) - 1
        if fields.max() > self.limits.max_columns:
            raise IntakeError(
                f"has more than {self.limits.max_columns} fields in a record", where=self.label, remedy=RESEND
            )
        seen = pl.DataFrame({"group": groups, "fields": fields})
        nameless = ~groups.str.contains(_GROUP).fill_null(value=False) & (groups.is_not_null() | (seen["fields"] > 0))
        if nameless.any():  # an empty record was a blank line
            line = block.line + int(nameless.arg_max() or 0)
            raise IntakeError(f"has a record without a group id at line {line}", where=self.label, remedy=_NO_RECORDS)
        seen = seen.drop_nulls("group")
        for group, width, count in seen.group_by("group").agg(pl.max("fields"), pl.len()).iter_rows():
            if group not in (HEADER, TRAILER):
                self._widest[group] = max(self._widest.get(group, 0), width)
                self.groups[group] += count

    def _judge_headers(self, fresh: pl.DataFrame) -> None:
        """See that the flow of every further header is one whose columns are known since the first."""
        for flow in fresh.filter(pl.col("f0") == HEADER)["f2"].str.strip_chars().unique(maintain_order=True):
            if flow not in self._nestings:
                nesting = self._nesting(flow or "")
                if not set(nesting.columns) <= set(self.header):
                    raise IntakeError(
                        f"switches to {flow} after the first megabytes",
                        where=self.label,
                        remedy="give flows file by file",
                    )
                self._nestings[flow] = nesting


def _kept(fields: list[str] | tuple[str | None, ...], named: set[tuple[str, int]] | None = None) -> bytes:
    """Return a record with those fields alone that are read; of a header, its first ones."""
    group = fields[0] or ""
    last = _HEADER_FIELDS if group == HEADER else len(fields) - 1
    wanted = [
        (fields[place] or "") if group == HEADER or (group, place) in (named or ()) else ""
        for place in range(1, min(last, len(fields) - 1) + 1)
    ]
    return ("|".join([group, *wanted]) + "|\n").encode()
