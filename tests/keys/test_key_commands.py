"""The key commands end to end, and the key of a run: read as ``cut.yaml`` says, refused before a row is read."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.keys import age_files
from flows.keys.cut_key import plain_line
from flows.keys.secret_files import write_new
from flows.keys.signing_key import new_signing_key
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.keys import age_reference
from tests.keys.conftest import CUT, KEY, Done, private
from transforms.pseudonymise.keys import FieldKeys

FINGERPRINT = FieldKeys(KEY, CUT).fingerprint()
Run = Callable[..., Done]


def test_the_life_of_a_key(tmp_path: Path, passphrase_file: Path, datacut: Run) -> None:
    made = datacut("key", "new", "--cut", CUT, "--out", "cut.key", "--passphrase-file", passphrase_file)
    fingerprint = made.out.strip()
    assert (made.code, len(fingerprint)) == (0, 32)
    recipient = datacut("key", "identity", "--out", "identity").out.strip()
    sealed = ("--key", "cut.key", "--cut", CUT, "--passphrase-file", passphrase_file)
    assert datacut("key", "fingerprint", *sealed).out.strip() == fingerprint
    assert datacut("key", "wrap", *sealed, "--to", recipient, "--out", "cut.age").out.strip() == fingerprint
    unwrap = ("key", "unwrap", "--key", "cut.age", "--cut", CUT, "--identity", "identity", "--out", "again.key")
    assert datacut(*unwrap, "--fingerprint", "0" * 32).code == 13
    assert not (tmp_path / "again.key").exists()
    assert datacut(*unwrap, "--fingerprint", fingerprint).out.strip() == fingerprint
    split = datacut(
        "key", "split", "--key", "again.key", "--cut", CUT, "--shares", 3, "--threshold", 2, "--out", "held"
    )
    parts = split.out.split()
    assert datacut("key", "combine", *parts[1:], "--cut", CUT, "--out", "third.key").out.strip() == fingerprint
    assert (tmp_path / "third.key").read_bytes() == (tmp_path / "again.key").read_bytes()
    assert datacut("key", "combine", parts[0], "--cut", CUT, "--out", "none.key").code == 13
    for path in ("cut.key", "identity", "cut.age", "again.key", "third.key", *parts):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o600
    new_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    for number, file in enumerate(("again.key", parts[0])):
        certificate = f"certificate-{number}"
        destroy = ("--cut", CUT, "--by", "Ann", "--signing-key", "signing.key", "--certificate", certificate)
        done = datacut("key", "destroy", "--key", file, *destroy, "--revoked", "revoked-keys.txt")
        assert (done.code, done.out) == (0, f"destroyed {fingerprint}\n")
        assert not (tmp_path / file).exists()
        told = datacut("key", "certificate", certificate, "--public-key", "signing.pub")
        assert fingerprint in told.out
    assert (tmp_path / "revoked-keys.txt").read_text().count(fingerprint) == 1  # a list, and no log


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal with little work: age's own second is for those who guess."""
    monkeypatch.setattr(age_files, "seal", age_reference.seal)


@pytest.mark.usefixtures("quick")
def test_protect_changes_the_passphrase(tmp_path: Path, plain: Path, passphrase_file: Path, datacut: Run) -> None:
    other = private(tmp_path / "other", "another passphrase\n")
    arguments = ("key", "protect", "--cut", CUT, "--out")
    assert datacut(*arguments, "a", "--key", plain, "--new-passphrase-file", passphrase_file).code == 0
    moved = ("--key", "a", "--passphrase-file", passphrase_file, "--new-passphrase-file", other)
    assert datacut(*arguments, "b", *moved).out.strip() == FINGERPRINT
    assert datacut("key", "fingerprint", "--key", "b", "--cut", CUT, "--passphrase-file", passphrase_file).code == 13
    assert datacut("key", "fingerprint", "--key", "b", "--cut", CUT, "--passphrase-file", other).code == 0


def test_a_key_is_never_written_over_and_two_are_never_alike(tmp_path: Path, datacut: Run) -> None:
    first = datacut("key", "new", "--cut", CUT, "--out", "a")
    before = (tmp_path / "a").read_bytes()
    assert datacut("key", "new", "--cut", CUT, "--out", "a").code == 13
    assert (tmp_path / "a").read_bytes() == before
    assert datacut("key", "new", "--cut", CUT, "--out", "b").out != first.out
    assert datacut("key", "new", "--cut", CUT, "--out", "no/such/folder/c").code == 19


