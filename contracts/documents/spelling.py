"""The form of ``contracts/spelling.yaml``."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import Field

from contracts.strict import Strict


class NullsDocument(Strict):
    """Words for null."""

    always: list[str]
    unless_held: list[str]
    fillers: dict[Annotated[str, Field(min_length=1, max_length=1)], Annotated[int, Field(ge=1)]]


class DatesDocument(Strict):
    """Years and days that dates can have, and names of zones in minutes before Greenwich."""

    first_year: int
    last_year: int
    open_ends: list[datetime.date]
    zero_days: list[datetime.date]
    century_turn: int
    zones: dict[str, int]


class SpellingDocument(Strict):
    """How values of a backup are spelt."""

    nulls: NullsDocument
    dates: DatesDocument
