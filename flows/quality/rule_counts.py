"""RULE COUNTS: how often each rule was broken, by its own verdict and by the second count."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from contracts.errors import QualityError
from contracts.evidence import RuleCountEvidence
from contracts.model import Contract, Rule
from contracts.vocabulary import RuleStage
from flows.cut.partitions import (
    JUDGED,
    ORDER,
    ParticipantExtract,
    is_judged,
    uncarried,
)
from flows.cut.records import RuleCounts, SourceCounts
from flows.cut.workspace import Workspace
from flows.quality.cross_partition import EXTRACT, cross_partition_tables
from flows.quality.exclusions import cascade, stated_links
from flows.quality.silent import by_its_sender, silent_rules
from flows.quality.verdicts import judge_partition
from transforms.quality import expectations, rules
from transforms.quality.lookups import PARTICIPANT, Tables, judged, table_of


def judge(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], reference: Tables, cut_date: date
) -> RuleCounts:
    """Judge every rule over every partition; partitions that are judged already are left as they are.

    Writes room ``judged``: the staged columns, derived columns, ``_in_<rule>`` of look-up rules, the masks, rows in
    canonical order; and the metering points that are excluded, by their own faults or as companions.

    Returns:
        As :func:`count_rules`.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    shared = {**reference, **cross_partition_tables(workspace, extracts, reference, cut_date)}
    for number in range(workspace.partitions):
        if not is_judged(workspace, number):
            judge_partition(workspace, extracts, number, shared, cut_date)
    cascade(workspace, stated_links(workspace, extracts))
    return count_rules(workspace, extracts, shared)


def count_rules(
    workspace: Workspace,
    extracts: Sequence[ParticipantExtract],
    shared: Collection[str],
    *,
    in_part: Collection[str] = (),
    twice: bool = True,
) -> RuleCounts:
    """Count every rule by Great Expectations and hold the counts against the row verdicts.

    Args:
        shared: names of the reference tables and of those that span partitions.
        in_part: extracts of which only some rows are held.
        twice: without it the row verdicts count alone, for whoever only looks at a cut.

    Returns:
        ``entries``: per participant, extract and rule, what the evidence says; ``documents``: the results of Great
        Expectations as JSON texts.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    names = _names(workspace, extracts, shared, in_part)
    entries, documents = rule_results(workspace, extracts, names, twice=twice)
    return RuleCounts(entries=tuple(entries), documents=documents)


def _local_names(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> set[str]:
    contracts = [workspace.contracts[h.extract] for h in extracts]
    return {table_of(contract, rule) for contract in contracts for rule in contract.rules
            if table_of(contract, rule).startswith("expect_value_to_have_one_owner:")}  # fmt: skip


def rule_results(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], tables: Collection[str], *, twice: bool = True
) -> tuple[list[RuleCountEvidence], dict[str, str]]:
    """Run Great Expectations over every extract and hold its counts against the row verdicts.

    Returns:
        One entry per participant, extract and rule for the evidence; and each checkpoint's result as JSON text.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    entries: list[RuleCountEvidence] = []
    documents: dict[str, str] = {}
    for source in extracts:
        done = workspace.recorded(SourceCounts, source.participant, source.extract) if twice else None
        done = done or _source_results(workspace, extracts, source, tables, twice=twice)
        entries += done.entries
        documents |= done.documents
    return entries, documents


