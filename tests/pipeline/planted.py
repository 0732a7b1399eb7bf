"""Holds the verdicts of a run against the defects that the generator planted: per rule planted, found, false.

``python -m tests.pipeline.planted SAMPLE`` runs the stages over a sample and prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from contracts.load import RESULTS, load_all
from contracts.vocabulary import Field
from flows import pipeline
from flows.cut.context import Context, context
from flows.cut.partitions import JUDGED
from flows.quality.after_augmentation import CHECKED
from transforms.quality import rules


def verdicts(known: Context) -> pl.DataFrame:
    """Return every broken rule of every judged row: participant, extract, mpan_core (pseudonym), token, reason, id.

    Rules over augmented metering points count as rules of the registration, whose defects they find.
    """
    return pl.concat(_verdicts(known)).unique()


def _verdicts(known: Context) -> Iterator[pl.DataFrame]:
    augmented = load_all(RESULTS)["augmented"]
    rooms = [(JUDGED, held.participant, held.extract, load_all()[held.extract]) for held in known.extracts]
    rooms += [
        (CHECKED, h.participant, "registration", augmented) for h in known.extracts if h.extract == "registration"
    ]
    for room, participant, extract, contract in rooms:
        for number in range(known.workspace.partitions):
            frame = known.workspace.scan(room, participant, contract.extract, number)
            if frame is None:
                continue
            held = frame.collect_schema().names()
            token = pl.col("_token") if "_token" in held else pl.lit(None, pl.String).alias("_token")
            names = [
                pl.when(rules.broken(contract, rule.id)).then(pl.lit(f"{rule.reason}|{rule.id}"))
                for rule in contract.rules
            ]
            yield (
                frame.select("mpan_core", token, pl.concat_list(names).alias("names"))
                .explode("names", keep_nulls=False, empty_as_null=False)
                .drop_nulls("names")
                .select(
                    pl.lit(participant).alias("participant"),
                    pl.lit(extract).alias("extract"),
                    "mpan_core",
                    "_token",
                    pl.col("names").str.split("|").list.get(0).alias("rule"),
                    pl.col("names").str.split("|").list.get(1).alias("id"),
                )
                .collect()
            )


def planted(sample: Path, known: Context) -> pl.DataFrame:
    """Return ``defects.csv`` with each MPAN's pseudonym, or its token where it has none."""
    frame = pl.read_csv(sample / "defects.csv", infer_schema=False)
    pseudonyms = known.pseudonymiser.values(Field.MPAN, frame["mpan_core"])
    raw = frame["mpan_core"].set(pseudonyms.is_not_null(), None)
    return frame.with_columns(
        pseudonyms.alias("mpan_core"), known.pseudonymiser.tokens(raw, "mpan_core").alias("_token")
    )


def compare(sample: Path, known: Context) -> pl.DataFrame:
    """Return per rule: planted rows, found ones, and false ones (of metering points without any defect).

    A defect is found when its rule is broken in the row's extract for its metering point. ``beside`` counts verdicts
    of other rules on metering points with a defect: by nature, an unknown loss class is in no valid combination.
    """
    defects = planted(sample, known)
    found = verdicts(known)
    keys = ["participant", "extract", "mpan_core", "_token", "rule"]
    hit = defects.join(found.select(keys).unique(), on=keys, how="semi", nulls_equal=True)
    points = defects.select("mpan_core", "_token").unique()
    other = found.join(defects.select(keys).unique(), on=keys, how="anti", nulls_equal=True)
    false = other.join(points, on=["mpan_core", "_token"], how="anti", nulls_equal=True)
    counts = (
        defects.group_by("rule")
        .len("planted")
        .join(hit.group_by("rule").len("found"), on="rule", how="full", coalesce=True)
        .join(false.group_by("rule").len("false"), on="rule", how="full", coalesce=True)
        .join(other.group_by("rule").len("beside"), on="rule", how="full", coalesce=True)
        .fill_null(0)
        .sort("rule")
    )
    return counts.with_columns(pl.col("beside") - pl.col("false"))


def judge(cut_file: Path) -> Context:
    """Run the stages up to augmentation and return the context, its work folder still there."""
    name = str(cut_file)
    plan = pipeline.prepare(name)
    for mpid, extract in plan.sources:
        pipeline.pseudonymise(name, mpid, extract)
    pipeline.tabulate(name)
    pipeline.judge_part(name, list(range(plan.partitions)))
    pipeline.judge(name)
    pipeline.align(name)
    pipeline.augment(name)
    return context(name)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        sys.stdout.write(f"{compare(folder, judge(folder / 'cut.yaml'))}\n")
    pipeline.finish(str(folder / "cut.yaml"))
