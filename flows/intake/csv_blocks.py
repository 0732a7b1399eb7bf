"""Bytes of a text file as blocks that end where a record ends, judged and in UTF-8.

Judged on whole blocks by counting and by vectorised comparison, never line by line: encoding, NUL and control
characters, line ends, length of records, and for quoted text the grammar of RFC 4180.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.errors import IntakeError
from flows.intake.gzip_stream import ByteStream
from flows.intake.source import MIB, Limits

# The five bytes that Windows code page 1252 leaves undefined (Unicode Consortium, CP1252.TXT).
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
# A character of two to four bytes as UTF-8 spells it (RFC 3629, section 4).
_WELL_FORMED = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
# First bytes of characters beyond Latin-1 and common punctuation: text that is well-formed UTF-8 without one of them
# reads, as cp1252, like "CAF\u00c3\u00a9", which nobody means.
_NEVER_DOUBLED = re.compile(rb"[\xc4-\xdf\xe0\xe1\xe3-\xf4]")
_NEWLINE = b"\n"
_UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
DECLARE = "export it as UTF-8, or declare the encoding cp1252 if that is what it is"


class Decoder:
    """Turns blocks of one file into UTF-8; a block begins and ends at a line end.

    With ``auto``, text is UTF-8 if all of it is; it is cp1252 if no character of it is well-formed UTF-8 beyond
    ASCII and every byte is defined. A file with both is refused, at whatever block the second kind turns up.

    Attributes:
        encoding: ``utf-8`` or ``cp1252``; what is known so far.
    """

    def __init__(self, label: str, declared: str) -> None:
        self._label = label
        self._declared = declared
        self._settled = declared != "auto"
        self._guessed = False
        self.encoding = "utf-8" if declared == "auto" else declared
        self.started = False

    def strip_mark(self, data: bytes) -> bytes:
        """Return the start of a file without its UTF-8 byte order mark, if it has one.

        Raises:
            IntakeError: it is marked UTF-16 or UTF-32, or the mark contradicts the declaration.
        """
        self.started = True
        if data.startswith(_WIDE_MARKS):
            raise IntakeError("is in UTF-16 or UTF-32", where=self._label, remedy="export it as UTF-8")
        if not data.startswith(_UTF8_MARK):
            return data
        if self.encoding == "cp1252":
            raise IntakeError("is marked UTF-8 but declared cp1252", where=self._label, remedy=DECLARE)
        self._settled = True
        return data[len(_UTF8_MARK) :]

    def decode(self, data: bytes, line: int) -> bytes:
        """Return ``data`` in UTF-8.

        Raises:
            IntakeError: it is in neither encoding, or in another one than what came before; ``line`` says where
                the block begins.
        """
        if data.isascii():
            return data
        fault = _first_fault(data)
        if not self._settled:
            self._settled = True
            self._guessed = fault is not None
            self.encoding = "cp1252" if self._guessed else "utf-8"
        if self.encoding == "utf-8":
            if fault is not None:
                declared = "is declared utf-8 and " if self._declared == "utf-8" else ""
                raise self._fault(f"{declared}is not UTF-8 throughout", data, fault, line)
            return data
        if fault is None and self._declared == "cp1252" and not _NEVER_DOUBLED.search(data):
            found = _WELL_FORMED.search(data)
            raise self._fault("is declared cp1252 but is UTF-8", data, found.start() if found else 0, line)
        self._judge_cp1252(data, line)
        return data.decode("cp1252").encode()

    def _judge_cp1252(self, data: bytes, line: int) -> None:
        undefined = _UNDEFINED.search(data)
        if undefined:
            raise self._fault("holds a byte that is neither UTF-8 nor cp1252", data, undefined.start(), line)
        mixed = _WELL_FORMED.search(data) if self._guessed else None
        if mixed:
            raise self._fault("mixes UTF-8 with another encoding", data, mixed.start(), line)

    def _fault(self, what: str, data: bytes, offset: int, line: int) -> IntakeError:
        return IntakeError(
            f"{what} at line {line + data.count(_NEWLINE, 0, offset)}", where=self._label, remedy=DECLARE
        )


def _first_fault(data: bytes) -> int | None:
    """Return where ``data`` stops being UTF-8, or nothing if it never does."""
    whole = pa.Array.from_buffers(
        pa.large_utf8(), 1, [None, pa.py_buffer(struct.pack("=qq", 0, len(data))), pa.py_buffer(data)]
    )
    try:
        whole.validate(full=True)  # several times faster than decoding, and it copies nothing
    except pa.ArrowInvalid:
        pass
    else:
        return None
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return None


# Larger pieces cost more than they bring: the allocator maps and clears fresh pages for each of them.
PIECE = 8 * MIB
_SLICE = 1 << 18
_CR, _LF, _QUOTE = 0x0D, 0x0A, 0x22
REQUOTE = (
    "export it again with cells quoted and quotation marks inside them doubled; if marks are text, or a backslash "
    "escapes them, declare `quote: none` or `quote: backslash`"
)
UNIX = "export it again with line ends LF or CR LF"
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ByteBlock:
    """Whole records in UTF-8.

    Attributes:
        data: the text; every record ends in LF or CR LF.
        line: number of its first line in the file, from 1.
        lines: line ends in it.
        records: records in it; fewer than lines where quoted cells hold line ends.
        delimiters: delimiters in it, those inside quoted cells included.
        quoted: whether a quotation mark occurs.
    """

    data: bytes
    line: int
    lines: int
    records: int
    delimiters: int
    quoted: bool


class BlockReader:
    """Cuts a byte stream into blocks.

    Args:
        stream: the bytes.
        label: what errors call the source.
        limits: block, record and total sizes.
        encoding: declared encoding, or ``auto``.
        quotes: whether quotation marks protect delimiters and line ends (not so in DTC files).
        marks: control characters that stand for escaped ones and are let through.
    """

    def __init__(
        self, stream: ByteStream, *, label: str, limits: Limits, encoding: str, quotes: bool, marks: bytes = b""
    ) -> None:
        self._stream, self.label, self._limits, self._quotes = stream, label, limits, quotes
        self.decoder = Decoder(label, encoding)
        self.delimiter = b","
        self.marks = [bytes([mark]) for mark in marks]
        self._piece = max(min(limits.block_bytes, PIECE), 64)
        self._held, self._line, self._ended = b"", 1, False

    @property
    def taken(self) -> int:
        """How many lines have been taken off."""
        return self._line - 1

    def begin_at(self, line: int) -> None:
        """Count lines from ``line``: those before were passed over."""
        self._line = line

    def opening(self, count: int) -> list[bytes]:
        """Return the first lines of what is left, at most ``count``, without taking them off."""
        while self._held.count(b"\n") < count and not self._ended and len(self._held) <= self._limits.max_line_bytes:
            self._fill()
        lines = self._held[: count * (self._limits.max_line_bytes + 1)].split(b"\n", count)
        return [line.removesuffix(b"\r") for line in lines[:count]]

    def first_line(self) -> bytes:
        """Take the first line off, without its line end, in UTF-8; empty if there is none.

        Raises:
            IntakeError: it is too long, badly encoded, or holds what text may not hold.
        """
        while b"\n" not in self._held and not self._ended and len(self._held) <= self._limits.max_line_bytes:
            self._fill()
        line, end, self._held = self._held.partition(b"\n")
        if len(line) > self._limits.max_line_bytes:
            raise self._too_long(line)
        line = line.removesuffix(b"\r")
        if b"\r" in line:
            raise self._fault("has lone carriage returns", line.find(b"\r"), line, UNIX)
        self._judge_controls(line)
        line = self.decoder.decode(line, self._line)
        self._line += 1 if end else 0
        return line

    def blocks(self) -> Iterator[ByteBlock]:
        """Give the rest of the text.

        Raises:
            IntakeError: encoding, characters, line ends, quotes or lengths are not in order.
        """
        while not self._ended or self._held:
            self._fill()
            data = self._held
            cut = len(data) if self._ended else self._last_end(data)
            body, self._held = self._settle(data, cut)
            if body:
                yield self._judge(body)
            if not self._ended and len(self._held) > max(self._limits.max_line_bytes, self._piece):
                raise self._too_long(self._held)
        self._stream.finish()

    def _fill(self) -> None:
        wanted = max(self._piece - len(self._held), min(self._piece, self._limits.max_line_bytes))
        parts, got = [self._held], 0
        while got < wanted:
            part = self._stream.read(wanted - got)
            if not part:
                self._ended = True
                break
            parts.append(part)
            got += len(part)
        first = not self._held and not self.decoder.started
        self._held = b"".join(parts)
        if first:
            self._held = self.decoder.strip_mark(self._held)

    def _last_end(self, data: bytes) -> int:
        """Return where the last whole record ends; 0 if none does within the longest record allowed."""
        end = data.rfind(b"\n")
        if not self._quotes or b'"' not in data:
            return end + 1
        lowest = len(data) - max(self._limits.max_line_bytes, self._piece)
        odd = data.count(b'"', 0, max(end, 0)) & 1
        while end >= max(lowest, 0) and odd:
            below = data.rfind(b"\n", 0, data.rfind(b'"', 0, end))
            odd ^= data.count(b'"', max(below, 0), end) & 1
            end = below
        return 0 if odd else end + 1

    def _settle(self, data: bytes, cut: int) -> tuple[bytes, bytes]:
        """Split at ``cut``; blank lines before it wait, since they are tolerated at the end of the file only."""
        blank = cut
        while blank and data[blank - 1] in (_CR, _LF):
            blank -= 1
        if self._ended:
            self._judge_returns(data)
            return (data[:blank] + b"\n" if blank else b""), b""
        keep = data.find(b"\n", blank, cut) + 1 if blank else 0
        return (data, b"") if keep == len(data) else (data[:keep], data[keep:])

    def _judge(self, data: bytes) -> ByteBlock:
        quoted = self._quotes and b'"' in data
        lines, delimiters = self._judge_controls(data)
        self._judge_returns(data)
        if quoted:
            data, records = self._judge_formulas(data)
        else:
            records = self._judge_plain(data, lines)
        block = ByteBlock(self.decoder.decode(data, self._line), self._line, lines, records, delimiters, quoted)
        self._line += lines
        return block

    def _judge_controls(self, data: bytes) -> tuple[int, int]:
        """Refuse control characters but tab, LF and CR; return the numbers of line ends and of delimiters."""
        text = np.frombuffer(data, np.uint8)
        low = lines = delimiters = 0
        mark = self.delimiter[0]
        for at in range(0, len(data), _SLICE):  # slices stay in the processor's cache
            piece = text[at : at + _SLICE]
            low += int(np.count_nonzero(piece < 32))
            lines += int(np.count_nonzero(piece == _LF))
            delimiters += int(np.count_nonzero(piece == mark))
        allowed = lines + data.count(b"\r") + (data.count(b"\t") if b"\t" in data else 0)
        allowed += sum(data.count(mark) for mark in self.marks)
        if low != allowed or b"\x7f" in data:
            bad = (text < 32) & (text != 9) & (text != _LF) & (text != _CR) | (text == 127)
            offset = int(np.argmax(bad))
            what = "holds NUL bytes" if data[offset] == 0 else "holds control characters"
            raise self._fault(what, offset, data, "is it UTF-16, or not text at all? export it as UTF-8")
        return lines, delimiters

    def _judge_returns(self, data: bytes) -> None:
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            text = np.frombuffer(data + b" ", np.uint8)
            lone = (text[:-1] == _CR) & (text[1:] != _LF)
            if lone.any():
                raise self._fault("has lone carriage returns", int(np.argmax(lone)), data, UNIX)

    def _judge_plain(self, data: bytes, lines: int) -> int:
        """Judge text without quotation marks; return its number of records. The parser's caller sees blank lines."""
        if data[:1] in b"\r\n":
            raise self._fault("has a blank line", 0, data, "remove blank lines")
        at, longest = 0, self._limits.max_line_bytes
        while at < len(data):
            end = data.rfind(b"\n", at, at + longest + 1)
            if end < 0:
                raise self._fault(f"has a line of more than {longest} bytes", at, data, REQUOTE)
            at = end + 1
        return lines

    def _judge_quoted(self, data: bytes) -> int:
        """Hold text with quotation marks against RFC 4180; return its number of records."""
        text = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(text == _QUOTE)
        self._judge_quotes(data, text, quotes)
        ends = np.flatnonzero(text == _LF)
        ends = ends[np.searchsorted(quotes, ends) & 1 == 0]
        lengths = np.diff(ends, prepend=-1)
        blank = (lengths == 1) | ((lengths == 2) & (text[ends - 1] == _CR))
        if blank.any():
            raise self._fault("has a blank line", int(ends[np.argmax(blank)]), data, "remove blank lines")
        longest = self._limits.max_line_bytes
        if lengths.max() > longest + 1:
            at = int(ends[np.argmax(lengths)] - lengths.max() + 1)
            raise self._fault(f"has a record of more than {longest} bytes", at, data, REQUOTE)
        return len(ends)

    def _judge_formulas(self, data: bytes) -> tuple[bytes, int]:
        """Judge text with quotation marks; cells such as ``="012"`` that stand bare are quoted as RFC 4180 has it."""
        try:
            return data, self._judge_quoted(data)
        except IntakeError:
            mark = re.escape(self.delimiter)
            quoted = re.sub(rb"(?<![^\n" + mark + rb'])="([^"\n]*)"(?=\r?\n|' + mark + rb"|$)", rb'"=""\1"""', data)
            if quoted == data:
                raise
            return quoted, self._judge_quoted(quoted)

    def _judge_quotes(self, data: bytes, text: Bytes, quotes: Positions) -> None:
        """A mark opens after a delimiter, a line end or its own double; it closes before one of these."""
        around = np.zeros(256, np.bool_)
        around[[_LF, _QUOTE, self.delimiter[0]]] = True
        opens, closes = quotes[0::2], quotes[1::2]
        wrong = ~around[text[opens - 1]]
        if len(opens) and opens[0] == 0:
            wrong[0] = False
        around[_CR] = True
        strays = np.concatenate([opens[wrong], closes[~around[text[np.minimum(closes + 1, len(text) - 1)]]]])
        if len(strays):
            raise self._fault("has a quotation mark inside a cell", int(strays.min()), data, REQUOTE)
        if len(quotes) & 1:
            raise self._fault("has unbalanced quotation marks", int(quotes[-1]), data, REQUOTE)

    def _too_long(self, data: bytes) -> IntakeError:
        """Name the likeliest cause of a record without end."""
        if data[:1] in b"\r\n":
            return self._fault("has blank lines", 0, data, "remove blank lines")
        if b"\n" not in data and b"\r" in data:
            return self._fault("has lone carriage returns", 0, data, UNIX)
        self._judge_controls(data)
        if self._quotes and b'"' in data:
            text = np.frombuffer(data, np.uint8)
            self._judge_quotes(data, text, np.flatnonzero(text == _QUOTE))
        return self._fault(f"has a line of more than {self._limits.max_line_bytes} bytes", 0, data, REQUOTE)

    def _fault(self, what: str, offset: int, data: bytes, remedy: str) -> IntakeError:
        line = self._line + data.count(b"\n", 0, offset)
        return IntakeError(f"{what} at line {line}", where=self.label, remedy=remedy)
