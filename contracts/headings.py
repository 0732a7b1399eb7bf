"""What backups call the columns of the contracts: one list of aliases, and the headings that sound like a person's.

Source: Q68 (only MPAN, address and serial number identify), DQ23; item references of the Data Transfer Catalogue 15.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.headings import HeadingsDocument
from contracts.errors import ContractError
from contracts.validation import load_model, read_file

FILE = Path(__file__).parent / "headings.yaml"


@dataclass(frozen=True, slots=True)
class Headings:
    """The words of headings, for every contract.

    Attributes:
        aliases: contract column -> what else a backup may call it.
        undecided: heading -> the columns it may mean; taken only where ``cut.yaml`` says so.
        sounds_personal: words that refuse a heading, unless its source calls it harmless.
        personal: words that refuse a heading whatever is said of it.
        likely: contract column -> words that make a heading likely to mean it: proposed, never taken by themselves.
    """

    aliases: Mapping[str, tuple[str, ...]]
    undecided: Mapping[str, tuple[str, ...]]
    sounds_personal: tuple[str, ...]
    personal: tuple[str, ...]
    likely: Mapping[str, tuple[str, ...]]


@cache
def headings(file: Path = FILE) -> Headings:
    """Read the list.

    Raises:
        ContractError: the file is missing or is not of that form.
    """
    raw = read_file(file, ContractError, where=file.name)
    found, _ = load_model(raw, HeadingsDocument, ContractError, where=file.name)
    return Headings(
        aliases=_lists(found.aliases),
        undecided=_lists(found.undecided),
        sounds_personal=tuple(found.sounds_personal),
        personal=tuple(found.personal),
        likely=_lists(found.likely),
    )


def _lists(node: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: tuple(words) for name, words in node.items()})
