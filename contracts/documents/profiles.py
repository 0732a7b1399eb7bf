"""``amounts.yaml`` of the profiles as a typed document; a profile itself is an overlay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.strict import Strict


class AmountsDocument(Strict):
    """Bands that amounts stay in, and steps that they are cut to."""

    bands: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    steps: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]], ...] = Field(min_length=1)
