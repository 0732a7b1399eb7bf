"""The first screen: an auditor's questions, answered in one sentence each, and the verdict they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.evidence import Evidence, Publication, Tool
from contracts.evidence_inputs import InputEvidence
from contracts.evidence_results import RingFenceEvidence
from flows.report import figures
from flows.report.check_types import CheckState, ReportCheck
from flows.report.formatting import capitalised, counted, listed, long_date, number, percent, plural, size
from flows.report.singling_out import singled_out
from transforms.release.attestation import accounting_faults


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the answers make together: a state, a headline, and the reasons when it is not good."""

    state: CheckState
    headline: str
    reasons: tuple[str, ...]


def report_checks(evidence: Evidence, signed_by: Sequence[str], approvers: Sequence[str] = ()) -> list[ReportCheck]:
    """Return the answers in the order in which an auditor asks.

    Args:
        approvers: key ids of those who must sign besides, after they have read this page.
    """
    found = [
        _which_cut(evidence),
        _whose_data(evidence),
        *_which_build(evidence.tool),
        *_which_market_data(evidence.publications or ()),
        _which_key(evidence),
        _complete(evidence),
        _excluded(evidence),
        *_beyond_limits(evidence),
        _raw_left(evidence),
        *_sets_apart(evidence.ring_fence),
        _signed(signed_by, approvers),
        *_who_answers(evidence),
    ]
    return found + singled_out(evidence) + _warnings(evidence)


def verdict(found: Sequence[ReportCheck]) -> Verdict:
    """Return the worst state among the answers in words."""
    bad = tuple(answer.claim or answer.short for answer in found if answer.state is CheckState.BAD)
    if bad:
        return Verdict(CheckState.BAD, "Not fit to rely on", bad)
    notes = tuple(answer.claim or answer.short for answer in found if answer.state is CheckState.NOTE)
    parts = [answer.claim for answer in found if answer.state is CheckState.GOOD and answer.claim]
    headline = listed(parts)
    return Verdict(CheckState.NOTE if notes else CheckState.GOOD, headline[:1].upper() + headline[1:], notes)


def _which_build(tool: Tool) -> list[ReportCheck]:
    """Say which build made the pack, where the evidence knows more than its version."""
    if tool.source_sha256 is None:
        return []
    commit = f" Revision {tool.commit[:12]}." if tool.commit else ""
    detail = f"Files of the product: SHA-256 {tool.source_sha256[:16]}….{commit} Libraries are in evidence.json."
    return [ReportCheck("Which build?", f"{tool.name} {tool.version}", detail, section="made")]


def _which_market_data(publications: Sequence[Publication]) -> list[ReportCheck]:
    """Say which publications the data was held against."""
    if not publications:
        return []
    said = [
        f"{one.publication.replace('_', ' ')} {one.version or 'without a version'}"
        + (f", latest entry of {long_date(one.latest)}" if one.latest else "")
        + f" ({plural(one.files, 'file')})"
        for one in publications
    ]
    short = ", ".join(filter(None, (_edition(one) for one in publications)))
    return [ReportCheck("Which market data?", short, capitalised("; ".join(said)) + ".", section="made")]


def _edition(one: Publication) -> str:
    day = f"of {long_date(one.latest)}" if one.latest else ""
    return f"{one.publication} {one.version or day}".strip()


