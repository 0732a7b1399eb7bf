"""Keys, envelopes and statements: an independent reader in twenty lines, and what key files may look like."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import EvidenceError, KeyMaterialError
from flows.keys.signing_key import Signer, key_id, load_public, load_signer, new_signing_key
from flows.pack.schema import SCHEMA, schema_faults
from tests.evidence.specimen import model, specimen
from transforms.release.attestation import accounting_faults, canonical_bytes, ordered, strict_json


def independent_reader(pack: Path, public_key: Path) -> dict:
    """Verify a pack with the DSSE and in-toto documents at hand and none of this project's code."""
    envelope = json.loads((pack / "signature.dsse.json").read_text())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    key = load_pem_public_key(public_key.read_bytes())
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    entry = next(e for e in envelope["signatures"] if e["keyid"] == hashlib.sha256(raw).hexdigest()[:16])
    key.verify(base64.b64decode(entry["sig"]), message)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    (subject,) = statement["subject"]
    tags = (pack / subject["name"]).read_bytes()
    assert hashlib.sha256(tags).hexdigest() == subject["digest"]["sha256"]
    for manifest in (tags, (pack / "manifest-sha256.txt").read_bytes()):
        for line in manifest.decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == digest
    return statement["predicate"]


def test_an_independent_reader_agrees(seal, tmp_path: Path) -> None:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    pack = seal(tmp_path / "pack", signers=[load_signer(tmp_path / "k.pem")]).path
    predicate = independent_reader(pack, tmp_path / "k.pub")
    assert predicate == json.loads((pack / "evidence/evidence.json").read_bytes())


def test_a_new_key_is_private_and_never_overwrites(tmp_path: Path) -> None:
    private, public = tmp_path / "k.pem", tmp_path / "k.pub"
    made = new_signing_key(private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    assert load_signer(private).public == load_public(public) == made
    assert made.keyid == hashlib.sha256(made.raw).hexdigest()[:16] == key_id(made.raw)
    for other in (tmp_path / "a.pem", private):
        with pytest.raises(KeyMaterialError):
            new_signing_key(other, public)
    assert not (tmp_path / "a.pem").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_private_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    (tmp_path / "k.pem").chmod(mode)
    with pytest.raises(KeyMaterialError) as error:
        load_signer(tmp_path / "k.pem")
    assert error.value.exit_code == 13


def test_a_passphrase_is_asked_for(tmp_path: Path) -> None:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub", passphrase=b"correct horse")
    assert load_signer(tmp_path / "k.pem", passphrase=b"correct horse")
    for wrong in (None, b"battery staple"):
        with pytest.raises(KeyMaterialError):
            load_signer(tmp_path / "k.pem", passphrase=wrong)


def test_files_that_are_no_ed25519_key(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (private, public, b"", b"-----BEGIN PUBLIC KEY-----\n", b"x" * 100_000):
        path = tmp_path / "k"
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(KeyMaterialError):
            load_signer(path)
        with pytest.raises(KeyMaterialError):
            load_public(path)
    with pytest.raises(KeyMaterialError):
        load_public(tmp_path / "absent")


def test_a_private_key_given_as_public_says_so(tmp_path: Path) -> None:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    with pytest.raises(KeyMaterialError, match="never the private key"):
        load_public(tmp_path / "k.pem")


def test_a_signer_does_not_show_its_key(operator: Signer) -> None:
    assert repr(operator) == "Signer()"


NOT_STRICT = {
    "repeated key": b'{"a":1,"a":2}',
    "repeated key deep": b'{"a":[{"b":1,"b":1}]}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "trailing": b"{} {}",
    "comment": b"{} // x",
    "not UTF-8": b'{"a":"\xff"}',
    "byte-order mark": b"\xef\xbb\xbf{}",
    "truncated": b'{"a":',
    "deep": b"[" * 200_000,
    "endless number": b'{"a":' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("fault", NOT_STRICT)
def test_lax_json_is_refused(fault: str) -> None:
    with pytest.raises(EvidenceError) as error:
        strict_json(NOT_STRICT[fault], where="evidence/evidence.json")
    assert error.value.where == "evidence/evidence.json"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1, 2}, b"x"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(EvidenceError):
        canonical_bytes({"a": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@given(json_values)
def test_canonical_bytes_come_back_and_stay(value: object) -> None:
    data = canonical_bytes(value)
    assert strict_json(data, where="") == value
    assert canonical_bytes(strict_json(data, where="")) == data


@settings(deadline=None)  # it reads whole evidence back
@given(st.randoms())
def test_the_order_in_which_stages_ended_does_not_show(rng) -> None:
    evidence = specimen(3, 3)
    sections = dict(evidence)
    for name in ("accounting", "rules", "inputs", "alignment", "contracts", "previous"):
        sections[name] = rng.sample(sections[name], len(sections[name]))
    assert canonical_bytes(ordered(model(sections)).document()) == canonical_bytes(evidence)


def test_the_specimen_keeps_schema_and_balance() -> None:
    for evidence in (specimen(), specimen(30, 1000), specimen(1, 0, kind="submission")):
        assert schema_faults(evidence) == []
        assert accounting_faults(model(evidence)) == []


def test_the_schema_is_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json.loads(SCHEMA.read_bytes()))


@pytest.mark.parametrize("section", ["schema", "kind", "cut", "tool", "scheme", "key_fingerprint", "times", "rules"])
def test_a_section_that_must_be_there(section: str) -> None:
    evidence = specimen(1, 0, kind="submission")
    del evidence[section]
    assert schema_faults(evidence) == [f"/ lacks {section}"]


def test_schema_faults_quote_no_content() -> None:
    evidence = specimen(1, 0, kind="submission")
    evidence["inputs"][0]["hmac_sha256"] = "1200023305967"
    evidence["inputs"][0]["rows"] = "1200023305967"
    assert len(schema_faults(evidence)) == 2
    assert not any("1200023305967" in fault for fault in schema_faults(evidence))
