"""LIMITS: a run that excludes too much, reads nothing or would release nothing ends before anything is published.

The limits stand in ``cut.policy.excluded_at_most``: by extract and by rule more than a share and more than some rows is
too much, and every row always. What is accepted by name is told in the evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import polars as pl

from contracts.causes import Causes, causes
from contracts.errors import ConfigurationError, InsufficientDataError
from contracts.evidence import AcceptedExcessEvidence, RuleCountEvidence
from contracts.model import Contract, Rule, plain
from contracts.strict import none_of
from contracts.vocabulary import Effect, Form, Method
from flows.cut.config import Allowed, CutFile, ExcludedAtMost
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, ORDER, SUBMITTED, ParticipantExtract, read_exclusions
from flows.cut.records import AppliedLimits, RuleCounts, SignCounts, SourceFacts
from transforms.column_map import shown
from transforms.quality import rules as masks
from transforms.quality.causes import BLANK, OTHER, by_cause
from transforms.quality.exclusions import split

MOST_TOLD = 3  # findings that one line tells
MOST_TEXTS = 10_000  # different values of a rule's column that are looked at for a cause
NOUNS = {
    Form.MPAN: "MPANs", Form.DATE: "dates", Form.POSTCODE: "postcodes", Form.UPRN: "UPRNs",
    Form.METER_SERIAL: "meter serial numbers", Form.ESME_ID: "ESME ids",
}  # fmt: skip
_TABLE_WORDS = {"extract": "the extract", "all": "the extract", "senders": "the senders of", "codes": "the code list"}


@dataclass(frozen=True, slots=True)
class Excess:
    """More than the limit of one extract, or of one rule in it, is excluded.

    Attributes:
        rule, column: empty where it is the extract as a whole.
        excluded, rows: how many rows of how many; 0 of 0 where nothing was read.
        cause, remedy: what is likely behind it, in the sender's words; empty where nothing is recognised.
        reason: why it is accepted by name; empty where it is not.
        headings: column -> what its sender calls it; for the sender's line alone, and in no pack.
    """

    participant: str
    extract: str
    rule: str
    column: str
    excluded: int
    rows: int
    cause: str
    remedy: str
    reason: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """Return the finding as a sentence."""
        if not self.rows:
            return f"{self.participant}/{self.extract}: no row was read"
        called = " and ".join(shown(heading) for heading in self.headings.values())
        where = f" in column {self.column}" if self.column else ""
        what = (
            f"rule {self.rule}{where}{f' (sent as {called})' if called else ''} excludes" if self.rule else "excludes"
        )
        why = f": {self.cause}" if self.cause else ""
        return f"{self.participant}/{self.extract}: {what} {self.excluded:,} of {self.rows:,} rows{why}"


def check_limits(model: CutFile, contracts: Mapping[str, Contract]) -> None:
    """Refuse an entry of ``allow`` that names nothing of the cut.

    Raises:
        ConfigurationError: an extract, participant or rule is not known.
    """
    sent = {(p.mpid, e.contract) for p in model.participants for e in p.extracts}
    for number, entry in enumerate(model.cut.policy.excluded_at_most.allow, start=1):
        where = f"cut.policy.excluded_at_most.allow, entry {number}"
        named = {extract for mpid, extract in sent if entry.participant in (None, mpid)}
        if entry.extract not in named:
            raise ConfigurationError("names an extract that no participant sends", where=where)
        if entry.rule and entry.rule not in {rule.id for rule in contracts[entry.extract].rules}:
            known = sorted(rule.id for rule in contracts[entry.extract].rules)
            raise ConfigurationError(none_of(entry.rule, known, f"rule of {entry.extract}"), where=where)


def require_rows(known: Context) -> None:
    """End a run in which a source held no row, unless its extract is accepted by name.

    Raises:
        InsufficientDataError: which extracts are empty.
    """
    limits = known.job.model.cut.policy.excluded_at_most
    empty = [
        excess
        for source in known.extracts
        if not _rows(known, source) and not (excess := _whole(source, limits, 0, 0, "")).reason
    ]
    if empty:
        raise _refused(empty)


def _rows(known: Context, source: ParticipantExtract) -> int:
    facts = known.workspace.recorded(SourceFacts, source.participant, source.extract)
    return facts.rows if facts else 0


def _refused(refused: Sequence[Excess]) -> InsufficientDataError:
    shown = "; ".join(excess.line() for excess in refused[:MOST_TOLD])
    more = f"; and {len(refused) - MOST_TOLD} more" if len(refused) > MOST_TOLD else ""
    remedies = list(dict.fromkeys(excess.remedy for excess in refused[:MOST_TOLD] if excess.remedy))
    accept = "or accept it by name in cut.policy.excluded_at_most.allow"
    return InsufficientDataError(f"{shown}{more}", where="nothing is published", remedy="; ".join([*remedies, accept]))


def require_enough(known: Context) -> None:
    """End a run that excludes more than the policy bears; note what it accepts by name.

    Raises:
        InsufficientDataError: which rule in which column excludes how many of how many, and the likely cause.
    """
    limits = known.job.model.cut.policy.excluded_at_most
    found = [excess for source in known.extracts for excess in _of_extract(known, source, limits)]
    refused = sorted((e for e in found if not e.reason), key=lambda e: (not e.rule, e.rows > 0))  # causes come first
    if refused:
        raise _refused(refused)
    accepted = tuple(_noted(excess) for excess in found)
    known.workspace.record(AppliedLimits(share=limits.share, rows=limits.rows, accepted=accepted))


def _noted(excess: Excess) -> AcceptedExcessEvidence:
    """Return what the evidence keeps; the sender's headings are no part of it."""
    facts = asdict(excess)
    return AcceptedExcessEvidence(**{name: value for name, value in facts.items() if name != "headings"})


