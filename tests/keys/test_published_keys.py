"""A key that everybody has is refused for a cut in earnest."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest

from contracts.errors import KeyMaterialError
from contracts.scheme import published_keys
from flows.cut.config import load_cut
from flows.cut.context import cut_keys
from flows.keys.published import refuse_published
from flows.sample import SampleRequest, generate
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.public_secrets import sample_secret

pytestmark = pytest.mark.requirement("Q72")
VECTORS = Path(__file__).parents[1] / "vectors"
CUT = "IN-EARNEST"
PUBLISHED = {
    "counting": bytes(range(32)),
    "counting down": bytes(range(32, 0, -1)), "digits": b"0123456789" * 3 + b"01",
    "NIST's": bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94"),
    "a sample's": sample_secret("cut", 1), "another sample's": sample_secret("cut", 999),
}  # fmt: skip


@pytest.mark.parametrize("key", PUBLISHED.values(), ids=PUBLISHED)
def test_a_key_that_everybody_has_is_refused(key):
    with pytest.raises(KeyMaterialError, match="is a published key") as caught:
        refuse_published(FieldKeys(key, CUT), "cut.key")
    assert key.hex() not in caught.value.line()


def test_a_key_of_ones_own_is_taken():
    for _ in range(3):
        refuse_published(FieldKeys(secrets.token_bytes(32), CUT), "cut.key")
    near = bytearray(PUBLISHED["NIST's"])
    near[31] ^= 1
    refuse_published(FieldKeys(bytes(near), CUT), "cut.key")


def test_every_key_of_the_vectors_is_on_the_list():
    text = "".join((VECTORS / name).read_text() for name in ("ff1_public.json", "scheme-1.json"))
    assert json.loads((VECTORS / "ff1_public.json").read_text())
    keys = {bytes.fromhex(key) for key in re.findall(r'key[^:]*": *"([0-9a-fA-F]{64})"', text)}
    assert len(keys) > 50
    assert keys <= set(published_keys())


def test_the_samples_key_is_for_tests_alone(tmp_path):
    generate(SampleRequest(20, 5, 0.0), tmp_path / "s")
    cut = tmp_path / "s" / "cut.yaml"
    assert cut_keys(load_cut(cut)).fingerprint()
    cut.write_text(re.sub(r"\n  test: true.*", "", cut.read_text()))
    with pytest.raises(KeyMaterialError, match="is a published key"):
        cut_keys(load_cut(cut))
