"""``datacut key destroy`` killed at every step on the disk, and run again: gone, certified and revoked, once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from contracts.errors import DataCutError
from flows.keys import destruction
from flows.keys.cut_key import held_fingerprint, keep_key
from flows.keys.passphrase import Unlock
from flows.keys.signing_key import load_signer, new_signing_key
from tests.keys.conftest import CUT, KEY
from transforms.pseudonymise.keys import FieldKeys

FINGERPRINT = FieldKeys(KEY, CUT).fingerprint()
STEPS = ("open", "write", "fsync", "replace", "unlink", "fdopen", "link")
MOST = 60


def destroy(folder: Path) -> destruction.Destroyed:
    key = folder / "cut.key"
    return destruction.destroy(
        key,
        cut=CUT,
        fingerprint=lambda: held_fingerprint(key, CUT, Unlock()),
        by="Ann Custodian",
        signer=load_signer(folder / "signing.pem"),
        certificate=folder / "certificate",
        revoked=folder / "revoked-keys.txt",
    )


def killed_at(folder: Path, last: int, *, after: bool) -> bool:
    """Destroy in a process that is killed before or after its N-th step, a write in its middle; tell whether it was."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    count = 0
    try:
        for name in STEPS:
            original = getattr(os, name)

            def step(*arguments, original=original, name=name, **named):
                nonlocal count
                count += 1
                if count == last and name == "write":
                    arguments = (arguments[0], arguments[1][: len(arguments[1]) // 2])
                try:
                    return original(*arguments, **named) if count < last or after else None
                finally:
                    if count == last:
                        os.kill(os.getpid(), signal.SIGKILL)

            setattr(os, name, step)
        destroy(folder)
    finally:
        os._exit(0)


def fresh(folder: Path) -> Path:
    folder.mkdir()
    keep_key(folder / "cut.key", KEY, CUT, None)
    new_signing_key(folder / "signing.pem", folder / "signing.pub")
    return folder


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after it"])
def test_a_destruction_that_is_killed_at_any_step_is_gone_on_with(tmp_path: Path, after: bool) -> None:
    kills = 0
    for last in range(1, MOST):
        folder = fresh(tmp_path / str(last))
        if not killed_at(folder, last, after=after):
            break
        kills += 1
        if (folder / "certificate").exists():
            assert not (folder / "cut.key").exists()
        told = destroy(folder)
        assert (told.fingerprint, told.file) == (FINGERPRINT, "cut.key")
        left = sorted(p.name for p in folder.iterdir())
        assert left == ["certificate", "revoked-keys.txt", "signing.pem", "signing.pub"], f"killed at step {last}"
        signer = load_signer(folder / "signing.pem")
        assert destruction.verify_certificate(folder / "certificate", signer.public) == told
        assert [line[:32] for line in (folder / "revoked-keys.txt").read_text().splitlines()] == [FINGERPRINT]
        assert destroy(folder) == told  # once more changes nothing
    assert 10 < kills < MOST - 1


def test_what_was_begun_destroys_no_other_key_of_the_same_name(tmp_path: Path) -> None:
    """Killed once the key was overwritten; then another key takes its name, and cannot be opened."""
    folder = fresh(tmp_path / "cut")
    kept = (folder / "cut.key").read_bytes()
    last = next(n for n in range(1, MOST) if _overwritten(tmp_path / str(n), n))
    assert killed_at(folder, last, after=True)
    assert (folder / "cut.key").read_bytes() != kept
    (folder / "other").write_text("x" * 65)
    (folder / "other").chmod(0o600)
    os.replace(folder / "other", folder / "cut.key")
    with pytest.raises(DataCutError):
        destroy(folder)
    assert (folder / "cut.key").read_text() == "x" * 65


def _overwritten(folder: Path, last: int) -> bool:
    key = fresh(folder) / "cut.key"
    before = key.read_bytes()
    return killed_at(folder, last, after=True) and key.exists() and key.read_bytes() != before


def test_another_signer_goes_on_with_nothing(tmp_path: Path) -> None:
    """The key is gone and its certificate not yet there: who has another signing key is told so."""
    folder = fresh(tmp_path / "cut")
    last = next(n for n in range(1, MOST) if killed_at(fresh(tmp_path / str(n)), n, after=True)
                and not (tmp_path / str(n) / "cut.key").exists())  # fmt: skip
    assert killed_at(folder, last, after=True)
    for name in ("signing.pem", "signing.pub"):
        (folder / name).unlink()
    new_signing_key(folder / "signing.pem", folder / "signing.pub")
    with pytest.raises(DataCutError, match="another signer"):
        destroy(folder)
    assert not (folder / "certificate").exists()
