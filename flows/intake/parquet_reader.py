"""Parquet files, batch by batch, each judged after decoding and before it becomes text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import DataCutError, IntakeError
from flows.intake.archives import Bytes
from flows.intake.arrow_text import as_text, judge_texts, nothing_readable, untyped
from flows.intake.csv_reader import check_names
from flows.intake.gzip_stream import Budget
from flows.intake.parquet_pages import PageWalk, Widths
from flows.intake.raw_file import RawFile
from flows.intake.reader import ReadAhead, Reader, stated_date
from flows.intake.source import MIB, Limits, SourceSpec

# Repetition is what Parquet is good at: its ratio is judged later than a stream's.
RATIO_FLOOR = 64 * MIB
_FOOTER_LIMIT = 64 * MIB
_ROWS = 131_072
_SHARED_LIMIT = 1 << 30  # bytes of a batch whose values share prefixes, at the worst
# What pyarrow raises on damaged input; it may name columns or quote values.
_FOREIGN = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError)
RESEND = "send the Parquet file again"


Raw = RawFile | Bytes


class _Positioned:
    """The open file as pyarrow wants a Python file: same descriptor, reads at a position."""

    closed = False

    def __init__(self, raw: Raw) -> None:
        self._raw, self._at = raw, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._raw.size)[whence] + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        left = max(self._raw.size - self._at, 0)
        data = self._raw.pread(left if count < 0 else min(count, left), self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        self.closed = True


class _Digestion:
    """Feeds the whole file to the digest in a thread while pyarrow picks pages from it."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._stop = threading.Event()
        self._fault: DataCutError | None = None
        self._thread = threading.Thread(target=self._run, name="intake-digest", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and self._raw.read(MIB):
                pass
        except DataCutError as fault:
            self._fault = fault

    def finish(self) -> None:
        """Wait until all is taken in, and see that the file did not change."""
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        self._raw.finish()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class ParquetReader(Reader):
    """Reader of one Parquet file."""

    form = "parquet"

    def __init__(self, spec: SourceSpec, raw: Raw, limits: Limits) -> None:
        """Read the footer and walk the page headers.

        Raises:
            IntakeError: truncated, or footer and file contradict each other, or a column is not scalar.
            RefusedError: overlapping chunks or outsized pages.
        """
        super().__init__(spec, limits)
        self.size, self._raw = raw.size, raw
        self._judge_ends()
        try:
            self._file = self._open({})
            schema, metadata = self._file.schema_arrow, self._file.metadata
            columns = [metadata.schema.column(i) for i in range(metadata.num_columns)]
            names = [str(name) for name in schema.names]
        except _FOREIGN:
            raise self._unsound() from None
        check_names(names, self.label, limits)
        without = untyped(schema)
        self.untyped = {names[place]: what for place, what in without.items()}
        self.header = tuple(name for place, name in enumerate(names) if place not in without)
        if not self.header:
            raise nothing_readable(self.untyped, self.label)
        leaves = {str(column.path): place for place, column in enumerate(columns) if not column.max_repetition_level}
        if any(name not in leaves for name in self.header):
            raise IntakeError("has two columns of one name", where=self.label, remedy="leave nested columns out")
        self._wanted = list(self.header) if without else None
        self._stated_rows = metadata.num_rows
        if sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) != self._stated_rows:
            raise self._unsound()
        self.stated_cut_date = _cut_date(metadata.metadata)
        budget = Budget(self.label, limits, floor=RATIO_FLOOR)
        budget.taken = raw.size
        widths = PageWalk(raw, metadata, budget).judge()
        places = [leaves[name] for name in self.header]
        self._rows = self._batch_rows([columns[at] for at in places], [widths[at] for at in places])

    def _judge_ends(self) -> None:
        tail = self._raw.pread(8, max(self._raw.size - 8, 0))
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > min(self._raw.size - 12, _FOOTER_LIMIT):
            raise self._unsound()

    def _open(self, options: dict[str, Any]) -> pq.ParquetFile:
        return pq.ParquetFile(
            pa.PythonFile(_Positioned(self._raw), mode="r"),
            buffer_size=MIB,  # pages are streamed, chunks never held as a whole
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
            coerce_int96_timestamp_unit="us",  # as nanoseconds, an open end of 9999 would overflow into another year
            thrift_string_size_limit=16 * MIB,
            thrift_container_size_limit=1_000_000,
            **options,
        )

    def _frames(self) -> Iterator[pl.DataFrame]:
        digestion = _Digestion(self._raw) if self._raw.digests else None
        if digestion is not None:
            self._ending.append(digestion.close)
        ahead = ReadAhead(self._record_batches())
        self._ending.append(ahead.close)
        budget = Budget(self.label, self.limits, floor=RATIO_FLOOR)
        budget.taken = self.size
        rows = 0
        for batch in ahead:
            budget.give(judge_texts(batch, self.label, self.limits))
            rows += batch.num_rows
            yield as_text(batch, self.header, self.label, self.limits.max_field_bytes)
        if rows != self._stated_rows:
            raise self._unsound()
        digestion.finish() if digestion is not None else self._raw.require_unchanged()

    def _batch_rows(self, columns: list[Any], widths: list[Widths]) -> int:
        """Return how many rows may be decoded at once, whatever the values turn out to be."""
        texts = [i for i, column in enumerate(columns) if column.physical_type == "BYTE_ARRAY"]
        longest = self._longest_coded([i for i in texts if widths[i].dictionary])
        row = shared = 0
        for number, width in enumerate(widths):
            if number not in texts:
                row += 8
                continue
            widest = max(width.stored - 4, longest.get(number, 0))
            if widest > self.limits.max_field_bytes:
                raise IntakeError(
                    f"column {number + 1} has a cell of more than {self.limits.max_field_bytes} bytes",
                    where=self.label,
                    remedy="no column is that long",
                )
            row += max(widest, 8)
            shared += width.shared
        rows = min(_ROWS, 4 * self.limits.block_bytes // max(row, 1))
        return max(1, min(rows, _SHARED_LIMIT // shared) if shared else rows)

    def _longest_coded(self, numbers: list[int]) -> dict[int, int]:
        """Return the longest value of the dictionaries of each column, by reading one row of each row group.

        However often a row points to a long value, in the dictionary it stands once: the one place where its
        length can be judged before it is multiplied.
        """
        longest: dict[int, int] = {}
        if not numbers:
            return longest
        names = [self.header[i] for i in numbers]
        try:
            file = self._open({"read_dictionary": names})
            for group in range(file.metadata.num_row_groups):
                batch = next(file.iter_batches(batch_size=1, row_groups=[group], columns=names), None)
                for number, column in zip(numbers, batch.columns if batch is not None else (), strict=False):
                    if not pa.types.is_dictionary(column.type):
                        raise self._unsound()
                    lengths = pc.binary_length(column.dictionary)
                    longest[number] = max(longest.get(number, 0), pc.max(lengths).as_py() or 0)
        except _FOREIGN:
            raise self._unsound() from None
        return longest

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        batches = self._file.iter_batches(batch_size=self._rows, columns=self._wanted)
        while True:
            try:
                batch = next(batches, None)
            except _FOREIGN:
                raise self._unsound() from None
            if batch is None:
                return
            yield batch

    def _unsound(self) -> IntakeError:
        return IntakeError("is truncated or damaged Parquet", where=self.label, remedy=RESEND)


def _cut_date(metadata: dict[bytes, bytes] | None) -> str | None:
    value = (metadata or {}).get(b"cut_date", b"")
    return stated_date(value.decode("ascii", errors="replace"))
