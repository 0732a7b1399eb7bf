"""``industry_standing_data.yaml``: the entities that are read, and what is taken from them."""

from __future__ import annotations

from pydantic import Field

from contracts.documents.odcs import Text
from contracts.strict import Strict


class EntityEntry(Strict):
    """One entity: its columns by the names that the product gives them."""

    description: Text
    columns: dict[str, Text] = Field(min_length=1)
    effective_from: Text
    effective_to: Text
    forms: dict[str, Text]


class StandingDataDocument(Strict):
    """The whole file."""

    entities: dict[str, EntityEntry] = Field(min_length=1)
