"""The quality stage: every rule of every contract, twice: as row verdicts and by Great Expectations.

The row verdicts exclude; Great Expectations counts the same rules independently for the report. Where the two counts
differ the run stops: one of them would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from contracts.errors import QualityError
from contracts.load import load_all
from contracts.model import Contract, Rule
from contracts.vocabulary import Stage
from flows.anonymise import STAGED
from flows.workspace import ORDER, Workspace
from transforms import exclusion, rules

JUDGED, EXCLUDED = "judged", "excluded"


@dataclass(frozen=True, slots=True)
class Held:
    """One extract of one participant."""

    participant: str
    extract: str


def frames(workspace: Workspace, room: str, held: Iterable[Held], extract: str, number: int) -> list[pl.LazyFrame]:
    """Return a partition of one extract of all participants, one frame each."""
    found = [workspace.scan(room, h.participant, h.extract, number) for h in held if h.extract == extract]
    return [frame for frame in found if frame is not None]


def everywhere(workspace: Workspace, room: str, held: Iterable[Held], extract: str) -> list[pl.LazyFrame]:
    """Return all partitions of one extract of all participants."""
    held = list(held)
    return [f for number in range(workspace.partitions) for f in frames(workspace, room, held, extract, number)]


def global_tables(workspace: Workspace, held: Sequence[Held]) -> dict[str, pl.LazyFrame]:
    """Return the look-up tables that span partitions: values with several owners, and keys referred to elsewhere."""
    tables: dict[str, pl.LazyFrame] = {}
    for extract in sorted({h.extract for h in held}):
        contract = load_all()[extract]
        parts = everywhere(workspace, STAGED, held, extract)
        for rule in contract.rules:
            if not parts:
                continue
            name = rules.table_of(rule) if rule.expectation in rules.LOOKUPS else ""
            if rule.expectation == rules.ONE_OWNER:
                tables[name] = _owners(parts, str(rule.kwargs["column"]), str(rule.kwargs["owner"]))
            elif name.startswith("all:"):
                tables[name] = _referred(parts, everywhere(workspace, STAGED, held, name.removeprefix("all:")), rule)
    return tables


def _owners(parts: list[pl.LazyFrame], column: str, owner: str) -> pl.LazyFrame:
    pairs = pl.concat([part.select(column, owner) for part in parts]).drop_nulls().unique()
    several = pairs.group_by(column).len().filter(pl.col("len") > 1)
    return several.select(column).collect(engine="streaming").lazy()


def _referred(parts: list[pl.LazyFrame], target: list[pl.LazyFrame], rule: Rule) -> pl.LazyFrame:
    """Return the target's keys that some row refers to: a small table, however large the target."""
    ((column, sql),) = rule.kwargs["keys"].items()
    wanted = pl.concat([part.select(pl.sql_expr(sql).alias(column)) for part in parts]).drop_nulls().unique()
    return pl.concat([part.select(column) for part in target]).join(wanted, on=column, how="semi").collect().lazy()


def judge_partition(
    workspace: Workspace, held: Sequence[Held], number: int, shared: Mapping[str, pl.LazyFrame], cut_date: Any
) -> None:
    """Judge all extracts of one partition; write them sorted, with verdicts, and the MPANs that are excluded."""
    tables = dict(shared)
    present = {h.extract for h in held}
    for extract in present:
        parts = frames(workspace, STAGED, held, extract, number)
        if parts:
            tables[f"extract:{extract}"] = pl.concat(parts)
    if "extract:registration" in tables:
        contract = load_all()["registration"]
        plain = {k: v for k, v in tables.items() if not k.startswith(("extract:", "all:", "owners:"))}
        known = rules.enrich(tables["extract:registration"].drop(rules.MASK), contract, plain, cut_date)
        tables["extract:registration"] = known.collect().lazy()
    for extract in present:  # a table that is held but empty here still judges: nothing is found in it
        contract = load_all()[extract]
        if f"extract:{extract}" not in tables:
            derived = [d.name for d in contract.derived]
            empty = dict.fromkeys([*(c.name for c in contract.columns), *derived], pl.String)
            tables[f"extract:{extract}"] = pl.LazyFrame(schema=empty)
    causes = []
    for h in held:
        staged = workspace.scan(STAGED, h.participant, h.extract, number)
        if staged is None:
            continue
        judged = _judge(staged, load_all()[h.extract], tables, cut_date)
        workspace.write(judged, JUDGED, h.participant, h.extract, number)
        causes.append(exclusion.faulty(judged.lazy(), load_all()[h.extract]))
    out = exclusion.exclusions(causes).collect()
    write_exclusions(workspace, "quality", number, out)


