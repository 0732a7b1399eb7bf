"""How precisely dates and amounts are released: three named profiles, each a set of treatments under the overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.profiles import AmountsDocument
from contracts.load import read_document
from contracts.model import Contract
from contracts.overlay import Overlay, apply, read_overlay
from contracts.profiles.model import AmountSteps, ReleasedPrecision
from contracts.strict import Found
from contracts.vocabulary import Method

__all__ = ["AmountSteps", "Profile", "ReleasedPrecision", "amount_steps", "loosened", "under_profile"]

HERE = Path(__file__).parent


class Profile(StrEnum):
    """How precise a release is."""

    EXACT = "exact"
    STANDARD = "standard"
    STRICT = "strict"


@cache
def amount_steps(path: Path = HERE / "amounts.yaml") -> AmountSteps:
    """Read how amounts may be varied.

    Raises:
        ContractError: the file is wrong.
    """
    node, _ = read_document(path, AmountsDocument, check=_check)
    return AmountSteps(node.bands, node.steps)


def under_profile(contracts: Mapping[str, Contract], profile: Profile, overlay: Overlay) -> Mapping[str, Contract]:
    """Return the contracts that release and return packs are treated by: the profile, and over it the overlay.

    Raises:
        ConfigurationError: the profile's own file is wrong.
    """
    return apply(contracts, _merged(_profile(contracts, profile), overlay))


def loosened(contracts: Mapping[str, Contract], profile: Profile, overlay: Overlay) -> list[str]:
    """Return the columns, as ``extract.column``, that the profile treats and the overlay lets through as they are."""
    whole = _profile(contracts, profile).treatments
    return [
        f"{extract}.{name}"
        for extract, columns in sorted(whole.items())
        for name in sorted(columns)
        if (chosen := overlay.treatments.get(extract, {}).get(name)) is not None and chosen.method is Method.KEEP
    ]


def _profile(contracts: Mapping[str, Contract], profile: Profile) -> Overlay:
    return read_overlay(HERE / f"{profile.value}.yaml", contracts)


def _merged(first: Overlay, second: Overlay) -> Overlay:
    extracts = {*first.treatments, *second.treatments}
    both = {
        name: MappingProxyType({**first.treatments.get(name, {}), **second.treatments.get(name, {})})
        for name in sorted(extracts)
    }
    return Overlay(MappingProxyType(both), second.reason or first.reason)


def _check(document: AmountsDocument) -> Iterator[Found]:
    if list(document.bands) != sorted(set(document.bands)):
        yield ("bands",), "ascends"
    sizes = [size for size, _ in document.steps]
    if sizes != sorted(set(sizes), reverse=True) or sizes[-1] != 0:
        yield ("steps",), "goes down to 0"
