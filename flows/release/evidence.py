"""EVIDENCE: what a pack says of itself, from what the stages noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from contracts.augmentation import Item
from contracts.evidence import (
    EVIDENCE_SCHEMA,
    Accounting,
    AssessedTreatment,
    AssessmentEvidence,
    AuditQuestion,
    ColumnSource,
    ColumnTreatment,
    ContractUsed,
    CutEvidence,
    Evidence,
    Exclusions,
    Lineage,
    Obligation,
    ParticipantAgreement,
    PolicyEvidence,
    RuleCountEvidence,
    StageSeconds,
    Times,
)
from contracts.evidence_attack import AttackEvidence
from contracts.evidence_half_hours import MixedSeriesEvidence
from contracts.evidence_inputs import DutiesEvidence, InputEvidence, LeftOut, RegistersEvidence, SuccessionEvidence
from contracts.evidence_results import LeakScan, Risk
from contracts.model import Contract
from contracts.requirements import assessment, questions, requirements
from contracts.vocabulary import Classification, Method
from flows.cut.build import tool_facts
from flows.cut.context import Context, now, sources_of
from flows.cut.partitions import read_exclusions
from flows.cut.records import (
    AlignmentCounts,
    AppliedLimits,
    AugmentationCounts,
    Begun,
    CoincidentCount,
    CountsAfterAugmentation,
    MixedSeries,
    RingFenceResult,
    RuleCounts,
    SharedTexts,
)
from flows.cut.self_test import self_test
from flows.cut.workspace import Workspace
from flows.pack import payload, previous
from flows.release import half_hours
from flows.release.column_figures import column_figures, smart_shares
from flows.release.later_cut import qualification
from transforms import align
from transforms.augment.decision_tables import REASONS, reads
from transforms.augment.timeswitch import ATTRIBUTES
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import ordered

AUGMENTED = "augmented"
METER_COLUMNS = {"meter_type", "meter_serial_number", "meter_install_date"}  # of the settlement meter
COMPANIONS = ("rule", "source", "from", "decided_by", "confidence")  # what stands beside an augmented item
_JOINED = (AUGMENTED, "registration", "metering", "register", "bmu_mapping")  # the first that has a column gives it
# Inputs of decision tables that are no column of a contract, and what they are read from.
_DERIVED = {
    "distributor_id": "registration.mpan_core",
    "distributor_mpid": "registration.mpan_core",
    "measured_direction": "register.measurement_quantity",
    "meter_segments": "metering.meter_type",
    **dict.fromkeys(ATTRIBUTES, "market domain data.meter_timeswitch_code"),
}
# What associations are found by: `contracts/augmentation/associations.yaml`.
_LINK_SOURCES = (
    "metering.meter_serial_number",
    "registration.address_line_1",
    "registration.address_line_5",
    "registration.postcode",
)


def lineage_section(
    contracts: Sequence[Contract], inputs: Iterable[InputEvidence], items: Sequence[Item] = ()
) -> list[Lineage]:
    """Return one entry per contract column and augmented item: sources, treatment, whether it is released.

    Args:
        inputs: the evidence's ``inputs``; their ``columns`` say what a column was called in each source.
        items: MHHS-only items, when the cut augments.
    """
    named = _source_names(inputs)
    rows = [
        Lineage(
            extract=contract.extract,
            column=column.name,
            item=column.item,
            description=column.description,
            classification=column.classification.value,
            treatment=contract.treatment(column).describe(),
            released=contract.treatment(column).method is not Method.DROP,
            sources=tuple(
                ColumnSource(column=name, participants=tuple(sorted(who)))
                for name, who in sorted(named[contract.extract, column.name].items())
            ),
        )
        for contract in contracts
        for column in contract.columns
    ]
    held = [item for item in items if item.held_by]
    return rows + [_augmented(item, contracts, items) for item in held] + ([_reasons(held)] if held else [])


def _reasons(items: Sequence[Item]) -> Lineage:
    """Return the entry of the column that says why items are empty."""
    return Lineage(
        extract=AUGMENTED,
        column=REASONS,
        item="",
        description="Why items are empty that no source decides.",
        classification=Classification.ATTRIBUTE.value,
        treatment="derive",
        released=True,
        sources=tuple(ColumnSource(column=f"{AUGMENTED}.{item.item}") for item in items),
    )


def _source_names(inputs: Iterable[InputEvidence]) -> dict[tuple[str, str], dict[str, list[str]]]:
    named: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for source in inputs:
        for column, name in source.columns.items():
            named[source.extract, column][name].append(source.participant)
    return named


def _augmented(item: Item, contracts: Sequence[Contract], items: Sequence[Item]) -> Lineage:
    """Return the entry of an augmented item; its sources are the columns that state it or that its rows read."""
    words = reads(item)
    words |= {w for o in items if o.item in words and not o.held_by for w in reads(o)}  # steps on the way
    origins = {f"{AUGMENTED}.{o.item}" for o in items if o.item in words and o is not item and o.held_by}
    origins |= {f"{s.extract}.{s.column}" for s in item.stated}
    for contract in contracts:
        if contract.extract == "registration":
            origins |= {f"registration.{c.name}" for c in contract.columns if c.name in words}
            origins |= {f"market domain data.{d.name}" for d in contract.derived if d.name in words and d.table}
        elif contract.extract == "annual_consumption":
            origins |= {f"annual_consumption.{name}" for name in ("eac", "aa") if name in words}
    origins |= {f"metering.{name}" for name in METER_COLUMNS & words}
    origins |= {origin for word, origin in _DERIVED.items() if word in words}
    if any(word.startswith(("link_", "relation_", "partner_")) for word in words):
        origins |= set(_LINK_SOURCES)
    identifies = item.item.endswith("_mpan") or item.item == "esme_id"
    return Lineage(
        extract=AUGMENTED,
        column=item.item,
        item=item.catalogue,
        description=item.description,
        classification=(Classification.IDENTIFIER if identifies else Classification.ATTRIBUTE).value,
        treatment=_derivation(item),
        released=True,
        sources=tuple(ColumnSource(column=origin) for origin in sorted(origins)),
    )


def joined_section(kind: str, columns: Iterable[str], rows: Sequence[Lineage]) -> list[Lineage]:
    """Return entries for a file that is put together from others, as expected results are.

    Args:
        columns: what the file holds; companions of an item (``_from``, ``_source``) belong to the item.
        rows: the lineage of the files that it is put together from.
    """
    ranked = sorted((r for r in rows if r.extract in _JOINED), key=lambda row: -_JOINED.index(row.extract))
    known = {row.column: row for row in ranked}
    entries = []
    for column in columns:
        origin = known.get(column)
        if origin is None and any(column == f"{name}_{end}" for name in known for end in COMPANIONS):
            continue
        entries.append(
            Lineage(
                extract=kind,
                column=column,
                item=origin.item if origin else "",
                description=origin.description if origin else "",
                classification=origin.classification if origin else Classification.ATTRIBUTE.value,
                treatment="join" if origin else "derive",
                released=True,
                sources=(ColumnSource(column=f"{origin.extract}.{column}"),) if origin else (),
            )
        )
    return entries


def _derivation(item: Item) -> str:
    """Return how an item gets its value, in the words of the report: what a source states stands before any rule."""
    rules = list(dict.fromkeys((item.rows[0].rule, item.rows[-1].rule))) if item.rows else []
    derived = f"derive ({' to '.join(rules)})" if rules else "leave empty"
    return f"keep, else {derived}" if item.stated else derived


def requirements_section(rules: Iterable[RuleCountEvidence], items: Sequence[Item] = ()) -> list[Obligation]:
    """Return every obligation with the rules and items that name it as their basis or reason."""
    shown: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        for basis in {*rule.basis, rule.reason}:
            shown[basis].add(rule.rule)
    for item in items:
        for basis in item.basis:
            shown[basis].add(f"{AUGMENTED}.{item.item}")
    return [
        Obligation(
            id=entry.id,
            asks=entry.asks,
            sections=tuple(entry.sections),
            rules=tuple(sorted(shown[entry.id])),
            test_only=entry.test_only,
        )
        for entry in requirements()
    ]


def dpia_section(contracts: Sequence[Contract]) -> AssessmentEvidence:
    """Return the words of the impact assessment, for the treatments that these contracts use."""
    words = assessment()
    used = sorted({contract.treatment(column).describe() for contract in contracts for column in contract.columns})
    treatments = tuple(
        AssessedTreatment(
            treatment=treatment,
            basis=entry.basis if entry else "Not stated.",
            residual_risk=entry.residual_risk if entry else "Not assessed.",
        )
        for treatment in used
        for entry in [words.words(treatment)]
    )
    return AssessmentEvidence.model_validate({**words.texts, "treatments": treatments, "measures": words.measures})


def _exclusions(known: Context) -> Exclusions:
    causes = [read_exclusions(known.workspace, n).select("first_cause") for n in range(known.workspace.partitions)]
    counts = pl.concat(causes).group_by("first_cause").len().sort("first_cause")
    by_cause = dict(counts.iter_rows())
    return Exclusions(mpans=sum(by_cause.values()), by_first_cause=by_cause)


def judged(workspace: Workspace) -> tuple[list[RuleCountEvidence], dict[str, str]]:
    """Return every rule's entry for the evidence, before and after augmentation, and every checkpoint's document."""
    counts = [found for kind in (RuleCounts, CountsAfterAugmentation) if (found := workspace.recorded(kind))]
    entries = [entry for found in counts for entry in found.entries]
    return entries, {name: text for found in counts for name, text in found.documents.items()}


def _agreement(aligned: AlignmentCounts, compared: Path | None) -> list[ParticipantAgreement]:
    """Return agreement by participant, with the trend against an earlier cut."""
    before = previous.read_evidence(compared).alignment if compared else None
    return align.by_participant(aligned.pairs, before or ())


def _mixed_series(known: Context) -> list[MixedSeriesEvidence]:
    """Return how the half-hourly series of each participant were mixed."""
    mine = (h.participant for h in known.extracts if half_hours.mixes(known.contracts[h.extract]))
    found = (known.workspace.recorded(MixedSeries, participant) for participant in mine)
    return [MixedSeriesEvidence(**one.model_dump()) for one in found if one]


def _half_hourly(known: Context) -> Literal["synthetic", "mixed", "real", "none"]:
    """Return what half-hourly readings the pack has; ``real`` are there by a line of the policy alone."""
    if "half_hourly" not in {h.extract for h in known.extracts}:
        return "none"
    contract = known.contracts["half_hourly"]
    periods = [c for c in contract.columns if c.treatment.method is Method.SYNTHETIC]
    hiding = (Method.SYNTHETIC, Method.MIX, Method.SUPPRESS, Method.DROP)
    if not all(contract.treatment(c).method in hiding for c in periods):
        return "real"
    return "mixed" if any(contract.treatment(c).method is Method.MIX for c in periods) else "synthetic"


def _policy(known: Context, kind: str) -> PolicyEvidence:
    extracts: dict[str, dict[str, str | ColumnTreatment]] = {
        name: {
            c.name: ColumnTreatment(treatment=contract.treatment(c).describe(), classification=c.classification.value)
            for c in contract.columns
        }
        for name, contract in known.contracts.items()
        if name in {h.extract for h in known.extracts}
    }
    model = known.job.model
    return PolicyEvidence(
        half_hourly=_half_hourly(known),
        postcode=model.cut.policy.postcode.value,
        approval="two signatures" if model.release.approver else "one signature",
        extracts=extracts,
        profile=model.cut.policy.profile.value if kind == "release" else None,
        loosened=known.loosened or None if kind == "release" else None,
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """What the release itself found: accounting of every extract, search for raw identifiers, risk, attack."""

    accounting: Sequence[Accounting]
    leak_scan: LeakScan
    risk: Risk | None
    attack: AttackEvidence | None = None


def release_evidence(
    known: Context, kind: Literal["submission", "release"], found: Measured, stages: Sequence[StageSeconds], root: Path
) -> Evidence:
    """Return what the pack says of itself.

    Args:
        stages: how long each stage took.
        root: folder of the growing pack, whose files the lineage names.
    """
    workspace, cut = known.workspace, known.job.model.cut
    used = [known.contracts[name] for name in sorted({h.extract for h in known.extracts})]
    aligned, augmented = workspace.recorded(AlignmentCounts), workspace.recorded(AugmentationCounts)
    begun, fence = workspace.recorded(Begun), workspace.recorded(RingFenceResult)
    rules, _ = judged(workspace)
    added = known.tables.items if augmented else ()
    inputs: Sequence[InputEvidence] = sources_of(known)
    if kind == "release":  # others read it
        inputs = [for_others(source) for source in inputs]
    earlier = _earlier(known)
    made = Evidence(
        schema=EVIDENCE_SCHEMA,
        kind=kind,
        cut=CutEvidence(
            id=cut.id,
            date=cut.date.isoformat(),
            trust_model=cut.trust_model,
            expires=cut.expires.isoformat() if cut.expires else None,
        ),
        tool=tool_facts(),
        scheme=SCHEME,
        key_fingerprint=known.keys.fingerprint(),
        policy=_policy(known, kind),
        contracts=tuple(ContractUsed(extract=c.extract, version=c.version, sha256=c.digest) for c in used),
        reference=(*known.reference.evidence(), *(augmented.reference if augmented else ())),
        publications=(*known.reference.publication(), *(augmented.publications if augmented else ())) or None,
        inputs=tuple(inputs),
        left_out=tuple(_left_out(known)) or None,
        registers=_registers(known),
        qualification=qualification(known),
        succession=tuple(_succession(known)) or None,
        accounting=tuple(found.accounting),
        rules=tuple(rules),
        exclusions=_exclusions(known),
        limits=workspace.recorded(AppliedLimits),
        alignment=aligned.pairs if aligned else None,
        agreement=tuple(_agreement(aligned, earlier)) if aligned else None,
        coincident=workspace.recorded(CoincidentCount),
        augmentation=augmented.items if augmented else None,
        associations=augmented.associations if augmented else None,
        smart=tuple(smart_shares(known)) or None if kind == "release" else None,
        column_values=tuple(column_figures(known, root)) or None if kind == "release" else None,
        ring_fence=fence.evidence if fence else None,
        leak_scan=found.leak_scan,
        risk=found.risk,
        attack=found.attack,
        mixed_series=tuple(_mixed_series(known)) or None,
        shared_texts=(shared.columns or None) if (shared := workspace.recorded(SharedTexts)) else None,
        previous=tuple(previous.references(_source_files(known))),
        baseline=previous.baseline(earlier) if earlier else None,
        lineage=tuple(_lineage(root, lineage_section(used, inputs, added))),
        requirements=tuple(requirements_section(rules, added)),
        questions=tuple(AuditQuestion.model_validate(question.model_dump()) for question in questions()),
        dpia=dpia_section(used),
        times=Times(started=begun.at if begun else now(), finished=now(), stages=tuple(stages)),
        self_test=self_test(),
    )
    return ordered(made)


def _earlier(known: Context) -> Path | None:
    compared = known.job.model.release.compare_with
    return known.job.path(compared) if compared else None


def earlier_evidence(known: Context) -> Evidence | None:
    """Return the evidence of the release of the last cut, if one is named to compare with."""
    pack = _earlier(known)
    return previous.read_evidence(pack) if pack else None


def for_others(source: InputEvidence) -> InputEvidence:
    """Return what the evidence says of a source to others than its sender: no name of a file, no heading of its own.

    A heading is there by the name of the product's own list that it matched.
    """
    own = bool(source.files) or source.form == "database"
    hidden = {
        "files": (),
        "passed_over": (),
        "dropped": (),
        "remarks": (),
        "columns": {name: source.aliases.get(name, name) for name in source.columns},
        "file": source.file if own else f"{source.extract}.{source.form}",
    }
    return source.model_copy(update=hidden)


def _lineage(root: Path, rows: list[Lineage]) -> list[Lineage]:
    """Add the files that are put together from extracts, by what they really hold."""
    known = {row.extract for row in rows}
    found = payload.columns(root)
    return rows + [r for kind in found if kind not in known for r in joined_section(kind, found[kind], rows)]


def _source_files(known: Context) -> list[Path]:
    job = known.job
    files = [file for p in job.model.participants for e in p.extracts for file in job.files(p, e)]
    return list({file.parent: file for file in files}.values())  # what lies side by side lies in one pack


def _left_out(known: Context) -> list[LeftOut]:
    """Return the participants that the cut goes on without, and why."""
    return [
        LeftOut(
            participant=participant.mpid,
            role=participant.role.upper(),
            extracts=tuple(sorted({entry.contract for entry in participant.extracts})),
            reason=participant.left_out or "",
        )
        for participant in known.job.left_out
    ]


def _succession(known: Context) -> list[SuccessionEvidence]:
    """Return whose appointments are read as those of whom on the cut date."""
    model = known.job.model
    taken = [entry for entry in model.succession if entry.on <= model.cut.date]
    return [SuccessionEvidence(mpid=e.mpid, successor=e.successor, on=e.on.isoformat()) for e in taken]


def _registers(known: Context) -> RegistersEvidence | None:
    """Return who answers for what; nothing that is not stated."""
    stated = known.job.model.registers.model_dump(mode="json", exclude_defaults=True)
    duties = tuple(
        DutiesEvidence(participant=p.mpid, **p.duties.model_dump(mode="json", exclude_defaults=True))
        for p in known.job.model.participants
        if p.duties.model_fields_set
    )
    if not stated and not duties:
        return None
    return RegistersEvidence.model_validate({**stated, "participants": duties or None})
