"""A file as a stream of bytes: as it is, or inflated from gzip, within a budget judged on the actual output."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

from contracts.errors import IntakeError, RefusedError
from flows.intake.raw_file import RawFile
from flows.intake.source import MIB, Limits

if TYPE_CHECKING:
    from flows.intake.archives import Bytes
    from flows.intake.sealed_stream import Readable

RATIO_FLOOR = MIB  # output below this is never a bomb, however well it was compressed
_CHUNK = MIB
_FEED = 64 << 10  # compressed bytes given to zlib at once: its left-over is copied for every gzip member
_GZIP_MEMBERS = 1000  # from here on members must hold something
LESS = "send the extract less compressed, or not at all"
DAMAGED = "send the archive again: it is truncated or damaged"


class ByteStream(Protocol):
    """Sequential bytes of one source."""

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes, empty only at the end."""

    def finish(self) -> None:
        """Check what can be checked only at the end."""


class Budget:
    """Counts what comes out against what went in; refuses a bomb while it inflates."""

    def __init__(self, label: str, limits: Limits, *, floor: float = RATIO_FLOOR) -> None:
        self.label, self.limits, self.floor = label, limits, floor
        self.taken = self.given = 0

    def give(self, count: int) -> None:
        """Account for ``count`` bytes of output.

        Raises:
            RefusedError: more bytes than allowed, or more than ``max_ratio`` for each byte on disk.
        """
        self.given += count
        if self.limits.max_bytes is not None and self.given > self.limits.max_bytes:
            raise RefusedError(
                f"holds more than {self.limits.max_bytes} bytes", where=self.label, remedy="split the extract"
            )
        if self.given > self.floor and self.given > self.limits.max_ratio * max(self.taken, 1):
            raise RefusedError(
                f"expands to more than {self.limits.max_ratio} times its size",
                where=self.label,
                remedy=LESS,
            )


class PlainStream:
    """The bytes of the file as they stand."""

    def __init__(self, raw: RawFile, limits: Limits) -> None:
        self._raw = raw
        self._budget = Budget(raw.label, limits)

    def read(self, count: int) -> bytes:
        """Return the next bytes of the file."""
        data = self._raw.read(count)
        self._budget.taken += len(data)
        self._budget.give(len(data))
        return data

    def finish(self) -> None:
        """See that the file did not change."""
        self._raw.finish()


class GzipStream:
    """The content of a gzip file, all its members one after the other; lengths and CRCs are checked by zlib."""

    def __init__(self, raw: RawFile | Bytes | Readable, limits: Limits) -> None:
        self._raw = raw
        self._budget = Budget(raw.label, limits)
        self._inflate = zlib.decompressobj(wbits=31)
        self._chunk, self._fed = b"", 0
        self._pending = b""
        self._members = 0
        self._inside = True

    def read(self, count: int) -> bytes:
        """Return up to ``count`` inflated bytes.

        Raises:
            IntakeError: truncated, damaged, or followed by something that is not gzip.
            RefusedError: a bomb.
        """
        while self._inside or self._next_member():
            if not self._pending:
                self._pending = self._feed()
            starved = not self._pending
            try:
                data = self._inflate.decompress(self._pending, count)
            except zlib.error:
                raise IntakeError("is damaged gzip", where=self._raw.label, remedy=DAMAGED) from None
            self._pending = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self._pending, self._inside = self._inflate.unused_data, False
            if data:
                self._budget.give(len(data))
                return data
            if starved and self._inside:
                raise IntakeError("ends in the middle of its gzip data", where=self._raw.label, remedy=DAMAGED)
        return b""

    def finish(self) -> None:
        """See that the file did not change."""
        self._raw.finish()

    def _next_member(self) -> bool:
        """Step over the zeros that tapes pad with; tell whether another member follows."""
        self._members += 1
        if self._members > _GZIP_MEMBERS and self._budget.given < self._members * 512:
            raise RefusedError(
                "consists of thousands of nearly empty gzip members",
                where=self._raw.label,
                remedy="compress the extract in one piece",
            )
        self._pending = self._pending.lstrip(b"\0")
        while not self._pending and (piece := self._feed()):
            self._pending = piece.lstrip(b"\0")
        self._inside = bool(self._pending)
        if self._inside:
            self._inflate = zlib.decompressobj(wbits=31)
        return self._inside

    def _feed(self) -> bytes:
        if self._fed >= len(self._chunk):
            self._chunk, self._fed = self._raw.read(_CHUNK), 0
            self._budget.taken += len(self._chunk)
        piece = self._chunk[self._fed : self._fed + _FEED]
        self._fed += len(piece)
        return piece
