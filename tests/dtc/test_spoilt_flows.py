"""A share of the campaign of 10,000 spoilt flows (``python -m tests.dtc.spoilt``)."""

from __future__ import annotations

import pytest

from tests.dtc.spoilt import COMMAND, campaign, identifiers, originals
from tests.pipeline.mutated import past_python

QUICK, SLOW, BEYOND = 40, 300, 100_001  # numbers that the campaign does not reach; the first goes to the reader


@pytest.mark.requirement("Q67", "Q68", "DQ29")
def test_spoilt_flows_are_read_or_refused_in_words(tmp_path):
    found = campaign(tmp_path, range(BEYOND, BEYOND + QUICK), str, str)
    assert found.faults == []
    assert {0, 11} <= found.total.keys() <= {0, 11, 12}


@pytest.mark.slow
@pytest.mark.requirement("Q67", "Q68", "DQ29")
def test_many_spoilt_flows_by_reader_and_command(tmp_path):
    with past_python() as heard:
        found = campaign(tmp_path, range(BEYOND, BEYOND + SLOW), heard, str)
    assert found.faults == []
    assert found.by_command == SLOW // COMMAND
    assert min(found.total[code] for code in (0, 11, 12)) > SLOW // 50


@pytest.mark.requirement("Q68")
def test_the_campaign_sees_an_identifier_and_an_error_of_a_library(tmp_path, monkeypatch):
    """Each flow has identifiers to look for; a reader that quotes a line, or breaks, is a fault."""
    assert all(identifiers(raw) for _, raw in originals())

    def quoting(self, files, extract, block, *, hide):
        return 11, files[0].decode("latin-1")

    def breaking(self, files, extract, block, *, hide):
        raise KeyError("f9")

    monkeypatch.setattr("tests.dtc.spoilt.Reading.run", quoting)
    assert len(campaign(tmp_path, range(BEYOND, BEYOND + 20), str, str).faults) > 10
    monkeypatch.setattr("tests.dtc.spoilt.Reading.run", breaking)
    assert len(campaign(tmp_path, range(BEYOND, BEYOND + 20), str, str).faults) == 20
