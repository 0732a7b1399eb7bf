"""What intruders achieved against a release, as a section of the evidence: counts and rates, nobody by name."""

from __future__ import annotations

from contracts.evidence_types import Count, Maybe, Name, Section, Share, _maybe, _of


class PlayedEvidence(Section):
    """One intruder: what it achieved against the people's own records, and without them (the control)."""

    intruder: Name
    title: Name
    story: str = _of("What it knows, in words.")
    variant: Maybe[Name] = _maybe("What of its knowledge it used, where it was played several times.")
    people: Count
    right: Count
    wrong: Count
    success: Share = _of("Share of people whose own record it named.")
    control: Share = _of("Share whom it describes rightly though their own records are taken out.")
    difference: float
    difference_interval: tuple[float, float] = _of("95 % interval of the difference.")
    promised: Maybe[Share] = _maybe("Most that the profile allows of the difference; absent where it promises nothing.")


class JoinEvidence(Section):
    """A plain join with another cut of the same people, on equal values of some columns."""

    columns: tuple[Name, ...]
    people: Count
    linked: Count = _of("People linked uniquely and rightly.")
    success: Share
    success_interval: tuple[float, float]
    public_alone: Share = _of("Success of the public ones of these columns by themselves.")
    promised: Maybe[Share] = _maybe("Most that the profile allows beyond the public columns alone.")


class AttackEvidence(Section):
    """The attack on the release, made before it was signed: who tried, and how far each came."""

    metering_points: Count
    searched_among: Count = _of("Of a large release a part is searched; more is found in it than in the whole.")
    people: Count = _of("Drawn by the cut's key.")
    played: tuple[PlayedEvidence, ...]
    joins: tuple[JoinEvidence, ...]
    not_played: dict[str, str] = _of("Intruder: why it was not played.")
    accepted: Maybe[dict[str, Share]] = _maybe("Figures that cut.yaml allows by name in place of the profile's.")
