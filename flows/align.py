"""The alignment of participants: registration against portfolio, metering, consumption and BM unit mapping.

Works on pseudonyms alone, partition by partition, and reads no more columns than the comparisons name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import polars as pl

from contracts.alignment import FAIL, Comparison
from contracts.conditions import sql
from contracts.errors import AlignmentError
from contracts.evidence import AgreementEvidence
from contracts.load import comparisons
from contracts.model import Contract, column_type
from contracts.vocabulary import Classification
from flows.cut.partitions import JUDGED, ORDER, ParticipantExtract, treated, uncarried, withheld
from flows.cut.workspace import Workspace
from transforms import align
from transforms.align import REGISTRATION
from transforms.quality.lookups import MPAN, PARTICIPANT

TOLD = 3
Difference = tuple[Comparison, pl.DataFrame]
Show = Callable[[pl.LazyFrame, Contract], pl.LazyFrame]
ALIGNED = "aligned"  # room of the counts of each partition


def alignment(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> list[AgreementEvidence]:
    """Count agreement between the registration and every other extract, per pair of participants and item.

    Returns:
        One row per pair, extract and item for the evidence, with share, tolerance and outcome
        (:func:`transforms.align.judged`).
    """
    counts = [compare_partition(workspace, extracts, number) for number in range(workspace.partitions)]
    return align.judged(align.total(counts), _specs(extracts))


def compare_partition(workspace: Workspace, extracts: Sequence[ParticipantExtract], number: int) -> pl.DataFrame:
    """Return the counts of one partition, as ``transforms.align.COUNTS``; they are made once and kept."""
    kept = workspace.folder(ALIGNED) / f"{number:04d}.arrow"
    if kept.is_file():
        return pl.read_ipc(kept)
    done = align.total(
        [
            align.compare(registration, other, spec, senders, silent)
            for spec, registration, other, senders, silent in _pairs(workspace, extracts, number)
        ]
    )
    workspace.put(done, kept)
    return done


def differences(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], number: int, show: Show
) -> list[Difference]:
    """Return the metering points of a partition about which participants disagree, by comparison.

    Args:
        show: how the values of an extract may be shown.

    Columns out: as :func:`transforms.align.differences`.
    """
    return [
        (spec, align.differences(registration, other, spec, senders, silent))
        for spec, registration, other, senders, silent in _pairs(workspace, extracts, number, show)
    ]


def _specs(extracts: Sequence[ParticipantExtract]) -> list[Comparison]:
    held = {h.extract for h in extracts}
    return [spec for spec in comparisons() if spec.right in held] if REGISTRATION in held else []


def _pairs(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], number: int, show: Show | None = None
) -> Iterator[tuple[Comparison, pl.DataFrame, pl.DataFrame, list[str], tuple[align.Silent, align.Silent]]]:
    """Yield each comparison with both sides of a partition, who sends the other one, and what sources do not carry."""
    specs, lacking = _specs(extracts), _silent(workspace, extracts)
    if not specs:
        return
    needed = {PARTICIPANT, *(name for spec in specs for name in [*spec.items, spec.expected, *_roots(spec)])}
    registration = _sent(workspace, extracts, REGISTRATION, number, needed, show=show)
    for spec in specs:
        senders = sorted({h.participant for h in extracts if h.extract == spec.right})
        names = {item.column for item in spec.items.values()}
        other = _sent(workspace, extracts, spec.right, number, names, show=show, held=spec.held)
        gone = [f for e in (REGISTRATION, spec.right) if (f := withheld(workspace, extracts, e, number)) is not None]
        left, right = (_without(frame, gone) for frame in (registration, other))
        yield spec, left, right, senders, (lacking.get(REGISTRATION, {}), lacking.get(spec.right, {}))


def _without(frame: pl.DataFrame, gone: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Leave out what a submission pack excludes from either extract: that the other has it alone is nobody's fault."""
    return frame.join(pl.concat(gone), on=ORDER, how="anti", maintain_order="left") if gone else frame


def require_alignment(rows: Sequence[AgreementEvidence]) -> None:
    """End the run where participants disagree beyond what the policy bears.

    Raises:
        AlignmentError: a comparison whose policy is ``fail`` is beyond its tolerance; names pairs and items.
    """
    broken = [row for row in rows if row.outcome == align.BEYOND and row.policy == FAIL]
    if broken:
        words = [f"{r.item} of {r.left} and {r.right}/{r.extract_right} {r.share or 0:.2%}" for r in broken]
        more = f" and {len(words) - TOLD} more" if len(words) > TOLD else ""
        raise AlignmentError(
            f"{len(broken)} comparisons are beyond their tolerance: {'; '.join(words[:TOLD])}{more}",
            where="alignment.yaml",
            remedy="have the participants cut again on one day, or let the policy report",
        )


def _silent(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> columns that say nothing: not sent, or hidden by the policy of a pack."""
    found = uncarried(workspace, extracts)
    for extract, senders in treated(workspace, extracts).items():
        for participant, columns in senders.items():
            found.setdefault(extract, {}).setdefault(participant, set()).update(columns)
    return found


def _roots(spec: Comparison) -> list[str]:
    return list(sql(spec.scope).meta.root_names())


def _sent(
    workspace: Workspace,
    extracts: Sequence[ParticipantExtract],
    extract: str,
    number: int,
    columns: Collection[str],
    *,
    show: Show | None = None,
    held: str = "",
) -> pl.DataFrame:
    """Return some columns of a judged partition of all participants, with who sent each row; empty where none is.

    Args:
        held: SQL over the row, true where a registration of this cut should have it; added as ``_held``.
        show: with it, ``mpan_core`` and the columns once more, as they may be shown.
    """
    contract = workspace.contracts[extract]
    kept = {*columns, MPAN} if show else columns
    parts = []
    for h in extracts:
        frame = workspace.scan(JUDGED, h.participant, h.extract, number) if h.extract == extract else None
        if frame is not None:
            names = [c for c in frame.collect_schema().names() if c in kept]
            rows = frame.select(ORDER, *names)
            own = _shown(rows, contract, show).with_columns(pl.lit(h.participant).alias(PARTICIPANT))
            parts.append(pl.concat([own, frame.select(_held(held))], how="horizontal") if held else own)
    if parts:
        found = pl.concat(pl.collect_all(parts))
    else:
        known = {c.name: column_type(c) for c in contract.staged if c.name in kept}
        empty = pl.LazyFrame(schema={ORDER: pl.UInt64(), **known})
        found = _shown(empty, contract, show).with_columns(pl.lit(None, pl.String).alias(PARTICIPANT)).collect()
        found = found.with_columns(pl.lit(None, pl.Boolean).alias(align.HELD)) if held else found
    return found.with_columns(pl.col(PARTICIPANT).alias(align.shown(PARTICIPANT))) if show else found


def _held(condition: str) -> pl.Expr:
    return sql(condition).fill_null(value=False).alias(align.HELD)


def _shown(rows: pl.LazyFrame, contract: Contract, show: Show | None) -> pl.LazyFrame:
    """Add the columns as they may be shown: no identifier at all, and the others under the policy in force."""
    if show is None:
        return rows
    secret = [c.name for c in contract.staged if c.classification is Classification.IDENTIFIER]
    names = [n for n in rows.collect_schema().names() if n not in (ORDER, MPAN)]
    done = show(rows, contract)
    there = done.collect_schema().names()
    values = [
        (pl.col(n).cast(pl.String) if n in there and n not in secret else pl.lit(None, pl.String)).alias(align.shown(n))
        for n in names
    ]
    return pl.concat([rows, done.select(values)], how="horizontal")
