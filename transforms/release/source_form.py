"""The form in which a backup came, and rows put back into it: names, order and dates as its owner writes them.

Source: Q62 and Q63 (what was augmented goes back to participants for loading); domain 7.1 (DTC user files).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from contracts.dtc.layout import DtcLayout
from contracts.errors import EvidenceError
from contracts.model import Contract
from contracts.vocabulary import Form
from transforms.column_map import ColumnMap
from transforms.conform import DATE_FORMATS

SEEN = 1000  # values that tell how dates are written


@dataclass(frozen=True, slots=True)
class SourceForm:
    """The form of one source, in which its rows go back.

    Attributes:
        form: ``csv``, ``parquet``, ``dtc`` or ``database``.
        delimiter: ``comma``, ``tab`` or ``pipe``; empty where there is none.
        encoding: ``utf-8`` or ``cp1252``.
        flow: flow and version of a DTC file, as ``D0150002``; empty for other forms.
        order: contract columns in the order of the source.
        names: contract column -> its name in the source.
        dates: contract column -> how its dates are written.
    """

    form: str
    delimiter: str
    encoding: str
    flow: str
    order: tuple[str, ...]
    names: Mapping[str, str]
    dates: Mapping[str, str]

    def facts(self) -> dict[str, Any]:
        """Return what the evidence keeps beside ``form`` and ``columns``."""
        return {
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "flow": self.flow,
            "order": list(self.order),
            "dates": dict(self.dates),
        }


def from_facts(inputs: Mapping[str, Any]) -> SourceForm:
    """Return how a source is written, from its entry in the evidence's ``inputs``."""
    how = inputs.get("source_form", {})
    names = dict(inputs.get("columns", {}))
    return SourceForm(
        form=str(inputs["form"]),
        delimiter=str(how.get("delimiter") or ""),
        encoding=str(how.get("encoding") or "utf-8"),
        flow=str(how.get("flow") or ""),
        order=tuple(how.get("order") or names),
        names=names,
        dates=dict(how.get("dates", {})),
    )


def written_dates(batch: pl.DataFrame, contract: Contract, columns: ColumnMap) -> dict[str, str]:
    """Return how each date column of a batch of text is written, by the first format that all its values take."""
    found = {}
    for physical, name in columns.names.items():
        if contract.column(name).form is not Form.DATE:
            continue
        texts = batch[physical].drop_nulls().str.strip_chars().head(SEEN)
        texts = texts.filter(texts != "")
        for fmt in DATE_FORMATS if texts.len() else ():
            if texts.str.to_date(fmt, strict=False, exact=True).null_count() == 0:
                found[name] = fmt
                break
    return found


def as_text(frame: pl.DataFrame, how: SourceForm) -> pl.DataFrame:
    """Return the columns of the source, in its order and under the contract's names, as the texts it would hold."""
    out = []
    for name in how.order:
        kind = frame.schema.get(name)
        if kind is None:
            out.append(pl.lit(None, pl.String).alias(name))
        elif kind == pl.Date:
            out.append(pl.col(name).dt.strftime(how.dates.get(name, DATE_FORMATS[0])))
        else:
            out.append(pl.col(name).cast(pl.String))
    return frame.select(out)


