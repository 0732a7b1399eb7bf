"""Row rules in SQL, results and their document, and manners: no files, no network, no chatter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import polars as pl
import pytest
from gx_cases import rule

from contracts.errors import QualityError
from flows.quality.great_expectations import ExpectRowsToSatisfy, raise_on_crash, run_suite

ROOT = Path(__file__).resolve().parents[2]
DATA = pl.LazyFrame({"pc": ["01", "00", "00", None], "mc": ["A", "C", "A", "A"], "n": [1, 2, None, 4]})


def one(condition: str, **kwargs: object) -> tuple[bool, int | None, int | None, str | None]:
    (found,) = run_suite([DATA], [rule("expect_rows_to_satisfy", condition=condition, **kwargs)], name="rows").rules
    return found.success, found.element_count, found.unexpected_count, found.fault


@pytest.mark.parametrize(
    ("condition", "unexpected"),
    [
        ("pc <> '00' OR mc <> 'A'", 1),
        ("pc = '01'", 2),  # NULL is satisfied
        ("n BETWEEN 1 AND 2", 1),
        ("NOT (pc = '00' AND mc = 'A')", 1),
        ("pc IS NOT NULL", 1),
        ("LENGTH(pc) = 2 AND pc LIKE '0%'", 0),
        ("mc IN ('A', 'C')", 0),
        ("CASE WHEN mc = 'C' THEN n > 2 ELSE TRUE END", 1),
        ("pc ~ '^0[1-9]$'", 2),
        ("COALESCE(n, 0) > 0", 1),
        ("GREATEST(n, 3) > 3", 3),
        ("pc <> 'it''s now' AND n < 4", 1),
        ("UPPER(TRIM(mc)) <> 'C'", 1),
    ],
)
def test_row_rules_count_rows_that_are_false(condition: str, unexpected: int) -> None:
    assert one(condition) == (unexpected == 0, 4, unexpected, None)


def test_row_rules_take_mostly_and_row_condition() -> None:
    assert one("pc = '01'", mostly=0.5) == (True, 4, 2, None)
    assert one("pc = '01'", row_condition="mc = 'A'") == (False, 3, 1, None)
    assert one("pc = '01'", row_condition="mc = 'Z'") == (True, 0, 0, None)


@pytest.mark.parametrize(
    "condition",
    [
        "n > MAX(n)",
        "SUM(n) OVER (PARTITION BY pc) > 1",
        "COUNT(*) > 1",
        "TRUE",
        "ROW_NUMBER() OVER (ORDER BY n) > 1",
        "FIRST(n) = n",
        "MAX(n) > 3 AS top",
        "n = (SELECT 1)",
        "CORR(n, n) > 1",
        "n > 0 AND NOW() IS NOT NULL",
        "current_date > DATE '2020-01-01' OR n > 1",
    ],
)
def test_conditions_about_other_rows_or_no_column_are_refused(condition: str) -> None:
    """They would give another answer for each way of cutting the extract."""
    assert one(condition) == (False, None, None, "NotRowWiseError")
    assert one("n > 0", row_condition=condition) == (False, None, None, "NotRowWiseError")


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "n >",
        "n, pc",
        "n > 1; n > 2",
        "SELECT 1",
        "*",
        "n",
        "n + 1",
        "absent = 1",
        "n > GREATEST()",
        "n IN (SELECT n FROM self)",
    ],
)
def test_conditions_that_are_no_condition_crash(condition: str) -> None:
    assert one(condition)[:3] == (False, None, None)
    assert one(condition)[3] is not None


def test_the_row_rule_is_a_registered_expectation() -> None:
    from great_expectations.expectations.registry import get_expectation_impl

    assert get_expectation_impl("expect_rows_to_satisfy") is ExpectRowsToSatisfy


def test_the_document_holds_verdicts_and_counts_in_the_order_given() -> None:
    rules = [
        rule("expect_rows_to_satisfy", "DQ06_b", "warning", condition="pc <> '00'"),
        rule("expect_column_values_to_not_be_null", "DQ04_a", column="mc"),
        rule("expect_rows_to_satisfy", "DQ06_a", "info", condition="absent = 1"),
    ]
    result = run_suite([DATA], rules, name="registration")
    document = json.loads(result.to_json())
    assert document["suite"] == "registration"
    assert document["success"] is False
    assert document["statistics"] == {"evaluated": 3, "held": 1, "broken": 1, "crashed": 1}
    assert [(r["rule"], r["severity"]) for r in document["results"]] == [
        ("DQ06_b", "warning"), ("DQ04_a", "critical"), ("DQ06_a", "info"),
    ]  # fmt: skip
    assert document["results"][0] == {
        "rule": "DQ06_b", "expectation": "expect_rows_to_satisfy", "severity": "warning", "success": False,
        "element_count": 4, "unexpected_count": 2, "crashed": False, "fault": None,
    }  # fmt: skip
    assert result.to_json() == run_suite([DATA], rules, name="registration").to_json()
    assert [r.rule for r in result.failed()] == ["DQ06_b"]
    assert result.failed("critical") == ()
    with pytest.raises(
        QualityError, match=r"registration: 1 of 3 rules could not be judged: DQ06_a \(ColumnNotFoundError\)"
    ):
        raise_on_crash(result)
    with pytest.raises(FrozenInstanceError):
        result.name = "other"  # type: ignore[misc]


def test_an_empty_extract_and_an_empty_suite_hold() -> None:
    assert run_suite([DATA.limit(0)], [rule("expect_column_values_to_not_be_null", column="pc")], name="empty").success
    assert run_suite([DATA], [], name="empty").success


MANNERS = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("network")
socket.socket.connect = socket.getaddrinfo = refuse
import flows
assert "great_expectations" not in sys.modules
import polars as pl
from flows.quality.great_expectations import run_suite
rule = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "a"}, "meta": {"rule": "r"}}
bad = {"type": "expect_rows_to_satisfy", "kwargs": {"condition": "a"}, "meta": {"rule": "s"}}
result = run_suite([pl.LazyFrame({"a": [1, 1]})], [rule, bad], name="manners")
assert (result.rules[0].unexpected_count, result.rules[1].crashed) == (2, True)
"""


def test_nothing_is_written_sent_or_said(tmp_path: Path) -> None:
    """Importing flows stays light; a run leaves no file behind and both streams empty."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning:flows", "-c", MANNERS],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_registration_leaves_other_engines_and_keys_alone(tmp_path: Path) -> None:
    """Great Expectations warns when a metric is registered twice or with other keys: it has no reason to."""
    code = (
        "import logging, sys; logging.basicConfig(level='WARNING'); import great_expectations; "
        "assert 'scipy' in sys.modules; import flows.quality.great_expectations"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "being registered" not in done.stderr
