"""Canaries of one run are all different, so that two runs of the same backups know as many identifiers."""

from __future__ import annotations

import pytest

from flows.leak_scan.canaries import COUNT, canaries


@pytest.mark.parametrize("part", ["mpan", "serial", "uprn", "esme", "house", "postcode"])
def test_no_two_canaries_have_a_part_in_common(part):
    for key in range(200):
        assert len({getattr(bird, part) for bird in canaries(bytes([key] * 32))}) == COUNT


def test_canaries_of_every_run_live_in_as_many_streets():
    assert {len({bird.street for bird in canaries(bytes([key] * 32))}) for key in range(200)} == {3}
