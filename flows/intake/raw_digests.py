"""RAW DIGESTS: what the leak scan will look for, taken from the columns of a source as they were read.

Digests alone are written, under a key of the run that is nowhere on disk; they go with the work folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from contracts.model import Contract
from contracts.scheme import scheme_lists
from contracts.vocabulary import Form
from flows.files import whole
from transforms.column_map import ColumnMap
from transforms.leak_scan.digests import Digester, Digests, Ints, Kind, distinct, one_of_each
from transforms.leak_scan.known import Sorts
from transforms.leak_scan.raw_columns import RawDigests, common_lines, raw_digests, row_pairs

ROOM = "digests"
COMPACTED = 4_000_000  # digests that are held before those that came twice go
Taken = tuple[RawDigests, Digests]


class DigestTaker:
    """Takes the digests of one source, batch by batch, and writes them at its end.

    Args:
        key: 32 bytes of this run.
        path: where they are written.
    """

    def __init__(self, key: bytes, path: Path) -> None:
        self._digester, self._path = Digester(key), path
        lists = scheme_lists()
        lines = pl.Series("", [*lists.streets, *lists.post_towns.values()], dtype=pl.String)
        self._common = common_lines(lines, self._digester)
        self._held: dict[Kind, list[tuple[Digests, Digests]]] = {}
        self._pairs: list[Digests] = []

    def before(self, batch: pl.DataFrame, contract: Contract, columns: ColumnMap) -> RawDigests:
        """Return the digests of a batch that nobody has touched."""
        return raw_digests(batch, forms(contract, columns), self._digester, self._common)

    def after(self, found: RawDigests, names: pl.Series) -> Taken:
        """Tie them to the pseudonym MPANs that the rows got."""
        return found, row_pairs(found, names, self._digester)

    def add(self, taken: Taken) -> None:
        """Keep the digests of a batch."""
        found, pairs = taken
        for kind, digests in found.values.items():
            held = self._held.setdefault(kind, [])
            held += list(zip(digests, found.sorts[kind], strict=True))
            if sum(part.size for part, _ in held) > COMPACTED and len(held) > 1:
                self._held[kind] = [_once(held)]
        self._pairs.append(pairs)

    def close(self) -> None:
        """Write them."""
        parts: dict[str, Digests | Ints] = {}
        for kind, held in self._held.items():
            digests, names = _once(held)
            sorts = Sorts.of(names)
            parts |= {kind.word: digests, f"{kind.word}-sorts": sorts.names, f"{kind.word}-counts": sorts.counts}
        parts[Kind.PAIR.word] = distinct(np.concatenate([np.zeros(0, np.uint64), *self._pairs]))[0]
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole(self._path) as growing, growing.open("wb") as file:
            np.savez(file, **parts)  # type: ignore[arg-type]


def _once(held: list[tuple[Digests, Digests]]) -> tuple[Digests, Digests]:
    digests, names = (np.concatenate(parts) for parts in zip(*held, strict=True))
    each = one_of_each(digests)
    return digests[each], names[each]


def forms(contract: Contract, columns: ColumnMap) -> Mapping[str, Form]:
    """Return the form of each column of a source that a contract names."""
    return {heading: contract.column(name).form for heading, name in columns.names.items()}
