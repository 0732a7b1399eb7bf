"""The passphrase form of age, written anew from the C2SP specification: another program than the product's.

Its work factor is chosen by the test, so that a file is opened in milliseconds where nothing but its form matters.
"""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

LABEL = b"age-encryption.org/v1/scrypt"


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def _text(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _wrap_key(words: str, salt: bytes, work: int) -> bytes:
    return Scrypt(salt=LABEL + salt, length=32, n=1 << work, r=8, p=1).derive(words.encode())


def seal(text: bytes, words: str, *, work: int = 4, stated: object = None) -> bytes:
    """Return a binary age file; ``stated`` is the work factor that its header states, where it is another."""
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    body = ChaCha20Poly1305(_wrap_key(words, salt, work)).encrypt(bytes(12), file_key, None)
    shown = str(work if stated is None else stated).encode()
    header = b"age-encryption.org/v1\n-> scrypt %b %b\n%b\n---" % (_text(salt), shown, _text(body))
    mac = HMAC(_hkdf(file_key, b"", b"header"), hashes.SHA256())
    mac.update(header)
    sealed = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload")).encrypt(bytes(11) + b"\1", text, None)
    return header + b" " + _text(mac.finalize()) + b"\n" + nonce + sealed


def unseal(data: bytes, words: str) -> bytes:
    """Return what a binary age file of one chunk holds."""
    _, stanza, body, rest = data.split(b"\n", 3)
    _, _, salt, work = stanza.split(b" ")
    key = _wrap_key(words, base64.b64decode(salt + b"=="), int(work))
    file_key = ChaCha20Poly1305(key).decrypt(bytes(12), base64.b64decode(body + b"="), None)
    payload = rest.split(b"\n", 1)[1]
    cipher = ChaCha20Poly1305(_hkdf(file_key, payload[:16], b"payload"))
    return cipher.decrypt(bytes(11) + b"\1", payload[16:], None)


def armoured(data: bytes) -> bytes:
    """Return the same file in armour."""
    text = base64.b64encode(data)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN AGE ENCRYPTED FILE-----", *lines, b"-----END AGE ENCRYPTED FILE-----", b""])
