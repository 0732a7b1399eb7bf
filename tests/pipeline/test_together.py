"""Work side by side: results in their order, few items drawn ahead, faults told in their turn."""

from __future__ import annotations

import time

import pytest

from flows.cut.parallel import in_turn


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(at_once):
    def late(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * 10

    assert list(in_turn(late, range(9), at_once)) == [number * 10 for number in range(9)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_items_are_drawn_than_are_worked_on(at_once):
    """A batch is memory: a slow taker must not find all of them drawn."""
    drawn = []

    def items():
        for number in range(100):
            drawn.append(number)
            yield number

    results = in_turn(lambda number: number, items(), at_once)
    next(results)
    assert len(drawn) <= at_once + 1
    results.close()


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_fault_comes_in_its_turn_and_ends_the_rest(at_once):
    def call(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    results = in_turn(call, range(50), at_once)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
