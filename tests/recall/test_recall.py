"""Leaks of every kind are planted through the release's writer, and found; the table that ships says so."""

from __future__ import annotations

import random

import pytest

from flows.leak_scan.recall import recall
from tests.recall.campaign import Campaign
from tests.recall.carriers import CARRIERS

pytestmark = pytest.mark.requirement("DQ32", "Q67")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp("recall"), 400, 11)


def test_a_clean_release_raises_no_alarm(campaign):
    assert campaign.clean() == {"places": []}


@pytest.mark.parametrize("kind", CARRIERS)
def test_a_leak_of_each_kind_is_found(campaign, kind):
    assert campaign.plant(kind, 2, random.Random(kind)) == [True, True]


def test_the_table_that_ships_is_of_every_kind():
    shipped = recall()
    assert [row.kind for row in shipped.kinds] == list(CARRIERS)
    assert min(row.planted for row in shipped.kinds) >= 12
    assert sum(row.found for row in shipped.kinds) >= 0.99 * sum(row.planted for row in shipped.kinds)
    assert all(row.found >= 0.9 * row.planted for row in shipped.kinds)
    assert shipped.limits
