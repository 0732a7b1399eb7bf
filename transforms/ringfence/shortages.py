"""Shortages in words and as data: which test cases compete, how much there is, and which criterion is in the way.

No solver's term reaches a reader. Every missing base unit is in exactly one entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.evidence_results import MissingUnits, RelaxationEvidence, Shortage
from contracts.ringfence.model import Criterion, Demand
from transforms.ringfence.all_or_nothing import needed
from transforms.ringfence.causes import ShortageCause, find_causes
from transforms.ringfence.contested import Contested, Problem
from transforms.ringfence.max_flow import Fill
from transforms.ringfence.profiles import Profiles
from transforms.ringfence.relaxation import EXPORT_SIDE, Relaxation, relaxations
from transforms.ringfence.signatures import column
from transforms.ringfence.units import FREE, STATUS_WORDS

SHOWN_NAMES = 8
SHOWN_STEPS = 3

Ints = NDArray[np.int64]


def explain(
    profiles: Profiles, problem: Problem, contested: Contested, plain: Fill, filled: Fill, given: NDArray[np.int32]
) -> list[Shortage]:
    """Return one entry for each cause of missing units, spares last.

    Args:
        profiles: for relaxations and for what is withheld.
        problem: demands, and the supply before the round.
        contested: its contested part.
        plain: what could be filled; ``filled``: what was, after any all-or-nothing decision.
        given: unit profile of every unit given out.

    """
    left = problem.free - np.bincount(given, minlength=len(problem.free))
    causes = find_causes(problem, contested, plain)
    on = sorted({int(problem.asks[demand]) for cause in causes for demand in cause.falls_on})
    steps = relaxations(profiles, problem, left, on)
    told = [_cause(profiles, problem, cause, steps) for cause in causes]
    return told + _given_up(problem, plain, filled) + _spares(problem, filled)


def left_out_cases(filled: pl.DataFrame, left_out: Mapping[str, str]) -> list[Shortage]:
    """Return one entry for each participant that the cut goes on without and whose test cases therefore lack units.

    Args:
        filled: as of :func:`transforms.ringfence.outstanding.fulfilment`.
        left_out: why, by MPID.
    """
    found = []
    for mpid, reason in sorted(left_out.items()):
        lacking = filled.filter(pl.col("participant") == mpid, pl.col("short") > 0)
        cases = tuple(sorted(set(lacking["test_case"])))
        if cases:
            short = int(lacking["short"].sum())
            text = (
                f"{mpid} is left out of the cut ({reason}), so {_names(cases)} {'gets' if len(cases) == 1 else 'get'} "
                f"no metering points: {short:,} short."
            )
            found.append(Shortage(text=text, kind="left out", test_cases=cases, short=short))
    return found


def _cause(profiles: Profiles, problem: Problem, cause: ShortageCause, steps: dict[int, list[Relaxation]]) -> Shortage:
    demands = [problem.demands[number] for number in cause.demands]
    offered = [
        (number, step) for number in cause.falls_on for step in steps.get(int(problem.asks[number]), [])[:SHOWN_STEPS]
    ]
    withheld = _withheld(profiles, problem, cause)
    alone = len(demands) == 1
    wants = "wants" if alone else "together still want" if cause.still else "together want"
    any_of = "it" if alone else "any of them"
    short = f"{cause.short:,} short" + ("" if alone else f", which falls on {_falls(problem, cause)}")
    common = _common(demands)
    parts = [
        f"{_names(demand.label() for demand in demands)} {wants} {_units(cause.wanted)}, "
        f"but {_only(cause.eligible)} {any_of}: {short}.",
        f"{'Criteria' if alone else 'Common to all'}: {common}." if common else "",
        _withheld_text(withheld),
        _steps_text(problem, offered, alone=alone),
    ]
    return Shortage(
        text=" ".join(part for part in parts if part),
        kind="alone" if alone else "together",
        round=demands[0].round,
        test_cases=tuple(demand.label() for demand in demands),
        short=cause.short,
        falls_on=_on(problem, cause.falls_on),
        wanted=cause.wanted,
        eligible=cause.eligible,
        minimal=cause.minimal,
        withheld=withheld,
        relaxations=tuple(
            RelaxationEvidence(
                test_case=problem.demands[number].label(),
                side=step.side,
                attribute=step.attribute,
                drop=step.said,
                frees=step.frees,
                also_accept=step.value,
                also_accept_frees=step.value_frees,
            )
            for number, step in offered
        ),
    )


def _on(problem: Problem, units: dict[int, int]) -> tuple[MissingUnits, ...]:
    lacking = ((problem.demands[number], missing) for number, missing in sorted(units.items()))
    return tuple(MissingUnits(test_case=d.label(), priority=d.priority, short=missing) for d, missing in lacking)


def _withheld(profiles: Profiles, problem: Problem, cause: ShortageCause) -> dict[str, int]:
    """Count the units that satisfy any of the demands but may not be used, by reason."""
    suits = np.zeros(profiles.size, dtype=np.bool_)
    for number in sorted({int(problem.asks[demand]) for demand in cause.demands}):
        suits |= column(problem.signatures, number)
    counts = profiles.counts[suits].sum(axis=0)
    return {word: int(counts[status]) for status, word in STATUS_WORDS.items() if status != FREE and counts[status]}


def _names(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    if len(distinct) > SHOWN_NAMES + 1:
        return ", ".join(distinct[:SHOWN_NAMES]) + f" and {len(distinct) - SHOWN_NAMES} more"
    return distinct[0] if len(distinct) == 1 else ", ".join(distinct[:-1]) + f" and {distinct[-1]}"


def _units(number: int) -> str:
    return f"{number:,} unit{'' if number == 1 else 's'}"


def _only(number: int) -> str:
    if not number:
        return "no free unit satisfies"
    return f"only {number:,} free unit{' satisfies' if number == 1 else 's satisfy'}"


def _falls(problem: Problem, cause: ShortageCause) -> str:
    if len(cause.falls_on) == 1:
        return problem.demands[next(iter(cause.falls_on))].label()
    return _names(f"{problem.demands[number].label()} ({units:,})" for number, units in sorted(cause.falls_on.items()))


def _common(demands: list[Demand]) -> str:
    """Say the criteria that all demands share."""

    def shared(side: str) -> list[Criterion]:
        sets = [set(getattr(demand, side)) for demand in demands]
        return sorted(set.intersection(*sets), key=str)

    imports = " & ".join(str(criterion) for criterion in shared("criteria"))
    exports = " & ".join(str(criterion) for criterion in shared(EXPORT_SIDE))
    return "; ".join(part for part in (imports, f"export half {exports}" if exports else "") if part)


def _withheld_text(withheld: dict[str, int]) -> str:
    if not withheld:
        return ""
    counted = _names(f"{number:,} {word}" for word, number in withheld.items())
    return f"Would satisfy, but may not be used: {counted}."


def _steps_text(problem: Problem, offered: list[tuple[int, Relaxation]], *, alone: bool) -> str:
    if not offered:
        return "No single criterion, dropped, frees any."
    said = []
    for number, step in sorted(offered, key=lambda each: -each[1].frees)[:SHOWN_STEPS]:
        where = "" if alone else f" from {problem.demands[number].label()}"
        side = " of the export half" if step.side == EXPORT_SIDE else ""
        text = f"dropping {step.said}{side}{where} frees {step.frees:,} more"
        if step.value_frees:
            text += f" (also accepting {step.value}: {step.value_frees:,})"
        said.append(text)
    return "To relax: " + "; ".join(said) + "."


def _given_up(problem: Problem, plain: Fill, filled: Fill) -> list[Shortage]:
    """Tell which test cases an all-or-nothing decision left without units that they could have had."""
    least, found = needed(problem), []
    for number in np.flatnonzero(filled.base < plain.base):
        demand, had, got = problem.demands[int(number)], int(plain.base[number]), int(filled.base[number])
        found.append(
            Shortage(
                text=f"{demand.label()} cannot run with fewer than {_units(int(least[number]))}; {had:,} could be "
                f"had, and {f'{got:,} were' if got else 'none was'} given, so that others can run (all or nothing).",
                kind="given up",
                round=demand.round,
                test_cases=(demand.label(),),
                short=had - got,
                falls_on=_on(problem, {int(number): had - got}),
            )
        )
    return found


def _spares(problem: Problem, filled: Fill) -> list[Shortage]:
    """Tell in one entry which spares are missing: no test depends on them."""
    missing = problem.spare - filled.spare
    on = {int(number): int(missing[number]) for number in np.flatnonzero(missing)}
    if not on:
        return []
    names = [problem.demands[number].label() for number in on]
    total = sum(on.values())
    return [
        Shortage(
            text=f"{total:,} spare unit{' is' if total == 1 else 's are'} missing, from {_names(names)}. "
            "Spares never take a unit that a test case wants.",
            kind="spares",
            round=problem.demands[0].round,
            test_cases=tuple(names),
            short=total,
            falls_on=_on(problem, on),
        )
    ]
