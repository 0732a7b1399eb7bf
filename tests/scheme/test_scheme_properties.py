"""Laws of scheme 1, against a second implementation and on random values."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import KeyMaterialError
from contracts.scheme import scheme_lists
from transforms.leak_scan import plain_scheme as plain
from transforms.pseudonymise import ff1, identifiers
from transforms.pseudonymise.address import COLUMNS, addresses
from transforms.pseudonymise.keys import FieldKeys, Subkey
from transforms.pseudonymise.mpan import MpanPermutation, valid

CUT_KEY, CUT_ID = bytes(range(7, 39)), "OTHER-2026"
KEYS = FieldKeys(CUT_KEY, CUT_ID)
N = 400


def _key(field: str) -> bytes:
    return plain.field_key(CUT_KEY, CUT_ID, field)


def _mpans(rng: random.Random, count: int) -> list[str]:
    twelve = [f"{rng.randrange(10, 40)}{rng.randrange(10**10):010d}" for _ in range(count)]
    return [t + plain.check_digit(t) for t in twelve]


@pytest.mark.requirement("Q67")
def test_mpan_agrees_with_the_second_implementation() -> None:
    values = _mpans(random.Random(1), N)
    out = MpanPermutation(KEYS.field("mpan")).pseudonyms(pl.Series(values))
    assert out.to_list() == [plain.mpan(_key("mpan"), value) for value in values]


SHAPES = ("A99A99999", "A99AA99999", "99999999", "A99A 99999", "99A9999999", "A9A9", "AA9A-9", "A99/9999", "999", "A1")


def _serial(rng: random.Random, shape: str) -> str:
    pick = {"A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "9": "0123456789"}
    return "".join(rng.choice(pick.get(c, c)) for c in shape)


@pytest.mark.requirement("Q67", "DQ13")
def test_meter_serials_agree_with_the_second_implementation() -> None:
    rng = random.Random(2)
    values = [_serial(rng, rng.choice(SHAPES)) for _ in range(N)] + [" k95a 43607 ", "ab566x"]
    out = identifiers.meter_serials(KEYS.field("meter-serial"), pl.Series(values)).to_list()
    assert [text or "" for text in out] == [plain.meter_serial(_key("meter-serial"), value) for value in values]


def test_esme_ids_and_uprns_agree_with_the_second_implementation() -> None:
    rng = random.Random(3)
    esme = ["-".join(f"{rng.randrange(256):02X}" for _ in range(8)) for _ in range(N)]
    esme += [e.lower() for e in esme[:9]] + [e.replace("-", "") for e in esme[9:18]]
    out = identifiers.esme_ids(KEYS.field("esme-id"), pl.Series(esme)).to_list()
    assert out == [plain.esme_id(_key("esme-id"), value) for value in esme]
    uprns = [str(rng.randrange(10 ** rng.randrange(1, 13))) for _ in range(N)]
    out = identifiers.uprns(KEYS.field("uprn"), pl.Series(uprns)).to_list()
    assert out == [plain.uprn(_key("uprn"), value) for value in uprns]


WORDS = [
    "Flat",
    "1",
    "12a",
    "Rose Ct.",
    "St John's",
    "High St",
    "Ind Est",
    "Mill-Lane",
    "ROSE  COURT",
    "Zoë Rd",
    "½",
    "",
]


@pytest.mark.requirement("Q67", "Q68")
def test_addresses_agree_with_the_second_implementation() -> None:
    rng = random.Random(4)
    rows = [
        [*(rng.choice(WORDS) for _ in range(9)), rng.choice(["hu1 1aa", "HU11AA", "EC1A 1BB", "M1 1AE"])]
        for _ in range(N)
    ]
    frame = pl.DataFrame(
        [[c or None for c in row] for row in rows], schema=dict.fromkeys(COLUMNS, pl.String), orient="row"
    )
    out = addresses(KEYS.field("address"), frame, scheme_lists())
    lists = scheme_lists()
    for row, made in zip(rows, out.iter_rows(named=True), strict=True):
        expected = plain.address(_key("address"), row[:9], row[9], list(lists.streets), lists.street_types)
        assert (made["address_line_1"], made["address_line_5"], made["postcode"].split(" ")[1]) == expected


@given(st.integers(10, 99), st.sets(st.integers(0, 10**10 - 1), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_mpan_permutation_keeps_distributor_and_is_injective(distributor: int, bodies: set[int]) -> None:
    values = [t + plain.check_digit(t) for t in (f"{distributor}{body:010d}" for body in sorted(bodies))]
    out = MpanPermutation(KEYS.field("mpan")).pseudonyms(pl.Series(values))
    assert out.n_unique() == len(values)
    assert out.str.slice(0, 2).unique().to_list() == [str(distributor)]
    assert valid(out).all()


@given(
    st.integers(2, 36),
    st.integers(2, 60),
    st.binary(max_size=40),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_every_path_of_ff1_agrees_and_can_be_undone(radix: int, n: int, tweak: bytes, rng: random.Random) -> None:
    if radix**n < ff1.MIN_DOMAIN:
        with pytest.raises(ff1.Ff1DomainError):
            ff1.encrypt(_key("mpan"), radix, tweak, [0] * n)
        return
    key = _key("meter-serial")
    rows = [[rng.randrange(radix) for _ in range(n)] for _ in range(3)]
    expected = [plain.ff1(key, radix, tweak, row) for row in rows]
    matrix = encrypt = identifiers.encrypt_numerals(
        Subkey(key, "test"), radix, np.frombuffer(tweak, np.uint8).reshape(1, -1), np.array(rows, np.uint8)
    )
    assert encrypt.tolist() == expected
    assert [plain.ff1_inverse(key, radix, tweak, row) for row in matrix.tolist()] == rows


@pytest.mark.requirement("Q68")
def test_look_alike_digits_are_refused_not_passed() -> None:
    mpans = pl.Series(["１２34567890123", "12345678901²3", "١٢٣٤٥٦٧٨٩٠١٢٣"])
    assert MpanPermutation(KEYS.field("mpan")).pseudonyms(mpans).null_count() == 3
    serials = pl.Series(["K95А43607", "K95A４3607", "L04С15502"])  # Cyrillic A, full-width 4, Cyrillic C
    assert identifiers.meter_serials(KEYS.field("meter-serial"), serials).null_count() == 3


@pytest.mark.requirement("Q65", "Q70", "Q72")
def test_two_cuts_cannot_be_linked() -> None:
    values = pl.Series(_mpans(random.Random(5), 500))
    sit = MpanPermutation(FieldKeys(CUT_KEY, "SIT").field("mpan")).pseudonyms(values)
    qualification = MpanPermutation(FieldKeys(CUT_KEY, "QUALIFICATION").field("mpan")).pseudonyms(values)
    assert (sit == qualification).sum() == 0


def test_spellings_of_one_mpan_meet() -> None:
    value = _mpans(random.Random(6), 1)[0]
    spellings = [
        value,
        f"{value[:2]} {value[2:6]} {value[6:10]} {value[10:]}",
        f" {value}",
        f"{value}.0",
        f"{value[:2]}-{value[2:]}",
    ]
    out = MpanPermutation(KEYS.field("mpan")).pseudonyms(pl.Series(spellings))
    assert out.n_unique() == 1
    assert out.null_count() == 0


@pytest.mark.parametrize("material", [b"", bytes(31), bytes(33), bytes(32)], ids=["empty", "short", "long", "zeros"])
def test_weak_keys_are_refused(material: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        FieldKeys(material, CUT_ID)


def test_key_objects_never_show_or_serialise_their_bytes() -> None:
    import pickle

    subkey = KEYS.field("mpan")
    for thing in (KEYS, subkey, MpanPermutation(subkey)):
        shown = repr(thing) + str(thing)
        assert subkey.material().hex() not in shown
        assert CUT_KEY.hex() not in shown
        with pytest.raises(KeyMaterialError):
            pickle.dumps(thing)


@pytest.mark.requirement("Q67")
def test_the_same_digits_in_two_fields_have_nothing_in_common() -> None:
    """Field keys are apart: what a meter serial and a UPRN become says nothing of one another."""
    digits = pl.Series([f"{n:08d}" for n in range(10_000_000, 10_003_000)])
    serials = identifiers.meter_serials(KEYS.field("meter-serial"), digits)
    others = identifiers.meter_serials(KEYS.field("uprn"), digits)
    same = int((serials == others).sum())
    assert same <= 2, "chance gives a pair in ten million"
    assert len(set(serials.to_list())) == len(digits)


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize(("radix", "length", "good"), [(10, 5, False), (10, 6, True), (36, 3, False), (36, 4, True)])
def test_a_domain_under_a_million_is_refused(radix: int, length: int, good: bool) -> None:
    if good:
        ff1.check_domain(radix, length)
        return
    with pytest.raises(ff1.Ff1DomainError):
        ff1.check_domain(radix, length)
