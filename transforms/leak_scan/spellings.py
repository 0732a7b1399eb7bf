"""Ways to write digits that a reader or a program undoes: entities, escapes, tags, other scripts, encodings, packing.

``readings`` gives what a text says once one of them is undone; each reading is searched like the text itself.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import contextlib
import html
import itertools
import lzma
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from transforms.leak_scan.candidates import CORE
from transforms.leak_scan.condensed import Condensed, Spans
from transforms.leak_scan.digests import Bytes, Ints, words

BASE64, BASE32 = 4, 8  # characters of a group
_PLAIN_64 = bytes.maketrans(b"-_", b"+/")
LONG_WORD = 16  # letters and digits that twelve digits have at the least when they are encoded
REPEATED = 12  # digits
DEEPEST = 3  # encodings within encodings
MOST_BYTES = 64 << 20  # that something packed may become; more is told as not searched
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
UNSEEN = ("Cf", "Mn", "Me", "Cc")
# a character reference that is a digit, or stands between digits
_ENTITY = re.compile(rb"&#(?:0*(?:4[89]|5[0-7])|[xX]0*3[0-9])(?![0-9a-fA-F])|[0-9]&[#A-Za-z0-9]{2,20};[0-9&]")
_TAGS = re.compile(rb"<[^<>]{0,400}>")
_ESCAPES = re.compile(rb"\\(?:u\{?00([0-9a-fA-F]{2})\}?|x([0-9a-fA-F]{2})|U000000([0-9a-fA-F]{2})|([0-3][0-7]{2}))")
_QUOTED = re.compile(rb"=(3[0-9])")
_SOFT_BREAK = re.compile(rb"=\r?\n")
_HEX = re.compile(rb"3[0-9](?:(?:00)?(?:0x|[ ,:%x\\-]){0,3}3[0-9]){11,}", re.IGNORECASE)
_WORDS = re.compile("|".join(NUMBER_WORDS), re.IGNORECASE)
_NAMES = np.array([int.from_bytes(name.upper().encode(), "little") for name in NUMBER_WORDS], np.uint64)
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(6)], np.uint64)
_NUMBER = re.compile(
    rb"(?<![0-9A-Za-z])(?:0[xX]([0-9a-fA-F]{9,11})|0[oO]?([0-7]{13,15})|0[bB]([01]{38,44}))(?![0-9A-Za-z])"
)
_PACKED: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data, MOST_BYTES)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, MOST_BYTES)),
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor().decompress(data, MOST_BYTES)),
    (b"x\x9c", lambda data: zlib.decompressobj().decompress(data, MOST_BYTES)),
    (b"x\xda", lambda data: zlib.decompressobj().decompress(data, MOST_BYTES)),
)
_MEMBER = b"PK\x03\x04"


def _digit_groups(encode: Callable[[bytes], bytes], size: int, width: int) -> bytes:
    """Return a pattern of what ``size`` digits, ``width`` bytes each, look like under an encoding."""
    places: list[set[int]] = []
    unit = bytes(width - 1)
    for digits in itertools.product(b"09", repeat=size):  # outer values of each bit pattern, then every digit alone
        for at in range(size):
            for digit in range(48, 58):
                text = bytearray(digits)
                text[at] = digit
                for place, symbol in enumerate(encode(b"".join(bytes([d]) + unit for d in text))):
                    while len(places) <= place:
                        places.append(set())
                    places[place].add(symbol)
    return b"".join(b"[" + b"".join(re.escape(bytes([s])) for s in sorted(place)) + b"]" for place in places)


_ENCODED = (
    (
        re.compile(b"(?:" + _digit_groups(base64.b64encode, 3, 1) + b"){3,}"),
        re.compile(rb"[A-Za-z0-9+/_-]+={0,2}"),
        BASE64,
    ),
    (
        re.compile(b"(?:" + _digit_groups(base64.b64encode, 3, 2) + b"){3,}"),
        re.compile(rb"[A-Za-z0-9+/_-]+={0,2}"),
        BASE64,
    ),
    (re.compile(b"(?:" + _digit_groups(base64.b32encode, 5, 1) + b"){1,}"), re.compile(rb"[A-Z2-7]+={0,6}"), BASE32),
)


def marked(raw: Bytes) -> bool:
    """Tell whether some bytes have a character that most ways of writing need; quick, and true of most prose."""
    return bool((raw >= 128).any() or (raw == 0).any()) or any((raw == code).any() for code in b"&%\\=<")


def readings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (how it was written, what it says): with every way of writing undone at once, and what is packed."""
    ways, text = [], data
    for how, undo in _UNDONE:
        before, text = text, undo(text)
        if text != before:
            ways.append(how)
    if ways:
        yield ", ".join(ways), text
    yield from _unpacked(data)


