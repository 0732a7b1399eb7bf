"""What each section shows, computed from the evidence: totals, groups, shares. No markup, no wording."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from pydantic import JsonValue

from contracts.evidence import Baseline, ColumnSource, ColumnTreatment, Evidence, RuleCountEvidence
from contracts.evidence_results import CaseCounts, Coverage, Searched
from contracts.vocabulary import Effect
from flows.report.figure_types import (
    AugmentedItem,
    BrokenCheck,
    ChainStep,
    ColumnLineage,
    DistanceCell,
    DistanceLine,
    ExclusionCause,
    LeakClass,
    Likeness,
    LinkFigures,
    Matrix,
    MatrixCell,
    MatrixLine,
    NamedSource,
    ObligationFigures,
    PhaseFigures,
    RowFigures,
    RuleTotal,
    RuleTrend,
    SmartFigures,
    SmartLine,
    TreatedGroup,
    TreatmentUse,
    Volume,
    VolumeTrend,
    share,
)

STEADY = 0.0005  # a share that moved by less than half a tenth of a percentage point is the same


def with_trend(rules: Sequence[RuleTotal], baseline: Baseline | None) -> list[RuleTrend]:
    """Add the shares of an earlier cut."""
    known = {(rule.extract, rule.rule): rule for rule in (baseline.rules if baseline else ())}
    rows = []
    for rule in rules:
        old = known.get((rule.extract, rule.rule))
        before = share(old.failed, old.evaluated) if old else None
        change = None if before is None or rule.now is None else rule.now - before
        rows.append(RuleTrend(**asdict(rule), before=before, change=change, way=_way(baseline, before, change)))
    return rows


def _way(baseline: Baseline | None, before: float | None, change: float | None) -> str | None:
    if baseline is None:
        return None
    if before is None:
        return "new"
    if change is None or abs(change) < STEADY:
        return "same"
    return "up" if change > 0 else "down"


def gone_rules(rules: Sequence[RuleTotal], baseline: Baseline | None) -> list[str]:
    """Return rules of the earlier cut that this one does not judge, by extract and name."""
    now = {(rule.extract, rule.rule) for rule in rules}
    names = {(rule.extract, rule.rule) for rule in (baseline.rules if baseline else ())}
    return [f"{extract}: {rule}" for extract, rule in sorted(names - now)]


def volumes(evidence: Evidence, baseline: Baseline | None) -> list[VolumeTrend]:
    """Return rows in and excluded by extract, before and now; nothing without a baseline."""
    if baseline is None:
        return []
    before = {row.extract: Volume(row.rows_in, row.excluded) for row in baseline.rows}
    now: dict[str, Volume] = {}
    for row in evidence.accounting:
        sums = now.get(row.extract, Volume())
        now[row.extract] = Volume(sums.rows_in + row.rows_in, sums.excluded + row.excluded)
    return [VolumeTrend(e, before.get(e, Volume()), now.get(e, Volume())) for e in sorted({*before, *now})]


_NUMBERED = re.compile(r"(.*?)(\d+)")
# Reasons that no contract rule and no obligation carries.
MEANINGS = {
    "coincident": ("the pseudonym happens to be a real MPAN of the same cut",),
    "serial": ("the meter serial number is too short for a pseudonym",),
    "DQ31": ("the items of the metering point contradict each other after augmentation",),
    "companion": ("another metering point of the same premises is excluded",),
}


def totals(evidence: Evidence) -> RowFigures:
    """Rows in, released, excluded over all extracts, and the largest share excluded of any extract."""
    rows = evidence.accounting
    worst = max((row.excluded / row.rows_in for row in rows if row.rows_in), default=0.0)
    rows_in, released, excluded = (
        sum(getattr(row, name) for row in rows) for name in ("rows_in", "released", "excluded")
    )
    return RowFigures(rows_in, released, excluded, worst)


def meanings(evidence: Evidence) -> dict[str, str]:
    """Codes of reasons -> the faults that were found under them, in words, the most frequent first."""
    return {entry.reason: "; ".join(entry.faults) for entry in reasons(evidence)}


def reasons(evidence: Evidence) -> list[ExclusionCause]:
    """Rows and metering points by reason, the most frequent first, with the faults found and what is asked for."""
    rows: Counter[str] = Counter()
    for account in evidence.accounting:
        rows.update({reason: count for reason, count in account.by_reason.items() if count})
    faults: dict[str, Counter[str]] = defaultdict(Counter)
    for rule in evidence.rules:
        if rule.effect is not Effect.WARN and rule.failed:
            faults[rule.reason][rule.fault or rule.description] += rule.failed
    asks = {entry.id: entry.asks for entry in evidence.requirements or ()}
    mpans = evidence.exclusions.by_first_cause if evidence.exclusions else {}
    names = sorted(set(rows) | set(mpans), key=lambda reason: (-rows[reason], reason))
    return [
        ExclusionCause(
            reason=reason,
            rows=rows[reason],
            mpans=mpans.get(reason),
            faults=tuple(fault for fault, _ in faults[reason].most_common()) or MEANINGS.get(reason, ()),
            asks=asks.get(reason, ""),
        )
        for reason in names
    ]


def rules_by_id(evidence: Evidence) -> list[RuleTotal]:
    """Rules over all participants: one row a rule and extract, those that excluded most first."""
    groups: dict[tuple[str, str], list[RuleCountEvidence]] = defaultdict(list)
    for rule in evidence.rules:
        groups[rule.extract, rule.rule].append(rule)
    rows = [
        RuleTotal(
            extract=extract,
            rule=rule,
            reason=members[0].reason,
            effect=members[0].effect,
            description=members[0].description,
            basis=members[0].basis,
            evaluated=sum(member.evaluated for member in members),
            failed=sum(member.failed for member in members),
            crashed=sum(member.crashed for member in members),
            failing=tuple(sorted(member.participant for member in members if member.failed)),
            stated_by=tuple(sorted(member.stated_by for member in members if member.stated_by)),
        )
        for (extract, rule), members in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.failed, row.extract, row.rule))


def heat(part: int, whole: int) -> int:
    """Return a share's step on the matrix's scale: 0 none, then under 0.1, 1, 2, 5 per cent, and more."""
    if not part:
        return 0
    share = part / whole if whole else 1
    return next((step for step, limit in enumerate((0.001, 0.01, 0.02, 0.05), 1) if share < limit), 5)


def matrix(evidence: Evidence) -> Matrix:
    """Disagreement between participants: left ones down, right ones across, items summed up in a cell."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in evidence.alignment or ():
        cells[row.left, row.right].update(compared=row.compared, disagree=row.disagree)
    across = sorted({right for _, right in cells})
    lines = (
        MatrixLine(left, tuple(_cell(cells.get((left, right))) for right in across))
        for left in sorted({left for left, _ in cells})
    )
    return Matrix(tuple(across), tuple(lines))


