"""Against the generator's hidden truth: what was derived is right, and what evidence there is is used."""

from __future__ import annotations

import polars as pl
import pytest

from tests.augment.conftest import augmented, run_until_augmented
from tests.augment.truth import compare, shares


def diagonal(confusion: dict) -> bool:
    return all(found == true for rows in confusion.values() for found, true, _ in rows)


@pytest.mark.requirement("Q59", "Q63")
def test_items_and_links_are_the_truth(done):
    known, folder = done
    found = compare(known, folder)
    assert found["rows"] > 1_500
    assert diagonal(found["confusion"]), found["confusion"]
    assert {row[0] for row in found["confusion"]["market_segment"]} == {"S", "A", "U"}
    assert shares(found["links"]) == (1.0, 1.0)
    assert found["links"]["right"] > 40
    assert found["links"]["certain_wrong"] == 0
    assert found["related"]["right"] == found["related"]["rows"] > 0


def test_every_constraint_holds_in_the_run(done):
    known, _ = done
    facts = known.workspace.noted("augmentation")["associations"]
    assert set(facts["constraints"].values()) == {0}
    assert len(facts["constraints"]) == 16


@pytest.mark.requirement("Q88")
def test_with_registrations_alone_links_are_found_and_none_is_certain(variant):
    """Likely only LDSOs send data: no meters, so address and property are all the evidence there is."""

    def registrations_only(document: dict) -> None:
        document["participants"] = [p for p in document["participants"] if p["role"] == "LDSO"]
        document.pop("ring_fence")

    cut = variant(registrations_only)
    known = run_until_augmented(cut)
    rows = augmented(known)
    assert rows.height > 100  # half-hourly, unmetered and DCC-served metering points; the rest is undecided
    found = compare(known, cut.parent)
    assert found["links"]["wrong"] == 0
    assert found["links"]["right"] > 0
    assert "certain" not in found["grades"]
    assert set(rows["meter_type"].to_list()) == {None}


@pytest.mark.slow
@pytest.mark.requirement("Q59", "Q63")
def test_two_hundred_thousand_metering_points(tmp_path):
    from flows.sample import Request, generate

    generate(Request(200_000, 23, 0.05), tmp_path / "cut")
    known = run_until_augmented(tmp_path / "cut" / "cut.yaml")
    found = compare(known, tmp_path / "cut")
    assert diagonal(found["confusion"]), found["confusion"]
    assert shares(found["links"]) == (1.0, 1.0)
    assert found["links"]["certain_wrong"] == 0
    esme = augmented(known).filter(pl.col("esme_id_rule") == "EI1")
    meters = pl.struct("meter_serial_number", "address_line_1", "address_line_5", "postcode")
    assert esme["esme_id"].n_unique() == esme.select(meters.n_unique()).item()
