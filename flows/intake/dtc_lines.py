"""The bytes of a DTC file, and of several files one after the other, with their blank lines made harmless."""

from __future__ import annotations

import re

from flows.intake.gzip_stream import ByteStream

AHEAD = 4 << 20  # bytes that are looked at for the flows of joined files
PIECE = 1 << 20
_MARK = b"\xef\xbb\xbf"
_BLANK = re.compile(rb"(?<![^\n])[ \t]*\r?(?=\n)")
_HEADER = re.compile(rb"ZHV(?<![^\n]ZHV)\|[^|\n]*\|(D\d{7})[ \t]*\|")  # begins with what can be searched for at once
_SIGNS = (b"\n\n", b"\n\r", b"\n ", b"\n\t")  # without one of them there is no blank line


class DtcStream:
    """A byte stream in which blank lines before the first record are gone and later ones are an empty record.

    An empty record, ``|``, keeps lines countable and belongs to no group.

    Attributes:
        skipped: lines before the first record.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream, self._at, self._ended = stream, 0, False
        start = b""
        while not (text := start.removeprefix(_MARK).lstrip(b" \t\r\n")) and (part := stream.read(1 << 16)):
            start += part
        mark = _MARK if start.startswith(_MARK) else b""
        self.skipped = start.count(b"\n", 0, len(start) - len(text))
        self._ready, self._rest = mark, text

    def flows(self) -> tuple[str, ...]:
        """Return the flows of the headers in the first megabytes, as ``D0150002``, in the order of the file."""
        while len(self._rest) < AHEAD and not self._ended:
            self._pull()
        return tuple(dict.fromkeys(found.decode("ascii") for found in _HEADER.findall(self._rest)))

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes; empty at the end."""
        if self._at >= len(self._ready):
            self._ready, self._at = self._lines(), 0
        data = self._ready[self._at : self._at + count]
        self._at += len(data)
        return data

    def finish(self) -> None:
        """Pass on."""
        self._stream.finish()

    def _pull(self) -> None:
        part = self._stream.read(PIECE)
        self._ended = not part
        self._rest += part

    def _lines(self) -> bytes:
        """Take whole lines, or what there is of one that is too long for any record."""
        while not self._ended and b"\n" not in self._rest and len(self._rest) < PIECE:
            self._pull()
        cut = len(self._rest) if self._ended else self._rest.rfind(b"\n") + 1 or len(self._rest)
        data, self._rest = self._rest[:cut], self._rest[cut:]
        if data[:1] in (b"\n", b"\r", b" ", b"\t") or any(sign in data for sign in _SIGNS):
            return _BLANK.sub(b"|", data)
        return data
