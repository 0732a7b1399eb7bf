"""Against the generator's hidden truth: what was derived is right, and what evidence there is is used."""

from __future__ import annotations

import polars as pl
import pytest

from flows.cut.records import AugmentationCounts
from flows.sample import SampleRequest, generate
from tests.augment.conftest import augmented, run_until_augmented
from tests.augment.truth import ITEMS, compare, shares
from tests.benchmarks.segment_confusion import ROLES, measure, roles_cut

DEFAULT = "MS14"  # the market default, which can be wrong where no record is held, as profile class can
# and a timeswitch code, of a smart meter that is read by half-hours and not enrolled (22 of 38,000)
GENERAL = ("MS9", "MS12", DEFAULT)


def diagonal(found: dict) -> bool:
    """Whether all that a record decides is the truth, and what the market default decides is, nearly always.

    One record in 20,000 may be planted: a meter type that is no longer in use, of a meter with a DCC service.
    """
    confusion = found["confusion"]
    sure = all(found == true for item in ITEMS[1:] for found, true, _ in confusion[item])
    by_rule = [(rule, found == true, n) for rule, found, true, n in found["segment_by_rule"]]
    wrong = sum(n for rule, right, n in by_rule if rule in GENERAL and not right)
    planted = sum(n for rule, right, n in by_rule if rule not in GENERAL and not right)
    return sure and planted <= found["rows"] / 20_000 and wrong <= found["rows"] / 500


@pytest.mark.requirement("Q59", "Q63")
def test_items_and_links_are_the_truth(done):
    known, folder = done
    found = compare(known, folder)
    assert found["rows"] > 1_900
    assert diagonal(found), found["confusion"]
    assert {row[0] for row in found["confusion"]["market_segment"]} == {"S", "A", "U"}
    assert shares(found["links"]) == (1.0, 1.0)
    assert found["links"]["right"] > 40
    assert found["links"]["certain_wrong"] == 0
    assert found["related"]["right"] == found["related"]["rows"] > 0


def test_every_constraint_holds_in_the_run(done):
    known, _ = done
    facts = known.workspace.recorded(AugmentationCounts).associations
    assert set(facts.constraints.values()) == {0}
    assert len(facts.constraints) == 16


@pytest.mark.requirement("Q88")
def test_with_registrations_alone_links_are_found_and_none_is_certain(variant):
    """Likely only LDSOs send data: no meters, so address and property are all the evidence there is."""

    def registrations_only(document: dict) -> None:
        document["participants"] = [p for p in document["participants"] if p["role"] == "LDSO"]
        document.pop("ring_fence")

    cut = variant(registrations_only)
    known = run_until_augmented(cut)
    rows = augmented(known)
    assert rows.height > 1_900  # of 2,000 with defects: what is not known is released without the item
    traditional = rows.filter(pl.col("market_segment_rule") == DEFAULT)
    assert traditional.height > 500
    found = compare(known, cut.parent)
    assert found["links"]["wrong"] == 0
    assert found["links"]["right"] > 0
    assert "certain" not in found["grades"]
    assert set(rows["meter_serial_number"].to_list()) == {None}
    assert set(rows["meter_type"].to_list()) == {None, "H"}  # measurement classes C and E say as much


@pytest.mark.requirement("Q63", "Q88", "DQ31")
@pytest.mark.parametrize(
    ("roles", "agree"), [(("LDSO",), 0.95), (("LDSO", "MOP"), 0.995), (tuple(ROLES["all"]), 0.995)]
)
def test_nearly_all_are_released_whoever_sends_data(tmp_path_factory, roles, agree):
    """Without defects at least 97 %, traditional meters among them; segment and connection by the truth."""
    folder = tmp_path_factory.mktemp("roles") / "sample"
    generate(SampleRequest(1_000, 11, 0.0), folder)
    found = measure(roles_cut(folder, roles))
    assert found["rows"] >= 970
    right = sum(n for decided, true, n in found["confusion"]["market_segment"] if decided == true)
    assert right >= agree * found["rows"], found["confusion"]
    assert all(decided == true for decided, true, _ in found["confusion"]["connection_type"])
    lost = pl.read_parquet(folder / "truth.parquet")["market_segment"].value_counts().filter(market_segment="S")
    kept = sum(n for decided, true, n in found["confusion"]["market_segment"] if decided == true == "S")
    assert kept >= 0.97 * lost["count"][0]


@pytest.mark.slow
@pytest.mark.requirement("Q59", "Q63")
def test_forty_thousand_metering_points(tmp_path):
    generate(SampleRequest(40_000, 23, 0.05), tmp_path / "cut")
    known = run_until_augmented(tmp_path / "cut" / "cut.yaml")
    found = compare(known, tmp_path / "cut")
    assert diagonal(found), found["confusion"]
    assert shares(found["links"]) == (1.0, 1.0)
    assert found["links"]["certain_wrong"] == 0
    esme = augmented(known).filter(pl.col("esme_id_rule") == "EI1")
    meters = pl.struct("meter_serial_number", "address_line_1", "address_line_5", "postcode")
    assert esme["esme_id"].n_unique() == esme.select(meters.n_unique()).item()
