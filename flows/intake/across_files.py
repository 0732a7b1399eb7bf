"""What the files of a source have to be joined for: halves of settlement days, and registers told by two flows.

Source: DTC 15.4, D0379 (days from midnight to midnight UTC), D0313 (auxiliary meter technical details) and D0149
(mapping details, which go with a D0150).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.dtc.layout import DtcLayout
from contracts.errors import RefusedError
from flows.intake.utc_days import SettlementDays

MOST_WAITING = 5_000_000  # rows of registers that wait for another flow
_REGISTER = ("mpan_core", "meter_serial_number", "register_id")
_KEY, _QUANTITY = "\x1fkey", "measurement_quantity"


class RegisterKeys:
    """Rows of a flow that completes others (D0313 and D0149 beside D0268, D0150): they wait until all files are read.

    Of a register that the other flow names too, the quantity of a D0313 fills what is empty there; one that it does not
    name is a row of its own, if the quantity is certain. A D0149 says no quantity: its row stands where no other flow
    has the register, and only there. Of every other register 64 bits are remembered.

    Attributes:
        unclear: registers of which the flow does not say what they measure, and no other does; final at the end.
        repeated: rows of a D0149 about registers that another flow has; final at the end.
    """

    def __init__(self, label: str = "") -> None:
        self._label, self._waiting = label, 0
        self._met: list[NDArray[np.uint64]] = []
        self._open: list[pl.DataFrame] = []
        self._told: list[pl.DataFrame] = []
        self._mapped: list[pl.DataFrame] = []
        self.unclear = self.repeated = 0

    def wait(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep rows of the completing flow for the end.

        Raises:
            RefusedError: too many rows wait.
        """
        if _QUANTITY not in frame.columns:
            return self._map(frame)
        self._judge(frame.height)
        self._told.append(frame)
        return frame.clear()

    def _map(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep rows of a D0149; very many of them go on as they are while no other flow has been met."""
        self._mapped.append(frame)
        if self._met or sum(part.height for part in self._mapped) <= MOST_WAITING:
            self._judge(frame.height if self._met else 0)
            return frame.clear()
        rows, self._mapped = pl.concat(self._mapped), []
        return rows

    def complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows of a completed flow; those without a quantity wait.

        Raises:
            RefusedError: too many rows wait.
        """
        self._met.append(_keys(frame).to_numpy())
        empty = (frame[_QUANTITY].str.strip_chars() == "").fill_null(value=True)
        if not empty.any():
            return frame
        self._judge(int(empty.sum()))
        self._open.append(frame.filter(empty))
        return frame.filter(~empty)

    def _judge(self, more: int) -> None:
        self._waiting += more
        if self._waiting > MOST_WAITING:
            raise RefusedError(
                f"has more than {MOST_WAITING:,} registers that wait for what another flow says of them",
                where=self._label,
                remedy="send D0313 with the D0268 or D0150 of the same metering points, a part of them at a time",
            )

    def rest(self) -> pl.DataFrame | None:
        """Return the rows that waited, once."""
        told, held, self._told, self._open = self._told, self._open, [], []
        mapped, self._mapped = self._mapped, []
        if not told and not held and not mapped:
            return None
        frames = [self._alone(pl.concat(mapped), told)] if mapped else []
        known = _certain(pl.concat(told, how="diagonal")) if told else None
        if held:
            rows = pl.concat(held, how="diagonal")
            frames.append(rows if known is None else _filled(rows, known))
        if known is not None:
            met = pl.Series(np.concatenate([np.empty(0, np.uint64), *self._met]))
            new = known.filter(~pl.col(_KEY).is_in(met.implode()))
            certain = new.filter(pl.col(_QUANTITY).is_not_null())
            self.unclear = new.height - certain.height
            frames.append(certain.drop(_KEY))
        return pl.concat(frames, how="diagonal")

    def _alone(self, rows: pl.DataFrame, told: list[pl.DataFrame]) -> pl.DataFrame:
        """Return the rows of registers that no other flow has; count the others."""
        others = pl.Series(np.concatenate([np.empty(0, np.uint64), *self._met, *(_keys(f).to_numpy() for f in told)]))
        own = rows.filter(~_keys(rows).is_in(others.implode()))
        self.repeated = rows.height - own.height
        return own


class AcrossFiles:
    """What the readers of the files of one source share.

    Args:
        layouts: all layouts of the extract.
        label: what errors call the source.
    """

    def __init__(self, layouts: Sequence[DtcLayout], label: str) -> None:
        self.days = SettlementDays(label)
        self.registers = RegisterKeys(label)
        self._completed = frozenset(flow for layout in layouts for flow in layout.completes)

    def take(self, layout: DtcLayout, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what is whole of the rows of a layout."""
        if layout.utc_days:
            return self.days.join(frame)
        if layout.completes:
            return self.registers.wait(frame)
        return self.registers.complete(frame) if layout.flow in self._completed else frame

    def left(self) -> list[str]:
        """Say what could not be joined; final at the end."""
        days, unclear = self.days.left, self.registers.unclear
        told = [f"{days} settlement days at the edges of UTC days are not whole"] if days else []
        if unclear:
            told.append(f"{unclear} registers of a flow that does not say which of several quantities they measure")
        if repeated := self.registers.repeated:
            told.append(f"{repeated} regimes of registers in a D0149 whose registers another flow has: that row counts")
        return told


def _keys(frame: pl.DataFrame) -> pl.Series:
    spelt = [pl.col(name).str.replace_all(r"\s", "").fill_null("") for name in _REGISTER]
    return frame.select(pl.concat_str(spelt, separator="\x1f").hash()).to_series()


def _certain(told: pl.DataFrame) -> pl.DataFrame:
    """Return one row a register; what several records disagree on is empty."""
    quantity = pl.col(_QUANTITY).str.strip_chars().drop_nulls()
    agreed = pl.when(quantity.n_unique() == 1).then(quantity.first())
    others = [pl.col(c).first() for c in told.columns if c != _QUANTITY]
    rows = told.with_columns(_keys(told).alias(_KEY)).group_by(_KEY, maintain_order=True)
    return rows.agg(*others, agreed.alias(_QUANTITY)).select(*told.columns, _KEY)


def _filled(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    quantity = known.select(_KEY, pl.col(_QUANTITY).alias("\x1ftold"))
    joined = rows.with_columns(_keys(rows).alias(_KEY)).join(quantity, on=_KEY, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("\x1ftold", _QUANTITY).alias(_QUANTITY)).select(rows.columns)
