"""Delimited text with a header: comma, tab or pipe, RFC 4180 quoting."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import polars as pl

from contracts.errors import IntakeError
from flows.intake.csv_blocks import Block, BlockReader
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import ReadAhead, Reader
from flows.intake.source import DELIMITERS, Limits, SourceSpec

_NAME_LIMIT = 128
# A header cell with a run of digits like this is a row of data: an MPAN, a date and time, a UPRN.
_DATA = re.compile(r"\d[\d ]{6,}\d")
# polars raises its own errors and, where it meets what it did not foresee, a panic; both may quote a cell.
FOREIGN = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


class DelimitedReader(Reader):
    """Reader of CSV, TSV and pipe-separated extracts."""

    form = "csv"

    def __init__(self, spec: SourceSpec, stream: ByteStream, limits: Limits) -> None:
        """Read the header.

        Raises:
            IntakeError: there is none, it is ambiguous, or names repeat.
        """
        super().__init__(spec, limits)
        self._lines = BlockReader(stream, label=spec.name, limits=limits, encoding=spec.encoding, quotes=True)
        line = self._lines.first_line()
        if not line.strip():
            raise IntakeError("is empty", where=self.label, remedy="a header is needed even without rows")
        self.delimiter = spec.delimiter if spec.delimiter != "auto" else self._detect(line)
        self._mark = DELIMITERS[self.delimiter]
        self._lines.delimiter = self._mark.encode()
        self.header = self._names(line)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._lines.decoder.encoding

    @property
    def preamble(self) -> int:
        """How many lines the header took, with all that stands before it; final once the reader is open."""
        return self._lines.taken

    def blocks(self) -> Iterator[Block]:
        """Give the records below the header in blocks, for whoever parses those of several files together."""
        return self._lines.blocks()

    def parse(self, block: Block) -> pl.DataFrame:
        """Return the rows of a block: of this file, or of files whose header is byte for byte the same."""
        return self._parse(block)

    def _detect(self, line: bytes) -> str:
        """Return the one delimiter that occurs outside quotation marks."""
        bare = re.sub(rb'"[^"]*"', b"", line)
        found = [name for name, mark in DELIMITERS.items() if mark.encode() in bare]
        if len(found) > 1:
            raise IntakeError(
                f"the header holds more than one delimiter: {', '.join(found)}",
                where=self.label,
                remedy="declare `delimiter` of the source",
            )
        if not found and b";" in bare:
            raise IntakeError("is delimited by semicolons", where=self.label, remedy="export with comma, tab or pipe")
        return found[0] if found else "comma"

    def _names(self, line: bytes) -> tuple[str, ...]:
        try:
            names = next(csv.reader([line.decode()], delimiter=self._mark, strict=True))
        except csv.Error:
            raise IntakeError(
                "the header has unbalanced quotation marks", where=self.label, remedy="a header is one line"
            ) from None
        check_names(names, self.label, self.limits)
        return tuple(names)

    def _frames(self) -> Iterator[pl.DataFrame]:
        ahead = ReadAhead(self._lines.blocks())
        self._ending.append(ahead.close)
        parts: list[pl.DataFrame] = []
        size = 0
        for block in ahead:
            parts.append(self._parse(block))
            # A cell takes 16 bytes besides its text: many tiny cells make a batch as much as long ones do.
            size += max(len(block.data), 8 * block.records * len(self.header))
            if size >= self.limits.block_bytes:
                yield pl.concat(parts, rechunk=False)
                parts, size = [], 0
        if parts:
            yield pl.concat(parts, rechunk=False)

    def _parse(self, block: Block) -> pl.DataFrame:
        place = f"lines {block.line} to {block.line + block.lines - 1}"
        frame = parse_text(block, self.header, self._mark, quotes=True)
        if frame is None or frame.height != block.records or not self._rectangular(block, frame):
            row = self._ragged_line(block)
            at = f"at line {row}" if row else place
            raise IntakeError(
                f"rows do not all have {len(self.header)} cells, {at}",
                where=self.label,
                remedy="check delimiter and quotation marks there",
            )
        self.judge_cells(frame, place)
        if block.quoted:  # quoted and empty is empty all the same
            frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
        return frame

    def _rectangular(self, block: Block, frame: pl.DataFrame) -> bool:
        """Tell that no row is short: polars refuses long rows, so the number of delimiters leaves no room."""
        if len(self.header) == 1 and not block.quoted:
            return b"\n\n" not in block.data and b"\n\r\n" not in block.data
        inside = 0
        if block.quoted:
            cells = frame.select(pl.all().str.count_matches(self._mark, literal=True).sum())
            inside = sum(cells.row(0))
        return block.delimiters - inside == block.records * (len(self.header) - 1)

    def _ragged_line(self, block: Block) -> int | None:
        """Find the first ragged row; on the way to an error time does not matter."""
        rows = csv.reader(io.StringIO(block.data.decode(), newline=""), delimiter=self._mark)
        before = 0
        try:
            for row in rows:
                if len(row) != len(self.header):
                    return block.line + before
                before = rows.line_num
        except csv.Error:
            pass
        return None


def parse_text(
    block: Block, names: tuple[str, ...], mark: str, *, quotes: bool, ragged: bool = False
) -> pl.DataFrame | None:
    """Parse one block, every column as text; nothing if polars cannot make sense of it."""
    try:
        return pl.read_csv(
            block.data,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            separator=mark,
            quote_char='"' if quotes and block.quoted else None,
            truncate_ragged_lines=ragged,
        )
    except FOREIGN:
        return None


def check_names(names: list[str], label: str, limits: Limits) -> None:
    """Refuse a header that cannot be one. Errors give the number of a column, since a name may be data.

    Raises:
        IntakeError: too many columns, or a name that is empty, too long, repeated, or looks like data.
    """
    if len(names) > limits.max_columns:
        raise IntakeError(
            f"has more than {limits.max_columns} columns", where=label, remedy="send the columns of the contract only"
        )
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        plain = name.strip().casefold()
        if not plain:
            raise IntakeError(f"column {number} has no name", where=label, remedy="name it or leave it out")
        if len(name) > _NAME_LIMIT or not name.isprintable():
            raise IntakeError(
                f"column {number} has a name that is none", where=label, remedy="name it as the contract does"
            )
        if _DATA.search(plain):
            raise IntakeError(
                f"column {number} has a number for a name",
                where=label,
                remedy="the first line must be a header, not data",
            )
        if plain in seen:
            raise IntakeError(
                f"columns {seen[plain]} and {number} have the same name", where=label, remedy="rename one"
            )
        seen[plain] = number
