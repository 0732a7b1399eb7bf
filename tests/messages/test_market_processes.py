"""Market processes: what each step brings about, from the pack alone; totals that add up; plans that name processes."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from contracts.documents.process_page import page
from contracts.messages import message_tables
from contracts.processes import market_processes
from tests.command import datacut

DOCS = Path(__file__).parents[2] / "docs"
PROCESSES = market_processes().processes


@pytest.fixture(scope="session")
def steps(release) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(p) for p in release.glob("data/*/expected/steps.parquet")).unique(
        maintain_order=True
    )


@pytest.fixture(scope="session")
def records(release) -> dict[str, dict]:
    frames = [pl.read_parquet(p) for p in release.glob("data/*/expected.parquet")]
    return {r["mpan_core"]: r for r in pl.concat(frames).unique("mpan_core").to_dicts()}


def test_the_page_of_processes_is_the_one_of_today():
    assert (DOCS / "processes.md").read_text(encoding="utf-8") == page(market_processes(), message_tables())


@pytest.mark.requirement("Q74")
def test_about_sixty_events_are_named_beside_those_of_the_distributor():
    named = market_processes().events()
    assert len([1 for interface, _ in named if interface != "IF-018"]) == 60
    assert set(named) <= set(message_tables().events)


@pytest.mark.requirement("Q74")
def test_a_step_has_a_row_an_item_and_says_who_holds_it(steps):
    for (process, number), rows in steps.group_by("process", "step"):
        step = PROCESSES[str(process)].steps[int(str(number)) - 1]
        assert set(rows["event"]) == {step.event}
        assert set(rows["publication"]) == {step.interface.replace("IF", "PUB")}
        assert set(rows["receivers_assumed"]) == {step.assumed}
        made = rows.filter(pl.col("reason").is_null())
        items = set(step.holds.items) if step.holds else {None}
        for _, mine in made.group_by("test_case", "mpan_core", "role"):
            assert Counter(mine["item"]) == Counter(items)
        assert rows.filter(pl.col("reason").is_not_null())["item"].null_count() == rows.height - made.height
        if step.holds and made.height:
            holders = {who.split(" ")[0] for who in made["held_by"][0].split(", ")}
            assert holders <= set(step.holds.by)


@pytest.mark.requirement("Q74")
def test_change_of_supplier_and_meter_exchange_from_the_pack_alone(release, steps, records):
    """What a test manager reads: the chain, and who holds what at its end, against the record worked out by hand."""
    both = steps.filter(process="meter_exchange", step=2).filter(pl.col("reason").is_null())
    complete = steps.filter(process="change_of_supplier", step=19).filter(pl.col("reason").is_null())
    mpan = complete.join(both, on=["test_case", "mpan_core"], how="semi").sort("mpan_core")["mpan_core"][0]
    record = records[mpan]
    told = datacut(
        "expected", release, "--mpan", mpan, "--process", "change_of_supplier", "--process", "meter_exchange", "--json"
    )
    assert told.code == 0, told.err
    rows = json.loads(told.out)["steps"]
    assert [r["process"] for r in rows] == sorted(
        (r["process"] for r in rows), key=["change_of_supplier", "meter_exchange"].index
    )
    last = {r["item"]: r for r in rows if r["item"]}
    suppliers = sorted({(r["supplier_mpid"], r["supplier_dip_id"]) for r in records.values()})
    at = suppliers.index((record["supplier_mpid"], record["supplier_dip_id"]))
    following = suppliers[(at + 1) % len(suppliers)]
    assert (last["supplier_mpid"]["value"], last["supplier_dip_id"]["value"]) == following
    assert last["outgoing_supplier_mpid"]["value"] == record["supplier_mpid"]
    assert f"SUP {following[1]}" in last["supplier_mpid"]["held_by"]
    assert (
        last["removed_meter_serial_number"]["value"]
        == record["meter_serial_number"]
        != last["meter_serial_number"]["value"]
    )
    assert last["supplier_effective_from"]["value"] == last["meter_install_date"]["value"] == "2023-08-19"
    sent = [(r["interface"], r["event"]) for r in rows]
    chain = [(s.interface, s.event) for name in ("change_of_supplier", "meter_exchange") for s in PROCESSES[name].steps]
    assert list(dict.fromkeys(sent)) == list(dict.fromkeys(chain))
    lines = datacut("expected", release, "--mpan", mpan, "--process", "change_of_supplier").out.splitlines()
    assert any("sends IF-001 [ChangeOfSupplier] to SUP" in line for line in lines)


@pytest.mark.requirement("Q74")
def test_messages_of_a_chain_agree_with_what_is_expected(written, steps):
    """After the appointment the new service holds what IF-036 carried; read from messages, not from the rows."""
    rows = steps.filter(process="metering_service_appointment", step=7, item="metering_service_mpid").to_dicts()
    seen = 0
    for row in rows:
        if row["reason"] or not row["test_case"].startswith("CIT"):
            continue
        path = written / row["test_case"] / "metering_service_appointment/07-IF-036-MSAppActive.json"
        for message in json.loads(path.read_text()):
            if message["payload"]["CommonBlock"]["M0"]["MPANCore"] == row["mpan_core"]:
                assert message["payload"]["CustomBlock"]["B014"]["incomingMeteringServiceMPID"] == row["value"]
                seen += 1
    assert seen > 5


@pytest.mark.requirement("Q74")
def test_settlement_totals_are_the_sums_of_the_messages(release, written, records):
    """By GSP group, class, BM unit and quantity: the totals of the fenced sets against the half-hours of IF-021."""
    sums: dict[tuple, Decimal] = defaultdict(Decimal)
    for path in written.glob("*/consumption/01-IF-021-ActivePower.json"):
        for message in json.loads(path.read_text()):
            record = records[message["payload"]["CommonBlock"]["M0"]["MPANCore"]]
            block = message["payload"]["CustomBlock"]["B900"]
            key = (path.parts[-3], *(record[c] or "" for c in ("gsp_group_id", "measurement_class", "bm_unit_id")))
            days = block["settlementDayConsumptionPeriods"]
            sums[*key, block["MQID"]["measurementQuantityID"]] += sum(
                Decimal(p["v"]) for day in days for p in day["consumptionPeriods"]
            )
    told: dict[tuple, Decimal] = defaultdict(Decimal)
    with (release / "data/ELEX/expected/settlement.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            key = tuple(row[c] for c in ("test_case", "gsp_group_id", "measurement_class", "bm_unit_id"))
            if row["phase"] == "CIT":
                told[*key, row["measurement_quantity"]] += Decimal(row["kwh"])
    assert sums == told
    assert len(told) > 10


def test_a_plan_names_the_processes_of_its_test_cases(steps):
    """The sample's plan: functional cases run three, those of CIT all that there are."""
    of = {case: set(rows["process"]) for (case,), rows in steps.group_by("test_case")}
    assert {frozenset(of[c]) for c in of if c.startswith("FUN")} == {
        frozenset(("change_of_supplier", "meter_exchange", "consumption"))
    }
    assert {frozenset(of[c]) for c in of if c.startswith("CIT")} == {frozenset(PROCESSES)}


