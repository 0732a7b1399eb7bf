"""A batch of conformed rows -> the same rows under pseudonyms, by the treatment that each column's contract names."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import ContractError
from contracts.model import Column, Contract, Treatment
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme.model import SchemeLists
from contracts.vocabulary import Classification, Field, Method, PostcodePolicy
from transforms.conform import bad
from transforms.pseudonymise import address, identifiers
from transforms.pseudonymise.byte_columns import scatter, to_series
from transforms.pseudonymise.half_hourly import series_seeds, synthetic_days, watt_hours
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import FieldKeys, Subkey
from transforms.pseudonymise.mpan import Keys, MpanPermutation, order_key
from transforms.pseudonymise.references import references
from transforms.pseudonymise.sealed_series import seal, unseal
from transforms.treatment.amounts import varied
from transforms.treatment.companions import followed
from transforms.treatment.dates import moved
from transforms.treatment.shared_texts import SharedRule, required

OWN_IDENTIFIER = "own_identifier"  # the mark that rule DQ22 reads
TOKEN_FIELD = "token"  # noqa: S105 - a key label
SYNTHETIC_FIELD, SEALED_FIELD = "half-hourly", "half-hourly-sealed"
TOKEN_DIGITS = 32
DATE_FIELD, AMOUNT_FIELD = "date", "amount"
ORDER = "_order"
GENERALISED_DATES = {"year": "1y", "month": "1mo"}
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


class Pseudonymiser:
    """Everything of one cut that turns identifiers into pseudonyms. Key material stays inside; ``repr`` shows none.

    Args:
        keys: the cut's field keys.
        postcode: how much of a postcode stays (policy).
        lists: the frozen lists of the scheme.
        precision: what dates are moved and amounts varied by; None where a policy does neither.
    """

    def __init__(
        self,
        keys: FieldKeys,
        postcode: PostcodePolicy = PostcodePolicy.OUTWARD,
        *,
        lists: SchemeLists,
        precision: ReleasedPrecision | None = None,
    ) -> None:
        self._mpan = MpanPermutation(keys.field(Field.MPAN))
        self._serial = keys.field(Field.METER_SERIAL)
        self._esme = keys.field(Field.ESME_ID)
        self._uprn = keys.field(Field.UPRN)
        self._address = keys.field(Field.ADDRESS)
        self._token = keys.field(TOKEN_FIELD)
        self._series = keys.field(SYNTHETIC_FIELD)
        self._seal = (keys.field(SEALED_FIELD), keys.field(f"{SEALED_FIELD}-counter"))
        self._dates = MpanPermutation(keys.field(DATE_FIELD))
        self._amounts = MpanPermutation(keys.field(AMOUNT_FIELD))
        self._date_mark, self._amount_mark = (_mark(keys.field(name)) for name in (DATE_FIELD, AMOUNT_FIELD))
        self._postcode, self._lists, self._precision = postcode, lists, precision
        self._following: tuple[Keys, Keys] = (np.empty(0, np.uint64), np.empty(0, np.uint64))
        self.shared: Mapping[str, pl.Series] | None = None
        self.cut_id = keys.cut_id

    def __repr__(self) -> str:
        return f"Pseudonymiser({self.cut_id})"

    def together(self, following: tuple[Keys, Keys]) -> Pseudonymiser:
        """Return one that moves the dates of some metering points as those of another (``treatment.companions``)."""
        made = copy(self)
        made._following = following
        return made

    def among(self, shared: Mapping[str, pl.Series] | None) -> Pseudonymiser:
        """Return one that releases these texts alone of columns ``extract.column`` (``treatment.shared_texts``)."""
        made = copy(self)
        made.shared = shared
        return made

    def values(self, field: Field, values: pl.Series) -> pl.Series:
        """Return the pseudonyms of a column of one field; null where the scheme does not cover a value.

        Raises:
            ContractError: the field is ``address``, whose pseudonym needs all lines at once.
        """
        match field:
            case Field.MPAN:
                return self._mpan.pseudonyms(values)
            case Field.METER_SERIAL:
                return identifiers.meter_serials(self._serial, values)
            case Field.ESME_ID:
                return identifiers.esme_ids(self._esme, values)
            case Field.UPRN:
                return identifiers.uprns(self._uprn, values)
            case _:
                raise ContractError("an address is pseudonymised as a whole", where=field.value)

    def permuted(self, keys: Keys) -> Keys:
        """Return the keys of the pseudonyms of MPAN cores that are given as keys (``mpan.keys``)."""
        return self._mpan.permuted(keys)

    def addresses(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the pseudonym address columns of a frame with address lines and postcode."""
        return address.addresses(self._address, frame, self._lists, self._postcode)

    def days(self, points: pl.Series, frame: pl.DataFrame, periods: list[str]) -> list[pl.Series]:
        """Return invented half-hourly series of the same totals; ``points`` are the rows' pseudonym MPANs."""
        return synthetic_days(self._series, points, frame, periods, self._lists.daily_shapes)

    def sealed(self, frame: pl.DataFrame, periods: list[str]) -> pl.Series:
        """Return the real values of each row's periods as only a holder of the key can read them."""
        values, present = watt_hours(frame, periods)
        return seal(*self._seal, values, present)

    def unsealed(self, sealed: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return watt-hours by row and period, and where there are any, of rows that were sealed."""
        return unseal(self._seal[0], sealed)

    def series_seeds(self, frame: pl.DataFrame) -> NDArray[np.uint64]:
        """Return a keyed number for each metering point, measurement quantity and day of a frame."""
        return series_seeds(self._series, frame["mpan_core"], frame)

    def moved(self, points: pl.Series, dates: pl.Series, stretch: int) -> pl.Series:
        """Return the dates that are released; ``points`` are the order keys of the rows' pseudonym MPANs.

        Raises:
            ContractError: nobody said which day no date crosses.
        """
        precision = self._needed(dates.name)
        rows = np.flatnonzero((dates.is_not_null() & points.is_not_null()).to_numpy())
        seeds = self._dates.permuted(followed(points.gather(rows).to_numpy(), self._following)) ^ self._date_mark
        days = dates.gather(rows).cast(pl.Int32).cast(pl.Int64).to_numpy()
        made = moved(seeds, days, (precision.cut_date - date(1970, 1, 1)).days, stretch)
        out = pl.Series(dates.name, [None], dtype=pl.Int32).new_from_index(0, dates.len())
        return out.scatter(rows, pl.Series(made).cast(pl.Int32)).cast(pl.Date)

    def varied(self, points: pl.Series, amounts: pl.Series, share: float) -> pl.Series:
        """Return the amounts that are released, as decimals of the same scale; ``points`` as for :meth:`moved`.

        Raises:
            ContractError: nobody said how amounts are varied.
        """
        how = self._needed(amounts.name).amounts
        rows = np.flatnonzero((amounts.is_not_null() & points.is_not_null()).to_numpy())
        seeds = self._amounts.permuted(points.gather(rows).to_numpy()) ^ self._amount_mark
        values = amounts.gather(rows).cast(pl.Float64).to_numpy()
        item = np.uint64(int.from_bytes(amounts.name.encode()[:8].ljust(8, b"\0"), "little"))
        made = varied(seeds, values, np.full(rows.size, item), share, how.bands, how.steps)
        out = pl.Series(amounts.name, [None], dtype=pl.Float64).new_from_index(0, amounts.len())
        return out.scatter(rows, made).round(3).cast(amounts.dtype)

    def _needed(self, where: str) -> ReleasedPrecision:
        if self._precision is None:
            raise ContractError("a value is moved or varied without a cut date", where=where)
        return self._precision

    def references(self, values: pl.Series) -> pl.Series:
        """Return keyed tokens in the shape of the values: digits for digits, letters for letters."""
        return references(self._token, values)

    def tokens(self, values: pl.Series, purpose: str) -> pl.Series:
        """Return keyed tokens (HMAC-SHA-256, 32 hex digits) of texts; ``purpose`` keeps columns apart."""
        rows = np.flatnonzero(values.is_not_null().to_numpy())
        messages = values.drop_nulls().alias("m").to_frame().select(pl.lit(f"{purpose}\n") + pl.col("m")).to_series()
        digest = hmac_sha256(self._token, messages)[:, : TOKEN_DIGITS // 2]
        text = np.empty((rows.size, TOKEN_DIGITS), dtype=np.uint8)
        text[:, 0::2], text[:, 1::2] = _HEX[digest >> 4], _HEX[digest & 15]
        return scatter(values.len(), [(rows, to_series(text))] if rows.size else [], values.name)


def pseudonymise(frame: pl.DataFrame, contract: Contract, pseudonymiser: Pseudonymiser) -> pl.DataFrame:
    """Hide the identifiers of one batch in memory, as contract and policy treat them.

    Columns in: the contract's columns as conformed, and their ``_bad_`` marks.
    Columns out: the staged columns, in contract order; ``_sealed``, real half-hours for the key's holder, where they
    are invented; ``_token``, a keyed token of an MPAN that has no pseudonym; marks of identifiers that scheme 1 does
    not cover (``_bad_<column>``); ``_bad_own_identifier`` where a pseudonym is the value itself, which chance does
    about once in a million short serial numbers: it becomes null.

    Columns that identify nobody pass as they are, since rules read them; what the policy does beyond the contract
    happens on release (``treat``). Half-hourly values are replaced here and now, unless the policy names them ``keep``:
    real ones are never written, not even to the work folder; their rules are judged at intake.
    """
    out: list[pl.Series] = []
    marks: list[pl.Series] = []
    addressed: pl.DataFrame | None = None
    same = pl.repeat(value=False, n=frame.height, eager=True)
    for column in contract.staged:
        raw = frame[column.name]
        treatment = column.treatment
        if column.classification is not Classification.IDENTIFIER:
            out.append(_nothing(raw) if contract.treatment(column).method is Method.SYNTHETIC else raw)
        elif treatment.method is Method.TOKEN:
            out.append(pseudonymiser.tokens(raw.cast(pl.String), column.name))
        elif treatment.field is Field.ADDRESS:
            if addressed is None:
                addressed = pseudonymiser.addresses(frame)
            out.append(addressed[column.name])
        elif treatment.field is not None:
            value = pseudonymiser.values(treatment.field, raw)
            marks.append((raw.is_not_null() & value.is_null()).alias(bad(column.name)))
            itself = (value == raw).fill_null(value=False)
            same = same | itself
            out.append(value.set(itself, None) if itself.any() else value)
        else:
            out.append(_nothing(raw))
    key = contract.key[0]
    pseudonym = next(series for series in out if series.name == key)
    invented = [c.name for c in contract.staged if contract.treatment(c).method is Method.SYNTHETIC]
    made = {series.name: series for series in pseudonymiser.days(pseudonym, frame, invented)} if invented else {}
    out = [made.get(series.name, series) for series in out]
    out += [pseudonymiser.sealed(frame, invented)] if invented else []
    unnamed = frame[key].zip_with(pseudonym.is_null(), pl.Series(key, [None], dtype=pl.String))
    token = pseudonymiser.tokens(unnamed, key).alias("_token")
    kept = frame.select(pl.col("^_bad_.*$"))
    marks.append(same.alias(bad(OWN_IDENTIFIER)))
    return pl.DataFrame([*out, token, *kept.drop([m.name for m in marks], strict=False), *marks])


def _nothing(raw: pl.Series) -> pl.Series:
    return pl.Series(raw.name, [None], dtype=raw.dtype).new_from_index(0, raw.len())


def _mark(key: Subkey) -> np.uint64:
    """Return 64 secret bits that the seeds of all metering points have in common."""
    return np.uint64(int.from_bytes(key.material()[:8], "little"))


def treat(frame: pl.LazyFrame, contract: Contract, pseudonymiser: Pseudonymiser) -> pl.LazyFrame:
    """Apply contract and policy to the columns that a frame has; identifiers are pseudonyms already.

    Columns in: any of the contract's staged columns, and others, which pass.
    Columns out: the same without dropped ones; suppressed ones are null; dates cut to the month or year, numbers
    rounded or varied, dates moved, texts cut to their first characters or, where few share them, one word for all;
    tokens in place of values.

    Raises:
        ContractError: a treatment does not fit the column's form, or nobody counted who shares its texts.
    """
    schema = frame.collect_schema()
    names = schema.names()
    changed, dropped = [], []
    for column in contract.staged:
        treatment = contract.treatment(column)
        if column.name not in names or (
            column.classification is Classification.IDENTIFIER and treatment == column.treatment
        ):
            continue
        if treatment.method is Method.DROP:
            dropped.append(column.name)
        elif treatment.method in (Method.MOVE, Method.VARY):
            order = pl.col(ORDER) if ORDER in names else order_key(contract.key[0])
            changed.append(less_precise(column.name, schema[column.name], treatment, pseudonymiser, order))
        elif treatment.method is Method.COMMON:
            shared = required(pseudonymiser.shared, contract.extract, column.name)
            changed.append(SharedRule.of(treatment).released(pl.col(column.name), shared))
        elif treatment.method not in (Method.KEEP, Method.SYNTHETIC, Method.MIX, Method.PSEUDONYMISE):
            changed.append(_coarser(column, treatment, pseudonymiser).alias(column.name))
    return frame.with_columns(changed).drop(dropped) if changed or dropped else frame


def less_precise(
    name: str, dtype: pl.DataType, treatment: Treatment, pseudonymiser: Pseudonymiser, order: pl.Expr
) -> pl.Expr:
    """Return column ``name`` with its dates moved or its amounts varied; ``order``: the metering points' order keys."""
    far = int(str(treatment.rule).partition(" ")[0])
    pair = pl.struct(order.alias("point"), pl.col(name).alias("value"))
    if treatment.method is Method.MOVE:
        return pair.map_batches(
            lambda rows: pseudonymiser.moved(rows.struct["point"], rows.struct["value"].alias(name), far),
            return_dtype=pl.Date,
        ).alias(name)
    return pair.map_batches(
        lambda rows: pseudonymiser.varied(rows.struct["point"], rows.struct["value"].alias(name), far / 100),
        return_dtype=dtype,
    ).alias(name)


def _coarser(column: Column, treatment: Treatment, pseudonymiser: Pseudonymiser) -> pl.Expr:
    value = pl.col(column.name)
    word, _, amount = str(treatment.rule or "").partition(" ")
    match treatment.method:
        case Method.SUPPRESS:
            return pl.when(pl.lit(value=False)).then(value)
        case Method.TOKEN:
            name = column.name
            texts = value.cast(pl.String)
            return texts.map_batches(lambda batch: pseudonymiser.tokens(batch, name), return_dtype=pl.String)
        case Method.GENERALISE if word in GENERALISED_DATES:
            return value.dt.truncate(GENERALISED_DATES[word])
        case Method.GENERALISE if word == "round":
            step = int(amount)
            return ((value.cast(pl.Float64) / step).round() * step).cast(pl.Decimal(16, 1))
        case Method.GENERALISE if word == "first":
            return value.str.head(int(amount))
    raise ContractError(
        f"treatment {treatment.describe()!r} does not fit the form {column.form.value!r}", where=column.name
    )