@pytest.mark.usefixtures("quick")
def test_a_protected_key_without_a_terminal_says_what_to_do(plain: Path, passphrase_file: Path, datacut: Run) -> None:
    datacut("key", "protect", "--key", plain, "--cut", CUT, "--out", "a", "--new-passphrase-file", passphrase_file)
    done = datacut("key", "fingerprint", "--key", "a", "--cut", CUT)
    assert done.code == 13
    assert "DATACUT_PASSPHRASE_FILE" in done.err
    assert len(done.err.splitlines()) == 1
    named = datacut("key", "fingerprint", "--key", "a", "--cut", CUT, DATACUT_PASSPHRASE_FILE=str(passphrase_file))
    assert named.out.strip() == FINGERPRINT


# -- a run ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "sample"
    generate(SampleRequest(60, 3), folder)
    for path in folder.rglob("*registration*"):
        os.truncate(path, 0)  # a run that reads a row fails on it, with another exit code than that of a key
    return folder


def _cut(sample: Path, tmp_path: Path, *lines: str) -> Path:
    folder = tmp_path / "cut"
    shutil.copytree(sample, folder)
    text = (folder / "cut.yaml").read_text()
    (folder / "cut.yaml").write_text(text.replace("  scheme: 1", "".join(f"  {ln}\n" for ln in lines) + "  scheme: 1"))
    return folder


def _id(folder: Path) -> str:
    return next(ln.split()[1] for ln in (folder / "cut.yaml").read_text().splitlines() if ln.startswith("  id:"))


def test_a_wrong_key_ends_a_run_before_a_row_is_read(sample: Path, tmp_path: Path, datacut: Run) -> None:
    folder = _cut(sample, tmp_path, "fingerprint: 0123456789abcdef0123456789abcdef")
    done = datacut("run", "--plain", folder / "cut.yaml")
    assert done.code == 13
    assert "0123456789abcdef" in done.err
    assert not list(folder.rglob("*.arrow"))


def test_a_revoked_key_ends_a_run_before_a_row_is_read(sample: Path, tmp_path: Path, datacut: Run) -> None:
    folder = _cut(sample, tmp_path)
    right = datacut("run", "--plain", folder / "cut.yaml")
    assert right.code == 11  # the key is good: the run goes on to the files, which are empty
    found = datacut("key", "fingerprint", "--key", folder / "keys/cut.key", "--cut", _id(folder)).out.strip()
    (folder / "revoked-keys.txt").write_text(f"{found}  # compromised\n")
    done = datacut("run", "--plain", folder / "cut.yaml")
    assert (done.code, "revoked" in done.err) == (13, True)


def test_a_named_list_that_is_missing_ends_a_run(sample: Path, tmp_path: Path, datacut: Run) -> None:
    folder = _cut(sample, tmp_path, "revoked_keys: no-such-list.txt")
    assert datacut("run", "--plain", folder / "cut.yaml").code == 13


def test_a_run_opens_the_key_that_cut_yaml_describes(
    sample: Path, tmp_path: Path, passphrase_file: Path, datacut: Run
) -> None:
    folder = _cut(sample, tmp_path, f"key_passphrase_file: {passphrase_file}")
    (folder / "keys/cut.key").unlink()
    sealed = age_reference.seal(plain_line(KEY), passphrase_file.read_text().strip())
    write_new(folder / "keys/cut.key", sealed)
    assert datacut("run", "--plain", folder / "cut.yaml").code == 11
    private(passphrase_file, "some other passphrase\n")
    assert datacut("run", "--plain", folder / "cut.yaml").code == 13
    folder.joinpath("keys/cut.key").unlink()
    write_new(folder / "keys/cut.key", age_reference.seal(plain_line(KEY), "some other passphrase", stated=22))
    assert datacut("run", "--plain", folder / "cut.yaml").code == 13


def test_each_sample_has_keys_of_its_own_unless_asked_otherwise(tmp_path):
    """Attack 5: nobody meets a published key by making an example; the backups are the same all the same."""
    for name, option in (("a", ()), ("b", ()), ("c", ("--published-keys",)), ("d", ("--published-keys",))):
        done = datacut("sample", "--mpans", 60, "--seed", 1, "--out", tmp_path / name, *option)
        assert done.code == 0, done.err
    keys = {name: (tmp_path / name / "keys" / "cut.key").read_text() for name in "abcd"}
    assert len(set(keys.values())) == 3
    assert keys["c"] == keys["d"]
    tests = {name: "test: true" in (tmp_path / name / "cut.yaml").read_text() for name in "abcd"}
    assert tests == {"a": False, "b": False, "c": True, "d": True}
    assert len({(tmp_path / name / "EELC" / "registration.csv").read_bytes() for name in "abcd"}) == 1
    assert datacut("anonymise", tmp_path / "a" / "cut.yaml", "--plain").code == 0
