"""JUDGED: the real values of people as a run's work folder has them, for intruders that are played within the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from contracts.attack.model import Attack
from contracts.model import Contract
from contracts.profiles import amount_steps
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from contracts.vocabulary import PostcodePolicy
from flows.attack.released import PERIOD, SPREAD, Points, as_chunk, joined
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, frames
from transforms.attack.blocks import firsts
from transforms.attack.facts import ORDER, Values, gather, series, wanted
from transforms.attack.search import ReleasedPart
from transforms.pseudonymise.half_hourly import kilowatt_hours
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser, treat
from transforms.pseudonymise.sealed_series import SEALED

SEED_FIELD, OTHER_FIELD = "attack", "attack-other-cut"
HIDDEN = "outward"  # of a postcode, where only its area is kept: the work folder does not have it


@dataclass(frozen=True, slots=True, repr=False)
class JudgedTruth:
    """The judged rows of a run: identifiers are pseudonyms there, dates, amounts and codes are real.

    Half-hourly readings are there for the key's holder alone, and not those that came in a submission pack.
    """

    known: Context

    @property
    def seed(self) -> int:
        """Return the number that decides who is searched for and what is misremembered."""
        return int.from_bytes(self.known.keys.field(SEED_FIELD).material()[:8], "little")

    def facts(self, attack: Attack, points: Points) -> ReleasedPart:
        """Return the real values of some metering points."""
        return self._facts(attack, points, {}, None)

    def series(self, attack: Attack, points: Points, days: Sequence[date]) -> ReleasedPart:
        """Return the real totals of days and half-hours of some metering points."""
        spec = attack.series
        rows = self._rows(spec.extract, points)
        if rows is None or SEALED not in rows.columns:
            return ReleasedPart(np.empty(0, np.uint64), {})
        rows = rows.filter(pl.col(SEALED).is_not_null())
        periods = [PERIOD.format(n) for n in range(1, spec.periods + 1)]
        values, present = self.known.pseudonymiser.unsealed(rows[SEALED])
        real = rows.with_columns(kilowatt_hours(values[:, : spec.periods], ~present[:, : spec.periods], periods))
        return as_chunk(series(real.lazy(), spec, days, periods).collect())

    def another_cut(self, attack: Attack, points: Points) -> Values:
        """Return what a cut of the same people says of them that is released alike, under another key."""
        known = self.known
        key = known.keys.field(OTHER_FIELD).material()
        precision = ReleasedPrecision(known.job.model.cut.date, amount_steps())
        other = Pseudonymiser(FieldKeys(key, "another"), lists=scheme_lists(), precision=precision)
        other = other.among(known.pseudonymiser.shared)
        return firsts(self._facts(attack, points, known.contracts, other).of(points))

    def _facts(
        self, attack: Attack, points: Points, contracts: Mapping[str, Contract], treated_by: Pseudonymiser | None
    ) -> ReleasedPart:
        known, found = self.known, []
        hidden = known.job.model.cut.policy.postcode is PostcodePolicy.AREA
        facts = {name: fact for name, fact in attack.facts.items() if not (hidden and name == HIDDEN)}
        for extract in known.contracts:
            asked = [
                (fact, column) for fact, column in wanted(facts, extract) if fact.places[0] == f"{extract}.{column}"
            ]
            rows = self._rows(extract, points) if asked else None
            if rows is None:
                continue
            if treated_by:
                rows = treat(rows.lazy(), contracts[extract], treated_by).collect()
            mine = [(fact, column) for fact, column in asked if column in rows.columns]
            found.append(gather(rows.lazy(), mine, extract))
        return joined(found, attack, facts)

    def _rows(self, extract: str, points: Points) -> pl.DataFrame | None:
        """Return the judged rows of some metering points; partitions are ranges of their order keys."""
        known, parts = self.known, []
        count = known.workspace.partitions
        last = int(points[-1]) * count // SPREAD if points.size else -1
        wanted_points = pl.Series(points)
        for number in range(min(last + 2, count)):
            rows = frames(known.workspace, JUDGED, known.extracts, extract, number)
            if rows:
                whole = pl.concat(rows, how="diagonal_relaxed")
                parts.append(whole.filter(pl.col(ORDER).is_in(wanted_points.implode())).collect())
        return pl.concat(parts, how="diagonal_relaxed") if parts else None