def _without_entities(data: bytes) -> bytes:
    return html.unescape(_text(data)).encode() if b"&" in data and _ENTITY.search(data) else data


def _without_tags(data: bytes) -> bytes:
    return _TAGS.sub(b"", data) if b"<" in data else data


def _without_percent(data: bytes) -> bytes:
    return unquote_to_bytes(data) if b"%3" in data else data


def _without_escapes(data: bytes) -> bytes:
    return _ESCAPES.sub(_escaped, data) if b"\\" in data else data


def _without_quoting(data: bytes) -> bytes:
    if b"=3" not in data and b"=\n" not in data and b"=\r\n" not in data:
        return data
    return _QUOTED.sub(lambda m: bytes([int(m[1], 16)]), _SOFT_BREAK.sub(b"", data))


def _narrow(data: bytes) -> bytes:
    return data.replace(b"\0", b"") if b"\0" in data else data


def _in_plain_digits(data: bytes) -> bytes:
    return data if data.isascii() else plain_digits(_text(data)).encode()


_UNDONE: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("wide characters", _narrow),
    ("entities", _without_entities),
    ("tags", _without_tags),
    ("percent escapes", _without_percent),
    ("escapes", _without_escapes),
    ("quoted-printable", _without_quoting),
    ("other characters", _in_plain_digits),
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _escaped(match: re.Match[bytes]) -> bytes:
    two = match[1] or match[2] or match[3]
    return bytes([int(two, 16)]) if two else bytes([int(match[4], 8)])


_OTHERS = re.compile("[^\\x00-\\x7f]+")


def plain_digits(text: str) -> str:
    """Return a text with the digits of every script as 0 to 9, and without characters that nobody sees."""
    return _OTHERS.sub(lambda run: "".join(map(_plain_digit, run[0])), text)


@lru_cache(maxsize=4096)
def _plain_digit(char: str) -> str:
    """Return what stands for one character outside ASCII: its digit, nothing if it cannot be seen, its plain form."""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    return "" if unicodedata.category(char) in UNSEEN else unicodedata.normalize("NFKC", char)