def _sets_apart(fence: RingFenceEvidence | None) -> list[ReportCheck]:
    """Say whether test cases share anything, as counted from allocations and population alone."""
    if fence is None or not (found := fence.separation):
        return []
    shared = found.get("repeated", 0) + found.get("in_two_phases", 0)
    split = sum(found.get(f"{what}_split", 0) for what in ("links", "premises", "meters"))
    detail = (
        f"Counted: of {plural(found['metering_points'], 'metering point')} {number(found.get('repeated', 0))} in two "
        f"places, {number(found.get('in_two_phases', 0))} in two phases; of {plural(found.get('links', 0), 'link')}, "
        f"{number(found.get('premises', 0))} premises and {plural(found.get('meters', 0), 'meter')} "
        f"{number(split)} split."
    )
    absent = any(shortage.kind == "left out" for shortage in fence.shortages or ())
    without = " without the participants left out" if absent else ""
    proof = "" if fence.undecided else f" Proven to be the largest allocation that the plan allows{without}."
    state = CheckState.BAD if shared else CheckState.NOTE if split else CheckState.GOOD
    short = (
        "Apart and whole"
        if state is CheckState.GOOD
        else f"{number(shared or split)} {'shared' if shared else 'split'}"
    )
    claim = (
        "" if state is CheckState.GOOD else f"{number(shared or split)} ring-fenced units are not apart or not whole"
    )
    return [ReportCheck("Are test sets apart?", short, detail + proof, state, section="fence", claim=claim)]


def _who_answers(evidence: Evidence) -> list[ReportCheck]:
    """Say who ran the cut, under which standard and agreements, as the cut file states it."""
    registers, sent = evidence.registers, {row.participant for row in evidence.inputs}
    if registers is None:
        return []
    stated = [one for one in registers.participants or () if one.participant in sent]
    signed = sum(one.agreement is not None and one.agreement.status == "signed" for one in stated)
    parts = [f"run by {registers.operator}"] if registers.operator else []
    if standard := registers.standard:
        parts.append(f"standard {standard.name} {standard.version}, approved by {standard.approved_by}")
    if registers.custody:
        parts.append(f"custody of keys: {plural(len(registers.custody), 'entry', 'entries')}")
    parts.append(f"sharing agreements signed: {number(signed)} of {plural(len(sent), 'participant')}")
    return [
        ReportCheck("Who answers for it?", registers.operator or "Stated", "; ".join(parts) + ".", section="registers")
    ]


def _tranches(evidence: Evidence) -> str:
    later = evidence.qualification
    return f" A later cut, for {plural(len(later.tranches), 'participant')} in Qualification." if later else ""


def _which_cut(evidence: Evidence) -> ReportCheck:
    cut = evidence.cut
    expires = f" To be relied on until {long_date(cut.expires)}." if cut.expires else ""
    detail = f"Taken on {long_date(cut.date)}. This is a {evidence.kind} pack.{_tranches(evidence)}{expires}"
    return ReportCheck("Which cut?", cut.id, detail, section="made")


MISSING_NAMED = 6  # columns that the first screen names


def _whose_data(evidence: Evidence) -> ReportCheck:
    who = {row.participant: row.role for row in evidence.inputs}
    roles = Counter(who.values())
    short = listed(sorted(who))
    detail = f"{plural(len(who), 'participant')}: " + ", ".join(f"{n} {role}" for role, n in sorted(roles.items()))
    lacking = sorted({name for row in evidence.inputs for name in row.missing})
    missing = f" Optional columns missing from a source: {listed(lacking, MISSING_NAMED)}." if lacking else ""
    unasked = sorted({name for row in evidence.inputs for name in row.not_agreed})
    left_out = evidence.left_out or ()
    for one in left_out:
        missing += f" Left out by name: {one.participant} ({listed(list(one.extracts))}): {one.reason}."
    missing += f" Sent, not agreed and dropped: {listed(unasked, MISSING_NAMED)}." if unasked else ""
    missing += _odd_values(evidence.inputs)
    said = f"{detail}.{missing}" if who else "No input is named."
    absent = [one.participant for one in left_out]
    claim = f"{listed(absent)} left out by name: what depends on {'it' if len(absent) == 1 else 'them'} is missing"
    state = CheckState.NOTE if absent else CheckState.PLAIN
    return ReportCheck("Whose data?", short, said, state, section="inputs", claim=claim if absent else "")


