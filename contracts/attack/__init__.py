"""The motivated intruders that a release is tried against: who they are, what they know, when they give up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.attack.model import (
    Attack,
    BlockingRule,
    Fact,
    FactKind,
    InRun,
    Intruder,
    Knowledge,
    Levels,
    Search,
    SeriesFacts,
)
from contracts.documents.attack import AttackDocument, FactNode, IntruderNode, SeriesNode
from contracts.load import read_document
from contracts.strict import Found, none_of

INTRUDERS = Path(__file__).parent / "intruders.yaml"


@cache
def intruders(path: Path = INTRUDERS) -> Attack:
    """Read the intruders.

    Raises:
        ContractError: the file is wrong; every fault, with its line.
    """
    document, _ = read_document(path, AttackDocument, check=_check)
    series = _series(document.series)
    nodes = {node.id: node for node in document.intruders}
    own = {name: _fact(name, node) for name, node in document.facts.items()}
    return Attack(
        search=Search(
            document.targets, document.largest_block, document.kept_candidates, document.rounds, document.present
        ),
        levels=MappingProxyType(
            {FactKind(kind): Levels(node.steps, node.agree) for kind, node in document.levels.items()}
        ),
        facts=MappingProxyType(own | series_facts(series)),
        series=series,
        intruders=tuple(_intruder(node, nodes) for node in document.intruders),
        public=document.joins.public,
        released=document.joins.released,
        in_run=InRun(document.in_run.targets, document.in_run.among, document.in_run.intruders),
    )


def series_facts(series: SeriesFacts) -> dict[str, Fact]:
    """Return the facts of a half-hourly series: ``day_1`` and on, ``half_hour_1`` and on, amounts in kWh."""
    days = {f"day_{n}": f"the total of day {n}" for n in range(1, series.days + 1)}
    hours = {f"half_hour_{n}": f"half-hour {n}" for n in range(1, len(series.half_hours) + 1)}
    return {name: Fact(name, words, FactKind.AMOUNT) for name, words in (days | hours).items()}


def _series(node: SeriesNode) -> SeriesFacts:
    return SeriesFacts(
        extract=node.extract,
        quantity=node.quantity,
        of=node.of,
        day=node.day,
        periods=node.periods,
        days=node.days,
        half_hours=node.half_hours,
    )


def _fact(name: str, node: FactNode) -> Fact:
    return Fact(name, node.words, FactKind(node.kind), node.places, node.take, node.minus)


def _intruder(node: IntruderNode, nodes: Mapping[str, IntruderNode]) -> Intruder:
    base = nodes[node.like] if node.like else node
    knows = {name: Knowledge(entry.known, entry.wrong, entry.off) for name, entry in base.knows.items()}
    return Intruder(
        id=node.id,
        title=node.title,
        story=node.story,
        knows=MappingProxyType(knows),
        variants=MappingProxyType(base.variants or {"": ()}),
        blocks=tuple(BlockingRule(block.same, block.near, block.within) for block in base.blocks),
        wants=node.wants,
        sure=node.sure,
        series=node.among == "series",
        from_other=node.from_other,
    )


def _check(document: AttackDocument) -> Iterator[Found]:
    for kind, levels in document.levels.items():
        if len(levels.agree) != max(len(levels.steps), 1) + 1:
            yield ("levels", kind, "agree"), "has one entry more than steps, or two"
    for name, fact in document.facts.items():
        if bool(fact.places) == bool(fact.minus) or len(fact.minus) not in (0, 2):
            yield ("facts", name), "has places, or minus with two facts"
        for other in fact.minus:
            if other not in document.facts:
                yield ("facts", name, "minus"), none_of(other, sorted(document.facts), "fact")
    days, hours = document.series.days, len(document.series.half_hours)
    known = {*document.facts, *(f"day_{n + 1}" for n in range(days)), *(f"half_hour_{n + 1}" for n in range(hours))}
    for place, name in _named(document):
        if name not in known:
            yield place, none_of(name, sorted(known), "fact")
    yield from _check_intruders(document)


def _check_intruders(document: AttackDocument) -> Iterator[Found]:
    ids = [node.id for node in document.intruders]
    for number, name in enumerate(document.in_run.intruders):
        if name not in ids:
            yield ("in_run", "intruders", number), none_of(name, ids, "intruder")
    for number, node in enumerate(document.intruders):
        if node.like and node.like not in ids:
            yield ("intruders", number, "like"), none_of(node.like, ids, "intruder")
        if not node.like and not (node.knows and node.blocks):
            yield ("intruders", number), "knows something and looks somewhere, or is like another"


def _named(document: AttackDocument) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every fact that intruders and joins name, with its place."""
    for number, node in enumerate(document.intruders):
        named = [*node.knows, *node.wants, *(f for facts in node.variants.values() for f in facts)]
        named += [f for block in node.blocks for f in (*block.same, *([block.near] if block.near else []))]
        yield from ((("intruders", number), name) for name in named)
    yield from ((("joins",), name) for name in (*document.joins.public, *document.joins.released))
