"""Rules that have nothing to say: what they read was hidden by the sender's policy, or cannot be derived."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from contracts.load import load_all
from flows.cut.partitions import ParticipantExtract
from flows.quality import silent

EXTRACTS = (ParticipantExtract("EELC", "registration"), ParticipantExtract("MOPA", "register"))
TABLES = {"line_loss_factor_classes", "distributors"}


def found(monkeypatch, hidden: dict[str, dict[str, set[str]]], tables: set[str]) -> dict[str, set[str]]:
    monkeypatch.setattr(silent, "treated", lambda *_: hidden)
    workspace = SimpleNamespace(contracts=load_all(), recorded=lambda *_: None)
    told = silent.silent_rules(workspace, EXTRACTS, tables)
    return {extract: ids for extract, senders in told.items() for ids in senders.values()}


@pytest.mark.requirement("Q58", "DQ19")
def test_nothing_is_silent_where_all_is_at_hand(monkeypatch):
    assert not any(found(monkeypatch, {}, TABLES).values())


@pytest.mark.requirement("DQ19", "Q75")
def test_a_rule_over_what_another_extract_derives_is_silent_without_its_table(monkeypatch):
    told = found(monkeypatch, {}, {"distributors"})
    assert "DQ19_direction" in told["register"]
    assert "DQ16_digits" not in told["register"]


@pytest.mark.requirement("Q58", "DQ19")
def test_a_rule_over_a_hidden_column_is_silent_also_through_another_extract(monkeypatch):
    told = found(monkeypatch, {"registration": {"EELC": {"line_loss_factor_class_id"}}}, TABLES)
    assert "DQ19_direction" in told["register"]
    assert "DQ07_loss_class" in told["registration"]
