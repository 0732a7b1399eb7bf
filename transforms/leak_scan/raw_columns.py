"""The raw columns of a batch -> digests of its identifiers, before anything else has touched them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from contracts.vocabulary import Form
from transforms.leak_scan.candidates import (
    CORE,
    ESME_DIGITS,
    MPAN,
    SERIAL,
    SUPPLY_NUMBER,
    UPRN,
    Windows,
    house_and_street,
    significant,
)
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Digester, Digests, DigestSet, Ints, Kind
from transforms.leak_scan.known import sorts_of

KINDS = {
    Form.MPAN: Kind.MPAN,
    Form.METER_SERIAL: Kind.METER_SERIAL,
    Form.ESME_ID: Kind.ESME_ID,
    Form.UPRN: Kind.UPRN,
    Form.POSTCODE: Kind.POSTCODE,
    Form.ADDRESS_LINE: Kind.ADDRESS_LINE,
}
NUMBERS = (Kind.MPAN, Kind.UPRN)
POINT_NOUGHT = r"\.0+[\s\"']*$"  # a number of a spreadsheet, maybe in what keeps it a text: the same number
SHORTEST_LINE = 8  # letters and digits of a line of an address that tell somebody
PAIRED = (Kind.METER_SERIAL, Kind.POSTCODE, Kind.UPRN, Kind.ADDRESS_LINE)


@dataclass(slots=True)
class RawDigests:
    """Digests of one batch: identifiers by kind, the sorts of each, and row by row the value that it holds."""

    values: dict[Kind, list[Digests]] = field(default_factory=dict)
    sorts: dict[Kind, list[Digests]] = field(default_factory=dict)
    rows: list[tuple[Kind, Ints, Digests]] = field(default_factory=list)

    def add(self, kind: Kind, digests: Digests, sorts: Digests) -> None:
        """Add identifiers of a kind."""
        self.values.setdefault(kind, []).append(digests)
        self.sorts.setdefault(kind, []).append(sorts)


def raw_digests(batch: pl.DataFrame, forms: Mapping[str, Form], digester: Digester, common: DigestSet) -> RawDigests:
    """Digest the identifiers of a batch as the source wrote it.

    Args:
        batch: text columns of the source.
        forms: heading -> form of the contract's column, for the columns that the contract names.
        common: digests of streets and post towns, which pseudonym addresses are made of (:func:`common_lines`).
    """
    found = RawDigests()
    lines: list[pl.Series] = []
    for heading, form in forms.items():
        kind = KINDS.get(form)
        if kind is None:
            continue
        texts = batch[heading].cast(pl.String)
        if kind in NUMBERS and texts.str.contains(".", literal=True).any():
            texts = texts.str.replace(POINT_NOUGHT, "")
        rows = np.flatnonzero(texts.is_not_null().to_numpy())
        if not rows.size:
            continue
        _column(found, kind, Condensed.of_texts(texts.drop_nulls()), rows, digester, common)
        if kind is Kind.ADDRESS_LINE:
            lines.append(texts)
    if lines:
        whole = pl.select(pl.concat_str(lines, separator=" ", ignore_nulls=True)).to_series()
        text = Condensed.of_texts(whole)
        houses = house_and_street(text)
        digests = digester.of(Kind.ADDRESS_LINE, text.data, houses.start, houses.length)
        found.add(Kind.ADDRESS_LINE, digests, np.zeros(digests.size, np.uint64))
    return found


def row_pairs(found: RawDigests, names: pl.Series, digester: Digester) -> Digests:
    """Return digests of each row's short identifiers together with the pseudonym MPAN that the row got.

    No row of that pseudonym may show them, whatever chance does elsewhere. The pseudonym is taken as it came out; it is
    not asked whether it is right.
    """
    present = np.flatnonzero(names.is_not_null().to_numpy())
    text = Condensed.of_texts(names.drop_nulls())
    start, length = text.cell_spans()
    owner = np.zeros(names.len(), np.uint64)
    owner[present] = digester.of(Kind.MPAN, text.data, start, np.minimum(length, CORE))
    parts = [np.zeros(0, np.uint64)]
    for _, rows, digests in found.rows:
        named = owner[rows] != 0
        parts.append(digester.of_pairs(owner[rows][named], digests[named]))
    return np.concatenate(parts)


def common_lines(lines: pl.Series, digester: Digester) -> DigestSet:
    """Return digests of lines that are everybody's."""
    text = Condensed.of_texts(lines)
    start, length = text.cell_spans()
    return DigestSet(digester.of(Kind.ADDRESS_LINE, text.data, start, length))


def _column(found: RawDigests, kind: Kind, text: Condensed, rows: Ints, digester: Digester, common: DigestSet) -> None:
    start, length = text.cell_spans()
    digits = text.digits_before[start + length] - text.digits_before[start]
    match kind:
        case Kind.MPAN:
            whole = (digits == length) & ((length == MPAN) | (length == CORE + 1))
            # a number cell loses noughts in front, and an S may lead it
            supply = (length >= SUPPLY_NUMBER - 2) & (length <= SUPPLY_NUMBER + 1) & (digits >= MPAN)
            short = (digits == length) & (length == CORE)
            start = np.where(supply, start + length - MPAN, start)
            good = whole | supply | short
            length = np.full(start.size, CORE)
        case Kind.ESME_ID:
            good = length == ESME_DIGITS
        case Kind.UPRN:
            good = (digits == length) & (length >= 1) & (length < UPRN.stop)
        case Kind.POSTCODE:
            good = (length >= 5) & (length <= 7)
        case Kind.METER_SERIAL:
            good = length >= 1
        case _:
            good = length >= SHORTEST_LINE
    windows = Windows(kind, "", start[good], length[good])
    rows = rows[good]
    if kind is Kind.UPRN:
        windows = significant(text, windows)
    digests = digester.of(kind, text.data, windows.start, windows.length)
    if kind is Kind.ADDRESS_LINE:  # a line that any pseudonym address may have tells nobody
        telling = ~common.contains(digests)
        windows = Windows(kind, "", windows.start[telling], windows.length[telling])
        rows, digests = rows[telling], digests[telling]
    if kind in PAIRED:
        found.rows.append((kind, rows, digests))
    if kind is Kind.METER_SERIAL:
        long = (windows.length >= SERIAL.start) & (windows.length < SERIAL.stop)
        windows, digests = Windows(kind, "", windows.start[long], windows.length[long]), digests[long]
    if kind is Kind.UPRN:
        long = windows.length >= UPRN.start
        windows, digests = Windows(kind, "", windows.start[long], windows.length[long]), digests[long]
    names, _ = sorts_of(kind, digester, text.data, windows.start, windows.length)
    found.add(kind, digests, names)
