"""Steps come back with one's own meters and addresses, and with what settlement adds up to."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from flows.restore.step_names import ADDRESS, COLUMN_OF, FOREIGN, TEXTS
from tests.returns.conftest import PARTICIPANTS, Market, read
from transforms.pseudonymise.mpan import normalise


@pytest.mark.requirement("Q62", "Q74")
def test_what_steps_name_is_what_the_own_backup_holds_of_the_same_metering_point(market: Market) -> None:
    seen: set[tuple[str, bool]] = set()
    for mpid in PARTICIPANTS:
        steps = pl.read_parquet(market.back(mpid) / "expected_steps.parquet")
        named = steps.filter(pl.col("item").is_in(list(COLUMN_OF)), pl.col("value").is_not_null())
        own: set[tuple[str, str, str]] = set()
        for name, spec in market.sources(mpid).items():
            frame = read(spec, name)
            mpans = normalise(frame["mpan_core"].str.strip_chars()).to_list()
            for column in set(COLUMN_OF.values()) & set(frame.columns):
                own |= {
                    (mpan, column, value.strip())
                    for mpan, value in zip(mpans, frame[column].to_list(), strict=True)
                    if value
                }
        addressed = {mpan for mpan, column, _ in own if column in ADDRESS}
        makes = Counter(mpan for mpan, column, _ in own if column in TEXTS)
        for mpan, item, value, note in named.select("mpan_core", "item", "value", "value_note").rows():
            held = (mpan, COLUMN_OF[item], value) in own
            if item in TEXTS:  # what many share is told to parties that hold no meter; its owner reads its own
                assert note is None, (mpid, item)
                assert held or makes[mpan] != 1, (mpid, item)  # of two makes nobody can say which
                continue
            assert held == (note is None), (mpid, item)
            assert note in (None, FOREIGN)
            assert held or item not in ADDRESS or mpan not in addressed, (mpid, item)  # never half an address
            seen.add((item, held))
        given = market.returned(mpid) / "data" / mpid / "expected" / "settlement.csv"
        assert (market.back(mpid) / "expected_settlement.csv").read_bytes() == given.read_bytes()
    assert {item for item, held in seen if held} >= {
        "meter_serial_number", "removed_meter_serial_number", "postcode", "address_line_1",
    }  # fmt: skip
