"""What a profile is, as frozen values: treatments by name, and how amounts are varied. No YAML here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AmountSteps:
    """How an amount may be varied.

    Attributes:
        bands: bounds that it never crosses, ascending.
        steps: of each size, largest first, the least amount and the step that values of it are cut to.
    """

    bands: tuple[float, ...]
    steps: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ReleasedPrecision:
    """What moving and varying go by: the day that no date crosses, and how amounts are varied."""

    cut_date: datetime.date
    amounts: AmountSteps


@dataclass(frozen=True, slots=True)
class Promise:
    """What a profile promises of a release of some size.

    Attributes:
        metering_points: from how many on.
        figures: intruder, ``joins`` or ``unique`` -> the most that is allowed; what is not named is not promised.
    """

    metering_points: int
    figures: Mapping[str, float]
