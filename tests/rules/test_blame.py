"""Which column to look at in a row that breaks a rule: those that differ; where none does, all of the rule."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.load import load_all
from contracts.vocabulary import Expectation
from transforms.quality.blame import BITS, blamed, blamed_in_rows

UNIQUE = [
    (contract, rule)
    for contract in load_all().values()
    for rule in contract.rules
    if rule.expectation == Expectation.UNIQUE
]


@pytest.mark.parametrize(("contract", "rule"), UNIQUE, ids=lambda of: getattr(of, "extract", None) or of.id)
def test_a_row_that_names_no_column_is_told_with_all_of_the_rule(contract, rule):
    every = blamed(rule, contract)
    names = [column.name for column in contract.columns[:BITS]]
    first = next(name for name in every if name in names)
    found = blamed_in_rows(rule, contract, np.array([1 << names.index(first), 0], np.uint64))
    assert found[first].to_list() == [True, True]
    assert {name for name, rows in found.items() if rows.to_list() == [False, True]} == set(every) - {first}
