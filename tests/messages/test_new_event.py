"""The maintainers' page: a new event in YAML alone, from its row to its message."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import contracts
from contracts.messages import message_tables, message_values
from contracts.processes import market_processes, process_faults
from transforms.release.market_processes import MessageDefaults, ProcessRun

ROOT = Path(contracts.__file__).parents[1]
PAGE = (ROOT / "docs" / "for-maintainers.md").read_text(encoding="utf-8")
CHANGES = re.findall(r"<!-- event (\S+): ([^\n]*?) ?-->\n```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def changed(tmp_path) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(ROOT / "contracts", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, where, text in CHANGES:
        path = folder / name
        if where == "file":
            path.write_text(text, encoding="utf-8")
            continue
        content = path.read_text(encoding="utf-8")
        if where == "end":
            content += text
        else:
            line = f"{where.removeprefix('after ')}\n" if where.startswith("after ") else f"{where}:\n"
            assert content.count(line) == 1, where
            content = content.replace(line, line + text)
        path.write_text(content, encoding="utf-8")
    return folder


@pytest.mark.requirement("Q94", "Q95")
def test_a_new_event_is_rows_and_no_code(changed, release):
    tables, values = message_tables(folder=changed / "messages"), message_values(changed / "messages")
    processes = market_processes(changed / "processes")
    assert process_faults(processes, tables, values) == []
    records = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/expected.parquet")).unique("mpan_core")
    records = records.filter(pl.col("data_service_role") == "SDS", pl.col("meter_serial_number").is_not_null()).head(5)
    given = records.select(pl.lit("CIT-001").alias("test_case"), "mpan_core", pl.lit("BASE").alias("role"))
    terms = MessageDefaults(
        datetime(2023, 8, 19, 9, tzinfo=ZoneInfo("Europe/London")), date(2023, 8, 19), date(2023, 8, 19)
    )
    run = ProcessRun(records, tables, values, processes.parties, terms)
    told, noted = run.steps(given, [processes.processes["meter_does_not_communicate"]])
    serials = dict(records.select("mpan_core", "meter_serial_number").rows())
    for row, other in zip(told.rows.to_dicts(), noted.rows.to_dicts(), strict=True):
        message = json.loads(row["message"])["payload"]
        assert message["CommonBlock"]["S0"]["eventCode"] == "[SN-NoComms]"
        assert message["CustomBlock"]["B057"] == {
            "supplierNotificationEffectiveFromDate": "2023-08-19T00:00:00+01:00",
            "supplierNotificationExpiryDate": None, "additionalInformation": None,
        }  # fmt: skip
        block = json.loads(other["message"])["payload"]["CustomBlock"]["B110"]
        assert block == {"accessNote": f"Meter {serials[row['mpan_core']]}"}


def test_what_is_forgotten_is_named(changed):
    values = changed / "messages" / "values.yaml"
    values.write_text(values.read_text().replace("  accessNote: ", "  accessNot: "), encoding="utf-8")
    (found,) = process_faults(
        market_processes(changed / "processes"), message_tables(folder=changed / "messages"),
        message_values(changed / "messages"),
    )  # fmt: skip
    assert found == "meter_does_not_communicate, step 2: values.yaml gives nothing for B110.accessNote"
