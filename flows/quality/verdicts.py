"""The quality stage: every rule of every contract, twice: as row verdicts and by Great Expectations.

The row verdicts exclude; Great Expectations counts the same rules independently for the report. Where the two counts
differ the run stops: one of them would be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from contracts.errors import QualityError
from contracts.load import load_all
from contracts.model import Contract, Rule
from contracts.types import column_type
from contracts.vocabulary import Stage
from flows.cut.workspace import ORDER, Workspace
from flows.quality.cross_partition import EXTRACT, Held, load, local_tables, plain_tables, spanning_tables
from transforms.quality import exclusions, expectations, rules
from transforms.quality.lookups import PARTICIPANT, Tables, derive, judged, table_of

__all__ = ["JUDGED", "Held", "cascade", "frames", "judge", "read_exclusions", "write_exclusions"]

JUDGED, EXCLUDED = "judged", "excluded"
SUBMITTED, QUALITY, COMPANION = "submitted", "quality", "companion"
SPANNING = "tables"
STAGES = (SUBMITTED, QUALITY, "coincident", "augment", COMPANION)  # in the order in which they exclude
TABLES = "tables"


def frames(workspace: Workspace, room: str, held: Iterable[Held], extract: str, number: int) -> list[pl.LazyFrame]:
    """Return a partition of one extract of all participants, one frame each."""
    found = [workspace.scan(room, h.participant, h.extract, number) for h in held if h.extract == extract]
    return [frame for frame in found if frame is not None]


def judge(workspace: Workspace, held: Sequence[Held], reference: Tables, cut_date: date) -> dict[str, Any]:
    """Judge every rule over every partition; partitions that are judged already are left as they are.

    Writes room ``judged``: the staged columns, derived columns, ``_in_<rule>`` of look-up rules, the masks, rows in
    canonical order; and the metering points that are excluded, by their own faults or as companions.

    Returns:
        As :func:`count_rules`.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    shared = {**reference, **spanning_tables(workspace, held, reference, cut_date)}
    for number in range(workspace.partitions):
        if not is_judged(workspace, number):
            judge_partition(workspace, held, number, shared, cut_date)
    cascade(workspace, stated_links(workspace, held))
    return count_rules(workspace, held, shared)


def count_rules(workspace: Workspace, held: Sequence[Held], shared: Collection[str]) -> dict[str, Any]:
    """Count every rule by Great Expectations and hold the counts against the row verdicts.

    Args:
        shared: names of the reference tables and of those that span partitions.

    Returns:
        ``entries``: per participant, extract and rule, what the evidence says; ``documents``: the results of Great
        Expectations as JSON texts.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    names = {*shared, *(f"{EXTRACT}{h.extract}" for h in held), *_local_names(held)}
    entries, documents = rule_results(workspace, held, names)
    return {"entries": entries, "documents": documents}


def write_tables(workspace: Workspace, held: Sequence[Held], reference: Tables, cut_date: date) -> dict[str, Any]:
    """Write the tables that span partitions into the work folder; return their names in the order of their files."""
    tables = spanning_tables(workspace, held, reference, cut_date)
    folder = workspace.folder(SPANNING)
    for number, table in enumerate(tables.values()):
        workspace.put(table, folder / f"{number:03d}.arrow")
    return {"names": list(tables)}


def read_tables(workspace: Workspace, reference: Tables) -> dict[str, pl.DataFrame]:
    """Return the reference tables and those that were written to span partitions."""
    names = (workspace.noted(SPANNING) or {"names": []})["names"]
    folder = workspace.root / SPANNING
    return {**reference, **{name: pl.read_ipc(folder / f"{n:03d}.arrow") for n, name in enumerate(names)}}


def _local_names(held: Sequence[Held]) -> set[str]:
    contracts = [load_all()[h.extract] for h in held]
    return {table_of(contract, rule) for contract in contracts for rule in contract.rules
            if table_of(contract, rule).startswith("expect_value_to_have_one_owner:")}  # fmt: skip


# -- row verdicts ---------------------------------------------------------------------------------------------


def judge_partition(workspace: Workspace, held: Sequence[Held], number: int, shared: Tables, cut_date: date) -> None:
    """Judge all extracts of one partition; write them sorted, with verdicts, and the MPANs that are excluded.

    Args:
        shared: reference tables and those of :func:`flows.quality.cross_partition.spanning_tables`.
    """
    extracts = {h.extract for h in held}
    loaded = {e: f for e in extracts if (f := load(workspace, held, e, number)) is not None}
    if "registration" in loaded:
        contract, plain = load_all()["registration"], plain_tables(shared)
        own = [d.name for d in contract.derived if d.sql or d.table in plain]
        loaded["registration"] = derive(loaded["registration"], contract, plain, cut_date, only=own)
    tables = dict(shared)
    for extract in extracts:  # a table that is held but empty here still judges: nothing is found in it
        tables[f"{EXTRACT}{extract}"] = loaded.get(extract, _empty(load_all()[extract]))
    for extract, frame in loaded.items():
        tables.update(local_tables(load_all()[extract], frame))
    missing = uncarried(workspace, held)
    causes = []
    for extract in sorted(loaded):
        contract = load_all()[extract]
        ordered = in_order(loaded.pop(extract), contract)
        whole = rules.judge(ordered, contract, tables, cut_date, uncarried=missing.get(extract, {}))
        causes.append(exclusions.faulty(whole.lazy(), contract))
        for h in held:
            if h.extract == extract:
                own_rows = whole.filter(pl.col(PARTICIPANT) == h.participant).drop(PARTICIPANT)
                if own_rows.height:
                    workspace.write(own_rows, JUDGED, h.participant, extract, number)
    write_exclusions(workspace, QUALITY, number, exclusions.exclusions(causes).collect())


def _empty(contract: Contract) -> pl.DataFrame:
    """Return an extract without a row, each column of its type; derived columns of other extracts are left out."""
    columns = {c.name: column_type(c) for c in contract.staged}
    names = [*(d.name for d in contract.derived if not d.table.startswith(EXTRACT)), PARTICIPANT]
    return pl.DataFrame(schema={**columns, **dict.fromkeys(names, pl.String), ORDER: pl.UInt64})


def uncarried(workspace: Workspace, held: Sequence[Held]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> contract columns that its source does not carry."""
    found: dict[str, dict[str, set[str]]] = {}
    for h in held:
        facts = workspace.noted(f"sources/{h.participant}-{h.extract}") or {}
        if "columns" in facts:
            every = {column.name for column in load_all()[h.extract].columns}
            found.setdefault(h.extract, {})[h.participant] = every - set(facts["columns"])
    return found


