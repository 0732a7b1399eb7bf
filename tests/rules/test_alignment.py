"""Alignment: who is missing where, who disagrees on which item, within tolerance or beyond, by pair and participant."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.alignment import FAIL, REPORT, ComparedItem, Comparison, Tolerance
from contracts.errors import AlignmentError, ContractError
from contracts.load import comparisons
from flows.align import alignment, require_alignment
from flows.cut.partitions import SUBMITTED, PartitionWriter
from tests.rules.cutting import MiniCut, mpan
from transforms import align
from transforms.quality.lookups import ORDER, PARTICIPANT

A, B, C, D, E = (mpan(10, n) for n in range(1, 6))


def cut(tmp_path, reference, partitions: int = 1) -> list[dict]:
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    registered = [
        {"mpan_core": A}, {"mpan_core": B, "supplier_mpid": "SUPB"}, {"mpan_core": C},
        {"mpan_core": D, "supplier_mpid": "SUPX"},
    ]  # fmt: skip
    mini.add("EELC", "registration", registered)
    mini.add("SUPA", "portfolio", [{"mpan_core": A, "energisation_status": "D"}, {"mpan_core": B}, {"mpan_core": E}])
    mini.add("SUPB", "portfolio", [{"mpan_core": B, "supplier_mpid": "SUPB"}])
    mini.add("MOPA", "metering", [{"mpan_core": A}, {"mpan_core": B, "meter_serial_number": "E12Z070111"}]).judge()
    return alignment(mini.workspace, mini.extracts)


@pytest.mark.requirement("Q74", "Q78", "Q83")
@pytest.mark.parametrize("partitions", [1, 4])
def test_pairs_of_participants(tmp_path, reference, partitions):
    rows = {(r.left, r.right, r.extract_right, r.item): r for r in cut(tmp_path, reference, partitions)}
    told = {key: (r.compared, r.disagree, r.missing_left, r.missing_right, r.expected)
            for key, r in rows.items() if key[2] == "portfolio"}  # fmt: skip
    same = dict.fromkeys(("supplier_effective_from", "data_collector_mpid", "measurement_class"), (2, 0, 0, 0, 0))
    assert {k[3]: v for k, v in told.items() if k[:2] == ("EELC", "SUPA")} == {
        **same,
        "meter_operator_mpid": (2, 0, 0, 0, 0),
        "supplier_mpid": (2, 1, 0, 0, 0),  # SUPA believes that it supplies B
        "energisation_status": (2, 1, 0, 0, 0),
        "presence": (0, 0, 0, 1, 2),  # of A and C, SUPA's, it does not hold C
    }
    assert told["EELC", "SUPB", "portfolio", "presence"] == (0, 0, 0, 0, 1)
    assert told["none", "SUPA", "portfolio", "presence"] == (0, 0, 1, 0, 3)  # nobody registers E
    assert ("EELC", "SUPX", "portfolio", "presence") not in told  # takes no part in the cut
    assert rows["EELC", "MOPA", "metering", "presence"].missing_right == 2


@pytest.mark.requirement("Q78", "Q83")
def test_what_a_source_does_not_carry_is_not_compared(mini):
    """A supplier that sends no column contradicts nobody; one that leaves a cell of it blank does."""
    mini.add("EELC", "registration", [{"mpan_core": A}, {"mpan_core": B, "supplier_mpid": "SUPB"}])
    bare = {"supplier_mpid": "SUPA", "energisation_status": "E"}
    mini.add("SUPA", "portfolio", [{"mpan_core": A, "measurement_class": None}], good=bare)
    mini.add("SUPB", "portfolio", [{"mpan_core": B, "measurement_class": None}, {"mpan_core": A}]).judge()
    rows = [r for r in alignment(mini.workspace, mini.extracts) if r.extract_right == "portfolio"]
    found = {(r.right, r.item): (r.compared, r.disagree) for r in rows}
    assert ("SUPA", "measurement_class") not in found
    assert ("SUPA", "data_collector_mpid") not in found
    assert found["SUPA", "energisation_status"] == (1, 0)
    assert found["SUPB", "measurement_class"] == (2, 1)


@pytest.mark.requirement("Q78", "Q83")
def test_present_is_what_the_expected_sender_holds(mini):
    mini.add("EELC", "registration", [{"mpan_core": A, "supplier_mpid": "SUPB"}, {"mpan_core": B}])
    mini.add("SUPA", "portfolio", [{"mpan_core": A}, {"mpan_core": B}])
    mini.add("SUPB", "portfolio", [{"mpan_core": C, "supplier_mpid": "SUPB"}]).judge()
    rows = {(r.left, r.right): r for r in alignment(mini.workspace, mini.extracts) if r.item == "presence"}
    assert (rows["EELC", "SUPB"].expected, rows["EELC", "SUPB"].missing_right) == (1, 1)
    assert (rows["EELC", "SUPA"].expected, rows["EELC", "SUPA"].missing_right) == (1, 0)
    assert "DQ24_registered_not_supplied" in mini.broken("EELC", "registration", A)
    assert "DQ24_registered_not_supplied" not in mini.broken("EELC", "registration", B)


@pytest.mark.requirement("Q64", "Q78")
def test_what_another_distributor_registers_is_not_asked_about(mini):
    elsewhere, nowhere = mpan(23, 1), mpan(10, 9)  # YELG's, which sends nothing, and EELC's, which does
    mini.add("EELC", "registration", [{"mpan_core": A}])
    mini.add("SUPA", "portfolio", [{"mpan_core": A}, {"mpan_core": elsewhere}, {"mpan_core": nowhere}]).judge()
    (row,) = [r for r in alignment(mini.workspace, mini.extracts) if r.left == "none"]
    assert (row.expected, row.missing_left, row.outside) == (2, 1, 1)
    assert "DQ24_registered" not in mini.broken("SUPA", "portfolio", elsewhere)
    assert "DQ24_registered" in mini.broken("SUPA", "portfolio", nowhere)


@pytest.mark.requirement("Q50", "Q83")
@pytest.mark.parametrize("partitions", [1, 4])
def test_what_a_submission_pack_excludes_is_missing_nowhere(tmp_path, reference, partitions):
    """Its sender registers it, or supplies it, and left it out: that is no row that somebody else forgot."""
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    mini.add("EELC", "registration", [{"mpan_core": A, "related_mpan": C, "linked_mpan": C}, {"mpan_core": B}])
    mini.add("SUPA", "portfolio", [{"mpan_core": A}, {"mpan_core": C}, {"mpan_core": D}])
    for participant, extract, raw in (("EELC", "registration", C), ("SUPA", "portfolio", B)):
        gone = {"mpan_core": mini.pseudonym(raw), "token": None, "first_cause": "DQ05", "reasons": "DQ05"}
        writer = PartitionWriter(mini.workspace, SUBMITTED, participant, extract)
        writer.add(pl.DataFrame([gone], schema=dict.fromkeys(gone, pl.String)))
        writer.close()
    mini.judge()
    assert not mini.broken("SUPA", "portfolio", C)
    assert "DQ24_registered" in mini.broken("SUPA", "portfolio", D)
    assert not mini.broken("EELC", "registration", A) & {"DQ27_related_mpan", "DQ26_linked_present"}
    assert "DQ24_registered_not_supplied" not in mini.broken("EELC", "registration", B)
    rows = {(r.left, r.right): r for r in alignment(mini.workspace, mini.extracts) if r.item == "presence"}
    assert (rows["EELC", "SUPA"].expected, rows["EELC", "SUPA"].missing_right) == (1, 0)
    assert (rows["none", "SUPA"].expected, rows["none", "SUPA"].missing_left) == (2, 1)


@pytest.mark.requirement("Q83")
def test_outcomes(tmp_path, reference):
    rows = {(r.right, r.item): r for r in cut(tmp_path, reference) if r.left == "EELC"}
    status = rows["SUPA", "energisation_status"]
    assert (status.share, status.tolerance, status.outcome) == (0.5, 0.01, "beyond")
    assert rows["SUPA", "measurement_class"].outcome == "within"
    assert rows["SUPA", "presence"].outcome == "beyond"
    assert rows["SUPB", "presence"].outcome == "within"
    # no source holds the item: nothing is compared, nothing is wrong
    assert ("MOPA", "standard_settlement_configuration_id") not in rows
    assert {r.policy for r in rows.values()} == {"report"}


@pytest.mark.requirement("Q78", "Q83")
def test_a_policy_that_fails_ends_the_run(tmp_path, reference):
    rows = cut(tmp_path, reference)
    require_alignment(rows)
    strict = [r.model_copy(update={"policy": FAIL}) if r.item == "energisation_status" else r for r in rows]
    with pytest.raises(AlignmentError) as caught:
        require_alignment(strict)
    assert caught.value.exit_code == 16
    assert "energisation_status of EELC and SUPA/portfolio 50.00%" in caught.value.line()
    assert "\n" not in caught.value.line()


@pytest.mark.requirement("Q83")
def test_a_participants_agreement_and_its_trend(tmp_path, reference):
    now = cut(tmp_path, reference)
    before = [row.model_copy(update={"disagree": 0}) for row in now]
    found = {row.participant: row for row in align.by_participant(now, before)}
    assert set(found) == {"EELC", "MOPA", "SUPA", "SUPB"}
    assert (found["SUPA"].compared, found["SUPA"].disagree, found["SUPA"].missing) == (12, 2, 2)
    assert (found["SUPA"].share, found["SUPA"].before, found["SUPA"].change) == (0.166667, 0.0, 0.166667)
    assert found["SUPB"].change == 0.0
    assert found["EELC"].beyond == sum(row.outcome == "beyond" for row in now if row.left == "EELC")
    assert {row.before for row in align.by_participant(now)} == {None}


SPEC = Comparison(
    right="portfolio", expected="supplier", scope="live = 'T'", presence=Tolerance(0.0),
    items={"status": ComparedItem("status", Tolerance(0.0)), "supplier": ComparedItem("participant", Tolerance(0.0))},
)  # fmt: skip
POINT = st.integers(0, 5)
SUPPLIERS = ("S1", "S2", "S3")
LEFT = st.lists(st.tuples(POINT, st.sampled_from(["L1", "L2"]), st.sampled_from(SUPPLIERS), st.sampled_from(["T", "F"]),
                          st.sampled_from(["E", "D", None])), max_size=8, unique_by=lambda r: r[0])  # fmt: skip
RIGHT = st.lists(st.tuples(POINT, st.sampled_from(SUPPLIERS[:2]), st.sampled_from(["E", "D", None])), max_size=8,
                 unique_by=lambda r: r[:2])  # fmt: skip


@pytest.mark.requirement("Q74", "Q83")
@settings(max_examples=60, deadline=None)
@given(left=LEFT, right=RIGHT)
def test_counts_are_those_of_a_plain_reading(left, right):
    texts = dict.fromkeys([PARTICIPANT, "supplier", "live", "status"], pl.String)
    registration = pl.DataFrame(left, schema={ORDER: pl.UInt64, **texts}, orient="row")
    other = pl.DataFrame(right, schema={ORDER: pl.UInt64, PARTICIPANT: pl.String, "status": pl.String}, orient="row")
    senders = list(SUPPLIERS[:2])
    wanted: Counter[tuple[str, ...]] = Counter()
    for point, ldso, supplier, live, status in left:
        for also, sender, theirs in right:
            if point == also:
                for item, differs in (("status", status != theirs), ("supplier", supplier != sender)):
                    wanted[ldso, sender, item, "compared"] += 1
                    wanted[ldso, sender, item, "disagree"] += differs
        if live == "T" and supplier in senders:
            wanted[ldso, supplier, "presence", "expected"] += 1
            wanted[ldso, supplier, "presence", "missing_right"] += (point, supplier) not in {r[:2] for r in right}
    for point, sender, _ in right:
        wanted["none", sender, "presence", "expected"] += 1
        wanted["none", sender, "presence", "missing_left"] += point not in {r[0] for r in left}
    found = align.total([align.compare(registration, other, SPEC, senders)])
    told = Counter(
        {(r["left"], r["right"], r["item"], n): r[n] for r in found.iter_rows(named=True) for n in align.NUMBERS}
    )
    assert +told == +wanted


def test_the_products_comparisons_can_be_read():
    specs = comparisons()
    assert [s.right for s in specs] == ["portfolio", "metering", "annual_consumption", "half_hourly", "bmu_mapping"]
    assert all(i.tolerance.beyond == REPORT for s in specs for i in s.items.values())


def test_an_item_may_be_stricter_than_the_policy(tmp_path):
    path = tmp_path / "alignment.yaml"
    path.write_text(
        "policy: {beyond: report}\ncomparisons:\n  - {right: portfolio, expected: '', scope: 'a = b', presence: "
        "{tolerance: 0.1}, items: {a: {column: b, tolerance: 0, beyond: fail}}}\n"
    )
    (spec,) = comparisons(path)
    assert spec.items["a"].tolerance == Tolerance(0.0, FAIL)
    assert spec.presence == Tolerance(0.1, REPORT)
    assert replace(spec, right="x").right == "x"
    path.write_text("comparisons: []\n")
    comparisons.cache_clear()
    with pytest.raises(ContractError, match="policy"):
        comparisons(path)
