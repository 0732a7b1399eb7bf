"""What the ring-fence chooses from: metering points at one address are one unit, however well its postcode is known."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest

from flows.ringfence.population import population
from tests.augment.conftest import run_until_augmented
from transforms.pseudonymise.pseudonymiser import Field

SAME = {"Address Line 1": "7 MILL LANE", "Address Line 8": "COLCHESTER"}


@pytest.mark.requirement("Q57")
@pytest.mark.parametrize("postcode", ["", "IP1", "NR99 9ZZZ"], ids=["blank", "no unit", "malformed"])
def test_an_address_without_a_sound_postcode_is_still_one_premises(variant, postcode):
    cut = variant(lambda document: document.pop("ring_fence"))
    extract = cut.parent / "EELC/registration.csv"
    reader = csv.DictReader(io.StringIO(extract.read_text("utf-8")))
    rows = list(reader)
    lines = dict.fromkeys((name for name in rows[0] if name.startswith("Address Line")), "")
    chosen = [row for row in rows if row["Measurement Class"] == "A" and not row["Related MPAN"]][:20]
    for row in chosen:
        row.update({**lines, **SAME, "Postcode": postcode})
    with extract.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows(rows)
    known = run_until_augmented(cut)
    people = pl.read_parquet(population(known))
    mpans = known.pseudonymiser.values(Field.MPAN, pl.Series([row["MPAN Core"] for row in chosen]))
    here = people.filter(pl.col("mpan").is_in(mpans.implode()))
    assert here.height > 1
    assert here["premises"].null_count() == 0
    assert here["premises"].n_unique() == 1
    elsewhere = people.join(here, on="premises", how="semi")
    assert elsewhere.height == here.height
