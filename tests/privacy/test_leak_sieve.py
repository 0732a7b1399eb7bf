"""The sieve before the leak scan's patterns: it lets through every text in which a pattern would match."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.vocabulary import Field
from transforms.release import leak_candidates
from transforms.release.leak_candidates import sieve

DIGITS, SEPARATORS, LETTERS, FOREIGN = "0123456789", " \t./_&+()-:,|", "abcdefABCDEFGxyz", "１２３é٣"
TEXT = st.text(DIGITS * 4 + SEPARATORS + LETTERS + FOREIGN, max_size=40)
MPAN = "1012345678907"


@pytest.mark.requirement("DQ32")
@given(st.lists(TEXT, max_size=12))
@example([])
@example(["", MPAN, "10 1234/5678-907", "a_10123456_b", "12345678", "AB1234"])
@example(["0a-1B-2C-3D-4E-5F-60-71", "１０１２３４５６７８９０７"])
@example(["x" * 30 + MPAN, MPAN + "|" + MPAN, "123456x7890123"])
@example(["9" * 255, "9" * 256 + "x", "no", "", "9" * 600])
def test_lets_through_whatever_a_pattern_matches(texts):
    series = pl.Series("t", texts, dtype=pl.String)
    sieved = sieve(series, leak_candidates.CANDIDATES)
    clean = leak_candidates.plain(series)
    for kind, candidates in leak_candidates.CANDIDATES.items():
        matched = set(candidates(clean)["row"].to_list()) | (
            set(candidates(series)["row"].to_list()) if kind is Field.MPAN else set()
        )
        through = sieved.able[kind] | sieved.bare if kind is Field.MPAN else sieved.able[kind]
        assert matched <= {row for row, yes in enumerate(through) if yes}


def test_spares_the_patterns_what_cannot_match():
    texts = pl.Series(["12 HIGH STREET", "SW1A", "2023-08-19|1234", MPAN, "S95A123", "00123456789"])
    sieved = sieve(texts, leak_candidates.CANDIDATES)
    through = sieved.able
    assert sieved.bare.tolist() == [False, False, False, True, False, False]
    assert through[Field.MPAN].tolist() == [False] * 6
    assert through[Field.UPRN].tolist() == [False, False, True, False, False, True]
    assert through[Field.METER_SERIAL].tolist() == [False, False, True, False, True, True]
    assert not through[Field.ESME_ID].any()


def test_a_slice_of_a_longer_column_is_judged_by_its_own_bytes():
    texts = pl.Series(["9" * 13, "no digits here", "", MPAN, "", "9" * 13])[1:5]
    assert sieve(texts, [Field.MPAN]).bare.tolist() == [False, False, True, False]