def _judge(staged: pl.LazyFrame, contract: Contract, tables: Mapping[str, pl.LazyFrame], cut_date: Any) -> pl.DataFrame:
    mine = rules.judged(contract, Stage.QUALITY, list(tables))
    frame = rules.enrich(staged, contract, tables, cut_date)
    both = (pl.col(rules.MASK) | rules.fault_mask(contract, mine)).alias(rules.MASK)
    keys = [c for c in contract.key if c != "mpan_core"]
    rest = [c.name for c in contract.staged if c.name not in contract.key]
    return frame.with_columns(both).sort(ORDER, "_token", *keys, *rest, nulls_last=True).collect()


def write_exclusions(workspace: Workspace, stage: str, number: int, excluded: pl.DataFrame) -> None:
    """Write the MPANs that a stage excludes from one partition."""
    workspace.put(excluded, workspace.folder(EXCLUDED, stage) / f"{number:04d}.arrow")


def is_judged(workspace: Workspace, number: int) -> bool:
    """Tell whether a partition is judged already: its exclusions are written last."""
    return (workspace.root / EXCLUDED / "quality" / f"{number:04d}.arrow").is_file()


def read_exclusions(workspace: Workspace, number: int) -> pl.DataFrame:
    """Return the MPANs that the stages so far exclude from a partition; the first stage's cause stands first."""
    stages = [s for s in ("quality", "coincident", "augment") if (workspace.root / EXCLUDED / s).is_dir()]
    found = [workspace.root / EXCLUDED / stage / f"{number:04d}.arrow" for stage in stages]
    frames_ = [pl.read_ipc(path) for path in found if path.is_file()]
    if not frames_:
        return pl.DataFrame(schema=exclusion.SCHEMA)
    return pl.concat(frames_).unique("mpan_core", keep="first", maintain_order=True)


def rule_results(
    workspace: Workspace, held: Sequence[Held], tables: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Run Great Expectations over every extract and hold its counts against the row verdicts.

    Returns:
        One entry per participant, extract and rule for the evidence; and each checkpoint's result as JSON text.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    from flows.gx_polars.result import raise_on_crash
    from flows.gx_polars.run import run_suite

    entries, documents = [], {}
    for h in held:
        contract = load_all()[h.extract]
        parts = [
            p
            for n in range(workspace.partitions)
            if (p := workspace.scan(JUDGED, h.participant, h.extract, n)) is not None
        ]
        if not parts:
            continue
        mine = [*contract.rules_at(Stage.INTAKE), *rules.judged(contract, Stage.QUALITY, list(tables))]
        name = f"{h.participant}-{h.extract}"
        kept = [part.with_columns(rules.kept_columns(contract)) for part in parts]
        result = run_suite(kept, rules.expectations(contract, mine), name=name)
        raise_on_crash(result)
        documents[name] = result.to_json()
        verdicts = _verdict_counts(parts, contract)
        for rule, found in zip(mine, result.rules, strict=True):
            if (found.unexpected_count or 0) != verdicts[rule.id]:
                raise QualityError(
                    f"rule {rule.id}: Great Expectations counts {found.unexpected_count}, the row verdicts "
                    f"{verdicts[rule.id]}",
                    where=f"{h.participant}/{h.extract}",
                    remedy="report this: a rule is interpreted in two ways",
                )
        entries += [_entry(h, rule, mine, verdicts, parts) for rule in contract.rules]
    return entries, documents


def _verdict_counts(parts: list[pl.LazyFrame], contract: Contract) -> dict[str, int]:
    counts = [rules.broken(n).sum().alias(rule.id) for n, rule in enumerate(contract.rules)]
    rows = pl.concat([part.select(rules.MASK) for part in parts]).select(pl.len().alias("rows"), *counts).collect()
    return rows.row(0, named=True)


def _entry(h: Held, rule: Rule, mine: list[Rule], verdicts: Mapping[str, int], _parts: object) -> dict[str, Any]:
    return {
        "participant": h.participant,
        "extract": h.extract,
        "rule": rule.id,
        "reason": rule.reason,
        "effect": rule.effect.value,
        "description": rule.description,
        "basis": list(rule.basis),
        "evaluated": verdicts["rows"] if rule in mine else 0,
        "failed": verdicts[rule.id],
        "crashed": False,
    }
