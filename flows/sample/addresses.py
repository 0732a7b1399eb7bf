"""Addresses of premises, broken into nine lines as irregularly as registration systems hold them.

The words of one premises keep their order whatever the layout, since organisations break lines differently; street
types are abbreviated now and then, on one of two metering points of the same premises too.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample import geography as places
from flows.sample.market import METER_CLASS_OF
from flows.sample.permutation import permute, pick
from flows.sample.population import SamplePopulation
from flows.sample.request import SampleRequest

Ints = NDArray[np.int64]
LINES = tuple(f"address_line_{n}" for n in range(1, 10))
_STREETS, _FLATS, _DWELLINGS = len(places.STREET_TEXTS), len(places.FLATS), len(places.DWELLINGS)
_ACCENTED, _YORKSHIRE = len(places.ACCENTED), 1
_ESTATE = 1 + _DWELLINGS + _ACCENTED
# line -> the parts it holds in each of four layouts; parts keep their order down the lines
_LAYOUTS = {
    1: (None, "flat_building", "flat", "flat"),
    2: ("flat", "number_street", "building", None),
    3: ("building", "locality", "number", "building"),
    4: (None, "town", "street", "number"),
    5: ("number_street", "county", "locality", "street"),
    7: ("locality", None, None, "locality"),
    8: ("town", None, "town", "town"),
    9: ("county", None, "county", "county"),
}
_LAYOUT_OF_100 = np.repeat(np.arange(4), [45, 30, 15, 10])


class Addresses:
    """Codes of the address parts of a chunk's metering points, and their text."""

    def __init__(self, people: SamplePopulation, request: SampleRequest) -> None:
        geography, salt = request.geography, request.salt
        premises = people.premises
        postcode, number = permute(premises, geography.postcodes, places.HIGHEST_NUMBER, salt + 300)
        self.layout = _LAYOUT_OF_100[pick(people.index, salt + 310, 100)]
        self.short = pick(people.index, salt + 311, 100) < 6
        place = people.group * geography.postcodes + postcode
        self.street = 1 + pick(place, salt + 312, _STREETS)
        outward = postcode % geography.outwards
        self.outward = places.OUTWARD_BASE[people.group] + outward
        step = postcode // geography.outwards * 1237 + outward * 77  # 1237 shares no factor with 4,000
        self.inward = 1 + step % places.PER_OUTWARD
        self.locality = np.where(
            pick(place, salt + 313, 10) < 3, 1 + pick(place, salt + 314, len(places.LOCALITY) - 1), 0
        )
        with_county = pick(place, salt + 315, 10) < 4
        self.town = places.TOWN_OF[self.outward]
        self.county = np.where(with_county, places.COUNTY_OF[self.outward], 0)
        self._house(people, place, number, salt)

    def _house(self, people: SamplePopulation, place: Ints, number: Ints, salt: int) -> None:
        """Choose flat, building and number. In a block the postcode has one building and the premises is its flat."""
        block = pick(place, salt + 320, 7) == 0
        premises = people.premises
        business = _of_business(people)
        suffix = pick(premises, salt + 321, 100) < 3
        alone = 1 + number + np.where(suffix, places.HIGHEST_NUMBER, 0)
        self.number = np.where(block, 1 + pick(place, salt + 322, places.HIGHEST_NUMBER), alone)
        self.flat = np.where(block, 1 + number, 0)
        accented = (people.distributor == _YORKSHIRE) & (pick(place, salt + 323, 20) == 0)
        named = 1 + pick(place, salt + 324, _DWELLINGS)
        named = np.where(accented, 1 + _DWELLINGS + pick(place, salt + 325, _ACCENTED), named)
        house = (pick(premises, salt + 326, 100) < 6) | accented
        self.building = np.where(block | house, named, 0)
        estate = business & ~block & (pick(premises, salt + 327, 3) == 0)
        unit = 1 + _FLATS + pick(premises, salt + 328, len(places.UNITS_OF_ESTATE))
        self.flat = np.where(estate, unit, self.flat)
        self.building = np.where(estate, _ESTATE + pick(place, salt + 329, len(places.ESTATES)), self.building)

    def postcodes(self, rows: Ints) -> pl.Series:
        """Return the postcodes of some metering points."""
        parts = {"out": places.OUTWARD.text(self.outward[rows]), "in": places.INWARD_CODE.text(self.inward[rows])}
        return pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=" ")).to_series()

    def lines(self, rows: Ints) -> dict[str, pl.Series]:
        """Return the nine address lines of some metering points; line 6 is never used."""
        street = np.where(self.short[rows], places.SHORT_STREET[self.street[rows]], self.street[rows])
        parts = pl.DataFrame(
            {
                "flat": places.FLAT.text(self.flat[rows]),
                "building": places.BUILDING.text(self.building[rows]),
                "number": places.NUMBER.text(self.number[rows]),
                "street": places.STREETS.text(street),
                "locality": places.LOCALITY.text(self.locality[rows]),
                "town": places.TOWN.text(self.town[rows]),
                "county": places.COUNTY.text(self.county[rows]),
                "layout": self.layout[rows].astype(np.uint8),
            }
        ).with_columns(
            number_street=pl.concat_str("number", "street", separator=" "),
            flat_building=_present(pl.concat_str("flat", "building", separator=", ", ignore_nulls=True)),
        )
        chosen = parts.select(_line(n) for n in range(1, 10))
        return {name: chosen[name] for name in LINES}


def _of_business(people: SamplePopulation) -> NDArray[np.bool_]:
    """Tell which premises are a business: unmetered supplies and non-domestic meter classes, by the primary's product."""
    return METER_CLASS_OF[people.product[people.owner]] >= 3


def _present(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _line(n: int) -> pl.Expr:
    """Return the expression of one line: for each layout the part that stands there."""
    name = f"address_line_{n}"
    chosen: pl.Expr = pl.lit(None, dtype=pl.String)
    by_part: dict[str, list[int]] = {}
    for layout, part in enumerate(_LAYOUTS.get(n, ())):
        if part:
            by_part.setdefault(part, []).append(layout)
    for part, layouts in by_part.items():
        chosen = pl.when(pl.col("layout").is_in(layouts)).then(pl.col(part)).otherwise(chosen)
    return chosen.alias(name)