def test_what_is_asked_for_in_vain_is_told(release, tmp_path):
    for arguments, words in (
        (("--mpan", "1" * 13), "expects nothing of that"),
        (("--process", "change_of_suplier"), "did you mean 'change_of_supplier'"),
    ):
        done = datacut("expected", release, *arguments)
        assert (done.code, len(done.told)) == (2, 1)
        assert words in done.told[0]
        assert "1" * 13 not in done.err
    out = tmp_path / "steps.csv"
    assert datacut("expected", release, "--test-case", "CIT-001", "--out", out).code == 0
    assert set(pl.read_csv(out, infer_schema=False)["test_case"]) == {"CIT-001"}
    assert datacut("expected", release, "--test-case", "CIT-001", "--out", out).code == 19


@pytest.mark.requirement("Q62")
def test_a_participants_pack_has_the_steps_of_its_own_metering_points(release):
    pack = next(release.parent.glob("*-return-EELC"))
    own = set(pl.read_parquet(pack / "data/EELC/allocations.parquet")["mpan_core"])
    assert set(pl.read_parquet(pack / "data/EELC/expected/steps.parquet")["mpan_core"]) == own
    assert (pack / "data/EELC/expected/settlement.csv").is_file()
    assert datacut("expected", pack, "--test-case", "CIT-007").code == 0