def _of_extract(known: Context, source: ParticipantExtract, limits: ExcludedAtMost) -> list[Excess]:
    """Return what is too much of one extract: its rules, else the extract as a whole."""
    rows = _rows(known, source)
    if not rows:
        return [_whole(source, limits, 0, 0, "")]
    contract, counts = known.contracts[source.extract], known.workspace.recorded(RuleCounts)
    entries = counts.entries if counts else ()
    by_id = {rule.id: rule for rule in contract.rules}
    mine = [e for e in entries if (e.participant, e.extract) == (source.participant, source.extract)]
    found, borne = [], 0
    for entry in mine:
        if entry.effect != Effect.EXCLUDE.value or not _too_much(entry.failed, entry.evaluated, limits):
            continue
        excess = _of_rule(known, source, by_id[entry.rule], entry, limits)
        borne += excess.excluded if excess.reason else 0
        found.append(excess)
    if any(not excess.reason for excess in found):
        return found
    out = _excluded(known, source, contract)
    excluded = sum(out.values())
    if _too_much(excluded, rows, limits) and (excluded == rows or _too_much(excluded - borne, rows, limits)):
        most = ", ".join(f"{reason} {count:,}" for reason, count in out.most_common(MOST_TOLD))
        found.append(_whole(source, limits, excluded, rows, f"most often because of {most}"))
    return found


def _too_much(excluded: int, rows: int, limits: ExcludedAtMost) -> bool:
    return rows > 0 and (excluded >= rows or (excluded > limits.share * rows and excluded > limits.rows))


def _whole(source: ParticipantExtract, limits: ExcludedAtMost, excluded: int, rows: int, why: str) -> Excess:
    reason = _accepted(limits.allow, source, "")
    remedy = "" if rows else "check that the export holds rows"
    return Excess(source.participant, source.extract, "", "", excluded, rows, why, remedy, reason)


def _accepted(allow: Iterable[Allowed], source: ParticipantExtract, rule: str) -> str:
    """Return why an excess is accepted by name; an entry without a rule accepts the whole extract."""
    for entry in allow:
        here = entry.extract == source.extract and entry.participant in (None, source.participant)
        if here and entry.rule in (None, rule):
            return entry.reason
    return ""


def _excluded(known: Context, source: ParticipantExtract, contract: Contract) -> Counter[str]:
    """Return how many rows of an extract are excluded so far, by the first cause's reason."""
    total: Counter[str] = Counter()
    for number in range(known.workspace.partitions):
        out = read_exclusions(known.workspace, number).lazy()
        frame = known.workspace.scan(JUDGED, source.participant, source.extract, number)
        already = known.workspace.scan(SUBMITTED, source.participant, source.extract, number)
        gone = [split(frame, contract, out)[1]] if frame is not None else []
        gone += [already] if already is not None else []
        for rows in gone:
            total.update(dict(rows.select("first_cause").collect()["first_cause"].value_counts().iter_rows()))
    return total


