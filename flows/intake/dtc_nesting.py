"""Nested records of a DTC file to flat rows: what a row carries from the groups above, beside and below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from contracts.dtc.layout import DtcLayout, Fold, group_of, layout_columns
from contracts.errors import ContractError, IntakeError

HEADER = "ZHV"
SUPPLIER_ROLE = "X"  # role of an addressee that supplies (domain 7.1)
_ROLE, _ADDRESSEE = 5, 6  # fields of the header record
_AT = "at"
_AGAIN = "ask the sender for the file again"


class Nesting:
    """The layouts of one flow, ready to flatten blocks of records.

    A row carries the fields of its ancestors, and of groups that stand beside or before it under one of them: of
    such a group the last record counts, and a new record of the group above ends it; a header ends all. Of a group
    below the row that the layout calls ``latest``, the record counts that holds on the cut date. Each layout gives a
    row for every record of its row group; columns that it does not name are empty in its rows.
    """

    def __init__(self, layouts: Sequence[DtcLayout], label: str, as_of: str = "") -> None:
        """Judge the layouts.

        Args:
            as_of: the cut date as ``yyyymmdd``; empty where every record of a group may count.

        Raises:
            ContractError: parents go in a circle or differ between layouts, or a field is taken from below the row
                group.
        """
        self.layouts, self._label, self._as_of = tuple(layouts), label, as_of
        self._parents = {group: above for layout in layouts for group, above in layout.parents.items()}
        carried: list[str] = []
        for layout in layouts:
            if any(self._parents[group] != above for group, above in layout.parents.items()):
                raise ContractError(f"the layouts of {layout.flow} disagree on their groups", where=label)
            wanted = {group for group, _ in layout.fields.values()} - set(layout.latest) | {layout.row_group}
            for group in sorted(wanted):
                for step in reversed(self._chain(group, layout)):
                    if step not in carried and (step != layout.row_group or _below(layout)):
                        carried.append(step)
        self._groups = carried
        self._rows = {layout.row_group for layout in layouts}
        self._inner = {group for layout in layouts for group in (*_below(layout), *_beside(layout))}
        self.columns = tuple(dict.fromkeys(name for layout in layouts for name in layout_columns(layout)))
        self.taken = frozenset({*carried, *self._rows, *self._inner})
        singles = {name: group_of(layouts[0], name) for name in carried}
        self._singles = [name for name, group in singles.items() if group is not None and group.cardinality.most == 1]

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

    def places(self) -> set[tuple[str, int]]:
        """Return every field that the layouts read, as (group, position); the header's among them."""
        named = {place for layout in self.layouts for place in layout.fields.values()}
        named |= {place for layout in self.layouts for place in (*layout.latest.items(), *layout.agreed.values())}
        pairs = [pair for layout in self.layouts for pair in layout.partners.values()]
        named |= {(group, place) for group, *both in pairs for place in both}
        for fold in (layout.fold for layout in self.layouts if layout.fold is not None):
            named |= {(fold.group, place) for place in (fold.position, fold.flag_position) if place}
        return named

    def rows(self, table: pl.DataFrame, line: int, *, complete: bool) -> tuple[list[pl.DataFrame], list[int]]:
        """Flatten one block.

        Args:
            table: columns ``f0`` (group id), ``f1`` and so on, one record a row, in file order; groups of other flows
                are null.
            line: line of the first record in the file.
            complete: whether the file ends with this block.

        Returns:
            The rows of each layout in file order; and the positions of the records that the next block hangs from.

        Raises:
            IntakeError: a record stands without the record it belongs to, there are more records of a group than the
                catalogue allows, or a row has too many records below it.
        """
        group, here = pl.col("f0"), pl.int_range(pl.len(), dtype=pl.Int64)
        last = table.select(
            group,
            here.alias(_AT),
            **{g: pl.when(group == g).then(here).forward_fill() for g in (HEADER, *self._groups)},
        )
        for name in self._groups:  # outer groups come first
            above = self._parents.get(name, HEADER)
            keep = pl.col(name) > pl.col(above)
            last = last.with_columns(pl.when(keep if name in self._parents else keep.fill_null(value=True)).then(name))
        self._judge_orphans(last, line)
        self._judge_singles(last, line)
        opened = set(last.select(HEADER, *self._groups).row(-1)) - {None} if last.height else set()
        frames = []
        for layout in self.layouts:
            places = last.filter(group == layout.row_group)
            whole = _whole(layout)
            if whole and not complete and last.height and (still := last[whole][-1]) is not None:
                places = places.filter(pl.col(whole) < still)  # more of its records may follow in the next block
                opened |= set(last.filter((pl.col(_AT) >= still) & group.is_in(sorted(self.taken)))[_AT])
            frames.append(self._flat(table, last, places, layout))
        return frames, sorted(opened)

    def _flat(self, table: pl.DataFrame, last: pl.DataFrame, places: pl.DataFrame, layout: DtcLayout) -> pl.DataFrame:
        current = {g: _current(table, last, places[_AT], layout, g, self._as_of) for g in layout.latest}
        columns = {}
        for column, (owner, place) in layout.fields.items():
            index = current[owner] if owner in current else places[_AT if owner == layout.row_group else owner]
            columns[column] = table[f"f{place}"].gather(index)
        for name, (owner, place) in layout.agreed.items():
            columns[name] = _agreed(table, last, places[_whole(layout)], owner, place)
        for name, (owner, *both) in layout.partners.items():
            below = last.filter((pl.col("f0") == owner) & pl.col(layout.row_group).is_in(places[_AT].implode()))
            one, two = (table[f"f{place}"].gather(below[_AT]).str.strip_chars() for place in both)
            pairs = pl.DataFrame({"row": below[layout.row_group], "one": one, "two": two})
            columns[name] = _partner(pairs, places[_AT], columns["mpan_core"])
        columns |= {
            name: pl.Series([value]).new_from_index(0, places.height) for name, value in layout.constants.items()
        }
        for name in layout.header:
            role, addressee = (table[f"f{place}"].gather(places[HEADER]) for place in (_ROLE, _ADDRESSEE))
            columns[name] = addressee.set((role != SUPPLIER_ROLE).fill_null(value=True), None)
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
                remedy=_AGAIN,
            )
        values = table[f"f{fold.position}"].extend_constant(None, 1)
        index = np.full((len(fold.columns), rows.len()), table.height, np.uint32)
        index[turn, owner] = at
        columns = {name: values.gather(pl.Series(index[number])) for number, name in enumerate(fold.columns)}
        if fold.flag_column:
            flags = pl.DataFrame({"owner": owner, "flag": table[f"f{fold.flag_position}"].gather(at)})
            joined = flags.group_by("owner", maintain_order=True).agg(pl.col("flag").fill_null("?").str.join(""))
            text = pl.Series([None], dtype=pl.String).new_from_index(0, rows.len())
            columns[fold.flag_column] = text.scatter(joined["owner"], joined["flag"]) if joined.height else text
        return columns

    def _judge_orphans(self, last: pl.DataFrame, line: int) -> None:
        """Refuse a record without its parent; a null position says that none is open."""
        found = []
        for name in self.taken:
            above = self._parents.get(name)
            if above is None or above not in last.columns:
                continue
            orphans = last.filter((pl.col("f0") == name) & pl.col(above).is_null())
            if orphans.height:
                found.append((line + orphans[0, _AT], name, above))
        if found:
            at, name, above = min(found)
            raise IntakeError(
                f"a record of group {name} comes without its group {above} at line {at}",
                where=self._label,
                remedy=_AGAIN,
            )

    def _judge_singles(self, last: pl.DataFrame, line: int) -> None:
        """Refuse the second record of a group that the catalogue allows once under a record of its parent."""
        for name in self._singles:
            before, above = pl.col(name).shift(1), pl.col(self._parents.get(name, HEADER))
            again = last.filter((pl.col("f0") == name) & before.is_not_null() & (above == above.shift(1)))
            if again.height:
                of = self._parents.get(name, "the file")
                raise IntakeError(
                    f"group {name} occurs twice under {of} at line {line + again[0, _AT]}; "
                    "the catalogue allows it once",
                    where=self._label,
                    remedy=_AGAIN,
                )


