"""Sources with a row a half-hour, read as days: tables whose headings say when and how much, and df2 files.

A day waits until all its half-hours are there; what is left at the end is given as it is, for rules to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl

from contracts.errors import IntakeError, RefusedError
from contracts.model import Contract
from flows.intake.csv_blocks import BlockReader, ByteBlock
from flows.intake.csv_reader import parse_text
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import Reader
from flows.intake.source import Limits, SourceSpec
from transforms.column_map import refuse_persons, shown
from transforms.dates import AUTO, EVERY, Reading
from transforms.half_hours import (
    DAY,
    EITHER,
    END,
    HEADER,
    MOST,
    NUMBER,
    PERIODS,
    QUANTITY,
    WAITING,
    LongTable,
    clock_headings,
    folded,
    long_table,
    moments,
    placed,
    split_whole,
)

MOST_WAITING = 20_000_000  # half-hours of days that are not whole: 417,000 days
_LAST = 1410  # minutes of the clock at which the last half-hour but one ends
_DF2 = (b"#F2", b"\xef\xbb\xbf#F2")
_DF2_CELLS = ("c1", "c2", "c3", "c4")


def is_df2(start: bytes) -> bool:
    """Tell by its first bytes whether a text is a df2 file."""
    return start.startswith(_DF2)


class _Days:
    """Half-hours as they come, folded into days."""

    def __init__(self, spec: SourceSpec, contract: Contract, kind: str) -> None:
        self._label, self._spelling, self._kind = spec.name, contract.spelling, kind
        self._order = spec.dates.get(DAY, spec.dates.get(EVERY, AUTO))
        self._waiting = pl.DataFrame(schema=WAITING)
        self._before: pl.DataFrame | None = None

    def take(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the days that are whole with these half-hours.

        Columns in: ``point``, ``quantity``, ``value``, ``flag``; ``moment``, or ``day`` and ``time`` or ``number``.

        Raises:
            IntakeError: a moment cannot be read, or is no half-hour. RefusedError: too many days wait.
        """
        self._waiting = pl.concat([self._waiting, self._placed(rows).select(*WAITING).cast(WAITING)])  # type: ignore[arg-type]
        whole, self._waiting = split_whole(self._waiting)
        if self._waiting.height > MOST_WAITING:
            raise RefusedError(
                f"has more than {MOST_WAITING:,} half-hours of days that are not whole",
                where=self._label,
                remedy="order it by metering point and day",
            )
        return folded(whole, ends=self._kind == END)

    def rest(self) -> pl.DataFrame:
        """Return the days that never became whole."""
        return folded(self._waiting, ends=self._kind == END)

    def _placed(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self._kind == NUMBER:
            when = moments(rows.select(pl.col("day").alias("moment")), self._spelling, self._order)
            self._judge(when, rows.height)
            number = rows["number"].str.extract(r"^\D*(\d{1,2})(?:\.0+)?$").cast(pl.Int32, strict=False)
            if bad := rows.height - int(number.is_between(1, MOST).sum()):
                raise self._fault(
                    bad, rows.height, "numbers of settlement periods that are none", "periods are 1 to 50"
                )
            return rows.with_columns(
                when["date"].alias("day"), number.alias("period"), pl.lit(None, pl.Int32).alias("slot")
            )
        when = moments(
            rows.select(name for name in ("moment", "day", "time") if name in rows.columns), self._spelling, self._order
        )
        self._judge(when, rows.height)
        if bad := int((when["minutes"] % 30 != 0).sum()):
            raise self._fault(bad, rows.height, "times that are not on the half-hour", "export half-hourly values")
        if self._kind == EITHER:
            self._kind = self._first(when)
        ends = self._kind == END
        at = placed(when, ends=ends)
        rows = rows.drop("day", strict=False).hstack(at)
        return self._midnights(rows, when) if ends else rows

    def _first(self, when: pl.DataFrame) -> str:
        """Tell by the first moment whether moments are starts or ends of half-hours."""
        local = placed(when.head(1), ends=False)
        slot = local["slot"][0] if local["slot"][0] is not None else local["period"][0] - 1
        if slot not in (0, 1):
            raise IntakeError(
                "does not begin with the first half-hour of a day: nobody can tell if its times are starts or ends",
                where=self._label,
                remedy="begin it at midnight, or call the column Start or End",
            )
        return END if slot == 1 else "start"

    def _midnights(self, rows: pl.DataFrame, when: pl.DataFrame) -> pl.DataFrame:
        """See to midnights that end the day whose date they carry: the row before is 23:30 of the same date."""
        seen = rows.select("point", "quantity").hstack(when.select("date", "minutes"))
        before = seen.slice(0, 1).clear(1) if self._before is None else self._before
        shifted = pl.concat([before, seen]).slice(0, seen.height)
        self._before = seen.tail(1)
        same = pl.Series([True]).new_from_index(0, seen.height)
        for name in ("point", "quantity", "date"):
            same &= seen[name].eq_missing(shifted[name])
        same &= (seen["minutes"] == 0) & (shifted["minutes"] == _LAST).fill_null(value=False) & when["offset"].is_null()
        return rows.with_columns(pl.when(same).then(when["date"]).otherwise("day").alias("day"))

    def _judge(self, when: pl.DataFrame, rows: int) -> None:
        if bad := int((when["reading"] == int(Reading.NOT_DAY_FIRST)).sum()):
            raise self._fault(
                bad, rows, "dates that are impossible day first", f"say how they are written: `dates: {{{DAY}: ...}}`"
            )
        if bad := int((when["reading"] == int(Reading.TWO_DIGITS)).sum()):
            raise self._fault(
                bad, rows, "dates with two-digit years", f"export four digits, or declare `dates: {{{DAY}: dd/mm/yy}}`"
            )
        if bad := int((when["date"].is_null() | when["minutes"].is_null()).sum()):
            raise self._fault(bad, rows, "times that cannot be read", f"declare `dates: {{{DAY}: ...}}` of the source")

    def _fault(self, bad: int, rows: int, what: str, remedy: str) -> IntakeError:
        return IntakeError(f"has {what}, {bad:,} of {rows:,} where the first one is", where=self._label, remedy=remedy)


class LongReader(Reader):
    """A table with a row a half-hour, as one with a row a day."""

    form = "csv"
    reshaped = True

    def __init__(self, inner: Reader, spec: SourceSpec, limits: Limits, contract: Contract, table: LongTable) -> None:
        """Take a reader whose header is that of such a table.

        Raises:
            RefusedError: a heading is a person's (DQ23, Q68).
        """
        super().__init__(spec, limits)
        self._inner, self._table = inner, table
        self._ending.append(inner.close)
        self._days = _Days(spec, contract, table.kind)
        self.header, self.delimiter = HEADER, inner.delimiter or "comma"
        headings = (*inner.header, *inner.untyped)
        refuse_persons(contract, headings, dict.fromkeys(table.headings, ""), spec.harmless, spec.name)
        self.surplus = tuple(h for h in headings if h not in table.headings)
        self.size, self.skipped_lines, self.stated_cut_date = inner.size, inner.skipped_lines, inner.stated_cut_date
        self.remarks = ("one row a half-hour, read as days",)
        if not table.stated:
            quantity = next(iter(table.values))
            self.remarks += (f"measurement quantity {quantity}, which {shown(table.values[quantity])} does not say",)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._inner.encoding

    @property
    def dropped_columns(self) -> int:  # type: ignore[override]
        """Columns without a name."""
        return self._inner.dropped_columns

    def _frames(self) -> Iterator[pl.DataFrame]:
        table, cell = self._table, pl.col
        names = {1: ("moment",), 2: ("day", "number" if table.kind == NUMBER else "time")}[len(table.moment)]
        when = [cell(h).alias(n) for h, n in zip(table.moment, names, strict=True)]
        when = [w.str.strip_chars().str.replace(r"^(\d{1,2})(\d{2})$", "$1:$2") if n == "time" else w
                for w, n in zip(when, names, strict=True)]  # fmt: skip
        flag = cell(table.flag).alias("flag") if table.flag else pl.lit(None, pl.String).alias("flag")
        for batch in self._inner.batches():
            parts = []
            for quantity, heading in table.values.items():
                named = cell(table.quantity) if table.quantity else pl.lit(quantity)
                parts.append(
                    batch.select(
                        cell(table.point).alias("point"),
                        named.alias("quantity"),
                        *when,
                        cell(heading).alias("value"),
                        flag,
                    )
                )
            yield self._days.take(pl.concat(parts))
        yield self._days.rest()


class Df2Reader(Reader):
    """A df2 file: ``#F2``, ``#O`` and an MPAN, ``#S`` and a sensor, then date, time, value and flag by half-hour."""

    form = "csv"
    delimiter = "comma"
    reshaped = True
    header = HEADER

    def __init__(
        self, spec: SourceSpec, stream: ByteStream, limits: Limits, contract: Contract, wide: str = ""
    ) -> None:
        super().__init__(spec, limits)
        assert contract.half_hours is not None  # noqa: S101 - else nobody asks for it
        self._sensors, self._wide = contract.half_hours.sensors, wide
        self._lines = BlockReader(
            stream, label=spec.name, limits=limits, encoding="utf-8" if wide else spec.encoding, quotes=False
        )
        self._lines.first_line()
        self._days = _Days(spec, contract, EITHER)
        self._point: str | None = None
        self._sensor: str | None = None
        self._strange: Counter[str] = Counter()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._wide or self._lines.decoder.encoding

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """What is to be told: sensors whose quantity nobody knows."""
        told = [f"sensor {sensor}: {count:,} half-hours, not read" for sensor, count in sorted(self._strange.items())]
        said = ", ".join(f"sensor {sensor} as {quantity}" for sensor, quantity in self._sensors.items())
        return (f"a df2 file, read as days; {said}", *told)

    def _frames(self) -> Iterator[pl.DataFrame]:
        for block in self._lines.blocks():
            rows = self._rows(block)
            if rows.height:
                yield self._days.take(rows)
        yield self._days.rest()

    def _rows(self, block: ByteBlock) -> pl.DataFrame:
        place = f"lines {block.line} to {block.line + block.lines - 1}"
        # The first line gives the parser the width.
        text = ByteBlock(b",,,\n" + block.data, block.line, block.lines, block.records, block.delimiters, quoted=False)
        table = parse_text(text, _DF2_CELLS, ",", quotes=False)
        if table is None or table.height != 1 + block.records:
            raise self._fault("has lines of more than four cells", place)
        table = table.slice(1)
        self.judge_cells(table, place)
        said = (
            table["c1"].str.extract_groups(r"^#([A-Z])\s*(.*?)\s*$").struct.unnest().rename({"1": "mark", "2": "text"})
        )
        table = table.hstack(said).with_columns(pl.col("text").replace("", None))
        if table["mark"].is_in(["O", "S", "F"]).sum() != table["c1"].str.starts_with("#").sum():
            raise self._fault("has lines with # that are not #F2, #O or #S", place)
        for name, mark, carried in (("point", "O", self._point), ("sensor", "S", self._sensor)):
            own = pl.when(pl.col("mark") == mark).then("text").forward_fill().fill_null(pl.lit(carried, pl.String))
            table = table.with_columns(own.alias(name))
        self._point, self._sensor = table["point"][-1], table["sensor"][-1]
        rows = table.filter(pl.col("mark").is_null())
        if rows["point"].null_count():
            raise self._fault("has half-hours before the first #O", place)
        if rows["c2"].null_count() or rows["c1"].null_count():
            raise self._fault("has lines that are not date, time and value", place)
        known = rows["sensor"].fill_null("1").replace_strict(dict(self._sensors), default=None, return_dtype=pl.String)
        for sensor, count in rows.filter(known.is_null())["sensor"].value_counts().iter_rows():
            self._strange[sensor if sensor.isdigit() and len(sensor) < 4 else "?"] += count
        return rows.select(
            "point", known.alias("quantity"), pl.col("c1").alias("day"), pl.col("c2").alias("time"),
            pl.col("c3").alias("value"), pl.col("c4").alias("flag"),
        ).filter(known.is_not_null())  # fmt: skip

    def _fault(self, what: str, place: str) -> IntakeError:
        return IntakeError(f"is a df2 file and {what}, {place}", where=self.label, remedy="export it again")


def as_days(reader: Reader, spec: SourceSpec, limits: Limits, contract: Contract | None) -> Reader:
    """Return a reader of days: the same one, unless its table has a row a half-hour.

    Raises:
        RefusedError: a heading is a person's (DQ23, Q68).
    """
    if contract is None or contract.half_hours is None or reader.form == "dtc":
        return reader
    table = long_table(contract, reader.header, spec.columns)
    return reader if table is None else LongReader(reader, spec, limits, contract, table)


def day_headings(
    contract: Contract, header: tuple[str, ...], spec: SourceSpec
) -> tuple[dict[str, str], dict[str, str]]:
    """Return column -> heading of ``columns:`` and of half-hours that are headed by clock times.

    With them comes what such a table may leave out: column -> its value.
    """
    own = dict(spec.columns)
    if contract.half_hours is None or any(name in own for name in PERIODS):
        return own, {}
    found = clock_headings(header)
    return {**found, **own}, {QUANTITY: contract.half_hours.quantity} if found else {}
