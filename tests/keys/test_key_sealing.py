"""A key under a passphrase: an age file that opens for the right passphrase, unchanged, and not otherwise."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from contracts.errors import KeyMaterialError
from flows.keys import age_files
from flows.keys.cut_key import keep_key, plain_line, read_key
from flows.keys.passphrase import Unlock, passphrase_of
from tests.keys import age_reference
from tests.keys.conftest import CUT, KEY, PASSPHRASE, private
from transforms.pseudonymise.keys import FieldKeys

PUBLISHED = Path(__file__).parents[1] / "vectors" / "age_scrypt_public.json"
WORDS = "correct horse battery staple"
FINGERPRINT = FieldKeys(KEY, CUT).fingerprint()
LINE = plain_line(KEY)
AT_ONCE = 0.05  # seconds of this process: nothing was stretched


@pytest.fixture
def file() -> bytes:
    return age_reference.seal(LINE, WORDS)


def unseal(data: bytes, words: str = WORDS) -> bytes:
    return age_files.unseal(data, words, where="x")


@pytest.mark.requirement("Q67")
def test_a_sealed_key_opens_for_another_program_and_says_nothing_of_itself() -> None:
    sealed = age_files.seal(LINE, WORDS)
    assert unseal(sealed) == LINE
    assert age_reference.unseal(base64.b64decode(b"".join(sealed.splitlines()[1:-1])), WORDS) == LINE
    for form in (KEY, KEY.hex().encode(), WORDS.encode()):
        assert form not in sealed
        assert form not in base64.b64decode(b"".join(sealed.splitlines()[1:-1]))


def test_a_key_that_another_program_sealed_opens(file: bytes) -> None:
    assert unseal(file) == unseal(age_reference.armoured(file)) == LINE


@pytest.mark.parametrize("vector", json.loads(PUBLISHED.read_text())["vectors"], ids=lambda v: v["name"])
def test_published_files_about_scrypt(vector: dict[str, str]) -> None:
    data = base64.b64decode(vector["file"])
    if vector["expect"] == "success":
        assert hashlib.sha256(unseal(data, vector["passphrase"])).hexdigest() == vector["payload_sha256"]
        return
    with pytest.raises(KeyMaterialError):
        unseal(data, vector["passphrase"])


@pytest.mark.parametrize("words", ["", "correct horse battery stapl", "Correct horse battery staple"])
def test_another_passphrase_does_not_open(file: bytes, words: str) -> None:
    with pytest.raises(KeyMaterialError, match="passphrase"):
        unseal(file, words)


def test_flipped_bits_are_refused(file: bytes) -> None:
    whole = int.from_bytes(file, "big")
    for bit in range(8 * len(file)):
        changed = (whole ^ (1 << bit)).to_bytes(len(file), "big")
        with pytest.raises(KeyMaterialError):
            unseal(changed)


@pytest.mark.parametrize("stated", [21, 22, 30, 63, 64, 255, 10**9, 10**30, 0, -1, "04", "+4", "4 4", "x", ""])
@pytest.mark.parametrize("armour", [False, True])
def test_work_beyond_reason_is_refused_before_anything_is_computed(stated: object, armour: bool) -> None:
    data = age_reference.seal(LINE, WORDS, stated=stated)
    begun = time.process_time()
    with pytest.raises(KeyMaterialError):
        unseal(age_reference.armoured(data) if armour else data)
    assert time.process_time() - begun < AT_ONCE


def test_a_passphrase_beside_another_way_in_is_refused(file: bytes, tmp_path: Path) -> None:
    identity, _ = age_files.new_identity()
    version, stanza, body, rest = file.split(b"\n", 3)
    for more in (
        [stanza, body] * 2,
        [b"-> grease x", b"", stanza, body],
        [stanza, body, b"-> X25519 " + b"a" * 43, body],
    ):
        data = b"\n".join([version, *more, rest])
        (tmp_path / "two").write_bytes(data)
        (tmp_path / "two").chmod(0o600)
        with pytest.raises(KeyMaterialError, match="damaged"):
            unseal(data)
        with pytest.raises(KeyMaterialError, match="damaged"):
            age_files.unwrap(data, identity, where="x")
        with pytest.raises(KeyMaterialError, match="damaged"):
            read_key(tmp_path / "two", CUT)


def test_each_kind_is_named_where_the_other_is_wanted(file: bytes) -> None:
    identity, recipient = age_files.new_identity()
    with pytest.raises(KeyMaterialError, match="sealed under a passphrase"):
        age_files.unwrap(file, identity, where="x")
    with pytest.raises(KeyMaterialError, match="wrapped for an identity"):
        unseal(age_files.wrap(LINE, age_files.recipients_of(recipient)))


@pytest.mark.parametrize("end", [b"", b"\n", b"x\n", b"---\n"])
@pytest.mark.parametrize("armour", [False, True])
def test_cut_off_or_longer_files_are_refused(file: bytes, end: bytes, armour: bool) -> None:
    data = age_reference.armoured(file) if armour else file
    for changed in (
        data[:-40],
        data[: len(data) // 2] + end,
        data[:30] + end,
        end,
        *([] if armour else [data + end + b"x"]),
    ):
        with pytest.raises(KeyMaterialError):
            unseal(changed)


def test_read_key_opens_all_kinds_alike(tmp_path: Path, plain: Path, passphrase_file: Path) -> None:
    keep_key(tmp_path / "sealed.key", KEY, CUT, passphrase_of(passphrase_file))
    opened = read_key(tmp_path / "sealed.key", CUT, FINGERPRINT, Unlock(passphrase_file))
    assert opened.field("mpan").material() == read_key(plain, CUT).field("mpan").material()
    for form in (age_reference.seal(LINE, PASSPHRASE), age_reference.armoured(age_reference.seal(LINE, PASSPHRASE))):
        (tmp_path / "sealed.key").write_bytes(form)
        opened = read_key(tmp_path / "sealed.key", CUT, FINGERPRINT, Unlock(passphrase_file))
        assert opened.fingerprint() == FINGERPRINT
        with pytest.raises(KeyMaterialError, match="another key"):
            read_key(tmp_path / "sealed.key", CUT, "0" * 32, Unlock(passphrase_file))


def test_the_environment_may_name_the_file_but_never_shows_it(
    tmp_path: Path, passphrase_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private(tmp_path / "sealed.key", age_reference.armoured(age_reference.seal(LINE, PASSPHRASE)).decode())
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
