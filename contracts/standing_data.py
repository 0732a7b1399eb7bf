"""Which entities of industry standing data are read (``industry_standing_data.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.standing_data import StandingDataDocument
from contracts.load import read_document

DEFINITIONS = Path(__file__).parent / "industry_standing_data.yaml"


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity.

    Attributes:
        name: as ``M16``.
        columns: column -> heading as published.
        effective_from, effective_to: headings of the days that bound a row's life.
        forms: column -> pattern that its values have.
    """

    name: str
    columns: Mapping[str, str]
    effective_from: str
    effective_to: str
    forms: Mapping[str, str]


@cache
def entities(path: Path = DEFINITIONS) -> Mapping[str, Entity]:
    """Read the definition of each entity.

    Raises:
        ContractError: the file is missing, is not YAML, or lacks an entry.
    """
    document, _ = read_document(path, StandingDataDocument)
    found = {
        name: Entity(name, entry.columns, entry.effective_from, entry.effective_to, entry.forms)
        for name, entry in document.entities.items()
    }
    return MappingProxyType(found)
