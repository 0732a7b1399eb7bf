"""Quality after augmentation: the rules of ``contracts/results`` over augmented metering points, both ends of a link.

As in the quality stage each rule is judged twice, by row verdicts and by Great Expectations, and the counts must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from contracts.conditions import sql
from contracts.evidence import RuleCountEvidence
from contracts.model import Contract, column_type
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, JUDGED, ORDER, ParticipantExtract, read_exclusions
from flows.cut.records import CountsAfterAugmentation
from flows.cut.workspace import Workspace
from flows.quality.rule_counts import count_twice, entry
from transforms.pseudonymise.mpan import Keys, order_key
from transforms.quality import rules
from transforms.quality.lookups import MPAN, PARTICIPANT
from transforms.release.leak_candidates import PseudonymIndex

NAME = "augmented"
CHECKED = "checked"
TABLE = f"all:{NAME}"


def judge_after_augmentation(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], cut_date: date, contract: Contract
) -> CountsAfterAugmentation:
    """Judge every augmented metering point that is not excluded; ``contract`` is that of the augmented data.

    Writes room ``checked``: the columns that the rules read, and the masks, for each participant that registers.

    Returns:
        As :func:`flows.quality.rule_counts.judge`: ``entries`` for the evidence, ``documents`` of Great Expectations.

    Raises:
        QualityError: an expectation crashed, or its count differs from the row verdicts'.
    """
    linked = _linked(workspace, contract)
    senders = [h.participant for h in extracts if h.extract == EXTRACT]
    for number in range(workspace.partitions):
        frame = _remaining(workspace, contract, number)
        if frame is None:
            continue
        tables = {TABLE: _named(frame, contract, linked)}
        for sender in senders:
            own = _of(workspace, frame, sender, number)
            if own.height:
                done = rules.judge(own, contract, tables, cut_date, uncarried={})
                workspace.write(done.drop(PARTICIPANT), CHECKED, sender, NAME, number)
    return _counted(workspace, contract, senders)


def _counted(workspace: Workspace, contract: Contract, senders: Sequence[str]) -> CountsAfterAugmentation:
    entries: list[RuleCountEvidence] = []
    documents = {}
    for sender in senders:
        scans = (workspace.scan(CHECKED, sender, NAME, n) for n in range(workspace.partitions))
        parts = [scan for scan in scans if scan is not None]
        if parts:
            name = f"{sender}-{NAME}"
            counts, documents[name] = count_twice(parts, contract, contract.rules, name)
            entries += [entry(sender, rule, counts, evaluated=True, extract=NAME) for rule in contract.rules]
    return CountsAfterAugmentation(entries=tuple(entries), documents=documents)


def _augmented(workspace: Workspace, contract: Contract, number: int) -> pl.LazyFrame | None:
    """Return the columns of a partition that the rules read; those that augmentation does not make are empty."""
    frame = workspace.scan(AUGMENTED, ALL, EXTRACT, number)
    if frame is None:
        return None
    there = frame.collect_schema().names()
    columns = [
        pl.col(c.name) if c.name in there else pl.lit(None, column_type(c)).alias(c.name) for c in contract.columns
    ]
    return frame.select(*columns, ORDER)


def _linked(workspace: Workspace, contract: Contract) -> pl.DataFrame:
    """Return the augmented metering points that others are linked to: a small table, however many there are."""
    frames = [f for n in range(workspace.partitions) if (f := _augmented(workspace, contract, n)) is not None]
    values = {root for d in contract.derived for root in sql(d.value).meta.root_names()} - {MPAN, ORDER}
    if not frames:
        return pl.DataFrame(schema={**dict.fromkeys([MPAN, *sorted(values)], pl.String), ORDER: pl.UInt64})
    asked = PseudonymIndex.of(np.concatenate([_asked(frame, contract) for frame in frames]))
    parts = []
    for frame in frames:
        rows = frame.select(MPAN, ORDER, *sorted(values)).collect()
        parts.append(rows.filter(pl.Series(asked.contains(rows[ORDER].to_numpy()))))
    return pl.concat(parts)


def _asked(frame: pl.LazyFrame, contract: Contract) -> Keys:
    """Return whom the metering points of a partition are linked to, as keys (``mpan.order_key``)."""
    keys = sorted({text for derived in contract.derived for text in derived.keys.values()})
    named = frame.select(order_key(key).alias(key) for key in keys).collect()
    return np.concatenate([named[key].drop_nulls().to_numpy() for key in keys])


def _named(frame: pl.DataFrame, contract: Contract, linked: pl.DataFrame) -> pl.DataFrame:
    """Return those of the linked metering points that one partition names: a look-up groups all that it is given."""
    asked = PseudonymIndex.of(_asked(frame.lazy(), contract))
    return linked.filter(pl.Series(asked.contains(linked[ORDER].to_numpy())))


def _remaining(workspace: Workspace, contract: Contract, number: int) -> pl.DataFrame | None:
    frame = _augmented(workspace, contract, number)
    if frame is None:
        return None
    out = read_exclusions(workspace, number).lazy().select(MPAN)
    masks = [pl.lit(0, pl.UInt64).alias(name) for name in rules.mask_columns(contract)]
    return frame.join(out, on=MPAN, how="anti").with_columns(masks).sort(ORDER).collect()


def _of(workspace: Workspace, frame: pl.DataFrame, sender: str, number: int) -> pl.DataFrame:
    """Return the metering points that one participant registers."""
    scan = workspace.scan(JUDGED, sender, EXTRACT, number)
    if scan is None:
        return frame.clear().with_columns(pl.lit(sender).alias(PARTICIPANT))
    own = scan.select(ORDER).collect()[ORDER].implode()
    return frame.filter(pl.col(ORDER).is_in(own)).with_columns(pl.lit(sender).alias(PARTICIPANT))
