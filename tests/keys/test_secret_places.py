"""Keys that lie in no plain file: from a program, the orchestrator's store, under a passphrase; and expired ones."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from contracts.errors import ConfigurationError, DataCutError, KeyMaterialError
from flows.cut import context, secret_places
from flows.cut.config import Job, load_cut
from flows.cut.secret_places import SecretBlock, SecretCommand, read_secret
from flows.keys.cut_key import keep_key
from flows.keys.signing_key import load_public, load_signer
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.keys.conftest import KEY, PASSPHRASE, private

pytestmark = pytest.mark.requirement("Q67")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("places") / "cut"
    generate(SampleRequest(60, 4, 0.0), folder)
    return folder


@pytest.fixture
def cut(pristine, tmp_path) -> Path:
    """Return a cut.yaml of its own beside the same backups."""
    file = pristine / f"{tmp_path.name}.yaml"
    file.write_text((pristine / "cut.yaml").read_text())
    return file


def changed(cut: Path, **entries: object) -> Job:
    """Return a cut with some entries of ``cut:`` and ``release:`` set anew."""
    document = yaml.safe_load(cut.read_text())
    for name, value in entries.items():
        document["release" if name.startswith("signing") else "cut"][name] = value
    cut.write_text(yaml.safe_dump(document))
    return load_cut(cut)


def says(path: Path) -> dict[str, list[str]]:
    return {"command": [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read(), end='')", str(path)]}


def test_a_key_from_a_program_is_the_key(cut):
    wanted = context.cut_keys(load_cut(cut)).fingerprint()
    key = cut.parent / "keys" / "cut.key"
    assert context.cut_keys(changed(cut, key=says(key))).fingerprint() == wanted
    relative = {"command": ["cat", "keys/cut.key"]}  # in the folder of cut.yaml
    assert context.cut_keys(changed(cut, key=relative)).fingerprint() == wanted
    with pytest.raises(KeyMaterialError, match="is another key"):
        context.cut_keys(changed(cut, key=relative, fingerprint="0" * 32))


def test_a_protected_key_is_opened_by_a_passphrase_from_a_program(cut, tmp_path, passphrase_file):
    fingerprint = keep_key(tmp_path / "sealed.key", KEY, load_cut(cut).model.cut.id, PASSPHRASE)
    job = changed(cut, key=str(tmp_path / "sealed.key"), key_passphrase=says(passphrase_file))
    assert context.cut_keys(job).fingerprint() == fingerprint


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/absent/vault"], "cannot be run"),
        ([sys.executable, "-c", "import sys; sys.stderr.write('SECRET'); sys.exit(3)"], "ended with code 3"),
        (["true"], "gives nothing"),
        (["head", "-c", "99999", "/dev/zero"], "gives nothing, or more than a key can be"),
        (["echo", "not a key SECRET"], "is not a cut key"),
    ],
)
def test_a_program_that_gives_no_key_is_told_by_its_name(cut, command, words, capfd):
    with pytest.raises(KeyMaterialError) as told:
        context.cut_keys(changed(cut, key={"command": command}))
    assert words in told.value.line()
    assert Path(command[0]).name in told.value.line()
    assert "SECRET" not in told.value.line() + "".join(capfd.readouterr())


def test_a_program_that_never_ends_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(secret_places, "ANSWERED_WITHIN", 0.2)
    slow = SecretCommand(command=("sh", "-c", f"echo {KEY.hex()}; exec sleep 60"))
    with pytest.raises(KeyMaterialError, match="gave nothing within") as caught:
        read_secret(slow, tmp_path)
    assert caught.value.__context__ is None  # what ran out of time holds what was printed until then


def test_a_key_is_read_from_prefects_store(monkeypatch, tmp_path):
    from prefect.blocks.system import Secret

    def load(name: str) -> Secret:
        if name != "cut-key":
            raise ValueError("Unable to find block document")
        return Secret(value=KEY.hex())

    monkeypatch.setattr(Secret, "load", load)
    assert read_secret(SecretBlock(secret_block="cut-key"), tmp_path) == KEY.hex().encode()
    with pytest.raises(KeyMaterialError, match="the block other: is not there"):
        read_secret(SecretBlock(secret_block="other"), tmp_path)


@pytest.mark.parametrize(
    "key", [{"command": []}, {"command": "cat key"}, {"comand": ["cat"]}, {"secret_block": ""}, 7, []]
)
def test_a_place_that_is_none_is_refused(cut, key):
    with pytest.raises(ConfigurationError, match=r"cut\.key"):
        changed(cut, key=key)


def test_a_signing_key_may_have_a_passphrase(cut, tmp_path, passphrase_file):
    """Given by a program, by a file that the environment names, or not at all."""
    pem = tmp_path / "signing.pem"
    made = datacut("key", "signing", "--out", pem, "--passphrase-file", passphrase_file)
    assert made.code == 0
    assert b"ENCRYPTED" in pem.read_bytes()
    keyid = made.out.strip()
    job = changed(cut, signing_key=str(pem), signing_passphrase=says(passphrase_file))
    assert context.cut_signer(job).keyid == keyid == load_public(pem.with_suffix(".pub")).keyid
    os.environ["DATACUT_SIGNING_PASSPHRASE_FILE"] = str(passphrase_file)
    try:
        assert load_signer(pem).keyid == keyid
    finally:
        del os.environ["DATACUT_SIGNING_PASSPHRASE_FILE"]
    wrong = private(tmp_path / "wrong", "another one that is long enough")
    with pytest.raises(KeyMaterialError, match="or the passphrase is wrong"):
        context.cut_signer(changed(cut, signing_passphrase=says(wrong)))
    job = changed(cut, signing_passphrase=None)
    with open(os.devnull) as nobody, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdin", nobody)
        with pytest.raises(KeyMaterialError, match="no terminal to ask at") as told:
            context.cut_signer(job)
    assert "release.signing_passphrase" in told.value.line()


def test_the_key_of_an_expired_cut_is_not_even_read(cut):
    """By whatever reads it: a run, a ring-fence, an attack."""
    job = changed(cut, expires=datetime.now(UTC).date() - timedelta(days=1), key="absent.key")
    with pytest.raises(ConfigurationError, match="the cut expired on"):
        context.cut_keys(job)
    assert datacut("anonymise", cut, "--plain").code == 2
    today = changed(cut, expires=datetime.now(UTC).date())
    with pytest.raises(KeyMaterialError):
        context.cut_keys(today)


def test_a_secret_is_in_no_argument_and_no_variable_of_any_process(cut, tmp_path):
    """While a run reads its key from a program: /proc of both says nothing of it."""
    key = (cut.parent / "keys" / "cut.key").read_text().strip()
    seen = tmp_path / "seen"
    look = (
        "import os, pathlib, sys; "
        "texts = [p.read_bytes() for n in (os.getpid(), os.getppid()) for w in ('cmdline', 'environ') "
        "for p in [pathlib.Path(f'/proc/{n}/{w}')] if os.access(p, os.R_OK)]; "
        f"pathlib.Path({str(seen)!r}).write_bytes(b' '.join(texts)); print(open('keys/cut.key').read(), end='')"
    )
    changed(cut, key={"command": [sys.executable, "-c", look]})
    code = "import sys, pathlib; from flows.cut import config, context; "
    code += "context.cut_keys(config.load_cut(pathlib.Path(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", code, cut], check=True)
    assert len(seen.read_bytes()) > 100
    assert key.encode() not in seen.read_bytes()


def test_the_error_of_a_place_is_ours():
    with pytest.raises(DataCutError):
        read_secret(Path("absent"), Path("/"))
