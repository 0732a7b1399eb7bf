"""Work side by side: results in their order, few items drawn ahead, faults told in their turn."""

from __future__ import annotations

import time

import pytest

from flows.cut.parallel import map_ordered, map_parallel
from flows.cut.progress import NullListener, current_listener, listening


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(at_once):
    def late(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * 10

    assert list(map_ordered(late, range(9), at_once)) == [number * 10 for number in range(9)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_items_are_drawn_than_are_worked_on(at_once):
    """A batch is memory: a slow taker must not find all of them drawn."""
    drawn = []

    def items():
        for number in range(100):
            drawn.append(number)
            yield number

    results = map_ordered(lambda number: number, items(), at_once)
    next(results)
    assert len(drawn) <= at_once + 1
    results.close()


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_fault_comes_in_its_turn_and_ends_the_rest(at_once):
    def call(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    results = map_ordered(call, range(50), at_once)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


@pytest.mark.parametrize("run", [map_parallel, lambda call, items: list(map_ordered(call, items, 2))])
def test_whoever_listens_to_a_run_hears_its_threads(run):
    heard: list[str] = []

    class Listener(NullListener):
        def rows(self, label: str, rows: int) -> None:
            heard.append(f"{label} {rows}")

    with listening(Listener()):
        run(lambda rows: current_listener().rows("registration", rows), range(4))
    run(lambda rows: current_listener().rows("nobody listens", rows), range(4))
    assert sorted(heard) == [f"registration {rows}" for rows in range(4)]
