"""Thrift's compact protocol, as far as the page headers of a Parquet file need it."""

from __future__ import annotations

from typing import Any

WIDEST = 64 << 10  # a page header with the statistics of two values at the limit of a cell is far smaller
_DEPTH = 6


class TooShortError(Exception):
    """The window ends inside the header."""


class Compact:
    """Reads Thrift's compact protocol, as far as page headers need it: integers, binaries, structs, lists."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise TooShortError
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError

    def _skip(self, count: int) -> None:
        if count > WIDEST:
            raise ValueError
        self.at += count
        if self.at > len(self._data):
            raise TooShortError

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the integers and structs of a struct by field id; other values are passed over.

        Raises:
            ValueError: it is no sound struct.
        """
        if depth > _DEPTH:
            raise ValueError
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 0x0F
            number = number + delta if delta else _unzigzag(self._varint())
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return _unzigzag(self._varint())
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            return self._items(depth)
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError

    def _items(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        for _ in range(count):
            self._value(head & 0x0F, depth + 1)


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
