"""Which column of a text table some bytes stand in, and whose row it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.leak_scan.read_back import Block
from transforms.leak_scan.candidates import CORE, MPAN
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digests, Ints, Kind
from transforms.leak_scan.known import Known

DELIMITERS = (b"|", b"\t", b";", b",")
LONGEST_HEADER = 65_536


@dataclass(frozen=True, slots=True)
class TextTable:
    """How a text table is laid out: its delimiter, and the names of its columns where its first line has them.

    A flow's lines have no names: their columns are called by the group and the item's number.
    """

    delimiter: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, data: Bytes) -> TextTable:
        """Find out how a table is laid out, from its beginning."""
        line = data[:LONGEST_HEADER].tobytes().split(b"\n", 1)[0].rstrip(b"\r").removeprefix(b"\xef\xbb\xbf")
        delimiter = max(DELIMITERS, key=line.count)
        flow = line[:3] in (b"ZHV", b"ZHF") or line[:3].isdigit()
        names = () if flow else tuple(part.decode("utf-8", "replace").strip('"') for part in line.split(delimiter))
        return cls(delimiter[0], names)

    def columns(self, block: Block, at: Ints) -> list[str]:
        """Return the name of the column in which each place of a block lies."""
        cells = np.flatnonzero(block.data == self.delimiter)
        lines = np.flatnonzero(block.data == ord("\n"))
        line = np.searchsorted(lines, at)
        begin = np.where(line > 0, lines[np.maximum(line - 1, 0)] + 1, 0) if lines.size else np.zeros_like(at)
        number = np.searchsorted(cells, at) - np.searchsorted(cells, begin)
        return [self._name(block, int(n), int(b)) for n, b in zip(number, begin, strict=True)]

    def _name(self, block: Block, number: int, begin: int) -> str:
        if self.names:
            return self.names[number] if number < len(self.names) else f"number {number + 1}"
        group = block.data[begin : begin + 3].tobytes().decode("latin-1")
        return f"{group if group.isalnum() else 'unknown'} item {number}"


def owners(text: Condensed, known: Known, start: Ints) -> list[Digests]:
    """Return digests of the pseudonym MPANs that stand nearest before and after each place."""
    runs = text.digit_runs
    points = runs.start[runs.length == MPAN]
    if not points.size:
        return []
    digests = known.digester.of(Kind.MPAN, text.data, points, np.full(points.size, CORE))
    after = np.searchsorted(points, start)
    return [digests[np.maximum(after - 1, 0)], digests[np.minimum(after, points.size - 1)]]