def in_order(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return rows in canonical order: by order key and contract key, what still ties by all other columns.

    The order depends on the rows alone, not on the order in which they came. Rows without a pseudonym stand last, by
    their token.
    """
    keys = [ORDER, *(c for c in contract.key if c != "mpan_core")]
    rest = [c.name for c in contract.staged if c.name not in contract.key]
    ordered = frame.sort(keys, nulls_last=True)
    alike = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in keys)
    tied = ordered.select((alike | alike.shift(-1) | pl.col(ORDER).is_null()).fill_null(value=False)).to_series()
    if not tied.any():
        return ordered
    places = tied.arg_true()
    some = ordered.select([*keys, "_token", PARTICIPANT, *rest]).filter(tied).with_columns(places.alias("_place"))
    resorted = some.sort(ORDER, "_token", *keys[1:], PARTICIPANT, *rest, nulls_last=True)["_place"]
    if (resorted == places).all():
        return ordered
    index = np.arange(ordered.height)
    index[places.to_numpy()] = resorted.to_numpy()
    return ordered[index]


# -- exclusions -----------------------------------------------------------------------------------------------


def write_exclusions(workspace: Workspace, stage: str, number: int, excluded: pl.DataFrame) -> None:
    """Write the MPANs that a stage excludes from one partition."""
    workspace.put(excluded, workspace.folder(EXCLUDED, stage) / f"{number:04d}.arrow")


def is_judged(workspace: Workspace, number: int) -> bool:
    """Tell whether a partition is judged already: its exclusions are written last."""
    return (workspace.root / EXCLUDED / QUALITY / f"{number:04d}.arrow").is_file()


def read_exclusions(workspace: Workspace, number: int, stages: Collection[str] = STAGES) -> pl.DataFrame:
    """Return the MPANs that stages exclude from a partition; the first stage's cause stands first."""
    found = [workspace.root / EXCLUDED / stage / f"{number:04d}.arrow" for stage in STAGES if stage in stages]
    frames_ = [pl.read_ipc(path) for path in found if path.is_file()]
    if not frames_:
        return pl.DataFrame(schema=exclusions.SCHEMA)
    return pl.concat(frames_).unique("mpan_core", keep="first", maintain_order=True)


def cascade(workspace: Workspace, links: pl.DataFrame) -> int:
    """Exclude the companions of excluded metering points: a group with one unusable member is unusable.

    May be called again with more links once more is known; it replaces what it wrote before.

    Args:
        links: columns ``mpan_core``, ``other``: pseudonyms that belong together (related, import and export).

    Returns:
        How many metering points are out for this reason alone.
    """
    own = [stage for stage in STAGES if stage != COMPANION]
    out = pl.concat(
        [read_exclusions(workspace, n, own).select("mpan_core") for n in range(workspace.partitions)]
    ).to_series()
    found = exclusions.companions(links, out)
    number = found.select(workspace.partition_number()).to_series()
    for n in range(workspace.partitions):
        write_exclusions(workspace, COMPANION, n, found.filter(number == n))
    return found.height


def stated_links(workspace: Workspace, held: Sequence[Held]) -> pl.DataFrame:
    """Return the related metering points that registrations state."""
    parts = [
        frame.select("mpan_core", pl.col("related_mpan").alias("other")).drop_nulls()
        for number in range(workspace.partitions)
        for frame in frames(workspace, JUDGED, held, "registration", number)
    ]
    return (
        pl.concat(pl.collect_all(parts))
        if parts
        else pl.DataFrame(schema=dict.fromkeys(("mpan_core", "other"), pl.String))
    )


# -- Great Expectations ---------------------------------------------------------------------------------------


def rule_results(
    workspace: Workspace, held: Sequence[Held], tables: Collection[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Run Great Expectations over every extract and hold its counts against the row verdicts.

    Returns:
        One entry per participant, extract and rule for the evidence; and each checkpoint's result as JSON text.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    missing = uncarried(workspace, held)
    entries: list[dict[str, Any]] = []
    documents = {}
    for h in held:
        contract, without = load_all()[h.extract], missing.get(h.extract, {}).get(h.participant, set())
        sender = pl.lit(h.participant).alias(PARTICIPANT)
        scans = (workspace.scan(JUDGED, h.participant, h.extract, n) for n in range(workspace.partitions))
        parts = [scan.with_columns(sender) for scan in scans if scan is not None]
        if not parts:
            continue
        at_hand = [*contract.rules_at(Stage.INTAKE), *judged(contract, Stage.QUALITY, tables)]
        mine = [rule for rule in at_hand if not rule.carried or rule.carried not in without]
        name = f"{h.participant}-{h.extract}"
        counts, documents[name] = count_twice(parts, contract, mine, name)
        entries += [
            entry(h.participant, rule, counts, evaluated=rule in mine, extract=h.extract) for rule in contract.rules
        ]
    return entries, documents


def count_twice(
    parts: Sequence[pl.LazyFrame], contract: Contract, mine: Sequence[Rule], name: str
) -> tuple[Mapping[str, int], str]:
    """Count broken rules by row verdicts and by Great Expectations.

    Returns:
        The counts by rule id, with ``rows``; and the result of Great Expectations as JSON text.

    Raises:
        QualityError: an expectation crashed, or the two counts of a rule differ.
    """
    from flows.quality.great_expectations.result import raise_on_crash
    from flows.quality.great_expectations.run import run_suite

    kept = [part.with_columns(expectations.kept_columns(contract)) for part in parts]
    result = run_suite(kept, expectations.expectations(contract, mine), name=name, range_key=ORDER)
    raise_on_crash(result)
    totals = [rules.broken(contract, rule.id).sum().alias(rule.id) for rule in contract.rules]
    masks = [part.select(rules.mask_columns(contract)) for part in parts]
    counts = pl.concat(masks).select(pl.len().alias("rows"), *totals)
    verdicts = counts.collect(engine="streaming").row(0, named=True)
    for rule, found in zip(mine, result.rules, strict=True):
        if (found.unexpected_count or 0) != verdicts[rule.id]:
            raise QualityError(
                f"rule {rule.id}: Great Expectations counts {found.unexpected_count}, the row verdicts "
                f"{verdicts[rule.id]}",
                where=name,
                remedy="report this: a rule is interpreted in two ways",
            )
    return verdicts, result.to_json()


def entry(participant: str, rule: Rule, counts: Mapping[str, int], *, evaluated: bool, extract: str) -> dict[str, Any]:
    """Return what the evidence says of one rule over one extract of one participant."""
    return {
        "participant": participant,
        "extract": extract,
        "rule": rule.id,
        "reason": rule.reason,
        "effect": rule.effect.value,
        "description": rule.description,
        "basis": list(rule.basis),
        "evaluated": counts["rows"] if evaluated else 0,
        "failed": counts[rule.id],
        "crashed": False,
    }
