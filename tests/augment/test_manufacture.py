"""Manufactured values: from the key and the metering point alone, in form, unique, never a real device."""

from __future__ import annotations

import hmac
import random
import re

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.augmentation import services
from contracts.errors import ContractError
from flows.sample.meters import esme_ids
from transforms.augment.manufacture import Manufacturer, dip_id
from transforms.pseudonymise.keys import FieldKeys

KEYS = FieldKeys(bytes(range(32)), "TEST")
WEIGHTS = {"H": 45, "D": 35, "M": 20}


def points(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def plain_block(item: str, point: int) -> bytes:
    """Encipher one block: a second way to the same bytes, without numpy."""
    key = KEYS.field(f"item/{item}").material()
    block = point.to_bytes(8, "big") + bytes(8)
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305


def test_scheme_1_by_a_second_way(maker):
    some = [0, 1, 123456789010, 999999999999]
    blocks = [plain_block("css_registration_id", p) for p in some]
    assert maker.token36("css_registration_id", points(*some)).to_list() == [f"SYN-{b.hex().upper()}" for b in blocks]
    draws = [int.from_bytes(plain_block("consent_granularity", p)[:8], "big") % 100 for p in some]
    wanted = ["H" if d < 45 else "D" if d < 80 else "M" for d in draws]
    assert maker.choose("consent_granularity", points(*some), WEIGHTS).to_list() == wanted
    raw = bytearray(hmac.digest(KEYS.field("item/esme_id").material(), b"A\n1\nHIGH STREET\nIP1 1AA", "sha256")[:8])
    raw[0] = raw[0] & 0xFC | 2
    assert maker.eui64("esme_id", pl.Series(["A\n1\nHIGH STREET\nIP1 1AA"])).to_list() == [raw.hex("-").upper()]


@pytest.mark.requirement("Q63")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**12 - 1), min_size=1, max_size=40, unique=True), st.randoms(use_true_random=False))
def test_a_value_does_not_change_when_others_come_or_go(some, rng):
    maker = Manufacturer(KEYS, services().prefixes)
    whole = dict(zip(some, maker.choose("x", points(*some), WEIGHTS), strict=True))
    tokens = dict(zip(some, maker.token36("y", points(*some)), strict=True))
    rest = rng.sample(some, rng.randint(1, len(some)))
    assert maker.choose("x", points(*rest), WEIGHTS).to_list() == [whole[p] for p in rest]
    assert maker.token36("y", points(*rest)).to_list() == [tokens[p] for p in rest]


def test_another_key_or_item_gives_other_values(maker):
    other = Manufacturer(FieldKeys(bytes(range(1, 33)), "TEST"), {})
    some = points(*range(1000))
    assert (maker.token36("a", some) != other.token36("a", some)).all()
    assert (maker.token36("a", some) != maker.token36("b", some)).all()
    assert maker.choose("a", some, WEIGHTS).to_list() != other.choose("a", some, WEIGHTS).to_list()


def test_shares_follow_the_weights(maker):
    drawn = maker.choose("consent_granularity", np.arange(200_000, dtype=np.uint64), WEIGHTS)
    shares = dict(drawn.value_counts(normalize=True).rows())
    assert all(abs(shares[name] - weight / 100) < 0.005 for name, weight in WEIGHTS.items())


def test_registration_ids_are_unique_and_fit(maker):
    made = maker.token36("css_registration_id", np.arange(300_000, dtype=np.uint64))
    assert made.n_unique() == made.len()
    assert made.str.contains("^SYN-[0-9A-F]{32}$").all()


@pytest.mark.requirement("Q2", "Q6")
def test_an_esme_id_is_locally_administered_and_no_real_one(maker):
    meters = pl.Series([f"{n}\n1\nHIGH STREET\nIP1 1AA" for n in range(300_000)])
    made = maker.eui64("esme_id", meters)
    assert made.n_unique() == made.len()
    assert made.str.contains("^[0-9A-F]{2}(-[0-9A-F]{2}){7}$").all()
    assert made.str.contains("^[0-9A-F][26AE]").all()  # bit 0x02 set, bit 0x01 not: no registered maker has it
    real = esme_ids(np.arange(300_000), 5)
    assert not real.is_in(made.implode()).any()
    assert not real.str.contains("^[0-9A-F][26AE]").any()


def test_one_meter_has_one_esme_id_on_both_metering_points(maker):
    pair = pl.Series(["S\n1\nHIGH STREET\nIP1 1AA", "S\n1\nHIGH STREET\nIP1 1AA", "S\n2\nHIGH STREET\nIP1 1AA"])
    made = maker.eui64("esme_id", pair)
    assert made[0] == made[1] != made[2]


def test_default_dip_ids_never_meet(maker):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    rng = random.Random(4)
    mpids = ["".join(rng.choices(alphabet, k=4)) for _ in range(3000)]
    ids = {dip_id(prefix, mpid) for mpid in set(mpids) for prefix in services().prefixes.values()}
    assert len(ids) == len(set(mpids)) * len(services().prefixes)
    assert all(re.fullmatch(r"\d{10}", i or "") for i in ids)
    found = maker.dip_ids("d", pl.Series(["SUPA", None, "SUPA"]), pl.Series(["SUP", "SUP", "NONE"]))
    assert found.to_list() == [f"23{int('SUPA', 36):08d}", None, None]
    with pytest.raises(ContractError):
        dip_id("23", "SUPPA")


def test_a_maker_shows_no_key(maker):
    assert repr(maker) == "Manufacturer(TEST)"
    assert bytes(range(32)).hex() not in repr(vars(maker))
