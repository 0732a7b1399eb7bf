"""Meters: types, makes, displayed digits, serial numbers and ESME ids.

Serial numbers have the shapes that registration systems hold (manufacturer letter, year, purchaser letters, digits;
all digits; an embedded space; short ones). Each shape spreads the meter's ordinal over its own range, so that two
meters never share a serial number unless a defect is planted.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample.codes import YEAR_OF_DAY, Vocabulary, lookup, zero_padded
from flows.sample.permutation import permute, pick

Ints = NDArray[np.int64]

SMART = ("S1", "S2A", "S2AD", "S2ADE", "S2B", "S2BD", "S2C", "2AF", "2ADF")
AMR = ("RCAMR", "RCAMY", "NCAMR", "H")
TRADITIONAL = ("N", "K", "T", "S")
OTHER = ("NSS", "SPECL", "CHECK")
TYPE = Vocabulary([*SMART, *AMR, *TRADITIONAL, *OTHER, "N9"])
CHECK = TYPE.code("CHECK")
_ALL = [t or "" for t in TYPE.texts]
IS_SMART = np.array([t in SMART for t in _ALL])
IS_ADVANCED = np.array([t in AMR for t in _ALL])
IS_UNDECIDED = np.array([t in OTHER[1:] for t in _ALL])
DIGITS_OF = np.array(
    [
        6 if t.startswith("S2C") or t in ("RCAMR", "RCAMY", "NCAMR", "SPECL", "CHECK") else 8 if t == "H" else 5
        for t in _ALL
    ]
)
DIGITS = Vocabulary(str(n) for n in range(10))


def _weights(text: str) -> dict[int, int]:
    return {TYPE.code(name): int(n) for name, n in (item.split(":") for item in text.split())}


# meter class -> of 1,000 meters, how many are of each type
PICK_TYPE = np.stack(
    [
        lookup({0: 1000}, 1000),
        lookup(_weights("S1:180 S2A:370 S2AD:60 S2C:20 2AF:5 2ADF:5 N:250 K:70 T:20 S:12 NSS:5 SPECL:3"), 1000),
        lookup(_weights("S1:150 S2A:200 S2AD:120 S2ADE:20 S2B:80 S2BD:20 N:320 K:60 T:20 S:5 NSS:5"), 1000),
        lookup(_weights("S1:60 S2A:230 S2C:160 N:310 RCAMR:130 NCAMR:100 K:10"), 1000),
        lookup(_weights("RCAMR:500 NCAMR:300 RCAMY:50 N:150"), 1000),
        lookup(_weights("S1:100 S2A:600 S2C:100 RCAMR:200"), 1000),
        lookup(_weights("S2A:150 S2C:150 RCAMR:450 NCAMR:150 H:100"), 1000),
        lookup(_weights("H:1000"), 1000),
    ]
)

MAKERS = "ABCDEFHIJKLMPRSZ"
_MAKE = dict(
    zip(
        MAKERS,
        [
            "AMPY",
            "AMPY",
            "CEWE",
            "LANDIS",
            "EDMI",
            "FERRANTI",
            "SECURE",
            "ISKRA",
            "JINLING",
            "ELSTER",
            "LANDIS",
            "GE",
            "PRI",
            "SAGEM",
            "ITRON",
            "AMPY",
        ],
        strict=True,
    )
)
_MODELS = {"smart": ("E470", "ES-12B"), "advanced": ("MK10A", "A1700"), "plain": ("E110", "5235A")}
KINDS = tuple(_MODELS)
MODEL = Vocabulary(f"{_MAKE[m]} {m}-{model}" for m in MAKERS for models in _MODELS.values() for model in models)
KIND_OF = np.array([0 if t in SMART else 1 if t in AMR else 2 for t in _ALL])

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_YEARS = [f"{year % 100:02d}" for year in range(1980, 2024)]
HEAD = Vocabulary(
    [
        *(f"{m}{y}" for m in MAKERS for y in _YEARS),
        *(f"{y}{c}" for y in _YEARS for c in _LETTERS),
        *(f"{m}{n}S" for m in MAKERS for n in range(10)),
        *MAKERS,
    ]
)
MID = Vocabulary([*_LETTERS, *(f"{c} " for c in _LETTERS), *(a + b for a in _LETTERS for b in _LETTERS)])
_YEAR_LETTER = 1 + len(MAKERS) * len(_YEARS)
_MAKER_DIGIT = _YEAR_LETTER + len(_YEARS) * len(_LETTERS)
_MAKER_ALONE = _MAKER_DIGIT + len(MAKERS) * 10
_N, _M = len(_LETTERS), len(MAKERS)

# shape: (head, first mid code, number of mids, digits, one meter in how many has it)
SHAPES: tuple[tuple[str, int, int, int, int], ...] = (
    ("maker year", 1, _N, 6, 1),  # D11W204817
    ("maker year", 1 + 2 * _N, _N * _N, 5, 1),  # L04AC15502
    ("maker year", 1, _N, 5, 10),  # S82C04417
    ("maker year", 1 + _N, _N, 5, 50),  # K09A 12300
    ("none", 0, 10**4, 4, 1),  # 40218377
    ("year letter", 0, 1, 7, 1),  # 21P0500331
    ("maker digit", 0, 1, 7, 1),  # E6S1000017
    ("maker", 1, _N, 4, 331),  # AB5662
)
PLAIN, DOUBLE, NINE, SPACED, NUMERIC, SMART_YEAR, SMART_DIGIT, SHORT = range(len(SHAPES))


def shapes(index: Ints, types: Ints, chance: Ints) -> Ints:
    """Return the serial-number shape of each first meter.

    Args:
        index: ordinal of the metering point in the population.
        types: meter type codes.
        chance: even numbers from 0 to 99.
    """
    shape = np.where(chance < 55, PLAIN, np.where(chance < 88, DOUBLE, NUMERIC))
    for rare in (NINE, SPACED, SHORT):
        every = SHAPES[rare][4]
        shape = np.where(index % every == every // 3, rare, shape)
    smart = IS_SMART[types]
    return np.where(smart, np.where(chance < 70, SMART_YEAR, SMART_DIGIT), shape)


def _maker_and_rest(head: str, key: Ints) -> tuple[Ints, Ints]:
    """Split a shape's left number into (maker, letter or digit of the head or the mid)."""
    if head in ("none", "year letter"):
        return key % _M, key
    return key % _M, key // _M


