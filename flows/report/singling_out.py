"""Whether a metering point can be singled out, in words: what intruders achieved, and what alike columns leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.evidence import Evidence
from contracts.evidence_attack import AttackEvidence, JoinEvidence, PlayedEvidence
from contracts.evidence_results import Risk
from flows.report.check_types import CheckState, ReportCheck
from flows.report.formatting import listed, number, percent

QUESTION = "Can a metering point be singled out?"
WIDTH = 200.0
JARGON = {
    "prosecutor_max": "prosecutor: knows that its target is in the release",
    "prosecutor_mean": "the same for a target drawn by lot",
    "journalist_max": "journalist: wants anybody, and does not know who is in",
    "marketer": "marketer: wants as many as possible, and does not mind errors",
    "alone": "alone: like nobody else in these, consumption and start of supply, as precisely as released",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """One intruder as a bar: shares of the width of the drawing."""

    row: PlayedEvidence
    found: float
    control: float
    low: float
    high: float
    words: str

    @property
    def name(self) -> str:
        """Return who it is, and what of its knowledge it used."""
        return f"{self.row.title}, {self.row.variant}" if self.row.variant else self.row.title


def reaches(attack: AttackEvidence | None) -> list[Reach]:
    """Return the intruders as bars, who finds fewest first."""
    rows = sorted(attack.played if attack else (), key=lambda row: (row.success, row.intruder))
    made = []
    for row in rows:
        low, high = (min(max(row.control + end, 0.0), 1.0) for end in row.difference_interval)
        words = f"found {share(row.success)}, without their own records {share(row.control)}"
        made.append(
            Reach(row, row.success * WIDTH, row.control * WIDTH, round(low * WIDTH, 1), round(high * WIDTH, 1), words)
        )
    return made


def joins(attack: AttackEvidence | None) -> list[JoinEvidence]:
    """Return the joins with another cut that link most: of each released value the best."""
    best: dict[str, JoinEvidence] = {}
    for one in attack.joins if attack else ():
        if one.promised is not None or one.success > one.public_alone:
            kept = best.get(one.columns[0])
            if kept is None or one.success - one.public_alone > kept.success - kept.public_alone:
                best[one.columns[0]] = one
    return list(best.values())


def share(value: float) -> str:
    """Return a share in per cent, to the tenth."""
    return f"{100 * value:.1f}%"


def singled_out(evidence: Evidence) -> list[ReportCheck]:
    """Return the answer of the first screen; nothing where nothing was measured."""
    counted = _by_classes(evidence.risk)
    if not (evidence.attack and evidence.attack.played):
        return counted
    played = _by_intruders(evidence.attack, evidence.policy.profile if evidence.policy else None)
    return [played, *(one for one in counted if one.state is CheckState.NOTE)]


def in_words(attack: AttackEvidence) -> tuple[str, str]:
    """Return who finds most, and who else finds how many."""
    best = max(attack.played, key=lambda row: (row.difference, row.right))
    name = f"the {best.title.lower()}{f' ({best.variant})' if best.variant else ''}"
    short = (
        f"Best is {name}: finds {number(best.right)} of {number(best.people)} people ({share(best.success)}), and "
        f"{share(best.control)} once their own records are taken out."
    )
    first: dict[str, PlayedEvidence] = {}
    for row in sorted(attack.played, key=lambda row: -row.difference):
        if row.intruder != best.intruder:
            first.setdefault(row.intruder, row)
    others = [f"{row.title.lower()} {share(row.difference)}" for row in first.values()]
    return short, f"{best.story} Beyond the control: {listed(others, 8)}."


def _by_intruders(attack: AttackEvidence, profile: str | None) -> ReportCheck:
    short, detail = in_words(attack)
    if attack.searched_among < attack.metering_points:
        among = percent(attack.searched_among, attack.metering_points)
        detail += f" Searched in {among} of the release, where more is found than in the whole."
    if attack.accepted:
        named = [f"{name} up to {share(most)}" for name, most in sorted(attack.accepted.items())]
        detail += f" Accepted by name in the policy: {listed(named, 8)}."
    promised = any(row.promised is not None for row in attack.played)
    detail += (
        f" Each is within what profile {profile} promises; what it does not promise stands in the table."
        if promised
        else f" Profile {profile} promises nothing of a release of this size."
    )
    return ReportCheck(QUESTION, short, detail, CheckState.NOTE if attack.accepted else CheckState.PLAIN, "risk")


def _by_classes(risk: Risk | None) -> list[ReportCheck]:
    """Return how far columns single out by counting alone: where no intruder was played."""
    if not risk:
        return []
    limits = risk.thresholds or {}
    figures_of = {name: getattr(risk, name, None) for name in sorted(limits)}
    above = [n.replace("_", " ") for n, f in figures_of.items() if isinstance(f, int | float) and f > limits[n]]
    if above:
        short = f"The risk of re-identification is above what the policy tolerates: {listed(above)}."
        detail = "Coarser columns or fewer rows would lower it; releasing as it is, is the controllers’ decision."
        return [ReportCheck(QUESTION, short, detail, CheckState.NOTE, "risk")]
    counts = [band.metering_points for band in risk.class_sizes or ()] or [0]
    alone, whole = counts[0], sum(counts)
    knows = listed([name.replace("_", " ") for name in risk.quasi_identifiers or ()], 8)
    short = f"{percent(alone, whole)} of metering points are like no other, once identifiers are gone."
    limit = "within the limits that the policy sets" if limits else "the policy sets no limit"
    return [ReportCheck(QUESTION, short, f"For an intruder who knows {knows}; {limit}.", section="risk")]


def explained(names: Sequence[str]) -> str:
    """Return what the figures' names mean, of those that are shown."""
    return "; ".join(JARGON[name] for name in names if name in JARGON)
