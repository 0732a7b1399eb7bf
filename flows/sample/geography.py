"""Invented places: streets, buildings and postcodes of the right region. Nothing here describes a real premises.

Postcode areas and their post towns are public geography; districts, sectors, units, streets and numbers are drawn
without regard to what exists.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from flows.sample.codes import Vocabulary

INWARD = "ABDEFGHJLNPQRSTUWXYZ"  # C I K M O V never stand in an inward code
UNITS = len(INWARD) ** 2
PER_OUTWARD = 10 * UNITS  # ten sectors
HIGHEST_NUMBER = 250

# GSP group: postcode area -> (post town, county, highest district)
AREAS: dict[str, dict[str, tuple[str, str, int]]] = {
    "_A": {
        "CB": ("CAMBRIDGE", "CAMBRIDGESHIRE", 11),
        "CM": ("CHELMSFORD", "ESSEX", 24),
        "CO": ("COLCHESTER", "ESSEX", 16),
        "IP": ("IPSWICH", "SUFFOLK", 33),
        "NR": ("NORWICH", "NORFOLK", 35),
        "PE": ("PETERBOROUGH", "CAMBRIDGESHIRE", 38),
    },
    "_M": {
        "BD": ("BRADFORD", "WEST YORKSHIRE", 24),
        "HD": ("HUDDERSFIELD", "WEST YORKSHIRE", 9),
        "HU": ("HULL", "EAST YORKSHIRE", 20),
        "LS": ("LEEDS", "WEST YORKSHIRE", 29),
        "S": ("SHEFFIELD", "SOUTH YORKSHIRE", 36),
        "YO": ("YORK", "NORTH YORKSHIRE", 62),
    },
    "_B": {
        "DE": ("DERBY", "DERBYSHIRE", 24),
        "LE": ("LEICESTER", "LEICESTERSHIRE", 19),
        "LN": ("LINCOLN", "LINCOLNSHIRE", 13),
        "NG": ("NOTTINGHAM", "NOTTINGHAMSHIRE", 34),
        "NN": ("NORTHAMPTON", "NORTHAMPTONSHIRE", 18),
    },
    "_L": {
        "BS": ("BRISTOL", "AVON", 49),
        "EX": ("EXETER", "DEVON", 39),
        "PL": ("PLYMOUTH", "DEVON", 35),
        "TA": ("TAUNTON", "SOMERSET", 24),
        "TR": ("TRURO", "CORNWALL", 27),
    },
}
GROUPS = tuple(AREAS)

_NAMES = [
    "ALDERLEY",
    "ASHCOMBE",
    "BARLEYFIELD",
    "BECKSIDE",
    "BIRCHWOOD",
    "BLACKTHORN",
    "BRACKENDALE",
    "BRAMLEY",
    "BRIARFIELD",
    "BUTTERCROSS",
    "CHANTRY",
    "CLOVERFIELD",
    "COPSE",
    "CORNMILL",
    "COWSLIP",
    "DAMSON",
    "DOVECOTE",
    "EASTFIELD",
    "ELDERBERRY",
    "FALLOWFIELD",
    "FERNBANK",
    "FOXGLOVE",
    "GORSEHILL",
    "GRANARY",
    "GREENSWARD",
    "HARVEST",
    "HAWTHORN",
    "HAYWAIN",
    "HAZELBANK",
    "HEATHERFIELD",
    "HIGHFIELD",
    "HOLLYBUSH",
    "HONEYSUCKLE",
    "KINGFISHER",
    "LARKRISE",
    "LAVENDER",
    "LIMEKILN",
    "LONGACRE",
    "MALTHOUSE",
    "MARLPIT",
    "MEADOWSWEET",
    "MILLBROOK",
    "NETTLECOMBE",
    "NORTHGATE",
    "OAKLEIGH",
    "ORCHARDLEA",
    "PADDOCKS",
    "PEARTREE",
    "PENNYWELL",
    "PLOUGHMANS",
    "PRIMROSE",
    "QUARRYSIDE",
    "REDSHANK",
    "ROOKERY",
    "ROWANTREE",
    "RUSHMERE",
    "SANDPIPER",
    "SHEPHERDS",
    "SKYLARK",
    "SOUTHLEA",
    "SPINNEY",
    "STACKYARD",
    "STONECROP",
    "SYCAMORE",
    "TANNERY",
    "THISTLEDOWN",
    "TITHEBARN",
    "WATERMEAD",
    "WESTBOURNE",
    "WHEATSHEAF",
    "WILLOWBANK",
    "WINDMILL",
    "WOODPECKER",
    "YARROW",
]
_WAYS = {
    "ROAD": "RD", "LANE": "LN", "AVENUE": "AVE", "CLOSE": "CL", "CRESCENT": "CRES", "GARDENS": "GDNS",
    "TERRACE": "TERR", "GROVE": "GR", "WAY": "WAY", "RISE": "RISE", "HILL": "HILL",
}  # fmt: skip
_HOUSES = [
    "ALBION",
    "BEECH",
    "CEDAR",
    "CORONATION",
    "EBOR",
    "FOUNTAIN",
    "GARDEN",
    "HARBOUR",
    "JUBILEE",
    "LINDEN",
    "MINSTER",
    "REGENT",
    "TOWER",
    "WELLINGTON",
]
_ESTATES = ["BRIDGE", "CANAL", "ENTERPRISE", "FOUNDRY", "GASWORKS", "MERIDIAN", "STATION", "VICTORIA"]
_LOCALITIES = [
    "CHURCH END",
    "EAST GREEN",
    "LOWER HEATH",
    "MIDDLE COMMON",
    "NETHER FEN",
    "NEWTOWN",
    "NORTH MOOR",
    "UPPER MARSH",
    "WEST FORD",
]

STREET_TEXTS = [f"{name} {way}" for name in _NAMES for way in _WAYS]
SHORT_STREET_TEXTS = [f"{name} {short}" for name in _NAMES for short in _WAYS.values()]
STREETS = Vocabulary([*STREET_TEXTS, *(text for text in SHORT_STREET_TEXTS if text not in set(STREET_TEXTS))])
SHORT_STREET = STREETS.codes([None, *SHORT_STREET_TEXTS])  # code of a street -> code of its abbreviated spelling

FLATS = [f"FLAT {n}" for n in range(1, HIGHEST_NUMBER + 1)]
UNITS_OF_ESTATE = [f"UNIT {n}" for n in range(1, 61)]
DWELLINGS = [f"{name} HOUSE" for name in _HOUSES]
ACCENTED = ["CHÂTEAU COURT", "MAISON DORÉE", "CAFÉ YARD", "ÎLE HOUSE", "SÉRAPHINE MEWS"]
ESTATES = [f"{name} INDUSTRIAL ESTATE" for name in _ESTATES]
FLAT = Vocabulary([*FLATS, *UNITS_OF_ESTATE])
BUILDING = Vocabulary([*DWELLINGS, *ACCENTED, *ESTATES])
NUMBER = Vocabulary([*map(str, range(1, HIGHEST_NUMBER + 1)), *(f"{n}A" for n in range(1, HIGHEST_NUMBER + 1))])
LOCALITY = Vocabulary(_LOCALITIES)
TOWN = Vocabulary(town for areas in AREAS.values() for town, _, _ in areas.values())
COUNTY = Vocabulary(sorted({county for areas in AREAS.values() for _, county, _ in areas.values()}))
INWARD_CODE = Vocabulary(f"{s}{a}{b}" for s in range(10) for a in INWARD for b in INWARD)


@cache
def outward_codes(group: str) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the outward codes of a GSP group, districts of all areas in turn, with their town and county codes."""
    areas = AREAS[group]
    ordered = sorted((n, area) for area, (_, _, last) in areas.items() for n in range(1, last + 1))
    towns = TOWN.codes(areas[area][0] for _, area in ordered)
    counties = COUNTY.codes(areas[area][1] for _, area in ordered)
    return [f"{area}{n}" for n, area in ordered], towns, counties


MOST_OUTWARDS = min(len(outward_codes(group)[0]) for group in GROUPS)
OUTWARD = Vocabulary(code for group in GROUPS for code in outward_codes(group)[0])
# first code of each group's outward codes in OUTWARD
OUTWARD_BASE = np.array([OUTWARD.code(outward_codes(group)[0][0]) for group in GROUPS])
TOWN_OF = np.concatenate([[0], *(outward_codes(group)[1] for group in GROUPS)])
COUNTY_OF = np.concatenate([[0], *(outward_codes(group)[2] for group in GROUPS)])


class Geography:
    """How many outward codes and postcodes a population of a size fills.

    Twelve premises share a postcode where the region has room, so that neighbours and near misses (Flat 1, Flat 11)
    occur at every size. ``postcodes * HIGHEST_NUMBER`` exceeds the population, hence no two premises ever meet.
    """

    def __init__(self, mpans: int) -> None:
        self.outwards = max(6, min(MOST_OUTWARDS, mpans // 3_000))
        self.postcodes = min(max(48, -(-mpans // 12)), self.outwards * PER_OUTWARD)

    @property
    def premises(self) -> int:
        """How many premises can be told apart."""
        return self.postcodes * HIGHEST_NUMBER
