"""Nested records of a DTC file to flat rows: what a row carries from the groups above and before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from contracts.errors import ContractError, IntakeError
from contracts.model import DtcLayout, Fold

_AT = "at"


class Nesting:
    """The layouts of one flow, ready to flatten blocks of records.

    A row carries the fields of its ancestors, and of groups that stand beside or before it under one of them: of
    such a group the last record counts, and a new record of the group above ends it. Each layout gives a row for
    every record of its row group; columns that it does not name are empty in its rows.
    """

    def __init__(self, layouts: Sequence[DtcLayout], label: str) -> None:
        """Judge the layouts.

        Raises:
            ContractError: parents go in a circle or differ between layouts, or a field is taken from below the row
                group.
        """
        self._layouts, self._label = tuple(layouts), label
        self._parents = {group: above for layout in layouts for group, above in layout.parents.items()}
        carried: list[str] = []
        for layout in layouts:
            if any(self._parents[group] != above for group, above in layout.parents.items()):
                raise ContractError(f"the layouts of {layout.flow} disagree on their groups", where=label)
            wanted = {group for group, _ in layout.fields.values()} | {layout.row_group}
            for group in sorted(wanted):
                for step in reversed(self._chain(group, layout)):
                    if step not in carried and (step != layout.row_group or layout.fold is not None):
                        carried.append(step)
        self._groups = carried
        self.columns = tuple(dict.fromkeys(name for layout in layouts for name in layout_columns(layout)))

    def _chain(self, group: str, layout: DtcLayout) -> list[str]:
        """Return ``group`` and its ancestors, inner first."""
        chain = [group]
        while (above := self._parents.get(chain[-1])) is not None:
            if above in chain or above == layout.row_group:
                raise ContractError(
                    f"the layout of {layout.flow} has group {group} below its rows or in a circle",
                    where=self._label,
                    remedy="take a row group that is the innermost one",
                )
            chain.append(above)
        return chain

    def rows(self, table: pl.DataFrame, line: int, *, complete: bool) -> tuple[pl.DataFrame, list[int]]:
        """Flatten one block.

        Args:
            table: columns ``f0`` (group id), ``f1`` and so on, one record a row, in file order.
            line: line of the first record in the file.
            complete: whether the file ends with this block.

        Returns:
            The rows, layout by layout in file order; and the positions of the records that the next block hangs from.

        Raises:
            IntakeError: a record stands without the record it belongs to, or a row has too many records below it.
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
        opened = set(last.select(self._groups).row(-1)) - {None} if self._groups and last.height else set()
        frames = []
        for layout in self._layouts:
            places = last.filter(group == layout.row_group)
            if layout.fold is not None and not complete and (still := last[layout.row_group][-1]) is not None:
                places = places.filter(pl.col(_AT) < still)  # more of its records may follow in the next block
                opened |= set(range(still, table.height))
            frames.append(self._flat(table, last, places, layout))
        return pl.concat(frames, how="diagonal").select(self.columns), sorted(opened)

    def _flat(self, table: pl.DataFrame, last: pl.DataFrame, places: pl.DataFrame, layout: DtcLayout) -> pl.DataFrame:
        columns = {
            column: table[f"f{place}"].gather(places[_AT if owner == layout.row_group else owner])
            for column, (owner, place) in layout.fields.items()
        }
        columns |= {
            name: pl.Series([value]).new_from_index(0, places.height) for name, value in layout.constants.items()
        }
        if layout.fold is not None:
            columns |= self._folded(table, last, places[_AT], layout.row_group, layout.fold)
        return pl.DataFrame(columns, schema=dict.fromkeys(layout_columns(layout), pl.String))

    def _folded(
        self, table: pl.DataFrame, last: pl.DataFrame, rows: pl.Series, row_group: str, fold: Fold
    ) -> dict[str, pl.Series]:
        """Return the columns that the records below each row become."""
        below = last.filter((pl.col("f0") == fold.group) & pl.col(row_group).is_in(rows.implode()))
        at, owner = below[_AT].to_numpy(), np.searchsorted(rows.to_numpy(), below[row_group].to_numpy())
        first = np.searchsorted(owner, owner)
        turn = np.arange(owner.size) - first
        if turn.size and turn.max() >= len(fold.columns):
            raise IntakeError(
                f"a record of group {row_group} has more than {len(fold.columns)} records of group {fold.group}",
                where=self._label,
                remedy="ask the sender for the file again",
            )
        values, columns = table[f"f{fold.position}"], {}
        for number, name in enumerate(fold.columns):
            index = np.full(rows.len(), -1, np.int64)
            mine = turn == number
            index[owner[mine]] = at[mine]
            places = pl.Series(index)
            columns[name] = values.gather(places.set(places < 0, None))
        if fold.flag_column:
            flags = pl.DataFrame({"owner": owner, "flag": table[f"f{fold.flag_position}"].gather(at)})
            joined = flags.group_by("owner", maintain_order=True).agg(pl.col("flag").fill_null("?").str.join(""))
            text = pl.Series([None], dtype=pl.String).new_from_index(0, rows.len())
            columns[fold.flag_column] = text.scatter(joined["owner"], joined["flag"]) if joined.height else text
        return columns

    def _judge_orphans(self, last: pl.DataFrame, line: int) -> None:
        """Refuse a record without its parent; a null position says that none is open."""
        found = []
        for name in {*self._groups, *(layout.row_group for layout in self._layouts), *_folds(self._layouts)}:
            above = self._parents.get(name)
            if above is None or above not in last.columns:
                continue
            orphans = last.filter((pl.col("f0") == name) & pl.col(above).is_null())
            if orphans.height:
                found.append((line + orphans[0, _AT], name, above))
        if found:
            at, name, above = min(found)
            raise IntakeError(
                f"a record of group {name} stands without its group {above} at line {at}",
                where=self._label,
                remedy="ask the sender for the file again",
            )


def _folds(layouts: Sequence[DtcLayout]) -> list[str]:
    return [layout.fold.group for layout in layouts if layout.fold is not None]


def layout_columns(layout: DtcLayout) -> list[str]:
    """Return the contract columns that a layout gives."""
    folded = [*layout.fold.columns, layout.fold.flag_column] if layout.fold is not None else []
    return [*layout.fields, *layout.constants, *(name for name in folded if name)]
