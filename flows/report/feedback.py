"""A participant's page of what to correct: counts by rule, what brings most back, and the change since the last cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from contracts.evidence import Evidence
from flows.pack import bag
from flows.report import formatting
from flows.report.csv_safe import csv_bytes
from flows.report.render import asset, content_security_policy, environment

FOLDER = bag.FEEDBACK


@dataclass(frozen=True, slots=True)
class FeedbackCount:
    """Lines with one thing wrong; ``before``: rows that broke the rule in the last cut, if it was judged there."""

    extract: str
    columns: tuple[str, ...]
    rule: str
    rule_id: str
    reason: str
    effect: str
    broken_by: str
    other: str | None
    rows: int
    points: int
    alone: int
    before: int | None = None


def feedback_files(evidence: Evidence, counts: pl.DataFrame, earlier: Evidence | None) -> dict[str, bytes]:
    """Return the page and its table, by path in a return pack.

    Args:
        evidence: of the return pack.
        counts: as of :func:`transforms.release.feedback.total`.
        earlier: evidence of the release of the last cut, if there is one.
    """
    listed = counts.with_columns(pl.col("columns").list.join(", "))
    return {
        f"{FOLDER}/index.html": feedback_page(evidence, counts, earlier),
        f"{FOLDER}/counts.csv": csv_bytes(listed.columns, listed.rows()),
    }


def feedback_page(evidence: Evidence, counts: pl.DataFrame, earlier: Evidence | None) -> bytes:
    """Return the page; it loads nothing and runs no script."""
    mpid = evidence.inputs[0].participant
    before = _before(mpid, earlier)
    rows = [
        FeedbackCount(**{**row, "columns": tuple(row["columns"])}, before=before.get((row["extract"], row["rule_id"])))
        for row in counts.to_dicts()
    ]
    excluding = [row for row in rows if row.effect == "exclude" and row.broken_by == f"{mpid}/{row.extract}"]
    css = asset("page.css")
    page = environment().get_template("feedback.html.j2")
    return page.render(
        css=Markup(css),  # noqa: S704 - our own file
        policy_header=content_security_policy(css),
        evidence=evidence,
        earlier=earlier,
        mpid=mpid,
        headline=_headline(evidence, mpid, rows),
        excluding=excluding,
        others=[row for row in rows if row.effect == "exclude" and row not in excluding],
        warned=[row for row in rows if row.effect == "warn"],
        disagreements=[row for row in rows if row.effect == "disagree"],
        gone=_gone(evidence, before),
        outside=_outside(evidence, mpid),
    ).encode()


def _headline(evidence: Evidence, mpid: str, rows: list[FeedbackCount]) -> str:
    out = evidence.exclusions.mpans if evidence.exclusions else 0
    if not rows:
        return f"{mpid}: nothing to correct"
    said = f"{formatting.plural(out, 'metering point')} of {mpid} {'is' if out == 1 else 'are'} excluded"
    alone = sum(row.alone for row in rows)
    return f"{said}; {formatting.number(alone)} come back with one correction each" if alone else said


def _outside(evidence: Evidence, mpid: str) -> dict[str, int]:
    """Return how many metering points of each extract are of distributors that send nothing to the cut."""
    rows = [row for row in evidence.alignment or () if row.right == mpid and row.outside]
    return {row.extract_right: row.outside or 0 for row in rows}


def _before(mpid: str, earlier: Evidence | None) -> Mapping[tuple[str, str], int]:
    """Return how many of the participant's rows broke each rule in the last cut, by extract and rule."""
    found: Counter[tuple[str, str]] = Counter()
    for rule in earlier.rules if earlier else ():
        if rule.participant == mpid:
            found[rule.extract, rule.rule] += rule.failed
    return found


def _gone(evidence: Evidence, before: Mapping[tuple[str, str], int]) -> list[str]:
    """Return what was broken in the last cut and is not any more, in words."""
    now = {(rule.extract, rule.rule): rule for rule in evidence.rules}
    return [
        f"{extract}: {now[extract, name].fault or now[extract, name].description} ({formatting.plural(count, 'row')})"
        for (extract, name), count in sorted(before.items())
        if count and (extract, name) in now and not now[extract, name].failed and now[extract, name].evaluated
    ]
