"""Rows of one or more extracts as the records of a DTC user file, by the layouts of its flow.

Records have the flow's full width. A mandatory item that no column has is filled as the layout says; a row whose
mandatory items cannot all be filled is not expressible in the flow, and is told from the others.

Source: DTC 15.4 (contracts/dtc/flows), domain 7.1, Q62 and Q63.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from contracts.dtc.layout import CUT_DATE, DtcLayout, Place, group_of, layout_columns
from contracts.dtc.model import FlowItem
from contracts.evidence_inputs import EmptyItem, FilledItem, LackingItem, UnwrittenGroup

LAYOUT = "_layout"
_DAY, _MOMENT = "%Y%m%d", "%Y%m%d%H%M%S"
_UNSAFE = r"[|\r\n]"
_UNWRITABLE: Place = ("", 0)  # not for want of an item


@dataclass(frozen=True, slots=True)
class DtcRecords:
    """Records of some rows.

    Attributes:
        text: records of each row that is expressible, in order.
        count: how many records they are.
        expressible: of each row given, whether it is among them.
    """

    text: pl.Series
    count: int
    expressible: pl.Series


class DtcText:
    """Writes rows by the layouts of one flow.

    A group is written again where one of its fields, or a group above it, changes from one row to the next, whatever
    layouts the two rows have: registers follow their meter under one record.
    """

    def __init__(self, layouts: Sequence[DtcLayout], cut_date: date) -> None:
        self._layouts, self._cut_date = tuple(layouts), cut_date
        self._groups = [_written_groups(layout) for layout in layouts]
        self._all = list(dict.fromkeys(group for groups in self._groups for group in groups))
        self._filled_in: Counter[tuple[int, Place]] = Counter()
        self._lacking: Counter[tuple[int, Place]] = Counter()

    def prelude(self) -> tuple[str, int]:
        """Return the records that a file begins with and that no row has, and how many they are."""
        layout, singles = self._layouts[0], self._tops()
        frame = pl.DataFrame({"_": [0]})
        self._filled_in.update((0, at) for at in layout.fills if at[0] in singles)
        texts = [str(frame.select(self._record(layout, g, {})).item()) for g in singles]
        return "".join(texts), len(texts)

    def filled(self) -> list[FilledItem]:
        """Return what was written in place of a value that no row has: item, its name, what, in how many records."""
        found: Counter[tuple[str, str, str]] = Counter()
        for (number, at), count in self._filled_in.items():
            layout = self._layouts[number]
            found[*_named(layout, at), layout.fills[at]] += count
        return [
            FilledItem(item=item, name=name, written=value, records=n)
            for (item, name, value), n in sorted(found.items())
        ]

    def lacking(self, numbers: Collection[int]) -> list[LackingItem]:
        """Return the mandatory items without which rows of some layouts are not expressible: item, its name, rows."""
        found: Counter[tuple[str, str]] = Counter()
        for (number, at), count in self._lacking.items():
            if number in numbers:
                found[_named(self._layouts[number], at)] += count
        return [LackingItem(item=item, name=name, rows=n) for (item, name), n in sorted(found.items())]

    def left_empty(self) -> list[EmptyItem]:
        """Return the items of written groups that have no value in any record: no column of ours carries them."""
        there = {at for layout in self._layouts for at in (*layout.fields.values(), *layout.fills, *layout.marks)}
        folds = [layout.fold for layout in self._layouts if layout.fold is not None]
        there |= {(fold.group, place) for fold in folds for place in (fold.position, fold.flag_position)}
        found = [
            (group, item)
            for group in sorted(self._written())
            if (known := group_of(self._layouts[0], group)) is not None
            for item in known.items
            if (group, item.position) not in there
        ]
        return [EmptyItem(item=f"{group}.{item.item}", name=item.name) for group, item in found]

    def left_out(self) -> list[UnwrittenGroup]:
        """Return the groups of the flow of which no record is written, each with its parent and cardinality."""
        flow = self._layouts[0].catalogue
        written = self._written()
        return [
            UnwrittenGroup(group=group.name, below=group.parent, cardinality=str(group.cardinality))
            for group in (flow.groups.values() if flow is not None else ())
            if group.name not in written
        ]

    def _written(self) -> set[str]:
        folded = {layout.fold.group for layout in self._layouts if layout.fold is not None}
        return {*self._all, *folded, *self._tops()}

    def _tops(self) -> list[str]:
        """Return the groups at the beginning of a file that no row has, and that are filled."""
        layout = self._layouts[0]
        tops = [g for g, _ in layout.fills if g not in self._all and g not in layout.parents]
        singles = [g for g in tops if (group := group_of(layout, g)) is not None and group.cardinality.most == 1]
        return list(dict.fromkeys(singles))

    def records(self, rows: pl.DataFrame) -> DtcRecords:
        """Return the records of rows of whole metering points.

        Columns in: those of the layouts, and ``_layout``, the number of each row's layout; registers come after their
        meter.
        """
        can = rows.select(self._expressible(rows)).to_series()
        kept = rows.filter(can)
        self._count(kept, rows.filter(~can))
        texts, counts = pl.lit(""), pl.lit(0, pl.Int64)
        for number, layout in enumerate(self._layouts):
            mine = pl.col(LAYOUT) == number
            text, count = self._text(number, layout, kept)
            texts, counts = pl.when(mine).then(text).otherwise(texts), pl.when(mine).then(count).otherwise(counts)
        out = kept.select(texts.alias("text"), counts.cast(pl.Int64).alias("count"))
        return DtcRecords(out["text"], int(out["count"].sum()), can)

    def _count(self, kept: pl.DataFrame, left: pl.DataFrame) -> None:
        """Count what is filled in the records of some rows, and what others lack."""
        fills: dict[tuple[int, Place], pl.Expr] = {}
        lacks: dict[tuple[int, Place], pl.Expr] = {}
        for number, layout in enumerate(self._layouts):
            mine, begins = pl.col(LAYOUT) == number, self._begins(number, layout, kept)
            for group in self._groups[number]:
                written = self._once(number, layout, group, kept) if _optional(layout, group) else begins[group] & mine
                for place in (place for owner, place in layout.fills if owner == group):
                    fills[number, (group, place)] = written & _nothing(layout, (group, place), kept)
                known = group_of(layout, group) if not _optional(layout, group) else None
                for item in known.items if known is not None else ():
                    at = (group, item.position)
                    if item.mandatory and at not in layout.fills:
                        lacks[number, at] = mine & _nothing(layout, at, left)
            lacks[number, _UNWRITABLE] = mine & _unsafe(left)
            fills |= {(number, at): mine.cast(pl.Int64) * count for at, count in _unflagged(layout, kept).items()}
        for frame, counts, found in ((kept, fills, self._filled_in), (left, lacks, self._lacking)):
            if frame.height and counts:
                sums = frame.select(count.sum().cast(pl.Int64).alias(str(n)) for n, count in enumerate(counts.values()))
                found.update({key: n for key, n in zip(counts, sums.row(0), strict=True) if n})

    def _expressible(self, rows: pl.DataFrame) -> pl.Expr:
        """Tell of each row whether its own record and those above it can be written."""
        whole: pl.Expr = pl.lit(value=True)
        for group in self._all:
            begins: pl.Expr = pl.lit(value=False)
            good: pl.Expr = pl.lit(value=True)
            needs: pl.Expr = pl.lit(value=False)
            for number, layout in enumerate(self._layouts):
                if group not in self._groups[number] or _optional(layout, group):
                    continue
                mine = pl.col(LAYOUT) == number
                begins = pl.when(mine).then(self._begins(number, layout, rows)[group]).otherwise(begins)
                good = pl.when(mine).then(self._filled(layout, group, rows)).otherwise(good)
                needs = needs | mine
            state = pl.when(begins).then(good).forward_fill().fill_null(value=False)
            whole = whole & (~needs | state)
        return (whole & ~_unsafe(rows)).alias("expressible")

    def _begins(self, number: int, layout: DtcLayout, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """Return, for each group of a layout, whether a row has to write it: its own record always."""
        before = pl.col(LAYOUT).shift(1)
        changed: dict[str, pl.Expr] = {}
        for group in self._groups[number]:
            if group == layout.row_group:
                changed[group] = pl.lit(value=True)
                continue
            columns = [c for c in _columns(layout, group) if c in rows.columns]
            marks = [pl.col(c).ne_missing(pl.col(c).shift(1)) for c in columns]
            above = layout.parents.get(group)
            marks += [changed[above]] if above in changed else []
            strangers = [k for k, groups in enumerate(self._groups) if group not in groups]
            marks.append(before.is_null() | before.is_in(strangers))
            changed[group] = pl.any_horizontal(marks)
        return changed

    def _text(self, number: int, layout: DtcLayout, rows: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
        texts: list[pl.Expr] = []
        counts: list[pl.Expr] = []
        for group, begins in self._begins(number, layout, rows).items():
            wanted = begins
            if _optional(layout, group):
                wanted = self._once(number, layout, group, rows)
            texts.append(pl.when(wanted).then(self._record(layout, group, rows.schema)).otherwise(pl.lit("")))
            counts.append(wanted.cast(pl.Int64))
        below, count_below = self._folded(layout, rows)
        return pl.concat_str([*texts, below]), pl.sum_horizontal([*counts, count_below])

    def _once(self, number: int, layout: DtcLayout, group: str, rows: pl.DataFrame) -> pl.Expr:
        """Tell which row writes a group beside the rows: the first under a record of its parent that has values."""
        present = [pl.col(c).is_not_null() for c in _columns(layout, group) if c in rows.columns]
        has = (pl.col(LAYOUT) == number) & pl.any_horizontal(present) & self._filled(layout, group, rows)
        above = [c for step in _chain(layout, group)[1:] for c in _columns(layout, step) if c in rows.columns]
        parent = pl.struct(above).rle_id() if above else pl.lit(0)
        return has & (has.cast(pl.Int64).cum_sum().over(parent) == 1)

    def _filled(self, layout: DtcLayout, group: str, rows: pl.DataFrame) -> pl.Expr:
        """Tell whether every mandatory item of a group has a value."""
        known = group_of(layout, group)
        parts: list[pl.Expr] = [pl.lit(value=True)]
        for item in known.items if known is not None else ():
            if item.mandatory and (group, item.position) not in layout.fills:
                column = _at(layout, group, item.position)
                there = column in rows.columns if column else False
                parts.append(pl.col(str(column)).is_not_null() if there else pl.lit(value=False))
        return pl.all_horizontal(parts)

    def _record(self, layout: DtcLayout, group: str, schema: Mapping[str, object]) -> pl.Expr:
        known = group_of(layout, group)
        named = [place for g, place in layout.fields.values() if g == group]
        width = known.width if known is not None else max(named, default=0)
        parts: list[pl.Expr] = [pl.lit(f"{group}|")]
        for place in range(1, width + 1):
            column = _at(layout, group, place)
            item = known.items[place - 1] if known is not None else None
            fill = self._fill(layout, group, place, item)
            mark = layout.marks.get((group, place))
            if mark in schema:
                parts += [
                    pl.when(pl.col(str(mark)).is_not_null()).then(pl.lit("T")).otherwise(pl.lit(fill)),
                    pl.lit("|"),
                ]
                continue
            value = _flow_text(column, schema[column], item) if column in schema and column else pl.lit(None, pl.String)
            parts += [value.fill_null(fill), pl.lit("|")]
        return pl.concat_str([*parts, pl.lit("\n")])

    def _fill(self, layout: DtcLayout, group: str, place: int, item: FlowItem | None) -> str:
        text = layout.fills.get((group, place), "")
        if text != CUT_DATE:
            return text
        return self._cut_date.strftime(_MOMENT if item is not None and item.kind == "DATETIME" else _DAY)

    def _folded(self, layout: DtcLayout, rows: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
        """Return the records below each row, and how many: the half-hours of a day."""
        fold = layout.fold
        columns = [c for c in fold.columns if c in rows.columns] if fold is not None else []
        if fold is None or not columns:
            return pl.lit(""), pl.lit(0, pl.Int64)
        known = group_of(layout, fold.group)
        width = known.width if known is not None else max(fold.position, fold.flag_position)
        texts: list[pl.Expr] = []
        for number, column in enumerate(columns):
            places = {fold.position: pl.col(column).cast(pl.String)}
            if fold.flag_position and fold.flag_column in rows.columns:
                flag = pl.col(fold.flag_column).str.slice(number, 1)
                places[fold.flag_position] = pl.when(flag.str.contains(r"^[^?]$")).then(flag)
            parts: list[pl.Expr] = [pl.lit(f"{fold.group}|")]
            for place in range(1, width + 1):
                fill = layout.fills.get((fold.group, place), "")
                parts += [places.get(place, pl.lit(None, pl.String)).fill_null(fill), pl.lit("|")]
            record = pl.concat_str([*parts, pl.lit("\n")])
            texts.append(pl.when(pl.col(column).is_not_null()).then(record).otherwise(pl.lit("")))
        present = [pl.col(column).is_not_null().cast(pl.Int64) for column in columns]
        return pl.concat_str(texts), pl.sum_horizontal(present)


def _named(layout: DtcLayout, at: Place) -> tuple[str, str]:
    """Return an item as ``288.J1254``, and the catalogue's name for it."""
    if at == _UNWRITABLE:
        return "", "a divider or the end of a line in a value"
    group, place = at
    known = group_of(layout, group)
    return (
        (f"{group}.{known.items[place - 1].item}", known.items[place - 1].name) if known else (f"{group}.{place}", "")
    )


