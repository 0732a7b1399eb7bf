"""Nested records of a DTC file to flat rows: what a row carries from the groups above and before it."""

from __future__ import annotations

import polars as pl

from contracts.errors import ContractError, IntakeError
from contracts.model import DtcLayout

_AT = "at"


class Nesting:
    """One layout, ready to flatten blocks of records.

    A row carries the fields of its ancestors, and of groups that stand beside or before it under one of them: of
    such a group the last record counts, and a new record of the group above ends it.
    """

    def __init__(self, layout: DtcLayout, label: str) -> None:
        """Judge the layout.

        Raises:
            ContractError: parents go in a circle, or a field is taken from below the row group.
        """
        self._layout, self._label = layout, label
        self._parents = dict(layout.parents)
        wanted = {group for group, _ in layout.fields.values()} | {layout.row_group}
        carried: list[str] = []
        for group in sorted(wanted):
            for step in reversed(self._chain(group)):
                if step not in carried:
                    carried.append(step)
        self._groups = [group for group in carried if group != layout.row_group]

    def _chain(self, group: str) -> list[str]:
        """Return ``group`` and its ancestors, inner first."""
        chain = [group]
        while (above := self._parents.get(chain[-1])) is not None:
            if above in chain or above == self._layout.row_group:
                raise ContractError(
                    f"the layout of {self._layout.flow} has group {group} below its rows or in a circle",
                    where=self._label,
                    remedy="take a row group that is the innermost one",
                )
            chain.append(above)
        return chain

    def rows(self, table: pl.DataFrame, line: int) -> tuple[pl.DataFrame, list[int]]:
        """Flatten one block.

        Args:
            table: columns ``f0`` (group id), ``f1`` and so on, one record a row, in file order.
            line: line of the first record in the file.

        Returns:
            The rows, in file order, columns as the layout names them; and the positions of the records that the
            next block hangs from.

        Raises:
            IntakeError: a record stands without the record it belongs to.
        """
        group, here = pl.col("f0"), pl.int_range(pl.len(), dtype=pl.Int64)
        last = table.select(
            group,
            here.alias(_AT),
            **{g: pl.when(group == g).then(here).forward_fill() for g in self._groups},
        )
        for name in self._groups:  # outer groups come first
            if (above := self._parents.get(name)) is not None:
                last = last.with_columns(pl.when(pl.col(name) > pl.col(above)).then(name))
        self._judge_orphans(last, line)
        places = last.filter(group == self._layout.row_group)
        frame = pl.DataFrame(
            {
                column: table[f"f{place}"].gather(places[_AT if owner == self._layout.row_group else owner])
                for column, (owner, place) in self._layout.fields.items()
            },
            schema=dict.fromkeys(self._layout.fields, pl.String),
        )
        opened = last.select(self._groups).row(-1) if self._groups else ()
        return frame, sorted(at for at in opened if at is not None)

    def _judge_orphans(self, last: pl.DataFrame, line: int) -> None:
        """Refuse a record without its parent; a null position says that none is open."""
        for name in [*self._groups, self._layout.row_group]:
            above = self._parents.get(name)
            if above is None:
                continue
            orphans = last.filter((pl.col("f0") == name) & pl.col(above).is_null())
            if orphans.height:
                raise IntakeError(
                    f"a record of group {name} stands without its group {above} at line {line + orphans[0, _AT]}",
                    where=self._label,
                    remedy="ask the sender for the file again",
                )