def _below(layout: DtcLayout) -> frozenset[str]:
    """Return the groups below a layout's rows from which it takes something."""
    folded = (layout.fold.group,) if layout.fold is not None else ()
    return frozenset({*layout.latest, *folded, *(group for group, *_ in layout.partners.values())})


def _beside(layout: DtcLayout) -> frozenset[str]:
    """Return the groups beside a layout's rows whose records have to agree."""
    return frozenset(group for group, _ in layout.agreed.values())


def _whole(layout: DtcLayout) -> str:
    """Return the group of which all records have to be met before a row is known; empty where its own is enough."""
    if beside := _beside(layout):
        group = min(beside)
        return layout.parents[group]
    return layout.row_group if _below(layout) else ""


def _agreed(table: pl.DataFrame, last: pl.DataFrame, above: pl.Series, group: str, place: int) -> pl.Series:
    """Return, for each row, the value of all records of a group under the same record as the row; null if they differ.

    Args:
        above: where the record stands that each row shares with the group.
    """
    parent = above.name
    below = last.filter((pl.col("f0") == group) & pl.col(parent).is_not_null())
    values = table[f"f{place}"].gather(below[_AT]).str.strip_chars()
    found = pl.DataFrame({parent: below[parent], "value": values}).group_by(parent, maintain_order=True)
    held = found.agg(pl.when(pl.col("value").n_unique() == 1).then(pl.col("value").first()).alias("value"))
    return above.to_frame().join(held, on=parent, how="left", maintain_order="left")["value"]


