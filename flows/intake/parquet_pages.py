"""The page headers of a Parquet file, walked before anything is decoded.

The footer may say anything: a file of 2 MB has been made that decodes to 20 GB under a footer that says 2 MB. What a
page takes in memory stands in its own header, so that is where it is judged (Parquet format, PageHeader).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from contracts.errors import IntakeError, RefusedError
from flows.intake.archives import Bytes
from flows.intake.gzip_stream import Budget
from flows.intake.raw_file import RawFile
from flows.intake.source import MIB

WIDEST = 64 << 10  # a page header with the statistics of two values at the limit of a cell is far smaller
_DEPTH = 6


class TooShortError(Exception):
    """The window ends inside the header."""


class Compact:
    """Reads Thrift's compact protocol, as far as page headers need it: integers, binaries, structs, lists."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise TooShortError
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError

    def _skip(self, count: int) -> None:
        if count > WIDEST:
            raise ValueError
        self.at += count
        if self.at > len(self._data):
            raise TooShortError

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the integers and structs of a struct by field id; other values are passed over.

        Raises:
            ValueError: it is no sound struct.
        """
        if depth > _DEPTH:
            raise ValueError
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 0x0F
            number = number + delta if delta else _unzigzag(self._varint())
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return _unzigzag(self._varint())
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            return self._items(depth)
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError

    def _items(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        for _ in range(count):
            self._value(head & 0x0F, depth + 1)


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


PAGE_LIMIT = 128 * MIB  # the largest page that a common writer makes is about 100 MB
_PAGES_LIMIT = 1_000_000
_WINDOW = 512
_REWRITE = "write the Parquet file again"
# Field numbers of PageHeader, DataPageHeader and DataPageHeaderV2, and one encoding.
_UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY, _DATA_V2 = 2, 3, 5, 7, 8
_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4
_PLAIN, _DELTA_LENGTHS, _DELTA_PREFIXES = 0, 6, 7


@dataclass(slots=True)
class Widths:
    """What one value of a column may take at most once decoded.

    Attributes:
        stored: bytes of a value stored in full, on average over the densest page.
        shared: size of the largest page in which values share prefixes: each may be as long as the page.
        dictionary: size of the largest dictionary page: each value that points into it may be as long.
    """

    stored: int = 0
    shared: int = 0
    dictionary: int = 0


class PageWalk:
    """Walks every page of every column chunk.

    Args:
        raw: the file.
        metadata: its ``pyarrow.parquet.FileMetaData``.
        budget: judges what the pages inflate to.
    """

    def __init__(self, raw: RawFile | Bytes, metadata: Any, budget: Budget) -> None:
        self._raw, self._budget = raw, budget
        self._pages = 0
        self.widths = [Widths() for _ in range(metadata.num_columns)]
        self._metadata = metadata

    def judge(self) -> list[Widths]:
        """Return what each column's values may take.

        Raises:
            IntakeError: chunks lie outside the file or do not hold the pages and values that the footer states.
            RefusedError: chunks overlap, or pages take more memory than any writer's do.
        """
        spans = []
        for group in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(group)
            for number in range(rows.num_columns if rows.num_rows else 0):
                chunk = rows.column(number)
                start = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                    start = min(start, chunk.dictionary_page_offset)
                stop = start + chunk.total_compressed_size
                placed = 4 <= start <= stop <= self._raw.size - 8 and not chunk.file_path
                if not placed or chunk.num_values != rows.num_rows:
                    raise self._lying()
                spans.append((start, stop))
                self._walk(start, stop, chunk.num_values, self.widths[number])
        spans.sort()
        if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
            raise RefusedError("column chunks overlap", where=self._raw.label, remedy=_REWRITE)
        return self.widths

    def _walk(self, at: int, stop: int, values: int, widths: Widths) -> None:
        """Walk one column chunk."""
        while at < stop:
            header, length = self._header(at, stop)
            inflated, packed = header.get(_UNCOMPRESSED, -1), header.get(_COMPRESSED, -1)
            if not all(isinstance(size, int) and size >= 0 for size in (inflated, packed)):
                raise self._lying()
            if inflated > PAGE_LIMIT:
                raise RefusedError(
                    f"has a page of more than {PAGE_LIMIT} bytes", where=self._raw.label, remedy=_REWRITE
                )
            self._budget.give(inflated)
            values -= self._measure(header, inflated, widths)
            at += length + packed
            self._pages += 1
            if self._pages > _PAGES_LIMIT:
                raise RefusedError(f"has more than {_PAGES_LIMIT} pages", where=self._raw.label, remedy=_REWRITE)
        if at != stop or values:
            raise self._lying()

    def _measure(self, header: dict[int, Any], size: int, widths: Widths) -> int:
        """Note how wide the values of a page can be; return their number, 0 for a dictionary."""
        if _DICTIONARY in header:
            widths.dictionary = max(widths.dictionary, size)
            return 0
        page, key = header.get(_DATA), _ENCODING
        if page is None:
            page, key = header.get(_DATA_V2), _ENCODING_V2
        count, encoding = (page.get(_VALUES), page.get(key)) if isinstance(page, dict) else (None, None)
        if not isinstance(count, int) or count < 0:
            raise self._lying()
        if encoding in (_PLAIN, _DELTA_LENGTHS):
            widths.stored = max(widths.stored, size // max(count, 1))
        elif encoding == _DELTA_PREFIXES:
            widths.shared = max(widths.shared, size)
        return count

    def _header(self, at: int, stop: int) -> tuple[dict[int, Any], int]:
        for window in (_WINDOW, WIDEST):
            reader = Compact(self._raw.pread(min(window, stop - at), at))
            try:
                return reader.struct(), reader.at
            except TooShortError:
                continue
            except ValueError:
                break
        raise self._lying()

    def _lying(self) -> IntakeError:
        return IntakeError(
            "its footer states what the file does not hold",
            where=self._raw.label,
            remedy="send the Parquet file again",
        )
