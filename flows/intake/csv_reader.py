"""Delimited text with a header: comma, tab or pipe, RFC 4180 quoting."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from contracts.errors import IntakeError
from flows.intake.csv_blocks import BlockReader, ByteBlock
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import ReadAhead, Reader
from flows.intake.source import DELIMITERS, Limits, SourceSpec
from flows.intake.text_streams import ESCAPED, MARKS, EscapedStream

_NAME_LIMIT = 128
# A header cell with a run of digits like this is a row of data: an MPAN, a date and time, a UPRN.
_DATA = re.compile(r"\d[\d ]{6,}\d")
LINES_LOOKED_AT = 60  # lines in which the header must be
UNNAMED = "unnamed column "
_SEPARATOR = re.compile(rb'"?sep=(.)"?', re.IGNORECASE | re.DOTALL)
# polars raises its own errors and, where it meets what it did not foresee, a panic; both may quote a cell.
FOREIGN = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True, slots=True)
class Opening:
    """How a table begins.

    Attributes:
        before: lines before the header: blank ones, titles, and ``sep=`` of spreadsheets.
        following: the line after the header; ``None`` where there is none.
        delimiter: what a ``sep=`` line says; empty where there is none.
    """

    before: int
    following: bytes | None
    delimiter: str = ""


def _cells(line: str, mark: str, *, quotes: bool) -> list[str]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    return next(csv.reader([line], delimiter=mark, quoting=quoting, strict=True), [])


def _guessed(line: bytes, marks: list[str], *, quotes: bool) -> list[str]:
    """Return the cells of a line by the delimiter that gives most of them; none where it cannot be split."""
    text, found = line.decode("utf-8", "replace"), [""]
    for mark in marks:
        try:
            cells = _cells(text, mark, quotes=quotes)
        except csv.Error:
            continue
        found = cells if len(cells) > len(found) else found
    return [cell.strip() for cell in found] if len(found) > 1 else [text.strip()]


def find_header(lines: list[bytes], declared: str, *, quotes: bool) -> Opening:
    """Find the header among the first lines of a table.

    It is the first line that is not blank, unless that one is a title: narrower than the lines below it or mostly
    empty, with a line below it that is as wide as its own successor and whose cells are all names.
    """
    filled = [number for number, line in enumerate(lines) if line.strip(b"\r \t")]
    named = ""
    if filled and (said := _SEPARATOR.fullmatch(lines[filled[0]].strip())):
        named = {mark: name for name, mark in DELIMITERS.items()}.get(said.group(1).decode("latin-1"), "")
        filled = filled[1:]
    if not filled:
        return Opening(0, None, named)
    marks = [DELIMITERS[named or declared]] if named or declared != "auto" else [*DELIMITERS.values()]
    cells = [_guessed(lines[number], marks, quotes=quotes) for number in filled]
    at = _first_names(cells)
    following = lines[filled[at] + 1] if filled[at] + 1 < len(lines) else None
    return Opening(filled[at], following, named)


def _first_names(rows: list[list[str]]) -> int:
    if len(rows) < 2 or (len({len(row) for row in rows}) == 1 and not _is_title(rows[0])):
        return 0
    for at in range(1, len(rows) - 1):
        width = len(rows[at])
        titles = all(_is_title(row) or len(row) < width for row in rows[:at])
        if titles and width > 1 and _as_wide(rows[at], rows[at + 1]) and _are_names(rows[at]):
            return at
    return 0


def _as_wide(header: list[str], row: list[str]) -> bool:
    """Tell whether a row fits a header, but for an empty cell at the end of one of them."""
    longer, shorter = (header, row) if len(header) >= len(row) else (row, header)
    return len(longer) == len(shorter) or (len(longer) == len(shorter) + 1 and not longer[-1])


def _is_title(row: list[str]) -> bool:
    """Tell whether a row is a title padded to the width of its table."""
    return len(row) > 2 and sum(map(bool, row)) * 2 < len(row)


def _are_names(row: list[str]) -> bool:
    names = [cell.casefold() for cell in row if cell]
    plain = all(re.search("[a-z]", name) and not _DATA.search(name) for name in names)
    return plain and len(set(names)) == len(names) and not _is_title(row)


class DelimitedReader(Reader):
    """Reader of CSV, TSV and pipe-separated extracts."""

    form = "csv"

    def __init__(self, spec: SourceSpec, stream: ByteStream, limits: Limits, wide: str = "") -> None:
        """Find the header and read it.

        Args:
            wide: the kind of UTF-16 that the stream was before it became UTF-8.

        Raises:
            IntakeError: there is none, it is ambiguous, or names repeat.
        """
        super().__init__(spec, limits)
        self._wide, self._quotes, escaped = wide, spec.quote != "none", spec.quote == "backslash"
        self._lines = BlockReader(
            EscapedStream(stream, spec.name) if escaped else stream,
            label=spec.name,
            limits=limits,
            encoding="utf-8" if wide else spec.encoding,
            quotes=self._quotes,
            marks=b"".join(ESCAPED.values()) if escaped else b"",
        )
        opening = find_header(self._lines.opening(LINES_LOOKED_AT), spec.delimiter, quotes=self._quotes)
        for _ in range(opening.before):
            self._lines.first_line()
        line = self._lines.first_line()
        if not line.strip():
            raise IntakeError("is empty", where=self.label, remedy="a header is needed even without rows")
        self.delimiter = opening.delimiter or (spec.delimiter if spec.delimiter != "auto" else self._detect(line))
        self._mark = DELIMITERS[self.delimiter]
        self._lines.delimiter = self._mark.encode()
        if spec.delimiter != "auto":
            self._require_declared(line)
        self.skipped_lines = opening.before
        self._cells = self._names(line, opening.following)
        self.header = tuple(name for name in self._cells if not name.startswith(UNNAMED))
        if not self.header:
            raise IntakeError("has no header", where=self.label, remedy="the first line must be a header")
        self.dropped_columns = len(self._cells) - len(self.header)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._wide or self._lines.decoder.encoding

    def _bare(self, line: bytes) -> bytes:
        return re.sub(rb'"[^"]*"', b"", line) if self._quotes else line

    @property
    def preamble(self) -> int:
        """How many lines the header took, with all that stands before it; final once the reader is open."""
        return self._lines.taken

    def blocks(self) -> Iterator[ByteBlock]:
        """Give the records below the header in blocks, for whoever parses those of several files together."""
        return self._lines.blocks()

    def parse(self, block: ByteBlock) -> pl.DataFrame:
        """Return the rows of a block: of this file, or of files whose header is byte for byte the same."""
        return self._parse(block)

    def _detect(self, line: bytes) -> str:
        """Return the one delimiter that occurs outside quotation marks."""
        bare = self._bare(line)
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

    def _require_declared(self, line: bytes) -> None:
        """Refuse a header without the declared delimiter that has another one."""
        bare = self._bare(line)
        if self._lines.delimiter in bare:
            return
        others = {**{name: mark.encode() for name, mark in DELIMITERS.items()}, "semicolon": b";"}
        found = [name for name, mark in others.items() if mark in bare]
        if found:
            raise IntakeError(
                f"is declared as delimited by {self.delimiter}, but its header has {' and '.join(found)}",
                where=self.label,
                remedy="correct `delimiter` of the source",
            )

    def _names(self, line: bytes, following: bytes | None) -> tuple[str, ...]:
        """Return a name for each cell of a row; columns without one are numbered and dropped.

        What stands under the header decides whether a delimiter at the end of a line is a column.
        """
        try:
            names = _cells(line.decode(), self._mark, quotes=self._quotes)
        except csv.Error:
            raise IntakeError(
                "the header has unbalanced quotation marks", where=self.label, remedy="a header is one line"
            ) from None
        below = self._below(following)
        if below is not None and len(below) == len(names) + 1 and not below[-1].strip():
            names.append("")
        elif below is not None and len(below) == len(names) - 1 and not names[-1].strip():
            names.pop()
        check_names([name for name in names if name.strip()], self.label, self.limits)
        return tuple(name if name.strip() else f"{UNNAMED}{number}" for number, name in enumerate(names, 1))

    def _below(self, line: bytes | None) -> list[str] | None:
        if not line:
            return None
        try:
            return _cells(line.decode("utf-8", "replace"), self._mark, quotes=self._quotes)
        except csv.Error:
            return None  # a cell that goes on in the next line

    def _frames(self) -> Iterator[pl.DataFrame]:
        ahead = ReadAhead(self._lines.blocks())
        self._ending.append(ahead.close)
        parts: list[pl.DataFrame] = []
        size = 0
        for block in ahead:
            parts.append(self._parse(block))
            # A cell takes 16 bytes besides its text: many tiny cells make a batch as much as long ones do.
            size += max(len(block.data), 8 * block.records * len(self._cells))
            if size >= self.limits.block_bytes:
                yield pl.concat(parts, rechunk=False)
                parts, size = [], 0
        if parts:
            yield pl.concat(parts, rechunk=False)

    def _parse(self, block: ByteBlock) -> pl.DataFrame:
        place = f"lines {block.line} to {block.line + block.lines - 1}"
        frame = parse_text(block, self._cells, self._mark, quotes=True)
        if frame is None or frame.height != block.records or not self._rectangular(block, frame):
            row = self._ragged_line(block)
            at = f"at line {row}" if row else place
            raise IntakeError(
                f"rows do not all have {len(self._cells)} cells, {at}",
                where=self.label,
                remedy="check delimiter and quotation marks there",
            )
        self.judge_cells(frame, place)
        if block.quoted:  # quoted and empty is empty all the same
            frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
        if len(self.header) < len(self._cells):
            frame = frame.select(self.header)
        if any(mark in block.data for mark in self._lines.marks):
            frame = frame.with_columns(pl.all().str.replace_many(list(MARKS), list(MARKS.values())))
        return frame

    def _rectangular(self, block: ByteBlock, frame: pl.DataFrame) -> bool:
        """Tell that no row is short: polars refuses long rows, so the number of delimiters leaves no room."""
        if len(self._cells) == 1 and not block.quoted:
            return b"\n\n" not in block.data and b"\n\r\n" not in block.data
        inside = 0
        if block.quoted:
            cells = frame.select(pl.all().str.count_matches(self._mark, literal=True).sum())
            inside = sum(cells.row(0))
        return block.delimiters - inside == block.records * (len(self._cells) - 1)

    def _ragged_line(self, block: ByteBlock) -> int | None:
        """Find the first ragged row; on the way to an error time does not matter."""
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._quotes else csv.QUOTE_NONE
        rows = csv.reader(io.StringIO(block.data.decode(), newline=""), delimiter=self._mark, quoting=quoting)
        before = 0
        try:
            for row in rows:
                if len(row) != len(self._cells):
                    return block.line + before
                before = rows.line_num
        except csv.Error:
            pass
        return None


def parse_text(
    block: ByteBlock, names: tuple[str, ...], mark: str, *, quotes: bool, ragged: bool = False
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
        if len(name) > _NAME_LIMIT or not name.isprintable():
            raise IntakeError(f"column {number} has no usable name", where=label, remedy="name it as the contract does")
        if _DATA.search(plain):
            raise IntakeError(
                f"column {number} has a number as its name",
                where=label,
                remedy="the first line must be a header, not data",
            )
        if plain in seen:
            raise IntakeError(
                f"columns {seen[plain]} and {number} have the same name", where=label, remedy="rename one"
            )
        seen[plain] = number
