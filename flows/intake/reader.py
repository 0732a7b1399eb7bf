"""What every reader of a source has in common: attributes, one pass over the batches, read-ahead, clean ending."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Generic, Self, TypeVar

import polars as pl

from contracts.errors import IntakeError, PlaceError, RefusedError
from flows.intake.source import Limits, SourceSpec

T = TypeVar("T")
_SHORT_OF_MEMORY = "the machine ran out of memory"


class Reader(ABC):
    """One open source. A context manager; ``batches`` can be walked once.

    Attributes:
        header: physical column names as they stand; for DTC files the contract's names, in the layout's order.
        form: ``csv``, ``parquet``, ``dtc`` or ``database``.
        encoding: ``utf-8`` or ``cp1252``; with ``auto`` it is final once the batches are read.
        delimiter: ``comma``, ``tab`` or ``pipe``; ``None`` where there is none.
        size: bytes on disk; 0 for a database.
        rows: rows given so far.
        dropped_columns: columns without a name, and fields of a DTC file that the layout does not name, dropped at the
            door; final at the end.
        skipped_lines: lines before the header of a delimited text.
        untyped: columns whose type has no text (nested, bytes, money): heading -> what it is; they are not read.
        stated_cut_date: the date that the source says it was taken, ``yyyymmdd``; ``None`` if it says none.
        test_flag: test flag of a DTC header (``OPER`` is live); ``None`` for other forms.
        flow: flow and version of a DTC header, as ``D0150002``; empty for other forms.
        skipped_groups: records by group of a DTC file from which no layout takes anything; final at the end.
        incomplete_days: settlement days that a flow of UTC days holds in part alone; final at the end.
        reshaped: whether rows are not the source's own, and the header has the contract's names: half-hours as days.
        surplus: headings of such a source that are not read.
        remarks: what else its sender is told of how it was read; final at the end.
    """

    header: tuple[str, ...] = ()
    form = ""
    encoding = "utf-8"
    delimiter: str | None = None
    size = 0
    rows = 0
    dropped_columns = 0
    skipped_lines = 0
    untyped: Mapping[str, str] = MappingProxyType({})
    stated_cut_date: str | None = None
    test_flag: str | None = None
    flow = ""
    skipped_groups: dict[str, int] = {}  # noqa: RUF012 - never changed
    incomplete_days = 0
    reshaped = False
    surplus: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __init__(self, spec: SourceSpec, limits: Limits) -> None:
        self.label, self.limits = spec.name, limits
        self._walked = False
        self._ending: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    def close(self) -> None:
        """Let go of file, connection and thread; may be called twice."""
        while self._ending:
            self._ending.pop()()

    def closes_last(self, close: Callable[[], None]) -> None:
        """Have ``close`` called when everything else of the reader has ended."""
        self._ending.insert(0, close)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Give the rows in source order, every column as text named as in ``header``; an empty cell is null.

        Whether the source is whole is known at the end only: rows given before an error must not be used.

        Raises:
            IntakeError: the source is not what it seems, or changes while it is read.
            RefusedError: it is larger than the limits allow, or contradicts itself.
            PlaceError: disk, memory or database fail.
        """
        if self._walked:
            raise RuntimeError("the batches of a source can be read once")
        self._walked = True
        try:
            for frame in self._frames():
                self.rows += frame.height
                if self.limits.max_rows is not None and self.rows > self.limits.max_rows:
                    raise RefusedError(
                        f"holds more than {self.limits.max_rows} rows", where=self.label, remedy="split the extract"
                    )
                if frame.height:
                    yield frame
        except MemoryError:
            raise PlaceError(_SHORT_OF_MEMORY, where=self.label, remedy="use smaller blocks") from None

    @abstractmethod
    def _frames(self) -> Iterator[pl.DataFrame]:
        """Give the source's frames, in its order, all columns as text."""

    def judge_cells(self, frame: pl.DataFrame, place: str) -> None:
        """Refuse a cell longer than the limit.

        Raises:
            IntakeError: a cell is too long; ``place`` says where about.
        """
        if not frame.width:
            return
        longest = frame.select(pl.all().str.len_bytes().max()).row(0)
        for number, length in enumerate(longest, 1):
            if length is not None and length > self.limits.max_field_bytes:
                raise IntakeError(
                    f"column {number} has a cell of more than {self.limits.max_field_bytes} bytes, {place}",
                    where=self.label,
                    remedy="check the quotation marks there; no column is that long",
                )


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread, one item ahead, so that reading and parsing overlap."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake-read-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, fault = self._queue.get()
            if fault is not None:
                raise fault
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Stop the thread and wait for it: afterwards nothing reads the file any more."""
        self._stop.set()
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item, None):
                    return
            self._put(None, None)
        except BaseException as fault:  # noqa: BLE001 - handed to the thread that reads, which raises it
            self._put(None, fault)

    def _put(self, item: T | None, fault: BaseException | None) -> bool:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put((item, fault), timeout=0.05)
                return True
        return False


def stated_date(text: str | None) -> str | None:
    """Return ``text`` as ``yyyymmdd`` if it is a calendar date in either ISO spelling; else nothing."""
    digits = (text or "").strip()[:10].replace("-", "")[:8]
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    with suppress(ValueError):
        return datetime.strptime(digits, "%Y%m%d").strftime("%Y%m%d")
    return None