def _cell(sums: Counter[str] | None) -> MatrixCell | None:
    return MatrixCell(**sums, heat=heat(sums["disagree"], sums["compared"])) if sums else None


def augmentation(evidence: Evidence) -> list[AugmentedItem]:
    """Each item's fields by source."""
    return [
        AugmentedItem(row.item, row.stated, row.derived, row.manufactured, row.undecided, row.absent or 0)
        for row in evidence.augmentation or ()
    ]


def smart(evidence: Evidence) -> SmartFigures:
    """Smart meters: suppliers down, GSP Groups across."""
    cells = {(entry.supplier, entry.gsp_group): entry for entry in evidence.smart or ()}
    across = tuple(sorted({group for _, group in cells}))
    suppliers = sorted({supplier for supplier, _ in cells})
    return SmartFigures(across, tuple(SmartLine(s, tuple(cells.get((s, g)) for g in across)) for s in suppliers))


def associations(evidence: Evidence) -> LinkFigures:
    """How import and export metering points were linked, and which checks found anything."""
    section = evidence.associations
    if section is None:
        return LinkFigures((), 0, ())
    checks = {**(section.constraints or {}), **(section.incoherent or {})}
    broken = (BrokenCheck(code, count) for code, count in sorted(checks.items()) if count)
    return LinkFigures(section.evidence or (), len(checks), tuple(broken))


def phases(evidence: Evidence) -> list[PhaseFigures]:
    """Fulfilment by phase, in the plan's order."""
    fence = evidence.ring_fence
    if fence is None:
        return []
    names = {_phase_id(entry): _phase_name(entry) for entry in fence.phases or ()}
    cases: dict[str, list[CaseCounts]] = {phase: [] for phase in names}
    for case in fence.test_cases:
        cases.setdefault(case.phase, []).append(case)
    return [PhaseFigures(phase, names.get(phase, ""), tuple(members)) for phase, members in cases.items()]


def _phase_id(entry: JsonValue) -> str:
    return str(entry.get("phase", "")) if isinstance(entry, dict) else str(entry)


def _phase_name(entry: JsonValue) -> str:
    return str(entry.get("name", "")) if isinstance(entry, dict) else ""


def coverage(evidence: Evidence) -> Likeness:
    """How like the released population each ring-fenced set is: attributes down, sets across."""
    entries = (evidence.ring_fence.coverage if evidence.ring_fence else None) or ()
    cells = {(entry.attribute, (entry.round or 1, entry.name)): entry for entry in entries}
    across = sorted({at for _, at in cells})
    several = len({name for _, name in across}) < len(across)
    lines = (
        DistanceLine(attribute, tuple(_distance(cells.get((attribute, at))) for at in across))
        for attribute in sorted({entry.attribute for entry in entries} - {""})
    )
    return Likeness(
        across=tuple(f"{name}, round {number}" if several else name for number, name in across),
        whole=tuple(cells.get(("", at)) for at in across),
        lines=tuple(lines),
    )


