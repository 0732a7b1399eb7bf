"""How backups spell nothing and no date: words for null, years and days, zones. Data of ``spelling.yaml``."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from contracts.errors import ContractError
from contracts.model import Spelling
from contracts.yaml_loader import safe_load

FILE = Path(__file__).parent / "spelling.yaml"


@cache
def spelling(file: Path = FILE) -> Spelling:
    """Read the words.

    Raises:
        ContractError: the file is missing or is not of that form.
    """
    try:
        document = safe_load(file.read_bytes())
        nulls, dates = document["nulls"], document["dates"]
        return Spelling(
            nulls=tuple(map(str, nulls["always"])),
            nulls_unless_held=tuple(map(str, nulls["unless_held"])),
            first_year=int(dates["first_year"]),
            last_year=int(dates["last_year"]),
            special_days=tuple(
                datetime.date.fromisoformat(str(day)) for day in (*dates["open_ends"], *dates["zero_days"])
            ),
            century_turn=int(dates["century_turn"]),
            zones=MappingProxyType({str(name).upper(): int(minutes) for name, minutes in dates["zones"].items()}),
        )
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise ContractError(
            "is missing or is not a list of spellings", where=file.name, remedy="take it as it was released"
        ) from None
