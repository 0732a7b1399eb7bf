"""The augmentation stage: associations first, then every item of every metering point, partition by partition."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from weakref import WeakKeyDictionary

import polars as pl

from contracts.augmentation import PARTIAL, REASON, Item, Tables, stated_column
from contracts.codes import code_table
from contracts.errors import ContractError, QualityError
from contracts.evidence import ReferenceFileEvidence
from contracts.evidence_results import AssociationCountsEvidence, AssociationOutcomeEvidence, ItemCountsEvidence
from contracts.model import Contract
from flows.augment.associations import Resolved, resolve
from flows.augment.companions import write_companions
from flows.augment.inputs import AUGMENT, AugmentationInputs, excluded, load_inputs, registered
from flows.augment.participant_tables import load_mapping
from flows.augment.shared_texts import write_shared
from flows.cut.context import Context
from flows.cut.partitions import ALL, AUGMENTED, EXCLUDED, EXTRACT, ORDER, read_exclusions, write_exclusions
from flows.cut.records import AugmentationCounts, AugmentedPartition
from flows.cut.workspace import disk
from flows.quality.exclusions import cascade
from transforms.augment.associations import violations
from transforms.augment.decision_lint import findings
from transforms.augment.decision_tables import decide, incoherent, rule_column, sources, sql, undecided
from transforms.augment.manufacture import Manufacturer

ASSOCIATED, RELATED = "associated", "related"  # rooms: what associations are, and who of each partition is in one
WORKING = (
    "uprn", "sender", "_cause", "eac", "aa", "measured_direction", "link_mpan", "link_rule", "link_role", "link_grade",
    "relation_mpan", "relation_role",
)  # fmt: skip
RELATED_COLUMNS = (
    "mpan_core", "linked_mpan", "association_role", "related_mpan", "related_role", "energy_direction",
    "metered_indicator", "supplier_mpid",
)  # fmt: skip


_GATHERED: WeakKeyDictionary[Context, AugmentationInputs] = WeakKeyDictionary()


def inputs_of(known: Context) -> AugmentationInputs:
    """Gather what augmentation needs, once a cut, and refuse decision tables that the lint finds fault with.

    Raises:
        ContractError: a table is wrong; the first findings are told.
        ConfigurationError: a mapping table is wrong.
    """
    if known not in _GATHERED:
        _GATHERED[known] = _gathered(known)
    return _GATHERED[known]


def _gathered(known: Context) -> AugmentationInputs:
    job = known.job
    check(known.tables, known.contracts)
    return AugmentationInputs(
        workspace=known.workspace,
        extracts=known.extracts,
        tables=known.tables,
        rules=known.associations,
        mapping=load_mapping(job),
        maker=Manufacturer(known.keys, known.services.prefixes),
        reference=known.reference,
    )


def lint(mine: Tables, contracts: Mapping[str, Contract]) -> list[str]:
    """Return the findings of the lint against code lists and contracts."""
    codes = {name: [row[0] for row in code_table(name)[1]] for name in {i.codes for i in mine.inputs if i.codes}}
    return findings(mine, codes, contracts)


def check(mine: Tables, contracts: Mapping[str, Contract]) -> None:
    """Refuse tables with a finding.

    Raises:
        ContractError: the first findings, and how many there are.
    """
    if found := lint(mine, contracts):
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise ContractError(f"{'; '.join(found[:3])}{more}", where="augmentation items")


def augmentation(known: Context) -> AugmentationCounts:
    """Fill the MHHS-only items of every metering point that is not excluded, and associate imports with exports.

    Writes room ``augmented``: per metering point the registration's columns that others read, its settlement meter,
    every item with the rule that gave it, and ``linked_mpan_confidence``. Metering points that are undecided or
    incoherent are excluded (DQ31), those of a related group that is partial or contradicts itself too (DQ27), and
    whoever is surely associated with an excluded one (companion).

    Returns:
        Sections of the evidence: ``items`` (per item, how many values were stated, derived, manufactured,
        absent and undecided), ``associations``, ``reference`` (files that were used) and ``publications``.

    Raises:
        QualityError: a relationship in the result breaks a constraint.
    """
    inputs = inputs_of(known)
    workspace = inputs.workspace
    found = resolved(known, inputs)
    tally: Counter[tuple[str, str]] = Counter()
    broken: Counter[str] = Counter()
    members = []
    for number in range(workspace.partitions):
        done = augment_partition(known, number, inputs, found)
        tally.update({(item, rule): n for item, rule, n in done.tally})
        broken.update(done.incoherent)
        if done.related:
            with disk(workspace.folder(RELATED)):
                members.append(pl.read_ipc(workspace.folder(RELATED) / f"{number:04d}.arrow"))
    workspace.promise(AUGMENTED)
    write_companions(workspace)
    cascade(workspace, found.together)
    write_shared(known)
    checks = _checked(inputs, members)
    return AugmentationCounts(
        items=tuple(_entry(item, tally) for item in inputs.tables.items if item.held_by),
        associations=AssociationCountsEvidence(
            evidence=tuple(_evidence(inputs, found.outcomes)),
            constraints=checks,
            incoherent=dict(sorted(broken.items())),
        ),
        reference=tuple(_files(known, inputs)),
        publications=inputs.mapping.publications,
    )


def _checked(inputs: AugmentationInputs, members: Sequence[pl.DataFrame]) -> dict[str, int]:
    """Hold every relationship of the result against the registration rejection codes.

    Raises:
        QualityError: one is broken.
    """
    if not members:
        return {}
    out = pl.concat(
        read_exclusions(inputs.workspace, n).select("mpan_core") for n in range(inputs.workspace.partitions)
    )
    checks = violations(pl.concat(members).join(out, on="mpan_core", how="anti"), inputs.rules.constraints)
    if wrong := {code: count for code, count in checks.items() if count}:
        words = ", ".join(f"{code} {count} times" for code, count in wrong.items())
        raise QualityError(f"associations break {words}", where="augmentation", remedy="please report it")
    return checks


def resolved(known: Context, inputs: AugmentationInputs | None = None) -> Resolved:
    """Return all associations of the cut; they are found once and kept."""
    workspace = known.workspace
    folder = workspace.folder(ASSOCIATED)
    names = [field.name for field in fields(Resolved)]
    if workspace.promised(ASSOCIATED):
        with disk(folder):  # one that is gone ends the run
            return Resolved(**{name: pl.read_ipc(folder / f"{name}.arrow") for name in names})
    with disk(workspace.root):  # what a killed run left behind must not count
        for parts in ((EXCLUDED, AUGMENT), (AUGMENTED,), (AugmentedPartition.NAME,), (RELATED,)):
            shutil.rmtree(workspace.root.joinpath(*parts), ignore_errors=True)
    found = resolve(inputs or inputs_of(known))
    for name in names:
        workspace.put(getattr(found, name), folder / f"{name}.arrow")
    workspace.promise(ASSOCIATED)
    return found


def augment_partition(
    known: Context, number: int, inputs: AugmentationInputs | None = None, found: Resolved | None = None
) -> AugmentedPartition:
    """Decide one partition, once: write what stays and exclude the rest; return what is counted of it."""
    workspace = known.workspace
    done = workspace.recorded(AugmentedPartition, f"{number:04d}")
    if done is None:
        done = _partition(inputs or inputs_of(known), number, found or resolved(known))
        workspace.record(done, f"{number:04d}")
    return done


def _partition(inputs: AugmentationInputs, number: int, found: Resolved) -> AugmentedPartition:
    lazy = registered(inputs, number)
    if lazy is None:
        return AugmentedPartition(tally=(), incoherent={}, related=False)
    chosen = lazy.select(ORDER).collect().join(excluded(inputs, number), on=ORDER, how="anti")
    here = pl.col(ORDER).is_between(chosen[ORDER].min(), chosen[ORDER].max())  # not the whole market a partition
    frame = load_inputs(inputs, number, chosen).join(
        found.read.filter(here), on=ORDER, how="left", maintain_order="left"
    )
    frame = decide(frame, inputs.tables.items, inputs.lookups, inputs.maker)
    tally = [
        (item.item, str(rule), n)
        for item in inputs.tables.items
        for rule, n in frame[rule_column(item)].value_counts().rows()
    ]
    conditions = inputs.tables.coherence
    broken = {c.code: int(frame.select(incoherent([c]).sum()).item()) for c in conditions}
    partial = pl.col(ORDER).is_in(found.unsound.filter(here)[ORDER].implode())
    unfit = undecided(inputs.tables.items) | incoherent(conditions)
    cause = pl.when(partial).then(pl.lit(PARTIAL)).when(unfit).then(pl.lit(REASON))
    frame = frame.with_columns(cause.alias("_cause"))
    _exclude(inputs, number, frame.filter(pl.col("_cause").is_not_null()))
    done = frame.filter(pl.col("_cause").is_null()).select(_written(inputs, frame.columns))
    inputs.workspace.write(done, AUGMENTED, ALL, EXTRACT, number)
    related = pl.col("association_role").is_not_null() | pl.col("related_role").is_not_null()
    members = done.filter(related).select(RELATED_COLUMNS)
    inputs.workspace.put(members, inputs.workspace.folder(RELATED) / f"{number:04d}.arrow")
    return AugmentedPartition(tally=tuple(sorted(tally)), incoherent=broken, related=True)


def _exclude(inputs: AugmentationInputs, number: int, gone: pl.DataFrame) -> None:
    causes = gone.select(
        "mpan_core",
        pl.col("_cause").alias("first_cause"),
        pl.col("_cause").alias("reasons"),
        pl.lit(EXTRACT).alias("extract"),
    )
    write_exclusions(inputs.workspace, AUGMENT, number, causes)


def _written(inputs: AugmentationInputs, columns: Sequence[str]) -> list[pl.Expr]:
    """Return the columns of the room: what readers need, no working column."""
    items = inputs.tables.items
    dates = {stated_column(s.extract, s.date) for i in items for s in i.stated if s.date}
    read = {name for i in items for name in sql(i.effective_from, where=i.item).meta.root_names()}
    kept = [
        c for c in columns if c in dates | read or not (c in WORKING or c.startswith(("stated.", "partner_", "mtc_")))
    ]
    return [*(pl.col(c) for c in kept), pl.col("link_grade").alias("linked_mpan_confidence")]


def _entry(item: Item, tally: Mapping[tuple[str, str], int]) -> ItemCountsEvidence:
    """Return an item's counts: by source, absent, undecided, and by rule."""
    by_rule = {rule: tally[item.item, rule] for rule in item.rules if tally.get((item.item, rule))}
    lost = tally.get((item.item, "None"), 0)
    from_rule = sources(item)
    none = {r.rule for r in item.rows if r.outcome == "none"}
    totals = Counter({"stated": 0, "derived": 0, "manufactured": 0, "absent": 0, "undecided": lost})
    for rule, count in by_rule.items():
        totals["absent" if rule in none else from_rule[rule] or "undecided"] += count
    return ItemCountsEvidence(item=item.item, **totals, rules=by_rule)


def _evidence(inputs: AugmentationInputs, outcomes: pl.DataFrame) -> list[AssociationOutcomeEvidence]:
    words = {e.rule: e for e in inputs.rules.evidence}
    rows = outcomes.to_dicts() if outcomes.height else []
    return [
        AssociationOutcomeEvidence(**row, grade=words[row["rule"]].grade, description=words[row["rule"]].description)
        for row in rows
    ]


def _files(known: Context, inputs: AugmentationInputs) -> list[ReferenceFileEvidence]:
    chosen = known.job.model.augmentation
    named = {
        f"augmentation/{chosen.items.name if chosen.items else 'items.yaml'}": (
            len(inputs.tables.items), inputs.tables.digest
        ),
        f"augmentation/{chosen.associations.name if chosen.associations else 'associations.yaml'}": (
            len(inputs.rules.evidence), inputs.rules.digest
        ),
        "augmentation/services.yaml": (len(known.services.prefixes), known.services.digest),
    }  # fmt: skip
    own = [ReferenceFileEvidence(table=name, rows=rows, sha256=digest) for name, (rows, digest) in named.items()]
    return [*own, *inputs.mapping.files]