def _distance(entry: Coverage | None) -> DistanceCell | None:
    if entry is None or entry.distance is None:
        return None
    distance = entry.distance
    step = next((s for s, limit in enumerate((0.02, 0.05, 0.1, 0.2, 0.4)) if distance < limit), 5)
    return DistanceCell(distance, tuple(map(str, entry.absent or ())), step)


def leak_classes(evidence: Evidence) -> list[LeakClass]:
    """Classes of raw identifiers: how many were looked for, and how many found."""
    classes = (evidence.leak_scan.classes if evidence.leak_scan else None) or {}
    known = (evidence.leak_scan.known if evidence.leak_scan else None) or {}
    return [
        LeakClass(name, known.get(name), found.confirmed if isinstance(found, Searched) else found)
        for name, found in sorted(classes.items())
    ]


def treatments(evidence: Evidence) -> list[TreatmentUse]:
    """The policy by treatment: which columns of which extracts have it, the strongest treatments first."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    extracts = (evidence.policy.extracts if evidence.policy else None) or {}
    for extract, columns in sorted(extracts.items()):
        for name, entry in columns.items():
            groups[entry.treatment if isinstance(entry, ColumnTreatment) else entry][extract].append(name)
    words = {entry.treatment: entry for entry in (evidence.dpia.treatments if evidence.dpia else None) or ()}
    return [
        TreatmentUse(
            treatment,
            tuple(TreatedGroup(e, tuple(ranges(names))) for e, names in groups[treatment].items()),
            words.get(treatment),
        )
        for treatment in sorted(groups, key=lambda name: (_METHODS.get(name.partition(" ")[0], len(_ORDERED)), name))
    ]


_ORDERED = ("pseudonymise", "token", "common", "move", "vary", "generalise", "suppress", "drop", "keep")
_METHODS = {method: place for place, method in enumerate(_ORDERED)}


def ranges(names: Iterable[str]) -> list[str]:
    """Return column names with runs of numbered ones, as the fifty periods, as one: ``period_01 to period_50``."""
    found: list[list[str]] = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if found and match and (last := _NUMBERED.fullmatch(found[-1][-1])) and last.group(1) == match.group(1):
            found[-1].append(name)
        else:
            found.append([name])
    return [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in found]


def lineage(evidence: Evidence) -> list[ColumnLineage]:
    """Every column with what it was called in the sources."""
    return [
        ColumnLineage(
            extract=row.extract,
            column=row.column,
            item=row.item or "",
            description=row.description or "",
            classification=row.classification,
            treatment=row.treatment,
            released=row.released,
            names=tuple(_named(source) for source in row.sources),
        )
        for row in evidence.lineage or ()
    ]


def _named(source: ColumnSource) -> NamedSource:
    return NamedSource(source.column, source.participants or ())


def requirements(evidence: Evidence) -> list[ObligationFigures]:
    """Obligations with the rows that the rules resting on them judged and found at fault."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for rule in evidence.rules:
        counts[rule.rule].update(evaluated=rule.evaluated, failed=rule.failed)
    rows = []
    for entry in evidence.requirements or ():
        judged = [counts[name] for name in entry.rules or () if counts[name]["evaluated"]]
        rows.append(
            ObligationFigures(
                id=entry.id,
                asks=entry.asks,
                sections=entry.sections or (),
                rules=entry.rules or (),
                test_only=bool(entry.test_only),
                judged=len(judged),
                failed=sum(count["failed"] for count in judged),
            )
        )
    return rows


def steps(evidence: Evidence) -> list[ChainStep]:
    """The chain that this pack is part of: backups or packs it was made from, and itself."""
    found = [ChainStep("backups", len(evidence.inputs), len({row.participant for row in evidence.inputs}))]
    if evidence.previous:
        found.append(ChainStep("packs", len(evidence.previous), 0))
    return [*found, ChainStep(evidence.kind, 1, 0)]


def flat(section: Mapping[str, JsonValue] | None) -> list[tuple[str, int | float | str]]:
    """Return an open section as name and value pairs, inner objects with their path."""
    pairs: list[tuple[str, int | float | str]] = []
    for name, value in (section or {}).items():
        if isinstance(value, dict):
            pairs += [(f"{name} / {inner}", found) for inner, found in flat(value)]
        else:
            pairs.append((name, value if isinstance(value, int | float | str) else str(value)))
    return pairs


def stacked(parts: Iterable[int], width: float) -> list[tuple[float, float]]:
    """Return (x, width) of each part of a bar; a part that is not nothing stays at least one unit wide."""
    counts = list(parts)
    total = sum(counts)
    if not total:
        return [(0.0, 0.0) for _ in counts]
    raw = [max(1.0, width * count / total) if count else 0.0 for count in counts]
    # What the slivers gained, the widest part gives.
    widest = raw.index(max(raw))
    raw[widest] -= sum(raw) - width
    spans, x = [], 0.0
    for part in raw:
        spans.append((round(x, 2), round(part, 2)))
        x += part
    return spans
