"""Scheme 1 at large: agreement on thousands of values, thirty million MPANs, spellings that meet and that do not."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from transforms.leak_scan import plain_scheme as plain
from transforms.pseudonymise import premises_key
from transforms.pseudonymise.address import COLUMNS
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import WEIGHTS, MpanPermutation, valid
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

CUTS = ((bytes(range(11, 43)), "SIT-CUT-2"), (bytes(range(90, 26, -2)), "q"))
PSEUDONYMISER = Pseudonymiser(FieldKeys(*CUTS[0]), lists=scheme_lists())
LISTS = scheme_lists()


def _mpan(rng: random.Random) -> str:
    twelve = f"{rng.randrange(10, 100)}{rng.randrange(10**10):010d}"
    return twelve + plain.check_digit(twelve)


def _serial(rng: random.Random) -> str:
    return "".join(rng.choice("ABCXYZ0123456789999-/ ") for _ in range(rng.randrange(1, 22))).strip()


def _esme(rng: random.Random) -> str:
    return rng.choice(["", "-", ":", " "]).join(f"{rng.randrange(256):02X}" for _ in range(8))


def _uprn(rng: random.Random) -> str:
    return str(rng.randrange(10 ** rng.randrange(1, 13))).zfill(rng.randrange(1, 13))


MADE: dict[Field, tuple[Callable[[random.Random], str], Callable[[bytes, str], str]]] = {
    Field.MPAN: (_mpan, plain.mpan),
    Field.METER_SERIAL: (_serial, plain.meter_serial),
    Field.ESME_ID: (_esme, plain.esme_id),
    Field.UPRN: (_uprn, plain.uprn),
}


def _agree(field: Field, count: int) -> None:
    make, reference = MADE[field]
    for number, (cut_key, cut_id) in enumerate(CUTS):
        rng = random.Random(f"{field}{number}")
        values = [make(rng) for _ in range(count)]
        out = Pseudonymiser(FieldKeys(cut_key, cut_id), lists=scheme_lists()).values(field, pl.Series(values)).to_list()
        key = plain.field_key(cut_key, cut_id, field)
        assert [text or "" for text in out] == [reference(key, value) for value in values]


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("field", list(MADE))
def test_fields_agree_with_the_second_implementation_under_other_keys(field: Field) -> None:
    _agree(field, 150)


@pytest.mark.slow
@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("field", list(MADE))
def test_ten_thousand_values_agree_with_the_second_implementation(field: Field) -> None:
    _agree(field, 5_000)


# -- addresses ------------------------------------------------------------------------------------------------

WORDS = ["Flat", "1", "12a", "St John's", "High", "ST", "rd", "Ind", "Est", "Mill-Lane", "Zoë", "½", "ﬁrst", "ß", ""]
WORDS += ["O’Neill", "№ 4", "２", "Ⅳ", "\u00a0", "\u200b", "RD.", "(rear)", "a\tb", "AVE,", "ct", "İz", "é", "é"]
POSTCODES = ["hu1 1aa", "HU11AA", " EC1A  1BB", "M1\u00a01AE", "ＨＵ１ 1AA", "m1\t1ae", "", "nonsense"]


def _row(rng: random.Random) -> list[str]:
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(4))) for _ in range(9)]
    return [*lines, rng.choice(POSTCODES)]


def _frame(rows: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame([[c or None for c in r] for r in rows], dict.fromkeys(COLUMNS, pl.String), orient="row")


def _addresses_agree(count: int) -> None:
    rng = random.Random(21)
    rows = [_row(rng) for _ in range(count)]
    for cut_key, cut_id in CUTS:
        out = Pseudonymiser(FieldKeys(cut_key, cut_id), lists=scheme_lists()).addresses(_frame(rows))
        key = plain.field_key(cut_key, cut_id, "address")
        for row, made in zip(rows, out.iter_rows(named=True), strict=True):
            if not plain.premises(row[:9], row[9], LISTS.street_types):
                assert set(made.values()) == {None}
                continue
            number, street, inward = plain.address(key, row[:9], row[9], list(LISTS.streets), LISTS.street_types)
            assert (made["address_line_1"], made["address_line_5"]) == (number, street)
            assert made["postcode"] is None or made["postcode"].endswith(f" {inward}")


@pytest.mark.requirement("Q67", "Q68")
def test_addresses_of_any_spelling_agree_with_the_second_implementation() -> None:
    _addresses_agree(800)


@pytest.mark.slow
@pytest.mark.requirement("Q67", "Q68")
def test_ten_thousand_addresses_agree_with_the_second_implementation() -> None:
    _addresses_agree(5_000)


@pytest.mark.requirement("Q67", "Q68")
def test_premises_keys_of_every_ascii_character_agree_with_the_second_implementation() -> None:
    """Alone, at either end and between letters and digits, in each of the places that decide."""
    around = ("{}", "{}A", "A{}", "A{}A", "1{}", "{}1", "1{}A")
    lines = [form.format(char) for char in map(chr, range(1, 128)) for form in around]
    rows = [[line, *[""] * 3, "HIGH ROAD", *[""] * 4, "CB1 9GQ"] for line in lines]
    rows += [["12", *[""] * 3, line, *[""] * 4, "CB1 9GQ"] for line in lines]
    rows += [["12", *[""] * 3, "HIGH ROAD", *[""] * 4, line] for line in lines if line.isprintable()]
    found = premises_key.premises_key(_frame(rows), LISTS)
    assert [t or "" for t in found.to_list()] == [plain.premises(r[:9], r[9], LISTS.street_types) for r in rows]


# Characters that Python's tables of Unicode know: Polars' are newer, and fold what these take for nothing.
ASSIGNED = st.characters(exclude_categories=("Cs", "Cn"))


@given(st.lists(st.lists(st.text(ASSIGNED, max_size=12), min_size=10, max_size=10), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_premises_keys_of_any_text_agree_with_the_second_implementation(rows: list[list[str]]) -> None:
    rows = [[t.translate(dict.fromkeys((*range(28, 32), 133))) for t in row] for row in rows]
    found = premises_key.premises_key(_frame(rows), LISTS)
    assert [t or "" for t in found.to_list()] == [plain.premises(r[:9], r[9], LISTS.street_types) for r in rows]


def test_no_rows_give_no_rows() -> None:
    assert PSEUDONYMISER.addresses(_frame([])).shape == (0, 10)
    for field in MADE:
        assert PSEUDONYMISER.values(field, pl.Series([], dtype=pl.String)).len() == 0
        assert PSEUDONYMISER.values(field, pl.Series([None, None], dtype=pl.String)).to_list() == [None, None]


SHORT = {word: short for short, word in reversed(LISTS.street_types.items())}
PREMISES = [
    (["FLAT 3", "ROSE COURT", f"{n}", "HIGH STREET" if n % 2 else "STATION ROAD", "YORK"], f"YO1 {n % 10}AB")
    for n in range(1, 51)
]


def _spellings(parts: list[str], postcode: str) -> list[list[str]]:
    """Return four rows that write one premises: as it is, abbreviated, broken and punctuated otherwise, and joined."""
    words = [" ".join(SHORT.get(w, w).title() for w in part.split()) for part in parts]
    return [
        [*parts, "", "", "", "", postcode],
        ["", *words, "", "", "", postcode.lower().replace(" ", "")],
        [
            ", ".join(parts[:2]) + ".",
            "",
            f" {parts[2]}  {parts[3]} ",
            "",
            "",
            "",
            "",
            f"({parts[4]})",
            "",
            f" {postcode} ",
        ],
        ["", "", "", "", " ".join(parts).lower(), "", "", "", "", postcode.replace(" ", "  ")],
    ]


@pytest.mark.requirement("Q68")
def test_200_spellings_of_50_premises_give_50_addresses() -> None:
    rows = [row for parts, postcode in PREMISES for row in _spellings(parts, postcode)]
    assert len(rows) == 200
    out = PSEUDONYMISER.addresses(_frame(rows)).with_columns(premises=pl.Series(np.arange(200) // 4))
    assert out.group_by("premises").agg(pl.struct(COLUMNS).n_unique().alias("n"))["n"].to_list() == [1] * 50
    assert out.select(COLUMNS).n_unique() == 50
    assert premises_key.premises_key(_frame(rows), LISTS).n_unique() == 50


def _near(n: int) -> tuple[list[str], list[str]]:
    pairs = [
        (["FLAT 1", f"{n}", "HIGH STREET"], ["FLAT 11", f"{n}", "HIGH STREET"]),
        ([f"{n}A", "HIGH STREET"], [f"{n}", "HIGH STREET"]),
        ([f"{n}", "HIGH STREET"], [f"{n}", "HIGH ROAD"]),
        ([f"{n}", "THE MEWS"], [f"{n + 1}", "THE MEWS"]),
        ([f"FLAT {n}", "ROSE COURT"], [f"UNIT {n}", "ROSE COURT"]),
    ]
    return pairs[n % 5]


@pytest.mark.requirement("Q68")
def test_50_near_miss_pairs_give_different_addresses() -> None:
    rows = []
    for n in range(1, 50):
        rows += [[*(parts + [""] * 9)[:9], "NE1 1AA"] for parts in _near(n)]
    rows += [["1", *[""] * 8, "NE1 1AA"], ["1", *[""] * 8, "N1 1AA"]]
    keys = premises_key.premises_key(_frame(rows), LISTS).to_list()
    out = PSEUDONYMISER.addresses(_frame(rows)).rows()
    assert len(out) == 100
    for at in range(0, 100, 2):
        assert keys[at] != keys[at + 1]
        assert out[at] != out[at + 1]


# -- one identity, one pseudonym ------------------------------------------------------------------------------


@pytest.mark.requirement("DQ01", "Q67")
@pytest.mark.parametrize(
    ("field", "spellings"),
    [
        (Field.MPAN, ["2000000000006", "20 0000 0000 006", "20-0000-0000-006", "2000000000006.0", " 2000000000006\t"]),
        (Field.METER_SERIAL, ["K95A43607", "k95a43607", " K95A43607 ", "K95a43607\u00a0"]),
        (Field.UPRN, ["000012345678", "12345678", "12345678.0", " 012345678 "]),
    ],
)
def test_spellings_of_one_identity_meet(field: Field, spellings: list[str]) -> None:
    assert plain.check_digit("200000000000") == "6"
    out = PSEUDONYMISER.values(field, pl.Series(spellings))
    assert (out.n_unique(), out.null_count()) == (1, 0)


def test_esme_ids_differ_in_their_joining_alone() -> None:
    values = pl.Series(["00-11-22-33-44-55-66-77", "0011223344556677", "00:11:22:33:44:55:66:77"])
    assert PSEUDONYMISER.values(Field.ESME_ID, values).str.replace_all(r"[-:]", "").n_unique() == 1


@pytest.mark.requirement("DQ01", "Q68")
@pytest.mark.parametrize(
    ("field", "values"),
    [
        (
            Field.MPAN,
            ["２０00000000006", "200000000000６", "٢000000000006", "2OOOOOOOOOOO6", "2.0E+12", "2000000000007"],
        ),
        (Field.MPAN, ["200000000006", "20000000000066", "", "-2000000000006.5", "+2000000000006", "0x1D1A94A2006"]),
        (Field.METER_SERIAL, ["К95A43607", "K95А43607", "K95A4360７", "K95A4360٧", "Ⅸ5A43607", "K95A436²7"]),
        (Field.ESME_ID, ["00-11-22-33-44-55-66-7７", "00-11-22:33-44-55-66-77", "00-11-22-33-44-55-66-7G", "0011"]),
        (Field.UPRN, ["1234567890123", "１2", "12a", "-12", "+12", "1.5", "", " "]),
    ],
)
def test_look_alikes_and_odd_values_are_refused(field: Field, values: list[str]) -> None:
    assert PSEUDONYMISER.values(field, pl.Series(values)).to_list() == [None] * len(values)


@given(st.text(ASSIGNED, max_size=20), st.sampled_from(list(MADE)))
@settings(max_examples=300, deadline=None)
def test_no_pseudonym_is_its_own_text(text: str, field: Field) -> None:
    out = PSEUDONYMISER.values(field, pl.Series([text]))[0]
    assert out is None or out != text.strip().upper()


@given(st.sets(st.text("ABC0123456789-", min_size=4, max_size=10), min_size=2, max_size=60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_meter_serials_never_meet_and_do_not_depend_on_their_neighbours(values: set[str], at: int) -> None:
    column = pl.Series(sorted(values))
    out = PSEUDONYMISER.values(Field.METER_SERIAL, column)
    assert out.drop_nulls().n_unique() == out.drop_nulls().len()
    alone = at % column.len()
    assert PSEUDONYMISER.values(Field.METER_SERIAL, column[[alone]])[0] == out[alone]


# -- thirty million MPANs -------------------------------------------------------------------------------------

MILLIONS, PART = int(os.environ.get("SCHEME_MILLIONS", "6")), 2_000_000  # 30 for a whole market


def _cores(count: int, seed: int) -> np.ndarray:
    """Return MPAN cores of 14 distributors mixed, bodies as issued: runs of neighbours, none twice."""
    number = np.arange(count, dtype=np.int64) + seed
    twelve = (10 + number % 14) * 10**10 + (number // 14 * 7_919 + 1_234_567) % 10**10
    total = sum(w * (twelve // 10 ** (11 - place) % 10) for place, w in enumerate(WEIGHTS))
    return twelve * 10 + total % 11 % 10


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_millions_of_mpans_without_a_duplicate(capsys: pytest.CaptureFixture[str]) -> None:
    permutation = MpanPermutation(FieldKeys(*CUTS[0]).field("mpan"))
    raw, out, spent = [], [], 0.0
    for at in range(0, MILLIONS * 10**6, PART):
        cores = _cores(PART, at)
        text = pl.Series(cores).cast(pl.String)
        begun = time.process_time()
        made = permutation.pseudonyms(text)
        spent += time.process_time() - begun
        assert made.null_count() == 0
        assert valid(made).all()
        assert (made.str.head(2) == text.str.head(2)).all()
        raw.append(cores)
        out.append(made.cast(pl.Int64).to_numpy())
    known, found = np.sort(np.concatenate(raw)), np.sort(np.concatenate(out))
    assert (np.diff(found) > 0).all()
    coincident = np.intersect1d(known, found, assume_unique=True).size
    expected = float((np.bincount(known // 10**11)[10:24].astype(float) ** 2).sum()) / 10**10
    assert abs(coincident - expected) <= 4 * math.sqrt(expected)
    with capsys.disabled():
        rate = MILLIONS / spent
        print(f"\n30 million mixed: {rate:.1f} million a CPU second; coincident {coincident}, expected {expected:.0f}")
