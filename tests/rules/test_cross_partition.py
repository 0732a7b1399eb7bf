"""Tables over all partitions: values of several owners, pairs that are rare, rows that others refer to."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.load import load_all
from contracts.vocabulary import RuleStage
from flows.quality import cross_partition
from flows.quality.cross_partition import cross_partition_tables
from tests.rules.cutting import CUT, MiniCut, mpan
from transforms.quality.lookups import judged, table_of, tables_of

METERS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["A", "B"]), st.integers(0, 3), st.integers(0, 3)), max_size=14
)


def esme(number: int) -> str:
    return f"00-1C-5E-00-00-00-00-{number:02X}"


@pytest.mark.requirement("DQ15")
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(meters=METERS, partitions=st.sampled_from([1, 4, 16]))
def test_owners_are_those_of_a_plain_reading(tmp_path_factory, reference, meters, partitions):
    mini = MiniCut(tmp_path_factory.mktemp("cut"), partitions=partitions, reference=reference)
    owners = defaultdict(set)
    for sender in ("A", "B"):
        rows = [
            {"mpan_core": mpan(10, p), "meter_serial_number": f"L04C0000{s}", "esme_id": esme(e), "meter_type": "S2A"}
            for p, who, s, e in meters
            if who == sender
        ]
        if rows:
            mini.add(f"MOP{sender}", "metering", rows)
    for _, _, serial, device in meters:
        owners[device].add(serial)
    if not mini.extracts:
        return
    mini.judge()
    for point, who, _, device in meters:
        several = any(len(owners[d]) > 1 for p, w, _, d in meters if (p, w) == (point, who))
        assert ("DQ15_one_meter" in mini.broken(f"MOP{who}", "metering", mpan(10, point))) == several
        assert len(owners[device]) >= 1


@pytest.mark.requirement("DQ15")
def test_values_that_share_a_hash_are_told_apart(tmp_path, reference, monkeypatch):
    """With hashes of values of one bit all but two collide: what is found must not change."""

    class Coarse(cross_partition.CrossPartitionTables):
        def shared(self, contract, rule):
            fine = pl.Expr.hash
            coarse = lambda self, seed=0: fine(self, seed=seed) % 2 if seed == 0 else fine(self, seed=seed)  # noqa: E731
            monkeypatch.setattr(pl.Expr, "hash", coarse)
            try:
                return super().shared(contract, rule)
            finally:
                monkeypatch.setattr(pl.Expr, "hash", fine)

    monkeypatch.setattr(cross_partition, "CrossPartitionTables", Coarse)
    mini = MiniCut(tmp_path, partitions=4, reference=reference)
    rows = [
        {"mpan_core": mpan(10, n), "meter_serial_number": f"L04C000{n:02d}", "esme_id": esme(min(n, 18))}
        for n in range(20)
    ]
    mini.add("MOPA", "metering", rows).judge()
    found = {n for n in range(20) if "DQ15_one_meter" in mini.broken("MOPA", "metering", mpan(10, n))}
    assert found == {18, 19}


def test_only_what_is_referred_to_is_kept(tmp_path, reference):
    mini = MiniCut(tmp_path, partitions=4, reference=reference)
    rows = [{"mpan_core": mpan(10, n)} for n in range(50)]
    rows[3]["related_mpan"] = rows[4]["mpan_core"]
    mini.add("EELC", "registration", rows)
    tables = cross_partition_tables(mini.workspace, mini.extracts, mini.reference.tables, CUT)
    assert tables["all:registration"]["mpan_core"].to_list() == [mini.pseudonym(rows[4]["mpan_core"])]
    assert tables["senders:registration"].rows() == [("EELC",)]
    assert tables["senders:portfolio"].height == 0


def test_a_rule_waits_for_every_table_that_it_reads():
    contract = load_all()["portfolio"]
    rule = next(r for r in contract.rules if r.id == "DQ24_supplier_mpid")
    assert tables_of(contract, rule) == {"extract:registration"}
    assert rule not in judged(contract, RuleStage.QUALITY, [])
    assert rule in judged(contract, RuleStage.QUALITY, ["extract:registration"])
    owner = next(r for r in load_all()["metering"].rules if r.id == "DQ15_one_meter")
    assert table_of(load_all()["metering"], owner) == "expect_value_to_have_one_owner:metering.DQ15_one_meter"