def count_source(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], source: ParticipantExtract, shared: Collection[str]
) -> SourceCounts:
    """Count the rules of one source, and keep the counts for :func:`count_rules`.

    Args:
        shared: names of the reference tables and of those that span partitions.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    key = (source.participant, source.extract)
    done = workspace.recorded(SourceCounts, *key)
    if done is None:
        done = _source_results(workspace, extracts, source, _names(workspace, extracts, shared), twice=True)
        workspace.record(done, *key)
    return done


def _names(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], shared: Collection[str], in_part: Collection[str] = ()
) -> set[str]:
    """Return the names of all tables at hand."""
    held = {f"{EXTRACT}{h.extract}" for h in extracts if h.extract not in in_part}
    return {*shared, *held, *_local_names(workspace, extracts)}


def _source_results(
    workspace: Workspace,
    extracts: Sequence[ParticipantExtract],
    h: ParticipantExtract,
    tables: Collection[str],
    *,
    twice: bool,
) -> SourceCounts:
    """Return what became of the rules of one source; nothing where it has no row."""
    contract = workspace.contracts[h.extract]
    without = uncarried(workspace, extracts).get(h.extract, {}).get(h.participant, set())
    sender = pl.lit(h.participant).alias(PARTICIPANT)
    scans = (workspace.scan(JUDGED, h.participant, h.extract, n) for n in range(workspace.partitions))
    parts = [scan.with_columns(sender) for scan in scans if scan is not None]
    if not parts:
        return SourceCounts(entries=(), documents={})
    at_hand = [*contract.rules_at(RuleStage.INTAKE), *judged(contract, RuleStage.QUALITY, tables)]
    passed = silent_rules(workspace, extracts, tables).get(h.extract, {}).get(h.participant, set())
    stated = by_its_sender(workspace, h)
    mine = [rule for rule in at_hand if rule.id not in passed and (not rule.carried or rule.carried not in without)]
    name = f"{h.participant}-{h.extract}"
    documents: dict[str, str] = {}
    counts: Mapping[str, int]
    if twice:
        counts, documents[name] = count_twice(parts, contract, mine, name)
    else:
        counts = count_verdicts(parts, contract)
    entries = tuple(
        entry(
            h.participant,
            rule,
            counts,
            evaluated=rule in mine and not _says_nothing(rule, contract, counts, without),
            extract=h.extract,
            stated_by=h.participant if rule.id in stated & passed else None,
        )
        for rule in contract.rules
    )
    return SourceCounts(entries=entries, documents=documents)


def _says_nothing(rule: Rule, contract: Contract, counts: Mapping[str, int], without: Collection[str]) -> bool:
    """Tell whether a rule judged nothing: no row broke it, and what it is about is in none of the source's columns."""
    about = rules.rests_on(rule, contract)
    return not counts[rule.id] and bool(about) and about <= set(without)


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
    verdicts = count_verdicts(parts, contract)
    for rule, found in zip(mine, result.rules, strict=True):
        if (found.unexpected_count or 0) != verdicts[rule.id]:
            raise QualityError(
                f"rule {rule.id}: Great Expectations counts {found.unexpected_count}, datacut  {verdicts[rule.id]}",
                where=name,
                remedy="please report it: the two counts must agree",
            )
    return verdicts, result.to_json()


def count_verdicts(parts: Sequence[pl.LazyFrame], contract: Contract) -> dict[str, int]:
    """Return how many rows break each rule, by rule id, and ``rows``."""
    totals = [rules.broken(contract, rule.id).sum().alias(rule.id) for rule in contract.rules]
    masks = [part.select(rules.mask_columns(contract)) for part in parts]
    counts = pl.concat(masks).select(pl.len().alias("rows"), *totals)
    return counts.collect(engine="streaming").row(0, named=True)


def entry(
    participant: str,
    rule: Rule,
    counts: Mapping[str, int],
    *,
    evaluated: bool,
    extract: str,
    stated_by: str | None = None,
) -> RuleCountEvidence:
    """Return what the evidence says of one rule over one extract of one participant."""
    return RuleCountEvidence(
        participant=participant,
        extract=extract,
        rule=rule.id,
        reason=rule.reason,
        effect=rule.effect,
        description=rule.description,
        fault=rule.fault,
        basis=tuple(rule.basis),
        evaluated=counts["rows"] if evaluated else 0,
        failed=counts[rule.id],
        stated_by=stated_by,
        crashed=False,
    )
