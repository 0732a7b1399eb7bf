"""CODE TUPLES: rows that agree in all their codes, so that what reads codes alone is worked out once for all of them.

Of a quarter of a million registrations some two thousand differ in their codes. Rows are grouped by a hash of the
codes; two tuples of one hash would be a fault that the second count, which looks at every row, does not share.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.conditions import sql
from contracts.model import Contract
from contracts.vocabulary import Form

PARTICIPANT = "participant"
MPAN = "mpan_core"
CODES = frozenset({Form.CODE, Form.FLAG})
LEAST = 8  # rows a tuple; with fewer it is quicker to look at every row


class CodeTuples:
    """The distinct tuples of codes of a frame; grows by what is worked out of them.

    Attributes:
        rows: one row a tuple: codes, and what was worked out of them.
        number: of each row of the frame, the place of its tuple.
    """

    def __init__(self, rows: pl.DataFrame, number: NDArray[np.intp]) -> None:
        self.rows, self.number = rows, number

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Collection[str]) -> Self | None:
        """Return the tuples of a frame; None where its rows have too little in common."""
        names = [name for name in frame.columns if name in columns]
        if not names or not frame.height:
            return None
        hashes = frame.select(pl.struct(names).hash()).to_series()
        distinct = hashes.unique().sort().to_numpy()
        if distinct.size * LEAST > frame.height:
            return None
        number = np.searchsorted(distinct, hashes.to_numpy())
        first = np.empty(distinct.size, np.intp)
        first[number[::-1]] = np.arange(frame.height - 1, -1, -1)
        return cls(frame.select(names)[first], number)

    def know(self, names: Collection[str]) -> bool:
        """Tell whether columns are codes, or were worked out of them."""
        return set(names) <= set(self.rows.columns)

    def add(self, columns: pl.DataFrame) -> pl.DataFrame:
        """Take columns that were worked out of the tuples; return them for the rows of the frame."""
        self.rows = self.rows.hstack(columns)
        return columns[self.number]


def code_columns(contract: Contract) -> set[str]:
    """Return the columns of a contract whose values are few: codes, flags, the sender, what an MPAN's form says."""
    codes = {column.name for column in contract.staged if column.form in CODES}
    return {*codes, *mpan_columns(contract), PARTICIPANT}


def mpan_columns(contract: Contract) -> list[str]:
    """Return the derived columns that the form of an MPAN gives alone, as its distributor."""
    return [d.name for d in contract.derived if d.sql and set(sql(d.sql).meta.root_names()) == {MPAN}]
