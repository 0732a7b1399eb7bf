"""Field keys of a data cut: HKDF-SHA-256 labels, and objects that hold key bytes without ever showing them.

Source: pseudonym scheme 1; RFC 5869 (HKDF); NIST SP 800-57 part 1 (one key, one purpose).
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.errors import KeyMaterialError

SCHEME = "1"
CUT_KEY_BYTES = 32


class Subkey:
    """32 key bytes for one purpose. ``repr``, ``str`` and pickling never reveal them."""

    __slots__ = ("_material", "label")

    def __init__(self, material: bytes, label: str) -> None:
        self._material = material
        self.label = label

    def material(self) -> bytes:
        """Return the key bytes; callers pass them to a primitive and keep no copy."""
        return self._material

    def __repr__(self) -> str:
        return f"Subkey({self.label})"

    def __reduce__(self) -> NoReturn:
        raise KeyMaterialError("a key object cannot be serialised", where=self.label)


class FieldKeys:
    """Derives the field keys of one cut from its cut key.

    Args:
        cut_key: 32 random bytes.
        cut_id: identifier of the data cut; part of every label, so that two cuts cannot be linked.

    Raises:
        KeyMaterialError: the key is not 32 bytes, is a constant byte, or the cut id is empty.
    """

    __slots__ = ("_cut_key", "cut_id")

    def __init__(self, cut_key: bytes, cut_id: str) -> None:
        if len(cut_key) != CUT_KEY_BYTES:
            raise KeyMaterialError("a cut key has 32 bytes", remedy="make one with datacut key new")
        if len(set(cut_key)) == 1:
            raise KeyMaterialError("the cut key is one repeated byte", remedy="make one with datacut key new")
        if not cut_id or "/" in cut_id:
            raise KeyMaterialError("a cut id is a non-empty text without '/'")
        self._cut_key = cut_key
        self.cut_id = cut_id

    def __repr__(self) -> str:
        return f"FieldKeys({self.cut_id})"

    def __reduce__(self) -> NoReturn:
        raise KeyMaterialError("a key object cannot be serialised", where=self.cut_id)

    def field(self, name: str) -> Subkey:
        """Return the 32-byte key of field ``name``: HKDF-SHA-256, no salt, info ``datacut/1/<cut id>/<field>``."""
        label = f"datacut/{SCHEME}/{self.cut_id}/{name}"
        return Subkey(HKDF(SHA256(), 32, None, label.encode()).derive(self._cut_key), label)

    def fingerprint(self) -> str:
        """Return 32 hex digits that identify the key and reveal nothing of it."""
        return self.field("fingerprint").material()[:16].hex()