def _odd_values(inputs: Sequence[InputEvidence]) -> str:
    """Say which columns had words for null, numbers that were rounded, and dates that could not be read."""
    words, shorter, unread = Counter[str](), Counter[str](), Counter[str]()
    for row in inputs:
        words.update(row.null_words)
        shorter.update(row.rounded)
        unread.update({name: sum(whys.values()) for name, whys in row.unread_dates.items()})
    said = ""
    for counts, told in (
        (words, "Words taken as null"),
        (shorter, "Numbers rounded"),
        (unread, "Dates that could not be read"),
    ):
        if counts:
            said += f" {told}: {listed(counted(dict(sorted(counts.items()))), MISSING_NAMED)}."
    return said


def _which_key(evidence: Evidence) -> ReportCheck:
    model = evidence.cut.trust_model
    detail = f"Pseudonym scheme {evidence.scheme}, trust model: {model}. Its holders can reverse it."
    return ReportCheck("Under which key?", evidence.key_fingerprint, detail, section="limits", code=True)


def _complete(evidence: Evidence) -> ReportCheck:
    question, rows = "Is it complete?", evidence.accounting
    if faults := accounting_faults(evidence):
        short = "No: rows are lost or counted twice."
        return ReportCheck(
            question, short, "; ".join(faults), CheckState.BAD, "rows", claim="Rows are lost or counted twice."
        )
    total = sum(row.rows_in for row in rows)
    released, excluded = (sum(getattr(row, name) for row in rows) for name in ("released", "excluded"))
    short = f"Yes: {number(total)} rows in = {number(released)} released + {number(excluded)} excluded."
    detail = f"Each of {plural(len(rows), 'extract')} balances by itself."
    return ReportCheck(question, short, detail, CheckState.GOOD, "rows", claim="every row is accounted for")


def _excluded(evidence: Evidence) -> ReportCheck:
    reasons: Counter[str] = Counter()
    for row in evidence.accounting:
        reasons.update(row.by_reason)
    total = sum(row.rows_in for row in evidence.accounting)
    if not sum(reasons.values()):
        return ReportCheck("What was excluded, and why?", "Nothing.", "No rule excluded a row.", section="why")
    points = f" of {plural(evidence.exclusions.mpans, 'metering point')}" if evidence.exclusions else ""
    rows = sum(reasons.values())
    top = []
    for cause in [found for found in figures.reasons(evidence) if found.rows][:3]:
        fault = f": {cause.faults[0].rstrip('.')}" if cause.faults else ""
        others = f" and {plural(len(cause.faults) - 1, 'other fault')}" if len(cause.faults) > 1 else ""
        top.append(f"{cause.reason} ({number(cause.rows)}){fault}{others}")
    short = f"{plural(rows, 'row')}{points}, {percent(rows, total)} of what came in."
    return ReportCheck("What was excluded, and why?", short, f"Mainly {'; '.join(top)}.", section="why")


def _beyond_limits(evidence: Evidence) -> list[ReportCheck]:
    """Return what is excluded beyond the limit and was accepted by name; bad where an extract has nothing left."""
    question, found = "Is too much excluded?", []
    empty = [f"{r.participant}/{r.extract}" for r in evidence.accounting if not r.released]
    if empty:
        short = f"Nothing is released of {listed(empty)}."
        found.append(
            ReportCheck(
                question, short, "Every row was excluded, or none was read.", CheckState.BAD, "rows", claim=short
            )
        )
    accepted = evidence.limits.accepted if evidence.limits else ()
    beyond = [entry for entry in accepted if f"{entry.participant}/{entry.extract}" not in empty]
    if beyond:
        told = [
            f"{e.participant}/{e.extract}{' ' + e.rule if e.rule else ''} {number(e.excluded)} of {number(e.rows)}"
            for e in beyond
        ]
        short = f"More than the limit is excluded, accepted by name: {listed(told)}."
        detail = "; ".join(dict.fromkeys(e.reason for e in beyond))
        found.append(ReportCheck(question, short, f"Reason given: {detail}.", CheckState.NOTE, "why", claim=short))
    return found


