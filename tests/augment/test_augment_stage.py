"""The stage: tables from YAML alone, mapping files, values that stay when others come or go, expected results."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
import yaml

from contracts.augmentation import ITEMS
from contracts.errors import ConfigurationError
from flows.cut.records import AugmentationCounts
from flows.release.augmented import own_points, release_augmented
from flows.release.expected_results import build_expected, release_expected
from tests.augment.conftest import augmented, run_until_augmented
from transforms.pseudonymise.mpan import order_key

RARELY = {"scheme": "choice", "weights": {"T": 1, "F": 99}}
MANUFACTURED = ("esme_id", "consent_granularity", "css_registration_id", "fallback_read_frequency")


@pytest.mark.requirement("Q63")
def test_an_item_and_a_row_are_added_by_yaml_alone(variant, pack):
    """No code knows ``green_deal_in_effect``, nor that smart meters of one distributor are daily."""

    def own_tables(document: dict) -> None:
        document["augmentation"] = {"items": "items.yaml"}

    cut = variant(own_tables)
    tables = yaml.safe_load(ITEMS.read_text())
    items = {item["item"]: item for item in tables["items"]}
    row = {"rule": "CG0", "when": "market_segment = 'S' and distributor_id = '23'", "value": "D", "source": "derived"}
    items["consent_granularity"]["rows"].insert(0, row)
    for later in items["consent_granularity"]["rows"][1:]:
        if later["rule"] in ("CG3", "CG4", "CG5"):
            later["yields_to"] = [*later.get("yields_to", []), "CG0"]
    tables["inputs"]["distributor_id"]["values"] = ["10", "23"]
    tables["items"].append(
        {
            "item": "green_deal_in_effect",
            "description": "Whether a Green Deal charge stands on the metering point.",
            "basis": ["domain 5.1"],
            "values": ["T", "F"],
            "held_by": ["LDSO", "SUP"],
            "rows": [
                {"rule": "GD1", "when": "market_segment = 'U'", "value": "F"},
                {"rule": "GD2", "when": "market_segment <> 'U'", "manufacture": RARELY},
                {"rule": "GD3", "otherwise": True, "undecided": "the segment is not decided"},
            ],
        }
    )  # fmt: skip
    (cut.parent / "items.yaml").write_text(yaml.safe_dump(tables, sort_keys=False))
    known = run_until_augmented(cut)
    by_mpid = {p.mpid: p for p in known.job.model.participants}
    for mpid in ("YELG", "EELC", "MOPA"):
        release_augmented(known, [by_mpid[mpid]], pack.path)
    released = pl.read_parquet(pack.root / "data/YELG/augmented.parquet")
    assert set(released["green_deal_in_effect"]) == {"T", "F"}
    assert set(released["green_deal_in_effect_source"]) == {"derived", "manufactured"}
    assert released["green_deal_in_effect_from"].null_count() == 0
    smart = released.filter(pl.col("market_segment") == "S")
    assert set(smart["consent_granularity_rule"]) == {"CG0"}
    assert set(smart["consent_granularity"]) == {"D"}
    elsewhere = pl.read_parquet(pack.root / "data/EELC/augmented.parquet")
    assert "CG0" not in set(elsewhere["consent_granularity_rule"])
    assert "green_deal_in_effect" not in pl.read_parquet_schema(pack.root / "data/MOPA/augmented.parquet")
    noted = known.workspace.recorded(AugmentationCounts)
    assert "green_deal_in_effect" in {entry.item for entry in noted.items}
    assert "augmentation/items.yaml" in {entry.table for entry in noted.reference}


@pytest.mark.requirement("Q63")
def test_manufactured_values_stay_when_others_come_or_go(done, variant):
    known, _ = done
    whole = augmented(known)

    def nothing(document: dict) -> None:
        document.pop("ring_fence")

    cut = variant(nothing)
    for name, every in (("EELC/registration.csv", 2), ("YELG/registration.csv", 3)):
        head, *rows = (cut.parent / name).read_bytes().splitlines(keepends=True)
        (cut.parent / name).write_bytes(head + b"".join(rows[::every]))
    rest = augmented(run_until_augmented(cut))
    both = rest.join(whole, on="mpan_core", how="inner", suffix="_whole")
    assert 500 < both.height < whole.height
    for item in MANUFACTURED:
        assert both[item].equals(both[f"{item}_whole"].alias(item)), item


@pytest.mark.requirement("Q110", "Q115", "Q120")
def test_mapping_files_of_participants_are_used(variant):
    def mapped(document: dict) -> None:
        document.pop("ring_fence")
        by_mpid = {p["mpid"]: p for p in document["participants"]}
        by_mpid["DCOL"]["services"] = "dcol-services.csv"
        by_mpid["SUPA"]["dip_ids"] = "supa-dip.csv"
        document["augmentation"] = {"dip_ids": ["dip.csv"]}

    cut = variant(mapped)
    services = ["legacy_role,legacy_mpid,market_segment,mpid", "DC,DCOL,S,SDSX", "DC,DCOL,A,ADSX"]
    (cut.parent / "dcol-services.csv").write_text("\n".join(services))
    (cut.parent / "supa-dip.csv").write_text("MPID, role ,dip_id\nSUPA,SUP,23AB000001\n")
    (cut.parent / "dip.csv").write_text("mpid,role,dip_id\nSDSX,SDS,1400000009\n\n")
    rows = augmented(run_until_augmented(cut))
    by_segment = dict(rows.group_by("market_segment").agg(pl.col("data_service_mpid").unique()).rows())
    assert {k: sorted(v) for k, v in by_segment.items()} == {"S": ["SDSX"], "A": ["ADSX"], "U": ["DCOL"]}
    smart = rows.filter(pl.col("market_segment") == "S")
    assert set(smart["data_service_dip_id"]) == {"1400000009"}
    linked = rows.filter(pl.col("linked_mpan_supplier_mpid") == "SUPA")
    assert set(linked["linked_mpan_supplier_dip_id"]) == {"23AB000001"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mpid,role,dip_id\nSUPA,SUP,2300000001\nSUPA,SUP,2300000002\n", "dip.csv, line 3: contradicts"),
        ("mpid,role,dip_id\nSUPA,SUP,2300000001\nSUPB,SUP,2300000001\n", "a DIP id is given to"),
        ("mpid,role,dip_id\nSUPA,SUP,23\n", "dip.csv, line 2: dip_id is malformed"),
        ("mpid,role,dip_id\nSUPA,KING,2300000001\n", "dip.csv, line 2: role is malformed"),
        ("mpid,dip_id\nSUPA,2300000001\n", "dip.csv: needs the columns mpid, role, dip_id"),
        ("mpid,role,dip_id\nSUPA,SUP\n", "dip.csv, line 2"),
        ("mpid,role,dip_id\nSUPA,SUP,\xff", "is not CSV in UTF-8"),
    ],
)
def test_a_wrong_mapping_file_is_told_with_its_line(tmp_path, text, words):
    from flows.augment.participant_tables import load_mapping
    from flows.cut.config import Job

    (tmp_path / "dip.csv").write_bytes(text.encode("latin-1"))
    model = {"augmentation": {"dip_ids": ["dip.csv"]}, **MINIMAL}
    from flows.cut.config import CutFile

    with pytest.raises(ConfigurationError) as fault:
        load_mapping(Job(tmp_path / "cut.yaml", CutFile.model_validate(model)))
    assert words in fault.value.line()


MINIMAL = {
    "cut": {"id": "X", "date": "2023-08-19", "key": "k"},
    "participants": [
        {"mpid": "EELC", "role": "LDSO", "extracts": [{"contract": "registration", "source": {"path": "r.csv"}}]}
    ],
    "release": {"signing_key": "s"},
}


WANTED = {
    "supplier_mpid", "meter_serial_number", "market_segment", "market_segment_from", "data_service_dip_id", "postcode",
    "metering_service_dip_id", "supplier_dip_id", "distributor_dip_id", "css_registration_id", "bm_unit_id",
}  # fmt: skip


@pytest.mark.requirement("Q74")
def test_expected_results_hold_what_every_party_should(done, pack):
    known, _ = done
    everybody = augmented(known)
    given = everybody.select("mpan_core").gather_every(5)
    build_expected(known, given)
    seen: dict[str, dict] = {}
    rows = release_expected(known, known.job.model.participants, pack.path)
    for participant in known.job.model.participants:
        folder = pack.root / "data" / participant.mpid
        records = pl.read_parquet(folder / "expected.parquet")
        points = [own_points(known, participant, n).collect() for n in range(known.workspace.partitions)]
        own = set(pl.concat(points)["_order"])
        keys = set(records.select(order_key().alias("k"))["k"])
        assert keys <= own, "its own metering points alone"
        assert records["mpan_core"].n_unique() == records.height == rows[participant.mpid] > 0
        text = pl.read_csv(folder / "expected.csv", infer_schema=False)
        assert text.equals(records.with_columns(pl.all().cast(pl.String)))
        for record in records.to_dicts():
            assert seen.setdefault(record["mpan_core"], record) == record, "every party is told the same"
    assert set(seen) == set(given["mpan_core"])
    whole = pl.DataFrame(list(seen.values()), infer_schema_length=None)
    assert set(whole.columns) >= WANTED
    both = whole.join(everybody, on="mpan_core", suffix="_decided")
    assert both["market_segment"].equals(both["market_segment_decided"].alias("market_segment"))


@pytest.mark.requirement("Q58")
def test_what_a_policy_hides_does_not_come_back_by_an_item(variant, pack):
    def stricter(document: dict) -> None:
        document.pop("ring_fence")
        document["cut"]["policy"] = {"overlay": "policy.yaml"}

    cut = variant(stricter)
    treatments = {
        "registration": {
            "domestic_premises_indicator": "suppress",
            "profile_class": "drop",
            "supplier_effective_from": {"method": "generalise", "rule": "year"},
        },
        "annual_consumption": {"eac": {"method": "generalise", "rule": "round 1000"}},
    }
    (cut.parent / "policy.yaml").write_text(yaml.safe_dump({"reason": "DPIA", "treatments": treatments}))
    known = run_until_augmented(cut)
    (ldso,) = [p for p in known.job.model.participants if p.mpid == "EELC"]
    release_augmented(known, [ldso], pack.path)
    rows = pl.read_parquet(pack.root / "data/EELC/augmented.parquet")
    assert rows["domestic_premises_indicator"].null_count() == rows.height
    assert rows["profile_class"].null_count() == rows.height
    assert set(rows["market_segment_from"].dt.strftime("%m-%d")) == {"01-01"}
    assert set(rows["annual_consumption"].drop_nulls().cast(pl.Float64) % 1000) == {0.0}


@pytest.mark.requirement("Q63", "Q88")
def test_the_meter_that_a_distributor_holds_decides_where_no_operator_sends_one(variant, pack):
    """Serial, type, date and asset provider in the registration are taken; the segment says who decided."""

    def registrations_only(document: dict) -> None:
        document["participants"] = [p for p in document["participants"] if p["role"] == "LDSO"]
        document.pop("ring_fence")

    cut = variant(registrations_only)
    path = cut.parent / "EELC/registration.csv"
    heading, *rows = path.read_text().splitlines()
    heading += ",MSN,Meter Type,Install Date,MAP Id"
    rows = [f"{row},L04C{n:05d},{'RCAMR' if n % 2 else 'NONE'},01/06/2004,AMAP" for n, row in enumerate(rows)]
    path.write_text("\n".join([heading, *rows]) + "\n")
    known = run_until_augmented(cut)
    by_mpid = {p.mpid: p for p in known.job.model.participants}
    release_augmented(known, [by_mpid["EELC"]], pack.path)
    released = pl.read_parquet(pack.root / "data/EELC/augmented.parquet")
    typed = released.filter(pl.col("meter_type_decided_by") == "distributor")
    assert typed.height > released.height // 3
    assert set(typed["meter_type"]) == {"RCAMR"}  # a type in no code list decides nothing
    assert set(typed["meter_type_from"]) == {date(2004, 6, 1)}
    whole = typed.filter(connection_type="W", market_segment_decided_by="distributor")
    assert whole.height > 100
    assert set(whole["market_segment"]) == {"A"}
    serials = augmented(known).filter(distributor_id="10")["meter_serial_number"].drop_nulls()
    assert serials.n_unique() > 700
    assert not set(serials) & {f"L04C{n:05d}" for n in range(50)}
