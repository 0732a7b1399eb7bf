"""A batch of conformed rows -> the same rows under pseudonyms, by the treatment that each column's contract names."""

from __future__ import annotations

import numpy as np
import polars as pl

from contracts.errors import ContractError
from contracts.model import Column, Contract
from contracts.vocabulary import Field, Form, Method
from transforms import address, identifiers
from transforms.address import PostcodePolicy
from transforms.columns import scatter, to_series
from transforms.conform import bad
from transforms.keyed_hash import hmac_sha256
from transforms.keys import FieldKeys
from transforms.mpan import MpanPermutation

TOKEN_FIELD = "token"  # noqa: S105 - a key label
TOKEN_DIGITS = 32
GENERALISED_DATES = {"year": "1y", "month": "1mo"}
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


class Pseudonymiser:
    """Everything of one cut that turns identifiers into pseudonyms. Key material stays inside; ``repr`` shows none.

    Args:
        keys: the cut's field keys.
        postcode: how much of a postcode stays (policy).
    """

    def __init__(self, keys: FieldKeys, postcode: PostcodePolicy = PostcodePolicy.OUTWARD) -> None:
        self._mpan = MpanPermutation(keys.field(Field.MPAN))
        self._serial = keys.field(Field.METER_SERIAL)
        self._esme = keys.field(Field.ESME_ID)
        self._uprn = keys.field(Field.UPRN)
        self._address = keys.field(Field.ADDRESS)
        self._token = keys.field(TOKEN_FIELD)
        self._postcode = postcode
        self.cut_id = keys.cut_id

    def __repr__(self) -> str:
        return f"Pseudonymiser({self.cut_id})"

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

    def addresses(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the pseudonym address columns of a frame with address lines and postcode."""
        return address.addresses(self._address, frame, self._postcode)

    def tokens(self, values: pl.Series, purpose: str) -> pl.Series:
        """Return keyed tokens (HMAC-SHA-256, 32 hex digits) of texts; ``purpose`` keeps columns apart."""
        rows = np.flatnonzero(values.is_not_null().to_numpy())
        messages = values.drop_nulls().alias("m").to_frame().select(pl.lit(f"{purpose}\n") + pl.col("m")).to_series()
        digest = hmac_sha256(self._token, messages)[:, : TOKEN_DIGITS // 2]
        text = np.empty((rows.size, TOKEN_DIGITS), dtype=np.uint8)
        text[:, 0::2], text[:, 1::2] = _HEX[digest >> 4], _HEX[digest & 15]
        return scatter(values.len(), [(rows, to_series(text))] if rows.size else [], values.name)


def pseudonymise(frame: pl.DataFrame, contract: Contract, pseudonymiser: Pseudonymiser) -> pl.DataFrame:
    """Apply the contract's treatments to one batch in memory.

    Columns in: the contract's columns as conformed, and their ``_bad_`` marks.
    Columns out: the released columns, in contract order; ``_token``, a keyed token of an MPAN that has no pseudonym;
    marks of identifiers that scheme 1 does not cover (``_bad_<column>``), beside the marks that came in.
    """
    out: list[pl.Series] = []
    marks: list[pl.Series] = []
    addressed: pl.DataFrame | None = None
    for column in contract.released:
        raw = frame[column.name]
        treatment = column.treatment
        if treatment.method is not Method.PSEUDONYMISE:
            out.append(_simple(raw, column, pseudonymiser))
        elif treatment.field is Field.ADDRESS:
            if addressed is None:
                addressed = pseudonymiser.addresses(frame)
            out.append(addressed[column.name])
        elif treatment.field is not None:
            value = pseudonymiser.values(treatment.field, raw)
            out.append(value)
            marks.append((raw.is_not_null() & value.is_null()).alias(bad(column.name)))
    key = contract.key[0]
    pseudonym = next(series for series in out if series.name == key)
    unnamed = frame[key].zip_with(pseudonym.is_null(), pl.Series(key, [None], dtype=pl.String))
    token = pseudonymiser.tokens(unnamed, key).alias("_token")
    kept = frame.select(pl.col("^_bad_.*$"))
    return pl.DataFrame([*out, token, *kept.drop([m.name for m in marks], strict=False), *marks])


def _simple(raw: pl.Series, column: Column, pseudonymiser: Pseudonymiser) -> pl.Series:
    """Return a column under a treatment other than ``pseudonymise``.

    Raises:
        ContractError: the generalisation is not known.
    """
    match column.treatment.method:
        case Method.KEEP:
            return raw
        case Method.TOKEN:
            return pseudonymiser.tokens(raw.cast(pl.String), column.name)
        case Method.SUPPRESS:
            return pl.Series(raw.name, [None], dtype=raw.dtype).new_from_index(0, raw.len())
        case Method.GENERALISE if column.form is Form.DATE and column.treatment.rule in GENERALISED_DATES:
            return raw.dt.truncate(GENERALISED_DATES[column.treatment.rule])
    raise ContractError(
        f"treatment {column.treatment.describe()!r} does not fit the form {column.form.value!r}", where=column.name
    )