def _unsafe(rows: pl.DataFrame) -> pl.Expr:
    """Tell of each row whether a value of it would break its record."""
    texts = [pl.col(c).str.contains(_UNSAFE) for c, kind in rows.schema.items() if kind == pl.String]
    return pl.any_horizontal([pl.lit(value=False), *texts]).fill_null(value=False)


def _nothing(layout: DtcLayout, at: Place, rows: pl.DataFrame) -> pl.Expr:
    """Tell of each row whether it has no value for a place."""
    column = layout.marks.get(at) or _at(layout, *at)
    return pl.col(column).is_null() if column in rows.columns and column else pl.lit(value=True)


def _unflagged(layout: DtcLayout, rows: pl.DataFrame) -> dict[Place, pl.Expr]:
    """Count, for each row, the records below it whose flag is filled."""
    fold = layout.fold
    if fold is None or (fold.group, fold.flag_position) not in layout.fills:
        return {}
    there = [pl.col(c).is_not_null() for c in fold.columns if c in rows.columns]
    flags = fold.flag_column in rows.columns
    flagged = [
        pl.col(fold.flag_column).str.slice(n, 1).str.contains(r"^[^?]$").fill_null(value=False)
        if flags
        else pl.lit(value=False)
        for n, c in enumerate(c for c in fold.columns if c in rows.columns)
    ]
    at = (fold.group, fold.flag_position)
    return {at: pl.sum_horizontal((value & ~flag).cast(pl.Int64) for value, flag in zip(there, flagged, strict=True))}


