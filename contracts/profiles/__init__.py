"""How precisely dates and amounts are released: three named profiles, each a set of treatments under the overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.attack import intruders
from contracts.documents.profiles import AmountsDocument, PromiseNode, PromisesDocument, QualificationDocument
from contracts.load import read_document
from contracts.model import Contract
from contracts.overlay import Overlay, apply, read_overlay
from contracts.profiles.model import AmountSteps, Promise, ReleasedPrecision
from contracts.strict import Found, none_of
from contracts.vocabulary import Method

__all__ = [
    "AmountSteps",
    "Profile",
    "Promise",
    "ReleasedPrecision",
    "amount_steps",
    "loosened",
    "promise_names",
    "promised",
    "qualification_answers",
    "under_profile",
]

HERE = Path(__file__).parent
JOINS, UNIQUE = "joins", "unique"


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


@cache
def qualification_answers(path: Path = HERE / "qualification.yaml") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read what is known of a later cut for Qualification, each with its source, and what is assumed.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(path, QualificationDocument)
    return tuple(f"{answer.says} ({answer.source})" for answer in document.known), document.assumed


def promise_names() -> list[str]:
    """Return what a profile may promise a figure of: intruders, joins of two cuts, uniqueness."""
    return [*(one.id for one in intruders().intruders), JOINS, UNIQUE]


def promised(profile: Profile, metering_points: int, path: Path = HERE / "promises.yaml") -> Promise:
    """Return what a profile promises of a release of so many metering points; nothing where it says nothing.

    Raises:
        ContractError: the file is wrong.
    """
    held = [one for one in _promises(path)[profile] if one.metering_points <= metering_points]
    return held[-1] if held else Promise(0, MappingProxyType({}))


@cache
def _promises(path: Path) -> Mapping[Profile, tuple[Promise, ...]]:
    document, _ = read_document(path, PromisesDocument, check=_check_promises)
    by_name = {Profile.EXACT: document.exact, Profile.STANDARD: document.standard, Profile.STRICT: document.strict}
    return {profile: tuple(map(_promise, nodes)) for profile, nodes in by_name.items()}


def _promise(node: PromiseNode) -> Promise:
    more = {JOINS: node.joins, UNIQUE: node.unique}
    figures = node.intruders | {name: most for name, most in more.items() if most is not None}
    return Promise(node.metering_points, MappingProxyType(figures))


def _check_promises(document: PromisesDocument) -> Iterator[Found]:
    known = [one.id for one in intruders().intruders]
    for profile in ("exact", "standard", "strict"):
        nodes: tuple[PromiseNode, ...] = getattr(document, profile)
        sizes = [node.metering_points for node in nodes]
        if sizes != sorted(set(sizes)):
            yield (profile,), "ascends by metering points"
        for number, node in enumerate(nodes):
            for name in node.intruders:
                if name not in known:
                    yield (profile, number, "intruders", name), none_of(name, known, "intruder")


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
