"""A key under a passphrase: format 1 opens for the right passphrase and cut, unchanged, and not otherwise."""

from __future__ import annotations

import functools
import json
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from contracts.errors import KeyMaterialError
from flows.keys import age_files
from flows.keys.cut_key import keep_key, read_key
from flows.keys.passphrase import Unlock, passphrase_of
from tests.keys.conftest import CUT, KEY, OTHER_CUT, private
from transforms.pseudonymise.keys import FieldKeys

VECTORS = Path(__file__).parents[1] / "vectors" / "keywrap_kdf_public.json"
WORDS = b"correct horse battery staple"
FINGERPRINT = FieldKeys(KEY, CUT).fingerprint()


@pytest.fixture(scope="module")
def file() -> bytes:
    return age_files.seal(KEY, CUT, WORDS)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch each passphrase once: the real function, remembered, since thousands of files share one salt."""
    monkeypatch.setattr(age_files, "stretch", functools.cache(age_files.stretch))


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text())["argon2id"], ids=lambda v: v["memcost"])
def test_published_argon2id_vector(vector: dict) -> None:
    words, salt, secret, more = (bytes.fromhex(vector[name]) for name in ("pass", "salt", "secret", "ad"))
    kdf = Argon2id(
        salt=salt,
        length=int(vector["length"]),
        iterations=int(vector["iter"]),
        lanes=int(vector["lanes"]),
        memory_cost=int(vector["memcost"]),
        ad=more or None,
        secret=secret or None,
    )
    assert kdf.derive(words).hex() == vector["output"]


@pytest.mark.requirement("Q67")
def test_a_sealed_key_opens_and_says_nothing_of_itself(file: bytes) -> None:
    assert age_files.unseal(file, CUT, WORDS, where="x") == KEY
    assert age_files.stated_fingerprint(file, CUT, where="x") == FINGERPRINT
    for form in (KEY, KEY.hex().encode(), WORDS):
        assert form not in file
    assert age_files.seal(KEY, CUT, WORDS) != file  # a fresh salt and nonce each time


def test_a_file_of_format_1_written_before_still_opens() -> None:
    old = (
        b"datacut-sealed-key 1\ncut SIT-2026\nfingerprint 99b759b1bd89ccb5\n"
        b"argon2id iterations=3 lanes=4 memory=65536\nsalt 000102030405060708090a0b0c0d0e0f\n"
        b"aes-256-gcm nonce=101112131415161718191a1b\n"
        b"sealed 29412b61df91713e6c6a69ffb9aa421cdc4d0d4399355f763672a007b39dfdd222f4708908ab62a6aa06d9303b9e267b\n"
    )
    assert age_files.unseal(old, CUT, WORDS, where="x") == KEY


@pytest.mark.parametrize("words", [b"", b"correct horse battery stapl", b"Correct horse battery staple"])
def test_another_passphrase_does_not_open(file: bytes, words: bytes) -> None:
    with pytest.raises(KeyMaterialError, match="passphrase"):
        age_files.unseal(file, CUT, words, where="x")


def test_another_cut_is_refused_before_the_passphrase_is_stretched(file: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(KeyMaterialError, match="another cut"):
        age_files.unseal(file, OTHER_CUT, WORDS, where="x")
    assert time.process_time() - begun < 0.05


def _flips(file: bytes, step: int) -> list[bytes]:
    whole = int.from_bytes(file, "big")
    return [(whole ^ (1 << bit)).to_bytes(len(file), "big") for bit in range(0, 8 * len(file), step)]


def _refused(file: bytes, changed: bytes) -> None:
    cut = next((ln[4:].decode() for ln in changed.split(b"\n") if ln.startswith(b"cut ") and ln.isascii()), CUT)
    for asked in {CUT, cut}:  # also by somebody who believes the changed header
        with pytest.raises(KeyMaterialError):
            age_files.unseal(changed, asked, WORDS, where="x")


@pytest.mark.usefixtures("fast")
def test_flipped_bits_are_refused(file: bytes) -> None:
    for changed in _flips(file, 61):
        _refused(file, changed)


@pytest.mark.slow
@pytest.mark.usefixtures("fast")
def test_every_flipped_bit_is_refused(file: bytes) -> None:
    for changed in _flips(file, 1):
        _refused(file, changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"memory=65536", b"memory=8"),
        (b"memory=65536", b"memory=999999999"),
        (b"iterations=3", b"iterations=9999"),
        (b"lanes=4", b"lanes=999"),
        (b"key 1\n", b"key 2\n"),
        (b"argon2id", b"scrypt"),
        (b"\n", b"\r\n"),
    ],
)
def test_other_parameters_are_refused_at_once(file: bytes, old: bytes, new: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(KeyMaterialError):
        age_files.unseal(file.replace(old, new), CUT, WORDS, where="x")
    assert time.process_time() - begun < 0.05


@pytest.mark.parametrize("end", [b"", b"\n", b"x\n", b"sealed 00\n"])
def test_cut_off_or_longer_files_are_refused(file: bytes, end: bytes) -> None:
    for changed in (file + end if end else file[:-1], file[: len(file) // 2] + end, end):
        with pytest.raises(KeyMaterialError):
            age_files.unseal(changed, CUT, WORDS, where="x")


def test_read_key_opens_all_kinds_alike(tmp_path: Path, plain: Path, passphrase_file: Path) -> None:
    keep_key(tmp_path / "sealed.key", KEY, CUT, passphrase_of(passphrase_file))
    opened = read_key(tmp_path / "sealed.key", CUT, FINGERPRINT, Unlock(passphrase_file))
    assert opened.field("mpan").material() == read_key(plain, CUT).field("mpan").material()
    with pytest.raises(KeyMaterialError, match="another key"):  # by the header: nobody has to be asked
        read_key(tmp_path / "sealed.key", CUT, "0" * 16)


def test_the_environment_may_name_the_file_but_never_shows_it(
    tmp_path: Path, passphrase_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_key(tmp_path / "sealed.key", KEY, CUT, passphrase_of(passphrase_file))
    monkeypatch.setenv("DATACUT_PASSPHRASE_FILE", str(passphrase_file))
    assert read_key(tmp_path / "sealed.key", CUT).fingerprint() == FINGERPRINT
    monkeypatch.setenv("DATACUT_PASSPHRASE_FILE", "the passphrase itself, by mistake")
    with pytest.raises(KeyMaterialError) as told:
        read_key(tmp_path / "sealed.key", CUT)
    assert "mistake" not in str(told.value)


@pytest.mark.parametrize("text", ["", "short\n", "twelve or more\nand a second line\n", "\n\n"])
def test_unfit_passphrase_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyMaterialError, match=r"line|characters"):
        passphrase_of(private(tmp_path / "unfit", text))


def test_a_composed_and_a_decomposed_passphrase_are_one(tmp_path: Path) -> None:
    composed = passphrase_of(private(tmp_path / "a", "correct horse caf\u00e9\n"))
    assert composed == passphrase_of(private(tmp_path / "b", "correct horse cafe\u0301"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_files_open_to_others_are_refused(plain: Path, passphrase_file: Path, mode: int) -> None:
    plain.chmod(mode)
    passphrase_file.chmod(mode)
    with pytest.raises(KeyMaterialError, match="others"):
        read_key(plain, CUT)
    with pytest.raises(KeyMaterialError, match="others"):
        passphrase_of(passphrase_file)


def test_links_folders_and_giants_are_refused(tmp_path: Path, plain: Path) -> None:
    (tmp_path / "link").symlink_to(plain)
    giant = private(tmp_path / "giant", "0" * 20_000)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "link", tmp_path, giant, tmp_path / "missing", tmp_path / "pipe", Path("\0")):
        with pytest.raises(KeyMaterialError):
            read_key(path, CUT)