def _raw_left(evidence: Evidence) -> ReportCheck:
    question, scan = "Is any raw identifier left?", evidence.leak_scan
    if scan is None:
        short, claim = "Nobody has looked yet.", "The pack was not searched for raw identifiers."
        return ReportCheck(question, short, "A release is searched as a whole.", CheckState.NOTE, "leaks", claim=claim)
    looked = f"{plural(scan.files, 'file')}, {size(scan.bytes)}, searched for every one of "
    looked += f"{plural(scan.identifiers, 'raw identifier')} of the inputs."
    if scan.confirmed:
        short = f"Yes: {plural(scan.confirmed, 'raw identifier')} found."
        return ReportCheck(question, short, looked, CheckState.BAD, "leaks", claim=short.removeprefix("Yes: "))
    return ReportCheck(
        question, "None was found.", looked, CheckState.GOOD, "leaks", claim="no raw identifier was found"
    )


def _signed(signed_by: Sequence[str], approvers: Sequence[str]) -> ReportCheck:
    if not signed_by:
        detail = "Nobody vouches for this pack."
        return ReportCheck("Is it signed?", "No.", detail, CheckState.BAD, "verify", claim="The pack is not signed.")
    short = f"Yes, by key {listed(list(signed_by))}."
    detail = "A page cannot vouch for itself: run datacut verify with the keys you trust."
    if approvers:
        short = f"By the operator’s key {listed(list(signed_by))}; key {listed(list(approvers))} must approve."
        detail = "It counts once both have signed. A page cannot tell: run datacut verify with both keys."
    return ReportCheck("Is it signed?", short, detail, CheckState.GOOD, "verify", claim="the pack is signed")


def _warnings(evidence: Evidence) -> list[ReportCheck]:
    """Return what must stand on the first screen only when it is the case."""
    found = []
    if evidence.policy and evidence.policy.half_hourly == "real":
        detail = "Five consecutive half-hour readings identify most homes. The policy asks for this by name."
        found.append(
            ReportCheck(
                "Half-hourly data", "Real half-hourly readings are released.", detail, CheckState.NOTE, "policy"
            )
        )
    if evidence.policy and evidence.policy.profile == "exact":
        short = "Dates and amounts are exact: the policy asks for profile exact by name."
        detail = "One bill, or two dates, finds a home. Profile standard moves dates and varies amounts."
        found.append(ReportCheck("Released precision", short, detail, CheckState.NOTE, "policy"))
    if evidence.policy and evidence.policy.loosened:
        short = f"{plural(len(evidence.policy.loosened), 'column')} left exact against the profile."
        detail = f"The policy asks for it by name: {listed(list(evidence.policy.loosened), 8)}."
        found.append(ReportCheck("Released precision", short, detail, CheckState.NOTE, "policy"))
    crashed = sorted({row.rule for row in evidence.rules if row.crashed})
    if crashed:
        short = f"{plural(len(crashed), 'rule')} could not be judged."
        found.append(ReportCheck("Were all rules judged?", short, f"{listed(crashed)}.", CheckState.NOTE, "rules"))
    chance = evidence.coincident
    if chance and not chance.expected_low <= chance.count <= chance.expected_high:
        short = "Coincident pseudonyms are outside the band of chance."
        band = f"{number(round(chance.expected_low))} to {number(round(chance.expected_high))}"
        detail = f"{number(chance.count)}, where chance gives {band}: perhaps the key was not applied."
        found.append(ReportCheck("Was the key applied?", short, detail, CheckState.NOTE, "limits"))
    if (evidence.self_test or {}).get("passed") is False:
        short = "The pseudonym scheme did not reproduce its own vectors."
        found.append(
            ReportCheck("Did the scheme work?", short, "Nothing here can be relied on.", CheckState.BAD, "made")
        )
    return found
