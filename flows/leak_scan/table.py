"""Searches rows of a table, column by column, and what columns say together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from flows.leak_scan.findings import LeakFindings
from flows.leak_scan.read_back import Block, Rows
from transforms.leak_scan.candidates import ALONE, CORE, MPAN, UPRN, Windows, windows
from transforms.leak_scan.condensed import Condensed, arrow_bytes
from transforms.leak_scan.digests import Digests, Ints, Kind
from transforms.leak_scan.known import OWN, Hits, own_by_chance
from transforms.leak_scan.numbers import halves, whole_numbers
from transforms.leak_scan.raw_columns import PAIRED, SHORTEST_LINE
from transforms.leak_scan.spellings import marked

if TYPE_CHECKING:
    from flows.leak_scan.scan import Scanner

OWNER = "mpan_core"
SHORTEST = 5  # bytes of a cell that could be an identifier
NUMBER = "as a number"
MOST_HALVES = 8  # columns of long numbers that are read together, each with each
STEPS_VALUE = "/expected/steps.parquet, column value"  # of an item that its row names, the postcode among them


def search_rows(scanner: Scanner, rows: Rows, found: LeakFindings) -> None:
    """Search every column of some rows."""
    owner = _owner(scanner, rows.batch)
    long_digits: list[pl.Series] = []
    for name, array in zip(rows.batch.schema.names, rows.batch.columns, strict=True):
        where = f"{rows.where}, column {name}"
        kind = array.type
        if pa.types.is_dictionary(kind):
            values = pl.Series(name, array.dictionary.cast(pa.large_string()))
            _Column(scanner, where, rows.row, found).distinct(values, array, owner)
        elif _is_text(kind):
            column = _Column(scanner, where, rows.row, found)
            column.texts(pl.Series(name, array), owner)
            if column.digits_only:
                long_digits.append(pl.Series(name, array))
        elif pa.types.is_nested(kind) or _is_bytes(kind):
            scanner.block(Block(_as_bytes(array), where), found, scanner.plain)
        elif not pa.types.is_boolean(kind) and not pa.types.is_null(kind) and not pa.types.is_date(kind):
            values = pl.Series(name, array)
            _numbers(scanner, values, where, found)
            if _whole(values):
                long_digits.append(values)
    _halves(scanner, long_digits, rows, found)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _owner(scanner: Scanner, batch: pa.RecordBatch) -> Digests | None:
    """Return the digest of each row's pseudonym MPAN; 0 where it has none."""
    if OWNER not in batch.schema.names or not _is_text(batch.schema.field(OWNER).type):
        return None
    names = pl.Series(OWNER, batch.column(OWNER))
    present = np.flatnonzero(names.is_not_null().to_numpy())
    text = Condensed.of_texts(names.drop_nulls())
    start, length = text.cell_spans()
    owner = np.zeros(names.len(), np.uint64)
    owner[present] = scanner.known.digester.of(Kind.MPAN, text.data, start, np.minimum(length, CORE))
    return owner