def _written_groups(layout: DtcLayout) -> list[str]:
    """Return the groups that a row may write, each after the one it hangs from, in the flow's order, its own last."""
    found: list[str] = []
    named = {group for group, _ in layout.fields.values()} - set(layout.latest) | _filled_alone(layout)
    order = list(layout.catalogue.groups) if layout.catalogue is not None else sorted(named)
    for group in sorted(named - {layout.row_group}, key=lambda g: (len(_chain(layout, g)), order.index(g))):
        found += [step for step in reversed(_chain(layout, group)) if step not in found]
    found += [step for step in reversed(_chain(layout, layout.row_group)) if step not in found]
    return [*(group for group in found if group != layout.row_group), layout.row_group]


def _filled_alone(layout: DtcLayout) -> set[str]:
    """Return the groups of which a row has nothing, and that stand once, filled, below each record of their parent."""
    found = set()
    for name in {group for group, _ in layout.fills} - {group for group, _ in layout.fields.values()}:
        group = group_of(layout, name)
        if group is None or group.parent not in _chain(layout, layout.row_group):
            continue
        whole = all((name, item.position) in layout.fills for item in group.items if item.mandatory)
        if whole and group.cardinality.least == group.cardinality.most == 1:
            found.add(name)
    return found


def _chain(layout: DtcLayout, group: str) -> list[str]:
    chain = [group]
    while (above := layout.parents.get(chain[-1])) is not None:
        chain.append(above)
    return chain


