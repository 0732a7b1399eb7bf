"""A second, slow implementation of pseudonym scheme 1, written from its text alone, and the inverse of FF1.

Standard library and the AES block of ``cryptography`` only; shares no code with the pseudonymiser. Tests hold the two
against each other, and every run recomputes the pseudonyms of its canaries by it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WEIGHTS = [3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43]


def hkdf(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 without salt, 32 bytes (RFC 5869)."""
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def field_key(cut_key: bytes, cut_id: str, field: str) -> bytes:
    """Field key of a cut."""
    return hkdf(cut_key, f"datacut/1/{cut_id}/{field}".encode())


def _rounds(key: bytes, radix: int, tweak: bytes, n: int) -> tuple[int, int, Callable[[int, int], int]]:
    u = n // 2
    v = n - u
    b = -(-(radix**v - 1).bit_length() // 8)
    d = 4 * -(-b // 4) + 4
    p = b"\x01\x02\x01" + radix.to_bytes(3, "big") + b"\x0a" + bytes([u % 256]) + n.to_bytes(4, "big")
    p += len(tweak).to_bytes(4, "big")

    def aes(block: bytes) -> bytes:
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)

    def f(i: int, number: int) -> int:
        q = tweak + bytes((-len(tweak) - b - 1) % 16) + bytes([i]) + number.to_bytes(b, "big")
        r = bytes(16)
        for at in range(0, len(p + q), 16):
            r = aes(bytes(x ^ y for x, y in zip(r, (p + q)[at : at + 16], strict=True)))
        s = r
        j = 1
        while len(s) < d:
            s += aes(bytes(x ^ y for x, y in zip(r, j.to_bytes(16, "big"), strict=True)))
            j += 1
        return int.from_bytes(s[:d], "big")

    return u, v, f


def _value(digits: list[int], radix: int) -> int:
    total = 0
    for digit in digits:
        total = total * radix + digit
    return total


def _digits(value: int, radix: int, n: int) -> list[int]:
    out = []
    for _ in range(n):
        value, digit = divmod(value, radix)
        out.append(digit)
    return out[::-1]


def ff1(key: bytes, radix: int, tweak: bytes, digits: list[int]) -> list[int]:
    """FF1 of NIST SP 800-38G, ten rounds."""
    u, v, f = _rounds(key, radix, tweak, len(digits))
    a, b = _value(digits[:u], radix), _value(digits[u:], radix)
    for i in range(10):
        m = u if i % 2 == 0 else v
        a, b = b, (a + f(i, b)) % radix**m
    return _digits(a, radix, u) + _digits(b, radix, v)


def ff1_inverse(key: bytes, radix: int, tweak: bytes, digits: list[int]) -> list[int]:
    """The inverse of :func:`ff1`."""
    u, v, f = _rounds(key, radix, tweak, len(digits))
    a, b = _value(digits[:u], radix), _value(digits[u:], radix)
    for i in range(9, -1, -1):
        m = u if i % 2 == 0 else v
        a, b = (b - f(i, a)) % radix**m, a
    return _digits(a, radix, u) + _digits(b, radix, v)


def check_digit(twelve: str) -> str:
    """Check digit of an MPAN core."""
    return str(sum(int(d) * w for d, w in zip(twelve, WEIGHTS, strict=True)) % 11 % 10)


def mpan(key: bytes, value: str) -> str:
    """Pseudonym of an MPAN core."""
    body = ff1(key, 10, value[:2].encode(), [int(d) for d in value[2:12]])
    twelve = value[:2] + "".join(map(str, body))
    return twelve + check_digit(twelve)


def _serial_places(text: str) -> tuple[list[int], int]:
    digits = [i for i, c in enumerate(text) if c in "0123456789"]
    both = [i for i, c in enumerate(text) if c in ALPHABET]
    if re.match(r"[A-Z][0-9][0-9]", text) and len([i for i in digits if i > 2]) >= 6:
        return [i for i in digits if i > 2], 10
    if len(digits) >= 6:
        return digits, 10
    if len(both) >= 4:
        return both, 36
    return [], 0


def meter_serial(key: bytes, value: str) -> str:
    """Pseudonym of a meter serial; empty where the scheme covers none."""
    text = value.strip().upper()
    places, radix = _serial_places(text)
    if not places:
        return ""
    while True:
        tweak = "".join("#" if i in places else c for i, c in enumerate(text)).encode()
        out = ff1(key, radix, tweak, [ALPHABET.index(text[i]) for i in places])
        chars = list(text)
        for i, digit in zip(places, out, strict=True):
            chars[i] = ALPHABET[digit]
        text = "".join(chars)
        if radix == 10 or _serial_places(text)[1] == 36:
            return text


def esme_id(key: bytes, value: str) -> str:
    """Pseudonym of an EUI-64."""
    joiners = re.sub(r"[0-9A-Fa-f]", "", value)
    pairs = re.sub(r"[^0-9A-Fa-f]", "", value).upper()
    out = f"{int(pairs[:2], 16) ^ 2:02X}" + pairs[2:6]
    out += "".join(ALPHABET[d] for d in ff1(key, 16, pairs[:6].encode(), [ALPHABET.index(c) for c in pairs[6:]]))
    joiner = joiners[0] if joiners else ""
    return joiner.join(out[i : i + 2] for i in range(0, 16, 2))


def uprn(key: bytes, value: str) -> str:
    """Pseudonym of a UPRN."""
    return "".join(map(str, ff1(key, 10, b"", [int(d) for d in value.zfill(12)])))


def premises(lines: Sequence[str], postcode: str, street_types: Mapping[str, str]) -> str:
    """The premises key of an address."""
    text = " ".join([*lines, "".join(postcode.split())])
    text = unicodedata.normalize("NFKC", text).upper()
    words = re.sub("[^A-Z0-9]", " ", text).split()
    return " ".join(street_types.get(word, word) for word in words)


def address(
    key: bytes, lines: Sequence[str], postcode: str, streets: Sequence[str], street_types: Mapping[str, str]
) -> tuple[str, str, str]:
    """Return number, street and inward part."""
    digest = hmac.new(key, premises(lines, postcode, street_types).encode(), hashlib.sha256).digest()
    first, second, third = (int.from_bytes(digest[i : i + 8], "big") for i in (0, 8, 16))
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    rest = third % 4000
    inward = f"{rest // 400}{letters[rest // 20 % 20]}{letters[rest % 20]}"
    return str(first % 250 + 1), streets[second % len(streets)], inward
