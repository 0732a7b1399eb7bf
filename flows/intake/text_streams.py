"""Text streams on the way to the reader: UTF-16 becomes UTF-8, and what a backslash escapes becomes one mark each."""

from __future__ import annotations

import codecs

from contracts.errors import IntakeError
from flows.intake.gzip_stream import ByteStream
from flows.intake.source import WIDE

_LE, _BE = b"\xff\xfe", b"\xfe\xff"
_WIDE_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_ODD_SHARE = 0.8  # of the bytes in every second place that are zero in UTF-16 of a table, and never in UTF-8
# What an escaped character is until the text has been parsed: control characters, which no export holds.
ESCAPED = {b'"': b"\x01", b"\\": b"\x02", b"\n": b"\x03", b",": b"\x04", b"\t": b"\x05", b"|": b"\x06"}
MARKS = {mark.decode(): character.decode() for character, mark in ESCAPED.items()}


def wide_encoding(start: bytes, declared: str, label: str) -> str:
    """Return which UTF-16 the first bytes of a text are in, or nothing.

    Raises:
        IntakeError: they are UTF-32, or are declared to be UTF-16 and are not.
    """
    if start.startswith(_WIDE_32):
        raise IntakeError("is in UTF-32", where=label, remedy="export it as UTF-8")
    found = "utf-16" if start.startswith((_LE, _BE)) else _unmarked(start)
    if found and declared not in ("auto", *WIDE):
        raise IntakeError(f"is declared {declared} but is UTF-16", where=label, remedy="correct `encoding`")
    if declared in WIDE and not found and start:
        raise IntakeError(f"is declared {declared} but is not", where=label, remedy="correct `encoding`")
    if found and declared in WIDE[1:] and found not in ("utf-16", declared):
        raise IntakeError(f"is declared {declared} but is {found}", where=label, remedy="correct `encoding`")
    return found


def _unmarked(start: bytes) -> str:
    pairs = len(start) // 2
    if pairs < 4:
        return ""
    even, odd = start[0 : 2 * pairs : 2], start[1 : 2 * pairs : 2]
    if odd.count(0) >= _ODD_SHARE * pairs and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if even.count(0) >= _ODD_SHARE * pairs and not odd.count(0) else ""


class WideStream:
    """A UTF-16 text as UTF-8."""

    def __init__(self, stream: ByteStream, encoding: str, label: str) -> None:
        self._stream, self._label = stream, label
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._held, self._ended, self._first = b"", False, True

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes of UTF-8, empty only at the end.

        Raises:
            IntakeError: the text is not UTF-16 throughout.
        """
        while not self._held and not self._ended:
            piece = self._stream.read(count)
            self._ended = not piece
            try:
                text = self._decoder.decode(piece, final=self._ended)
            except UnicodeDecodeError:
                raise IntakeError(
                    "is not UTF-16 throughout, or ends in the middle of a character",
                    where=self._label,
                    remedy="export it again, as UTF-8",
                ) from None
            if text and self._first:
                text, self._first = text.removeprefix("\ufeff"), False
            self._held = text.encode()
        data, self._held = self._held[:count], self._held[count:]
        return data

    def finish(self) -> None:
        """Pass on."""
        self._stream.finish()


class EscapedStream:
    """A text in which a backslash escapes the character after it, as one mark for each escaped character.

    ``\\N`` stays: it is the word of databases for null. Of any other pair the second character stays.
    """

    def __init__(self, stream: ByteStream, label: str) -> None:
        self._stream, self._label = stream, label
        self._held, self._carried = b"", b""

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes, empty only at the end.

        Raises:
            IntakeError: the text holds one of the marks itself, or ends with a backslash.
        """
        while not self._held:
            piece = self._stream.read(count)
            if not piece:
                if self._carried:
                    raise IntakeError("ends with a backslash", where=self._label, remedy="export it again")
                return b""
            if any(mark in piece for mark in ESCAPED.values()):
                raise IntakeError("holds control characters", where=self._label, remedy="export plain text")
            self._held = self._marked(self._carried + piece)
        data, self._held = self._held[:count], self._held[count:]
        return data

    def _marked(self, data: bytes) -> bytes:
        if b"\\" not in data:
            self._carried = b""
            return data
        tail = len(data) - len(data.rstrip(b"\\"))
        self._carried = b"\\" if tail & 1 else b""
        data = data[: len(data) - len(self._carried)]
        first, *rest = data.replace(b"\\\\", ESCAPED[b"\\"]).split(b"\\")
        return first + b"".join(map(self._one, rest))

    def _one(self, part: bytes) -> bytes:
        head = part[:1]
        if head in ESCAPED:
            return ESCAPED[head] + part[1:]
        return b"\\" + part if head == b"N" else part

    def finish(self) -> None:
        """Pass on."""
        self._stream.finish()
