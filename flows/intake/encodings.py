"""Which encoding a text is in, and the text in UTF-8. What is doubtful is refused, never guessed."""

from __future__ import annotations

import re
import struct

import pyarrow as pa

from contracts.errors import IntakeError

# The five bytes that Windows code page 1252 leaves undefined (Unicode Consortium, CP1252.TXT).
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
# A character of two to four bytes as UTF-8 spells it (RFC 3629, section 4).
_WELL_FORMED = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_LF = b"\n"
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
            raise IntakeError("is marked UTF-8 and declared cp1252", where=self._label, remedy=DECLARE)
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
                raise self._fault("is not UTF-8 throughout", data, fault, line)
            return data
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
        return IntakeError(f"{what} at line {line + data.count(_LF, 0, offset)}", where=self._label, remedy=DECLARE)


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