def _of_rule(
    known: Context, source: ParticipantExtract, rule: Rule, entry: RuleCountEvidence, limits: ExcludedAtMost
) -> Excess:
    """Return an excess with its likely cause."""
    contract = known.contracts[source.extract]
    names = rule_columns(rule, contract)
    counted = known.workspace.recorded(SignCounts, source.participant, source.extract)
    seen = {name: {c: n for c, n in (counted.counts.get(name, {}) if counted else {}).items() if n} for name in names}
    if not any(seen.values()):
        seen = _signs_of_kept(known, source, rule, names)
    column = max(names, key=lambda name: sum(seen.get(name, {}).values()), default="")
    cause, remedy = _told(causes(), contract, column, seen.get(column, {}), rule, int(entry.failed))
    chosen = names if not sum(seen.get(column, {}).values()) and len(names) > 1 else [column]
    column = " and ".join(chosen) if len(chosen) <= MOST_TOLD else f"{chosen[0]} to {chosen[-1]}"
    return Excess(
        participant=source.participant,
        extract=source.extract,
        rule=rule.id,
        column=column,
        excluded=int(entry.failed),
        rows=int(entry.evaluated),
        cause=cause,
        remedy=remedy,
        reason=_accepted(limits.allow, source, rule.id),
        headings=_headings(known, source, chosen),
    )


def _headings(known: Context, source: ParticipantExtract, columns: Sequence[str]) -> dict[str, str]:
    """Return what a sender calls some columns, where that is not what we call them."""
    facts = known.workspace.recorded(SourceFacts, source.participant, source.extract)
    called = facts.columns if facts is not None and facts.form != "dtc" else {}
    return {name: called[name] for name in columns if name in called and plain(called[name]) != plain(name)}


def rule_columns(rule: Rule, contract: Contract) -> list[str]:
    """Return the columns of an extract that a rule judges, in contract order."""
    named: set[str] = set(rule.kwargs.get("column_list", ()))
    if "column" in rule.kwargs:
        named.add(str(rule.kwargs["column"]))
    for text in (*dict(rule.kwargs.get("keys", {})).values(), rule.kwargs.get("condition", "")):
        if text:
            named.update(pl.sql_expr(str(text)).meta.root_names())
    return [column.name for column in contract.columns if column.name in named]


def _signs_of_kept(
    known: Context, source: ParticipantExtract, rule: Rule, names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return likely causes among values that have their form, of columns that pass as they are, in rows that broke."""
    contract = known.contracts[source.extract]
    kept = [n for n in names if contract.treatment(contract.column(n)).method is Method.KEEP]
    found: dict[str, Counter[str]] = {name: Counter() for name in kept}
    if not kept:
        return {}
    for number in range(known.workspace.partitions):
        frame = known.workspace.scan(JUDGED, source.participant, source.extract, number)
        if frame is None:
            continue
        rows = frame.filter(masks.broken(contract, rule.id)).select(*kept, ORDER).collect()
        for name in kept:
            texts = rows[name].cast(pl.String).drop_nulls()
            if texts.n_unique() <= MOST_TEXTS:
                found[name].update(by_cause(texts, causes().of(contract.column(name).form)))
    return {name: {c: n for c, n in counts.items() if c != OTHER} for name, counts in found.items()}


def _told(
    known: Causes, contract: Contract, column: str, seen: Mapping[str, int], rule: Rule, failed: int
) -> tuple[str, str]:
    """Return the likely cause in words and what to do: what most of the values share, else what the rule suggests."""
    noun = NOUNS.get(contract.column(column).form, "values") if column else "values"
    total = max(failed, sum(seen.values()))
    cause, count = max(seen.items(), key=lambda pair: pair[1], default=("", 0))
    if count * 2 >= total > 0 and cause not in ("", OTHER):
        if cause == BLANK:
            return f"{count:,} of {total:,} {noun} are empty", "check that the export carries the column"
        said = known.named(cause)
        return f"{count:,} of {total:,} {noun} {said.looks}: {said.because}", said.remedy
    general = known.rules.get(rule.expectation)
    if general is None:
        return rule.fault, ""
    table = str(rule.kwargs.get("table", ""))
    kind, _, name = table.partition(":")
    words = f"{_TABLE_WORDS[kind]} {name}" if name and kind in _TABLE_WORDS else f"the table {table}"
    return general.because.format(table=words), general.remedy
