"""How backups spell nothing and no date: words for null, years and days, zones. Data of ``spelling.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.spelling import SpellingDocument
from contracts.errors import ContractError
from contracts.model import Spelling
from contracts.validation import load_model, read_file

FILE = Path(__file__).parent / "spelling.yaml"


@cache
def spelling(file: Path = FILE) -> Spelling:
    """Read the words.

    Raises:
        ContractError: the file is missing or is not of that form.
    """
    raw = read_file(file, ContractError, where=file.name)
    found, _ = load_model(raw, SpellingDocument, ContractError, where=file.name)
    return Spelling(
        nulls=tuple(found.nulls.always),
        nulls_unless_held=tuple(found.nulls.unless_held),
        fillers=MappingProxyType(dict(found.nulls.fillers)),
        first_year=found.dates.first_year,
        last_year=found.dates.last_year,
        special_days=(*found.dates.open_ends, *found.dates.zero_days),
        century_turn=found.dates.century_turn,
        zones=MappingProxyType({name.upper(): minutes for name, minutes in found.dates.zones.items()}),
    )