def not_carried(layouts: Sequence[DtcLayout], rows: pl.DataFrame) -> dict[str, int]:
    """Return the columns of some rows that no layout of their flow has, and in how many rows they have a value."""
    carried = {name for layout in layouts for name in layout_columns(layout)}
    carried -= {name for layout in layouts for name in layout.partners}
    others = [name for name in rows.columns if name not in carried and not name.startswith("_")]
    counts = rows.select(pl.col(name).is_not_null().sum() for name in others)
    return {name: count for name, count in zip(others, counts.row(0), strict=True) if count} if others else {}


def _optional(layout: DtcLayout, group: str) -> bool:
    """Tell whether a group stands beside the row, and not above it: without values it is left out."""
    return group not in _chain(layout, layout.row_group) and bool(_columns(layout, group))


def _columns(layout: DtcLayout, group: str) -> list[str]:
    return [column for column, (owner, _) in layout.fields.items() if owner == group]


def _at(layout: DtcLayout, group: str, place: int) -> str | None:
    return next((column for column, at in layout.fields.items() if at == (group, place)), None)


def _flow_text(column: str, kind: object, item: FlowItem | None) -> pl.Expr:
    """Return a column as the flow writes it: dates and times by the item's kind."""
    value = pl.col(column)
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        moment = item is not None and item.kind == "DATETIME"
        return value.cast(pl.Datetime("us")).dt.strftime(_MOMENT if moment else _DAY)
    return value.cast(pl.String)
