"""Dates of a metering point moved in their order: earlier stays earlier, equal stays equal, the cut date stays.

The time before the cut date is parted into stretches whose bounds only the key tells. Each is squeezed at one end and
pulled at the other, by a factor that the key gives; twice, with other bounds. So a date moves by up to two stretches,
two dates move by different amounts, and no date needs to know of another: the same date of the same metering point
moves alike in every extract and organisation. Dates after the cut date stay after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.treatment.keyed_numbers import Seeds, unit

Days = NDArray[np.int64]
ROUNDS = (0, 1)
LEAST, WIDTH = 0.15, 0.7  # where the bend of a stretch may lie, as a share of it
PHASE, BEND, IMAGE = 1, 2, 3


def moved(seeds: Seeds, days: Days, cut: int, stretch: int) -> Days:
    """Return the days that are released.

    Args:
        seeds: keyed seed of each row's metering point.
        days: day numbers.
        cut: day number of the cut date; days up to it stay up to it, later ones stay later.
        stretch: length of a stretch, days.
    """
    ahead = days > cut
    age = np.where(ahead, days - cut - 1, cut - days)
    for turn in ROUNDS:
        age = _bent(seeds, age, stretch, np.where(ahead, turn + 16, turn))
    released: Days = np.where(ahead, cut + 1 + age, cut - age)
    return released


def _bent(seeds: Seeds, age: Days, stretch: int, turn: Days) -> Days:
    phase = np.floor(unit(seeds, turn, PHASE) * stretch).astype(np.int64)
    number = np.maximum((age - phase) // stretch, 0)
    begin = np.where(number == 0, 0, phase + number * stretch)
    length = np.where(number == 0, phase + stretch, stretch)
    at = (age - begin) / length
    bend = LEAST + WIDTH * unit(seeds, turn, BEND, number)
    image = LEAST + WIDTH * unit(seeds, turn, IMAGE, number)
    share = np.where(at < bend, at * image / bend, image + (at - bend) * (1 - image) / (1 - bend))
    bent: Days = begin + np.floor(share * length).astype(np.int64)
    return bent