def rewritten(raw: Bytes, text: Condensed, *, binary: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield what some bytes say once a way of writing of which there is a sign is undone.

    Args:
        raw: the bytes, and ``text`` their letters and digits.
        binary: they are no text: escapes and tags have no meaning there.
    """
    if binary:
        if (raw == 0).any():
            yield "wide characters", raw[raw != 0].tobytes()
    elif marked(raw):
        yield from readings(raw.tobytes())
    yield from _from_long_words(raw, text)
    if _pairs_of_hex(text):
        yield from _in_base_16(raw.tobytes())
    prefixed = _prefixed(text)
    if prefixed.start.size:
        yield from _in_base_16(_as_lines(raw, prefixed))
    if _said(text):
        yield "words", _WORDS.sub(lambda m: str(NUMBER_WORDS.index(m[0].lower())), _text(raw.tobytes())).encode()


def _said(text: Condensed) -> bool:
    """Tell whether twelve words one after another are the names of digits."""
    return in_a_row(_names(text), CORE)


def _names(text: Condensed) -> NDArray[np.bool_]:
    """Tell which words are the names of digits."""
    found = text.words
    small = (found.length >= 3) & (found.length <= 5)
    if np.count_nonzero(small) < CORE:
        return np.zeros(0, np.bool_)
    value = words(text.data, found.start[small]) & _MASKS[found.length[small]]
    small[small] = np.isin(value, _NAMES)
    return small


def cells_of_words(text: Condensed) -> Ints:
    """Return the cells in which twelve words are the names of digits."""
    named = text.words.start[np.flatnonzero(_names(text))]
    cells, count = np.unique(text.cell_of(named), return_counts=True)
    return cells[count >= CORE]


def in_a_row(marks: NDArray[np.bool_], count: int) -> bool:
    """Tell whether so many marks stand one after another."""
    if marks.size < count:
        return False
    total = np.append(0, np.cumsum(marks))
    return bool((total[count:] - total[:-count] == count).any())


def _from_long_words(raw: Bytes, text: Condensed) -> Iterator[tuple[str, bytes]]:
    found = text.words
    long = found.of(found.length >= LONG_WORD)
    if not long.start.size:
        return
    ends = long.start + long.length
    threes = np.append(0, np.cumsum(text.data[: text.size] == ord(b"3")))
    many = threes[ends] - threes[long.start] >= REPEATED
    letters = text.hexes_before[ends] - text.hexes_before[long.start] < long.length
    chosen = long.of(many | letters)
    if chosen.start.size:
        yield from encoded(_as_lines(raw, chosen))


def _pairs_of_hex(text: Condensed) -> bool:
    """Tell whether pairs that begin with 3 stand one after another: digits as bytes in hexadecimal."""
    runs = text.digit_runs
    pairs = (runs.length == 2) & (text.data[runs.start] == ord(b"3"))
    return in_a_row(pairs, REPEATED)


def _prefixed(text: Condensed) -> Spans:
    """Return long numbers to another base, as 0x123456789A."""
    found = text.words
    first = (found.length >= REPEATED - 1) & (text.data[found.start] == ord(b"0"))
    return found.of(first & np.isin(text.data[found.start + 1], np.frombuffer(b"XBO", np.uint8)))


def _as_lines(raw: Bytes, found: Spans) -> bytes:
    return b"\n".join(raw[a : a + n].tobytes() for a, n in zip(found.at.tolist(), found.length.tolist(), strict=True))


def encoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is written in base64 or base32, or as a number to another base, in long words."""
    yield from _in_base_16(data)
    for digits, run, size in _ENCODED:
        if not digits.search(data):
            continue
        for whole in (found[0] for found in run.finditer(data) if digits.search(found[0])):
            for shift in range(size):
                text = _decoded(whole[shift:], size)
                if text:
                    yield "base64" if size == BASE64 else "base32", text


def _in_base_16(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield digits whose bytes are written in hexadecimal, and numbers to other bases than ten."""
    for found in _HEX.finditer(data):
        pairs = re.findall(rb"3[0-9]", re.sub(rb"00|0x|[ ,:%x\\-]", b"", found[0], flags=re.IGNORECASE))
        yield "hexadecimal", bytes(int(pair, 16) for pair in pairs)
    for found in _NUMBER.finditer(data):
        value = next(int(group, base) for group, base in zip(found.groups(), (16, 8, 2), strict=True) if group)
        yield "another base", str(value).encode()


def _decoded(run: bytes, size: int) -> bytes:
    whole = run.rstrip(b"=").translate(_PLAIN_64) if size == BASE64 else run.rstrip(b"=")
    whole = whole[: len(whole) - 1] if len(whole) % BASE64 == 1 else whole
    whole += b"=" * (-len(whole) % size)
    try:
        return base64.b64decode(whole) if size == BASE64 else base64.b32decode(whole)
    except (binascii.Error, ValueError):
        return b""


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is packed anywhere in some bytes."""
    for magic, unpack in _PACKED:
        at = data.find(magic)
        while at >= 0:
            yield from _opened(unpack, data[at:])
            at = data.find(magic, at + 1)
    at = data.find(_MEMBER)
    while at >= 0:
        name, extra = (int.from_bytes(data[at + k : at + k + 2], "little") for k in (26, 28))
        yield from _opened(
            lambda body: zlib.decompressobj(-15).decompress(body, MOST_BYTES), data[at + 30 + name + extra :]
        )
        at = data.find(_MEMBER, at + 4)


def _opened(unpack: Callable[[bytes], bytes], data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what some bytes unpack to; nothing where they only begin like something packed."""
    found = b""
    with contextlib.suppress(zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        found = unpack(data)
    if found:
        yield "packed", found