class DtcText:
    """Rows of an extract as the records of a DTC user file, by the layouts of its flow.

    A group is written again where one of its own fields, or a group above it, changes from one row to the next. With
    several layouts, a row is written by the first one that has a column of its own which the row fills.
    """

    def __init__(self, layouts: Sequence[DtcLayout]) -> None:
        self._layouts = tuple(layouts)
        self._parents = {group: above for layout in layouts for group, above in layout.parents.items()}
        self._groups = [self._above(layout) for layout in layouts]
        self._before: pl.DataFrame | None = None

    def _chain(self, group: str) -> list[str]:
        chain = [group]
        while (above := self._parents.get(chain[-1])) is not None:
            chain.append(above)
        return chain

    def _above(self, layout: DtcLayout) -> list[str]:
        """Return the groups that stand before a row's own record, outer ones first."""
        found: list[str] = []
        named = {group for group, _ in layout.fields.values()} | {layout.row_group}
        for group in sorted(named, key=lambda g: (len(self._chain(g)), g)):
            found += [step for step in reversed(self._chain(group)) if step not in found]
        return [group for group in found if group != layout.row_group]

    def records(self, rows: pl.DataFrame) -> tuple[pl.Series, int]:
        """Return the records of some rows, a text per row, and how many records they are.

        Columns in: the layouts' columns as text. To be called with the rows of a file in their order.

        Raises:
            EvidenceError: a value holds what divides fields or records.
        """
        if rows.select(pl.any_horizontal(pl.col(pl.String).str.contains(r"[|\r\n]").any())).item():
            raise EvidenceError("a value holds a field divider of DTC files", where=self._layouts[0].flow)
        frame = pl.concat([self._before, rows]) if self._before is not None else rows
        frame = frame.with_columns(self._layout_of_row().alias("_layout"))
        texts, counts = pl.lit(""), pl.lit(0)
        for number, layout in enumerate(self._layouts):
            text, count = self._written(number, layout)
            mine = pl.col("_layout") == number
            texts, counts = pl.when(mine).then(text).otherwise(texts), pl.when(mine).then(count).otherwise(counts)
        out = frame.select(texts.alias("records"), counts.cast(pl.Int64).alias("count"))
        if self._before is not None:
            out = out.slice(1)
        self._before = rows.tail(1) if rows.height else self._before
        return out["records"], int(out["count"].sum())

    def _layout_of_row(self) -> pl.Expr:
        chosen: pl.Expr = pl.lit(0)
        for number in reversed(range(len(self._layouts))):
            others = {c for k, layout in enumerate(self._layouts) if k != number for c in layout.fields}
            own = [pl.col(c).is_not_null() for c in self._layouts[number].fields if c not in others]
            if own:
                chosen = pl.when(pl.any_horizontal(own)).then(pl.lit(number)).otherwise(chosen)
        return chosen

    def _written(self, number: int, layout: DtcLayout) -> tuple[pl.Expr, pl.Expr]:
        """Return the text of a row of one layout, and how many records it is."""
        changed: dict[str, pl.Expr] = {}
        came = pl.col("_layout").shift(1)
        for group in self._groups[number]:
            above = self._parents.get(group)
            marks = [pl.col(c).ne_missing(pl.col(c).shift(1)) for c in _fields(layout, group).values()]
            marks += [changed[above]] if above in changed else []
            strangers = [k for k, groups in enumerate(self._groups) if group not in groups]
            marks.append(came.is_null() | came.is_in(strangers))
            changed[group] = pl.any_horizontal(marks)
        texts = [pl.when(changed[g]).then(_record(layout, g)).otherwise(pl.lit("")) for g in self._groups[number]]
        below, count_below = _folded(layout)
        text = pl.concat_str([*texts, _record(layout, layout.row_group), below])
        return text, pl.sum_horizontal(*changed.values(), pl.lit(1), count_below)


def _fields(layout: DtcLayout, group: str) -> dict[int, str]:
    return {place: column for column, (owner, place) in layout.fields.items() if owner == group}


def _record(layout: DtcLayout, group: str) -> pl.Expr:
    fields = _fields(layout, group)
    parts: list[pl.Expr] = [pl.lit(f"{group}|")]
    for place in range(1, max(fields, default=0) + 1):
        parts += [pl.col(fields[place]).fill_null("")] if place in fields else []
        parts.append(pl.lit("|"))
    return pl.concat_str([*parts, pl.lit("\n")])


def _folded(layout: DtcLayout) -> tuple[pl.Expr, pl.Expr]:
    """Return the records below each row, and how many: the half-hours of a day."""
    fold = layout.fold
    if fold is None:
        return pl.lit(""), pl.lit(0)
    texts: list[pl.Expr] = []
    for number, column in enumerate(fold.columns):
        places = {fold.position: pl.col(column)}
        if fold.flag_position:
            places[fold.flag_position] = pl.col(fold.flag_column).str.slice(number, 1).fill_null("")
        parts: list[pl.Expr] = [pl.lit(f"{fold.group}|")]
        for place in range(1, max(places) + 1):
            parts += [*([places[place]] if place in places else []), pl.lit("|")]
        record = pl.concat_str([*parts, pl.lit("\n")])
        texts.append(pl.when(pl.col(column).is_not_null()).then(record).otherwise(pl.lit("")))
    present = [pl.col(column).is_not_null() for column in fold.columns]
    return pl.concat_str(texts), pl.sum_horizontal(present)


def dtc_header(file_id: str, flow: str, sender: Sequence[str], receiver: Sequence[str], stamp: str) -> bytes:
    """Return the ZHV record. The test flag says that the file is no live one (domain 7.1)."""
    fields = ["ZHV", file_id, flow, *sender, *receiver, stamp, "", "", "", TEST_FLAG, ""]
    return ("|".join(fields) + "\n").encode("ascii")


def dtc_trailer(file_id: str, records: int, stamp: str) -> bytes:
    """Return the ZPT record with the number of records, header and trailer excluded."""
    return f"ZPT|{file_id}|{records}||1|{stamp}|\n".encode("ascii")


TEST_FLAG = "TR01"  # never OPER: what leaves is test data