def _partner(pairs: pl.DataFrame, rows: pl.Series, own: pl.Series) -> pl.Series:
    """Return the other metering point of the pair that each row stands in; null where it stands in none.

    A secondary one names its primary; a primary one names its secondary if it has one alone, else the secondaries name
    it (REG1061 to REG1065).

    Args:
        pairs: ``row``, ``one`` (the primary) and ``two`` (the secondary) of each record below a row.
        own: the MPAN of each row.
    """
    points = pl.DataFrame({"row": rows, "own": own.str.strip_chars()})
    pairs = pairs.join(points, on="row", how="inner")
    main = pairs.filter((pl.col("two") == pl.col("own")) & (pl.col("one") != pl.col("own")))
    others = pairs.filter((pl.col("one") == pl.col("own")) & (pl.col("two") != pl.col("own")))
    names = main.group_by("row").agg(pl.col("one").first().alias("main"))
    single = pl.when(pl.col("two").n_unique() == 1).then(pl.col("two").first()).alias("other")
    named = points.join(names, on="row", how="left", maintain_order="left")
    named = named.join(others.group_by("row").agg(single), on="row", how="left", maintain_order="left")
    return named.select(pl.coalesce("main", "other")).to_series()


def _current(
    table: pl.DataFrame, last: pl.DataFrame, rows: pl.Series, layout: DtcLayout, group: str, as_of: str
) -> pl.Series:
    """Return, for each row, where its record of a group stands that holds on the cut date; null where none does.

    A record without a date holds from the beginning; of several of one date the last one counts.
    """
    below = last.filter((pl.col("f0") == group) & pl.col(layout.row_group).is_in(rows.implode()))
    since = table[f"f{layout.latest[group]}"].gather(below[_AT]).str.strip_chars().fill_null("")
    found = pl.DataFrame({"row": below[layout.row_group], "since": since, "record": below[_AT]})
    if as_of:
        found = found.filter(pl.col("since") <= as_of)
    held = found.sort("row", "since", "record").group_by("row", maintain_order=True).agg(pl.col("record").last())
    return rows.alias("row").to_frame().join(held, on="row", how="left", maintain_order="left")["record"]
