"""Published and project vectors: FF1, HKDF, HMAC, and scheme 1 as the command prints it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from typer.testing import CliRunner

from contracts.errors import RefusedError
from flows.cli.main import build
from transforms.leak_scan import plain_scheme
from transforms.pseudonymise import ff1
from transforms.pseudonymise.identifiers import encrypt_numerals
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import Subkey

VECTORS = Path(__file__).parents[1] / "vectors"


def _load(name: str) -> dict:
    return json.loads((VECTORS / name).read_text())


FF1 = _load("ff1_public.json")["vectors"]
SCHEME = _load("scheme-1.json")
FIELDS = [field for field, rows in SCHEME.items() if isinstance(rows, list)]


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("vector", FF1, ids=[v["id"] for v in FF1])
def test_published_ff1_vector(vector: dict) -> None:
    numerals = [vector["alphabet"].find(c) for c in vector["pt"]]
    arguments = (bytes.fromhex(vector["key"]), vector["radix"], bytes.fromhex(vector["tweak"]), numerals)
    if vector["rev1_2pd_result"] == "invalid":  # also where the 2016 text allowed a domain below a million
        with pytest.raises(ValueError, match=r"radix|values|key size|numeral"):
            ff1.encrypt(*arguments)
        return
    assert [vector["alphabet"].index(c) for c in vector["ct"]] == ff1.encrypt(*arguments)


def test_published_ff1_vectors_on_the_vectorised_path() -> None:
    tried = 0
    for vector in FF1:
        n = len(vector["pt"])
        if vector["rev1_2pd_result"] != "valid" or not ff1.vectorised(vector["radix"], n):
            continue
        index = vector["alphabet"].index
        tweak = np.frombuffer(bytes.fromhex(vector["tweak"]), np.uint8).reshape(1, -1)
        plain = np.array([[index(c) for c in vector["pt"]]] * 3, np.uint8)
        out = encrypt_numerals(Subkey(bytes.fromhex(vector["key"]), "vector"), vector["radix"], tweak, plain)
        assert out.tolist() == [[index(c) for c in vector["ct"]]] * 3, vector["id"]
        tried += 1
    assert tried > 100


HMAC = [v for v in _load("hmac_sha256_public.json")["vectors"] if len(v["key"]) <= 128]  # longer keys never occur


@pytest.mark.parametrize("vector", HMAC, ids=lambda v: v["id"])
def test_published_hmac_vector(vector: dict) -> None:
    messages = pl.Series([bytes.fromhex(vector["msg"])], dtype=pl.Binary)
    tag = hmac_sha256(Subkey(bytes.fromhex(vector["key"]), "vector"), messages)[0].tobytes()
    assert tag[: vector["tag_bits"] // 8].hex() == vector["tag"]


@pytest.mark.parametrize("vector", _load("hkdf_sha256_public.json")["vectors"], ids=lambda v: v["id"])
def test_published_hkdf_vector(vector: dict) -> None:
    salt = bytes.fromhex(vector["salt"]) or None
    derive = HKDF(SHA256(), vector["length"], salt, bytes.fromhex(vector["info"])).derive
    assert derive(bytes.fromhex(vector["ikm"])).hex() == vector["okm"]


@pytest.mark.requirement("Q67", "Q68")
@pytest.mark.parametrize("field", FIELDS)
def test_command_reproduces_scheme_1(field: str, tmp_path: Path) -> None:
    key = tmp_path / "cut.key"
    key.write_text(SCHEME["cut_key_hex"] + "\n")
    key.chmod(0o600)
    arguments = ["pseudonym", "--field", field, "--key", str(key), "--cut", SCHEME["cut_id"]]
    spelt = [(raw, pseudonym) for raw, pseudonym in SCHEME[field] if field != "meter-serial" or " " not in raw]
    done = CliRunner().invoke(build(), arguments, input="".join(f"{raw}\n" for raw, _ in spelt))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [pseudonym for _, pseudonym in spelt]


def _by_plain_scheme(field: str, value: str) -> str:
    key = plain_scheme.field_key(bytes.fromhex(SCHEME["cut_key_hex"]), SCHEME["cut_id"], field)
    found = getattr(plain_scheme, field.replace("-", "_"))(key, value)
    assert found
    return str(found)


SPELLINGS = json.loads((VECTORS / "spellings.json").read_text(encoding="utf-8"))


@pytest.mark.requirement("Q67", "Q68")
@pytest.mark.parametrize("field", SPELLINGS)
def test_command_gives_every_spelling_one_pseudonym(field: str, tmp_path: Path) -> None:
    """Each spelling has the pseudonym that scheme 1 gives to the canonical one; words for null have none."""
    key = tmp_path / "cut.key"
    key.write_text(SCHEME["cut_key_hex"] + "\n")
    key.chmod(0o600)
    arguments = ["pseudonym", "--field", field, "--key", str(key), "--cut", SCHEME["cut_id"]]
    pairs = [(spelt, one) for one, spellings in SPELLINGS[field].items() for spelt in spellings]
    wanted = {one: _by_plain_scheme(field, one) for one in SPELLINGS[field] if one}
    done = CliRunner().invoke(build(), arguments, input="".join(f"{spelt}\n" for spelt, _ in pairs))
    assert done.stdout.splitlines() == [wanted.get(one, "") for _, one in pairs]
    assert isinstance(done.exception, RefusedError) == ("" in SPELLINGS[field])
