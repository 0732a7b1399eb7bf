"""Intruders against a release before it is signed: how far each comes, held against what the profile promises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from contracts.attack import intruders
from contracts.attack.model import Attack
from contracts.errors import ResidueError
from contracts.evidence_attack import AttackEvidence, JoinEvidence, PlayedEvidence
from contracts.evidence_results import Risk
from contracts.profiles import JOINS, UNIQUE, promised
from flows.attack.attack import Attacked, Game, JoinOutcome, PlayedIntruder, attack
from flows.attack.judged import JudgedTruth
from flows.cut.context import Context
from flows.cut.records import PlayedIntruders
from flows.report.formatting import percent
from transforms.attack.intervals import wilson

REMEDY = (
    "treat what singles out (cut.policy.overlay), take profile strict, keep the postcode area only, or accept the "
    "figure by name: cut.policy.promises"
)


def measure(known: Context, root: Path) -> AttackEvidence | None:
    """Play intruders against the files of a release, once; None where it has no metering points.

    Args:
        known: under the contracts that the files were treated by.
        root: where they lie.
    """
    done = known.workspace.recorded(PlayedIntruders)
    if done is None:
        done = PlayedIntruders(found=_measured(known, root))
        known.workspace.record(done)
    return done.found


def _measured(known: Context, root: Path) -> AttackEvidence | None:
    plan = intruders()
    allowed = dict(known.job.model.cut.policy.promises)
    if not any((root / "data").glob("*/registration.*")):
        return None
    truth = JudgedTruth(known)
    game = Game(plan.in_run.intruders, plan.in_run.targets, plan.in_run.among)
    found = attack(root, truth, truth.another_cut, game)
    most = {**promised(known.job.model.cut.policy.profile, found.among).figures, **allowed}
    stories = {one.id: one.story for one in plan.intruders}
    return AttackEvidence(
        metering_points=found.points,
        searched_among=found.among,
        people=found.people,
        played=tuple(_played(row, stories[row.intruder], most) for row in found.rows),
        joins=tuple(_join(one, found, plan, most) for one in found.joins),
        not_played=dict(found.not_played),
        accepted=allowed or None,
    )


def _played(row: PlayedIntruder, story: str, most: Mapping[str, float]) -> PlayedEvidence:
    outcome = row.outcome
    return PlayedEvidence(
        intruder=row.intruder,
        title=row.title,
        story=story,
        variant=row.variant or None,
        people=outcome.people,
        right=outcome.right,
        wrong=outcome.wrong,
        success=outcome.success,
        control=outcome.control,
        difference=outcome.difference,
        difference_interval=outcome.difference_interval,
        promised=most.get(row.intruder),
    )


def _join(join: JoinOutcome, found: Attacked, plan: Attack, most: Mapping[str, float]) -> JoinEvidence:
    public = tuple(name for name in join.columns if name in plan.public)
    alone = next((one.success for one in found.joins if one.columns == public), 0.0)
    return JoinEvidence(
        columns=join.columns,
        people=join.people,
        linked=join.linked,
        success=join.success,
        success_interval=join.success_interval,
        public_alone=alone,
        promised=most.get(JOINS) if public != join.columns else None,
    )


def beyond(found: AttackEvidence | None) -> list[str]:
    """Say of each figure that is surely above its promise what it is: the lower end of its 95 % interval is."""
    said = []
    for row in found.played if found else ():
        if row.promised is not None and row.difference_interval[0] > row.promised:
            name = f"{row.title}{f' ({row.variant})' if row.variant else ''}"
            said.append(
                f"{name} finds {row.right} of {row.people} people ({_share(row.difference)} more than without their "
                f"own records), above {_share(row.promised)} ({row.intruder})"
            )
    joins = [one for one in (found.joins if found else ()) if one.promised is not None]
    worst = max(joins, key=_surely, default=None)
    if worst and worst.promised is not None and _surely(worst) > worst.promised:
        said.append(
            f"another cut is joined on {', '.join(worst.columns)} for {worst.linked} of {worst.people} people, "
            f"{_share(worst.public_alone)} by public columns alone, above {_share(worst.promised)} more ({JOINS})"
        )
    return said


def _surely(join: JoinEvidence) -> float:
    """Return the lower end of what a join links beyond the public columns alone (Newcombe 1998, method 10)."""
    up = wilson(round(join.public_alone * join.people), join.people)[1] - join.public_alone
    down = join.success - join.success_interval[0]
    return join.success - join.public_alone - math.hypot(down, up)


def refuse(found: AttackEvidence | None, risk: Risk | None) -> None:
    """End the run where somebody finds surely more than is promised.

    Raises:
        ResidueError: names the intruders and figures.
    """
    said = beyond(found)
    if risk and risk.alone is not None and risk.alone_promised is not None and risk.alone > risk.alone_promised:
        said.append(
            f"{_share(risk.alone)} of metering points are alone in what the release tells, above "
            f"{_share(risk.alone_promised)} ({UNIQUE})"
        )
    if said:
        raise ResidueError("; ".join(said), where="motivated intruder", remedy=REMEDY)


def _share(value: float) -> str:
    return percent(value, 1)
