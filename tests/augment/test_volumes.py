"""Annual volumes: of each regime the advance before the estimate, actual only where every regime has an advance."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import polars as pl
import pytest

from flows.augment.inputs import volumes
from flows.cut.partitions import ORDER
from tests.augment.test_decisions import decided
from tests.rules.cutting import MiniCut, mpan
from transforms.pseudonymise.mpan import order_key

ONE = mpan(10, 3)
DAY, NIGHT = "00043", "00210"
VOLUMES = {
    # EAC and AA as D0019 gives them, one row each: regime, EAC, AA
    "an advance of one regime": ([(DAY, "1234.5", None), (NIGHT, "700.0", None), (DAY, None, "1200.1")], "1900.1", "1"),
    "advances of both": ([(DAY, "1234.5", "1200.1"), (NIGHT, None, "650.0"), (NIGHT, "700.0", None)], "1850.1", "A"),
    "estimates": ([(DAY, "1234.5", None), (NIGHT, "700.0", None)], "1934.5", "1"),
    "an advance of nothing": ([(DAY, "1234.5", "0.0"), (NIGHT, "700.0", "650.0")], "650.0", "A"),
}  # fmt: skip


@pytest.mark.requirement("Q63")
@pytest.mark.parametrize(("rows", "total", "quality"), VOLUMES.values(), ids=VOLUMES)
def test_the_advance_of_each_regime_before_its_estimate(tmp_path, maker, rows, total, quality):
    mini = MiniCut(tmp_path)
    names = ("time_pattern_regime_id", "eac", "aa")
    mini.add("DCOL", "annual_consumption", [{"mpan_core": ONE, **dict(zip(names, row, strict=True))} for row in rows])
    mini.judge()
    mine = pl.DataFrame({"mpan_core": [mini.pseudonym(ONE)]}).select(order_key().alias(ORDER)).lazy()
    held = volumes(SimpleNamespace(workspace=mini.workspace, extracts=mini.extracts), 0, mine)
    assert held is not None
    (volume,) = held.select("eac", "aa").cast(pl.Float64).to_dicts()
    found = decided(maker, volume)
    assert Decimal(found["annual_consumption"][0]) == Decimal(total)
    assert found["annual_consumption_quality"][0] == quality
