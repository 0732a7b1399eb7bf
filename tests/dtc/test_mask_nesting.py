"""Where a record may stand: the same, wherever the blocks of a file begin and end; held against a walk with a stack."""

from __future__ import annotations

import random

import numpy as np
import pytest

from contracts.dtc import shipped_flow
from transforms.dtc.nesting import Run, make_nesting, misplaced

FLOWS = ("D0150", "D0268", "D0217", "D0019")


def walked(names: list[str], flow: str) -> list[int]:
    """Which records stand wrong: a stack of open records, and how many of each group are below each."""
    groups = shipped_flow(flow).groups
    stack: list[tuple[str, dict[str, int]]] = [("", {})]
    wrong = []
    for place, name in enumerate(names):
        parent = groups[name].parent if groups[name].parent in groups else ""
        depth = next((d for d in range(len(stack) - 1, -1, -1) if stack[d][0] == parent), -1)
        most = groups[name].cardinality.most
        if depth < 0 or (most and stack[depth][1].get(name, 0) >= most):
            wrong.append(place)
            continue
        del stack[depth + 1 :]
        stack[depth][1][name] = stack[depth][1].get(name, 0) + 1
        stack.append((name, {}))
    return wrong


def in_blocks(names: list[str], flow: str, edges: list[int]) -> list[int]:
    """The same by the product, block by block, what is open carried on."""
    layout = shipped_flow(flow)
    keys = [(0, name) for name in layout.groups]
    nesting = make_nesting([layout], keys)
    number = {name: n for n, (_, name) in enumerate(keys)}
    wrong, carried = [], Run(0, 0)
    for start, stop in zip([0, *edges], [*edges, len(names)], strict=True):
        codes = np.array([number[name] for name in names[start:stop]], dtype=np.int32)
        run = Run(0, stop - start, carried.last, carried.used, unfinished=True)
        found, (carried,) = misplaced(codes, [run], nesting)
        wrong += [start + int(place) for place in found]
    return wrong


@pytest.mark.requirement("DQ29", "Q67")
def test_a_group_that_stands_once_does_so_over_any_number_of_blocks():
    names = ["288", "289", "290", "290", "289", "288", "289"]
    for edges in ([], [2], [2, 3], [2, 4], [1, 2, 3, 4, 5, 6]):
        assert in_blocks(names, "D0150", edges) == [4]


@pytest.mark.requirement("DQ29", "Q67")
@pytest.mark.parametrize("flow", FLOWS)
def test_blocks_of_any_size_find_the_same_records_out_of_place(flow):
    choice = random.Random(flow)
    groups = list(shipped_flow(flow).groups)
    sound = [name for name in groups if choice.random() < 0.8]
    for _ in range(150):
        names = [*groups[: choice.randrange(1, len(groups))], *choice.choices(sound or groups, k=choice.randrange(12))]
        if choice.random() < 0.5:
            names += names
        edges = sorted(choice.sample(range(1, len(names) + 1), min(len(names), choice.randrange(4))))
        assert in_blocks(names, flow, edges) == walked(names, flow), (names, edges)
