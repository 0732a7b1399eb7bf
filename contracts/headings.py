"""What backups call the columns of the contracts: one list of aliases, and the headings that sound like a person's.

Source: Q68 (only MPAN, address and serial number identify), DQ23; item references of the Data Transfer Catalogue 15.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from contracts.errors import ContractError
from contracts.yaml_loader import safe_load

FILE = Path(__file__).parent / "headings.yaml"


@dataclass(frozen=True, slots=True)
class Headings:
    """The words of headings, for every contract.

    Attributes:
        aliases: contract column -> what else a backup may call it.
        undecided: heading -> the columns it may mean; taken only where ``cut.yaml`` says so.
        sounds_personal: words that refuse a heading, unless its source calls it harmless.
        personal: words that refuse a heading whatever is said of it.
    """

    aliases: Mapping[str, tuple[str, ...]]
    undecided: Mapping[str, tuple[str, ...]]
    sounds_personal: tuple[str, ...]
    personal: tuple[str, ...]


@cache
def headings(file: Path = FILE) -> Headings:
    """Read the list.

    Raises:
        ContractError: the file is missing or is not of that form.
    """
    try:
        document = safe_load(file.read_bytes())
        return Headings(
            aliases=_lists(document["aliases"]),
            undecided=_lists(document["undecided"]),
            sounds_personal=tuple(map(str, document["sounds_personal"])),
            personal=tuple(map(str, document["personal"])),
        )
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise ContractError(
            "is missing or not a list of headings", where=file.name, remedy="take it as it was released"
        ) from None


def _lists(node: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({str(name): tuple(map(str, words)) for name, words in node.items()})
