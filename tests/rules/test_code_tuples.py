"""Rules by distinct tuples of codes give the verdicts of every row; canonical order depends on the rows alone."""

from __future__ import annotations

import itertools
from datetime import date

import polars as pl
import pytest

from contracts.load import load_all
from contracts.model import column_type
from contracts.vocabulary import RuleStage
from flows.quality.verdicts import in_order
from flows.release.extracts import in_one_order
from transforms.quality import rules
from transforms.quality.code_tuples import CodeTuples, code_columns
from transforms.quality.lookups import judged

CUT = date(2023, 8, 19)
PORTFOLIO = load_all()["portfolio"]
REGISTRATION = load_all()["registration"]


def _rows(contract, **varied) -> pl.DataFrame:
    """Return every combination of some columns' values, often enough for tuples to pay; other columns are empty."""
    combined = list(itertools.product(*varied.values()))
    data = pl.DataFrame(combined, schema=list(varied), orient="row")
    data = pl.concat([data] * 20).with_row_index("_order").with_columns(pl.col("_order").cast(pl.UInt64))
    kinds = {c.name: column_type(c) for c in contract.staged}
    masks = dict.fromkeys(rules.mask_columns(contract), pl.UInt64)
    return data.with_columns(
        [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in varied]
        + [pl.lit(0, kind).alias(name) for name, kind in masks.items()]
        + [pl.lit("SUPA").alias("participant")]
    ).with_columns(pl.col(name).cast(kinds[name]) for name in varied)


@pytest.mark.parametrize(
    ("contract", "varied"),
    [
        (REGISTRATION, {"profile_class": ["00", "01", "99", None], "measurement_class": ["A", "C", "?", None],
                        "energisation_status": ["E", "D", "X", None], "market_segment": ["S", "A", None]}),
        (PORTFOLIO, {"measurement_class": ["A", "C", "?", None], "energisation_status": ["E", "D", "X", None],
                     "consent_granularity": ["D", "Q", None]}),
    ],
    ids=["registration", "portfolio"],
)  # fmt: skip
def test_tuples_give_the_verdicts_of_every_row(contract, varied):
    frame = _rows(contract, **varied)
    tables = {"providers": pl.DataFrame(schema={"mpid": pl.String, "role": pl.String})}
    tuples = CodeTuples.of(frame, code_columns(contract))
    assert tuples is not None
    assert tuples.rows.height == frame.height // 20
    each = rules.judge(frame, contract, tables, CUT, uncarried={})
    once = rules.judge(frame, contract, tables, CUT, uncarried={}, tuples=tuples)
    assert once.select(each.columns).equals(each)
    assert judged(contract, RuleStage.QUALITY, tables)
    assert each.select(rules.any_broken(contract, rule.effect).any() for rule in contract.rules[:1]).height
    assert (each[rules.MASK] != 0).any(), "some rule is broken, or the two would agree on nothing"


def test_rows_that_have_little_in_common_are_not_grouped():
    frame = pl.DataFrame({"profile_class": [str(n) for n in range(100)]})
    assert CodeTuples.of(frame, {"profile_class"}) is None
    assert CodeTuples.of(frame.clear(), {"profile_class"}) is None
    assert CodeTuples.of(frame, {"other"}) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_is_that_of_sorting_by_all_keys(seed):
    contract = load_all()["register"]
    kinds = {c.name: column_type(c) for c in contract.staged}
    data = pl.DataFrame(
        {
            "_order": pl.Series([1, 1, 1, 1, 2, 3, 3, None, None, None], dtype=pl.UInt64),
            "_token": [None] * 7 + ["b", "a", "a"],
            "meter_serial_number": ["A", "A", "B", None, "A", "C", "C", "Z", "Z", "Y"],
            "register_id": ["2", "1", "1", "1", "1", "1", "1", None, None, None],
            "participant": ["MOPA", "MOPA", "MOPA", "MOPA", "MOPA", "MOPB", "MOPA", "MOPA", "MOPA", "MOPA"],
        }
    )
    data = data.with_columns(pl.lit(None, kinds[n]).alias(n) for n in kinds if n not in data.columns)
    keys = [c for c in contract.key if c != "mpan_core"]
    rest = [c.name for c in contract.staged if c.name not in contract.key]
    shuffled = data.sample(fraction=1.0, shuffle=True, seed=seed)
    with_key = data.filter(pl.col("_order").is_not_null())
    wanted = with_key.sort(["_order", *keys, "_token", "participant", *rest], nulls_last=True)
    lost = data.filter(pl.col("_order").is_null()).sort(["_token", *keys, "participant", *rest], nulls_last=True)
    assert in_order(shuffled, contract).equals(pl.concat([wanted, lost]))


@pytest.mark.parametrize("cuts", [(), (2,), (1, 2, 3)])
def test_excluded_rows_without_a_pseudonym_stand_last_however_many_partitions(cuts):
    named = ["1000000000016", "1000000000025", "1000000000034", "1000000000043"]
    bounds = [0, *cuts, len(named)]
    parts = [
        pl.DataFrame({"mpan_core": named[a:b] + [None] * (2 if a == 0 else 0)}, schema={"mpan_core": pl.String})
        for a, b in itertools.pairwise(bounds)
    ]
    assert pl.concat(in_one_order(parts))["mpan_core"].to_list() == [*named, None, None]