def _left_size(head: str, mids: int) -> int:
    return {"none": mids, "year letter": _N, "maker digit": _M * 10}.get(head, _M * mids)


def models(makers: Ints, types: Ints, variant: Ints) -> Ints:
    """Return make-and-model codes: the maker's smart, advanced or plain model, in one of two variants."""
    codes: Ints = 1 + makers * 2 * len(KINDS) + 2 * KIND_OF[types] + variant
    return codes


_OUI = Vocabulary(["00-1C-5E", "04-8D-39", "0C-47-B1", "14-92-6A", "1C-E0-73", "24-5B-D8", "2C-76-A5", "34-19-EC"])
_PAIR = Vocabulary(f"-{n:02X}" for n in range(1 << 8))
_WORD = Vocabulary(f"-{n >> 8:02X}-{n & 255:02X}" for n in range(1 << 16))


def esme_ids(ordinal: Ints, seed: int) -> pl.Series:
    """Return the ESME id (EUI-64, universally administered) of each meter: distinct ordinals, distinct ids."""
    left, right = permute(ordinal, 1 << 20, 1 << 20, seed + 900)
    tail = (left << 20) + right
    parts = {
        "maker": _OUI.text(1 + pick(ordinal, seed + 901, len(_OUI) - 1)),
        "high": _PAIR.text(1 + (tail >> 32)),
        "middle": _WORD.text(1 + (tail >> 16 & 0xFFFF)),
        "low": _WORD.text(1 + (tail & 0xFFFF)),
    }
    return pl.DataFrame(parts).select(pl.concat_str(pl.all())).to_series()


class Serials:
    """Serial numbers of meters as code columns: ``head``, ``mid``, ``number`` and ``width`` of the digits, ``maker``."""

    def __init__(self, ordinal: Ints, shape: Ints, install: Ints, seed: int) -> None:
        self.head, self.mid = np.zeros_like(ordinal), np.zeros_like(ordinal)
        self.number, self.width, self.maker = (np.zeros_like(ordinal) for _ in range(3))
        year = np.clip(YEAR_OF_DAY[install] - pick(ordinal, seed + 7, 2), 1980, 2023) - 1980
        for code, (head, first, mids, digits, every) in enumerate(SHAPES):
            at = np.flatnonzero(shape == code)
            # shapes of small range are for first meters alone, whose ordinals are even
            mine = ordinal[at] // (2 * every) if every > 1 or head == "none" else ordinal[at]
            left, right = permute(mine, _left_size(head, mids), 10**digits, seed + 100 * code)
            maker, rest = _maker_and_rest(head, left)
            self.maker[at], self.number[at], self.width[at] = maker, right, digits
            if head == "none":
                self.number[at], self.width[at] = left * 10**digits + right, 2 * digits
            elif head == "year letter":
                self.head[at] = _YEAR_LETTER + year[at] * _N + rest
            elif head == "maker digit":
                self.head[at] = _MAKER_DIGIT + maker * 10 + rest
            else:
                self.head[at] = _MAKER_ALONE + maker if head == "maker" else 1 + maker * len(_YEARS) + year[at]
                self.mid[at] = first + rest

    def text(self, rows: Ints) -> pl.Series:
        """Return the serial numbers of some meters."""
        digits = zero_padded(self.number[rows], self.width[rows])
        parts = {"head": HEAD.text(self.head[rows]), "mid": MID.text(self.mid[rows]), "digits": digits}
        return pl.DataFrame(parts).select(pl.concat_str(pl.all(), ignore_nulls=True)).to_series()