class _Column:
    """The texts of one column of some rows."""

    def __init__(self, scanner: Scanner, where: str, row: int, found: LeakFindings) -> None:
        self._scanner, self._where, self._row, self._found = scanner, where, row, found
        self.digits_only = False

    def distinct(self, values: pl.Series, array: pa.DictionaryArray, owner: Digests | None) -> None:
        """Search the distinct values of a column, unless the same ones of the same column were searched before."""
        texts = values.drop_nulls()
        if not texts.len() or not _widest(texts):
            return
        fresh = self._scanner.new(values.name, texts.len(), hash(tuple(texts.to_list())))
        if not fresh:
            return
        every, self._found = self._found, LeakFindings()
        self.texts(texts, None)
        some, self._found = self._found, every
        if any(tally.hits for tally in some.tallies.values()):  # which rows these are, each cell tells
            self.texts(pl.Series(values.name, array.cast(pa.large_string())), owner)
        else:
            every.add(some)

    def texts(self, values: pl.Series, owner: Digests | None) -> None:
        """Search the cells of a column."""
        present = values.is_not_null()
        cells = np.flatnonzero(present.to_numpy()) if values.null_count() else np.arange(values.len())
        texts = values.drop_nulls()
        widest = _widest(texts)
        if widest < SHORTEST:
            self.digits_only = widest > 1 and bool(texts.str.contains("^[0-9]+$").all())
            return
        text = Condensed.of_texts(texts)
        self.digits_only = widest <= CORE and text.size > 0 and bool(text.is_digit.all())
        if self._bare(text, texts, cells):
            return
        owned = owner[cells] if owner is not None else None
        for some in (*windows(text), _lines(text)):
            self._note(text, some, cells, owned)
        self._otherwise(text, texts)

    def _bare(self, text: Condensed, texts: pl.Series, cells: Ints) -> bool:
        """Search a column of which every cell is thirteen digits, as most are; tell whether it is one."""
        if text.size != texts.len() * MPAN or not text.is_digit.all() or int(texts.str.len_bytes().sum()) != text.size:
            return False
        start = np.arange(texts.len()) * MPAN
        if not (texts.str.len_bytes() == MPAN).all():
            return False
        self._note(text, Windows(Kind.MPAN, ALONE, start, np.full(start.size, CORE)), cells, None)
        return True

    def _note(self, text: Condensed, some: Windows, cells: Ints, owner: Digests | None) -> None:
        known = self._scanner.known
        hits = known.search(text, some)
        first = ""
        if hits.count:
            if owner is not None and some.kind in PAIRED:
                self._own(text, hits, cells, owner)
            first = self._first(text, hits, cells)
            hits = known.search(text, known.once(text, some))
            if some.kind is Kind.POSTCODE and not self._where.endswith(("postcode", STEPS_VALUE)):
                hits = replace(hits, expected=0.0)  # intake blanks postcodes in columns of anything else
        self._found.note(hits, self._where, first)

    def _own(self, text: Condensed, hits: Hits, cells: Ints, owner: Digests) -> None:
        """Look for what the row itself had: no chance explains that, but a postcode's one in four thousand."""
        whose = owner[text.cell_of(hits.start)]
        own = (
            hits.hit
            & (whose != 0)
            & self._scanner.known.pairs.contains(self._scanner.known.digester.of_pairs(whose, hits.digests))
        )
        if own.any():
            found = replace(hits, form=OWN, hit=own, expected=own_by_chance(hits))
            self._found.note(found, self._where, self._first(text, found, cells))

    def _first(self, text: Condensed, hits: Hits, cells: Ints) -> str:
        row = int(cells[text.cell_of(hits.start[[int(hits.hit.argmax())]])[0]])
        return f", row {self._row + row + 1}"

    def _otherwise(self, text: Condensed, texts: pl.Series) -> None:
        """Search what cells say once ways of writing are undone; only cells with a sign of one are looked at again."""
        words = text.words
        long = words.start[words.length >= 16]
        chosen = np.unique(text.cell_of(long))
        if marked(_bytes(texts)):
            odd = texts.str.contains(r"[^ -$'-;>-\[\]-~]|&|%|\\|=|<").arg_true().to_numpy()
            chosen = np.union1d(chosen, odd)
        runs = text.digit_runs
        pairs = runs.start[(runs.length == 2)]
        if pairs.size:
            cell, count = np.unique(text.cell_of(pairs), return_counts=True)
            chosen = np.union1d(chosen, cell[count >= 12])
        if chosen.size:
            joined = "\n".join(texts.gather(chosen.astype(np.int64)).to_list())
            self._scanner.otherwise(joined.encode("utf-8", "surrogatepass"), self._where, self._found)


def _widest(texts: pl.Series) -> int:
    """Return the bytes of the longest text."""
    lengths = texts.str.len_bytes().drop_nulls().to_numpy()
    return int(lengths.max()) if lengths.size else 0


def _bytes(texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    edges, data = arrow_bytes(texts)
    return data[edges[0] : edges[-1]]


def _lines(text: Condensed) -> Windows:
    """Return cells that could be a whole line of an address."""
    start, length = text.cell_spans()
    letters = length - (text.digits_before[start + length] - text.digits_before[start])
    good = (length >= SHORTEST_LINE) & (letters > length // 2)
    return Windows(Kind.ADDRESS_LINE, "a whole cell", start[good], length[good])


def _numbers(scanner: Scanner, values: pl.Series, where: str, found: LeakFindings) -> None:
    for numbers in whole_numbers(values):
        text = Condensed.of_texts(pl.Series(numbers).cast(pl.String))
        start, length = text.cell_spans()
        for kind, good in (
            (Kind.MPAN, (length == MPAN) | (length == CORE)),
            (Kind.UPRN, length < UPRN.stop),
            (Kind.METER_SERIAL, length >= 8),
        ):
            size = np.minimum(length[good], CORE) if kind is Kind.MPAN else length[good]
            hits = scanner.known.search(text, Windows(kind, NUMBER, start[good], size))
            found.note(hits, where, "")


def _whole(values: pl.Series) -> bool:
    return values.dtype.is_integer()


def _halves(scanner: Scanner, columns: list[pl.Series], rows: Rows, found: LeakFindings) -> None:
    """Search what two columns of digits say together."""
    sizes = {c.name: _widest(c.cast(pl.String)) for c in columns}
    longest = max(sizes.values(), default=0)
    some = [c for c in columns if sizes[c.name] + longest >= CORE and sizes[c.name] > 1]
    for names, texts in halves(some[:MOST_HALVES]):
        text = Condensed.of_texts(texts)
        start, _ = text.cell_spans()
        windows_ = Windows(Kind.MPAN, "in two columns", start, np.full(start.size, CORE))
        found.note(scanner.known.search(text, windows_), f"{rows.where}, columns {names}", "")


def _as_bytes(array: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return cells of bytes or of nested values as text, one a line."""
    lines = [_cell(value) for value in array.to_pylist() if value is not None]
    return np.frombuffer(b"\n".join(lines), np.uint8)


def _cell(value: object) -> bytes:
    if isinstance(value, bytes):
        numbers = [str(int.from_bytes(value, order)) for order in ("little", "big")] if len(value) <= 8 else []
        return b" ".join([value, value.hex().encode(), *(n.encode() for n in numbers)])
    return json.dumps(value, default=str).encode()
