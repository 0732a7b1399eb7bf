"""Why each metering point is out, first: whose extract broke which rule, as words that a line can be made of."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contracts.vocabulary import Effect
from flows.cut.partitions import JUDGED, SUBMITTED, TOLD, ParticipantExtract, read_exclusions
from flows.cut.workspace import Workspace
from transforms.quality.exclusions import precedence
from transforms.quality.rules import any_broken, broken

SCHEMA: dict[str, pl.DataType] = {"mpan_core": pl.String(), "why": pl.String(), "causes": pl.UInt32()}


def first_causes(workspace: Workspace, extracts: Sequence[ParticipantExtract], number: int) -> pl.DataFrame:
    """Return of each excluded metering point of a partition whose extract broke which rule first.

    Columns out: ``mpan_core``, ``why``: participant, extract and rule, parted by spaces; of what a submission pack
    excludes, its reason code in place of the rule; of what no extract says, the reason code alone.
    ``causes``: how many different ones there are.
    """
    parts = [pl.DataFrame(schema={"mpan_core": pl.String, "why": pl.String})]
    for h in sorted(extracts, key=lambda h: precedence(h.extract)):
        told = f"{h.participant} {h.extract}"
        parts.append(_sent(workspace, h, number))
        frame = workspace.scan(JUDGED, h.participant, h.extract, number)
        if frame is None:
            continue
        contract = workspace.contracts[h.extract]
        rules = [rule for rule in contract.rules if rule.effect is Effect.EXCLUDE]
        whys = [pl.when(broken(contract, rule.id)).then(pl.lit(f"{told} {rule.id}")) for rule in rules]
        gone = frame.filter(any_broken(contract, Effect.EXCLUDE), pl.col("mpan_core").is_not_null())
        listed = gone.select("mpan_core", pl.concat_list(whys).alias("why")).collect()
        parts.append(listed.explode("why").drop_nulls("why"))
    known = pl.concat(parts)
    out = read_exclusions(workspace, number).select("mpan_core", pl.col("first_cause").alias("why"))
    rest = out.join(known, on="mpan_core", how="anti")
    grouped = pl.concat([known, rest]).group_by("mpan_core", maintain_order=True)
    found = grouped.agg(pl.col("why").first(), pl.col("why").n_unique().alias("causes"))
    return found.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _sent(workspace: Workspace, h: ParticipantExtract, number: int) -> pl.DataFrame:
    """Return what a submission pack says of the metering points that it excludes: the rule, or the reason code alone.

    The rule is told by the extract that breaks it; the other extracts of the pack have the code, which is no cause.
    """
    schema = {"mpan_core": pl.String, "why": pl.String}
    sent, told = (workspace.scan(room, h.participant, h.extract, number) for room in (SUBMITTED, TOLD))
    if sent is None:
        return pl.DataFrame(schema=schema)
    who = pl.lit(f"{h.participant} {h.extract} ")
    if told is not None:
        excluding = [rule.id for rule in workspace.contracts[h.extract].rules if rule.effect is Effect.EXCLUDE]
        rules = told.filter(pl.col("rule_id").is_in(excluding), pl.col("mpan_core").is_not_null())
        return rules.select("mpan_core", (who + pl.col("rule_id")).alias("why")).unique(maintain_order=True).collect()
    coded = pl.col("first_cause").str.starts_with("DQ"), pl.col("mpan_core").is_not_null()
    return sent.filter(*coded).select("mpan_core", (who + pl.col("first_cause")).alias("why")).collect()
