"""A pack is whole or absent: crashes, full disks, replaced packs, stale leftovers."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from contracts.errors import EvidenceError, PlaceError
from flows import files
from flows.files import MARKER, clean_stale
from flows.keys.signing_key import Signer
from flows.pack import bag
from flows.pack import writer as writing
from flows.pack.verify import verify_pack
from flows.pack.writer import PackWriter, private_folder, publish_together
from tests.evidence.conftest import fill
from tests.evidence.killed import seal_until
from tests.evidence.specimen import model, specimen
from tests.processes import start


def write(final: Path, signer: Signer, *, replace: bool = False, scheme: str = "1") -> None:
    with PackWriter(final, replace=replace) as writer:
        fill(writer)
        writer.seal({}, model(specimen(1, 0, kind="submission", scheme=scheme)), [signer])


def leftovers(parent: Path) -> list[str]:
    return sorted(entry.name for entry in parent.iterdir() if ".partial-" in entry.name)


def key_file(tmp_path: Path) -> Path:
    from flows.keys.signing_key import new_signing_key

    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    return tmp_path / "k.pem"


def child(final: Path, key: Path, last: int, replace: bool, said: Path) -> int | None:
    """Seal in a process that is killed at a step; return how it ended."""
    process = start(seal_until, final, key, last, replace, said)
    process.join()
    return process.exitcode


@pytest.mark.slow
@pytest.mark.parametrize("replace", [False, True])
def test_a_kill_between_any_two_steps_leaves_a_whole_pack_or_none(tmp_path: Path, replace: bool) -> None:
    from flows.keys.signing_key import load_signer

    key = key_file(tmp_path)
    signer = load_signer(key)
    said = tmp_path / "said"
    assert child(tmp_path / "dry" / "pack", key, 0, False, said) == 0
    steps = int(said.read_text())
    assert steps > 40
    for last in range(1, steps + 25, 3):
        parent = tmp_path / f"at-{last}"
        final = parent / "pack"
        if replace:
            write(final, signer, scheme="1")
        code = child(final, key, last, replace, said)
        if final.exists():
            verify_pack(final, [signer.public])
        parent.mkdir(exist_ok=True)
        clean_stale(parent)
        # Only the marker's own birth can leave a folder that nobody may call stale: it is empty.
        for name in leftovers(parent):
            assert not (parent / name / MARKER).exists() or (parent / name / MARKER).stat().st_size == 0
        if replace:
            verify_pack(final, [signer.public])  # the old pack or the new one: never neither
        if code == 0:
            break
        assert code == -signal.SIGKILL
    write(final, signer, replace=final.exists())
    verify_pack(final, [signer.public])


class Failing:
    """Lets the N-th disk call of this process fail with an errno."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
        self.count, self.number, self.code = 0, number, code
        for name in ("mkdir", "open", "fsync", "rename"):
            monkeypatch.setattr(os, name, self.wrapped(getattr(os, name)))

    def wrapped(self, call):
        def counting(*args, **kwargs):
            self.count += 1
            if self.count == self.number:
                raise OSError(self.code, os.strerror(self.code))
            return call(*args, **kwargs)

        return counting


def attempt(final: Path, signer: Signer, number: int, *, replace: bool) -> tuple[PlaceError | None, bool]:
    """Write a pack while one disk call fails; return the error, and whether that call was reached."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Failing(patch, number, errno.ENOSPC)
        try:
            write(final, signer, scheme="2", replace=replace)
        except PlaceError as fault:
            return fault, True
    return None, disk.count >= number


@pytest.mark.parametrize("replace", [False, True])
def test_a_fault_at_any_step_publishes_nothing(tmp_path: Path, operator: Signer, replace: bool) -> None:
    failed = 0
    for number in range(1, 1000):
        final = tmp_path / f"at-{number}" / "pack"
        if replace:
            write(final, operator, scheme="1")
        fault, reached = attempt(final, operator, number, replace=replace)
        if fault:
            failed += 1
            assert fault.exit_code == 19
            assert "nothing was published" in fault.line()
            assert "\n" not in fault.line()
        assert final.exists() is (replace or not fault)
        if final.exists():
            scheme = verify_pack(final, [operator.public]).evidence.scheme
            assert scheme == ("1" if fault else "2")
        if not reached:
            break
    assert failed > 20


def fill_until_full(final: Path) -> None:
    with PackWriter(final) as writer:
        writer.path("data/SUPA/a.csv").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device", str(final.parent / "elsewhere"))


def test_a_full_disk_while_the_payload_is_written(tmp_path: Path) -> None:
    with pytest.raises(PlaceError) as error:
        fill_until_full(tmp_path / "pack")
    assert error.value.exit_code == 19
    assert list(tmp_path.iterdir()) == []


def test_a_missing_input_stays_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), PackWriter(tmp_path / "pack"):
        (tmp_path / "no-such-backup.csv").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_real_file_system_that_is_full(operator: Signer) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space") as error, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    assert error.value.errno in writing._DISK_FAULTS


def test_an_existing_pack_is_not_overwritten(pack: Path, operator: Signer) -> None:
    before = (pack / bag.TAGMANIFEST).read_bytes()
    with pytest.raises(PlaceError):
        write(pack, operator)
    assert (pack / bag.TAGMANIFEST).read_bytes() == before
    assert leftovers(pack.parent) == []


def test_only_a_pack_can_be_replaced(tmp_path: Path, operator: Signer) -> None:
    precious = tmp_path / "home" / "letter.txt"
    precious.parent.mkdir()
    precious.write_text("dear")
    with pytest.raises(PlaceError):
        write(precious.parent, operator, replace=True)
    assert precious.read_text() == "dear"


def test_a_pack_is_replaced_when_asked(pack: Path, operator: Signer) -> None:
    write(pack, operator, replace=True, scheme="2")
    assert verify_pack(pack, [operator.public]).evidence.scheme == "2"
    assert leftovers(pack.parent) == []


def test_nothing_is_seen_before_the_seal(tmp_path: Path, operator: Signer) -> None:
    final = tmp_path / "pack"
    with PackWriter(final) as writer:
        fill(writer)
        assert not final.exists()
        writer.seal({}, model(specimen(1, 0, kind="submission")), [operator])
        assert final.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pack"]


def test_a_live_writer_is_not_cleaned_up(tmp_path: Path, operator: Signer) -> None:
    with PackWriter(tmp_path / "one") as writer:
        fill(writer)
        assert clean_stale(tmp_path) == 0
        write(tmp_path / "two", operator)
        writer.seal({}, model(specimen(1, 0, kind="submission")), [operator])
    verify_pack(tmp_path / "one", [operator.public])


def test_a_stale_writer_is_cleaned_up_and_a_replaced_pack_put_back(pack: Path, operator: Signer) -> None:
    work = pack.parent / f".{pack.name}.partial-0123456789abcdef"
    (work / "pack" / "data").mkdir(parents=True)
    (work / MARKER).write_bytes(pack.name.encode())
    pack.rename(work / "replaced")
    assert clean_stale(pack.parent) == 1
    verify_pack(pack, [operator.public])
    assert leftovers(pack.parent) == []


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        (".pack.partial-0123456789abcdef", None),
        (".pack.partial-0123456789abcdef", b""),
        (".pack.partial-0123456789abcdef", b"other"),
        (".pack.partial-short", b"pack"),
        ("pack.partial-0123456789abcdef", b"pack"),
    ],
)
def test_folders_of_others_are_left_alone(tmp_path: Path, name: str, marker: bytes | None) -> None:
    (tmp_path / name / "pack").mkdir(parents=True)
    if marker is not None:
        (tmp_path / name / MARKER).write_bytes(marker)
    assert clean_stale(tmp_path) == 0
    assert (tmp_path / name / "pack").is_dir()


@pytest.mark.parametrize(
    "path",
    ["bagit.txt", "data", "other/a", "../a", "/etc/a", "data/../../a", "data/a b", "manifest-sha256.txt"],
)
def test_paths_outside_the_rooms_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(EvidenceError), PackWriter(tmp_path / "pack") as writer:
        writer.path(path)


def seal_a_link(final: Path, signer: Signer) -> None:
    with PackWriter(final) as writer:
        writer.path("data/SUPA/a.csv").symlink_to("/etc/passwd")
        writer.seal({}, model(specimen(1, 0, kind="submission")), [signer])


def test_a_link_in_a_pack_cannot_be_sealed(tmp_path: Path, operator: Signer) -> None:
    with pytest.raises(EvidenceError) as error:
        seal_a_link(tmp_path / "pack", operator)
    assert error.value.where == "data/SUPA/a.csv"
    assert list(tmp_path.iterdir()) == []


def test_evidence_that_does_not_balance_cannot_be_sealed(tmp_path: Path, operator: Signer) -> None:
    evidence = specimen(1, 0, kind="submission")
    evidence["accounting"][0]["rows_in"] += 1
    with pytest.raises(EvidenceError, match="rows in"), PackWriter(tmp_path / "pack") as writer:
        writer.seal({}, model(evidence), [operator])


def test_a_pack_without_a_signer_or_seal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError), PackWriter(tmp_path / "pack") as writer:
        writer.seal({}, model(specimen(1, 0, kind="submission")), [])
    with pytest.raises(EvidenceError, match="was not sealed"), PackWriter(tmp_path / "pack"):
        pass
    assert list(tmp_path.iterdir()) == []


def keeps_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be like Windows: no locks, and no file is removed while this process has it open."""
    unlink = os.unlink

    def refusing(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
        opened = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
        if os.path.basename(path) in {file.resolve().name for file in opened}:
            raise PermissionError(errno.EACCES, "is open")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see which files are open")
def test_nothing_is_left_where_an_open_file_cannot_be_removed(tmp_path, operator, monkeypatch) -> None:
    monkeypatch.setattr(files, "fcntl", None)
    keeps_open_files(monkeypatch)
    write(tmp_path / "pack", operator)
    with private_folder(tmp_path / "restored") as folder:
        (folder / "rows.csv").write_text("MPAN\n")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pack", "restored"]


def test_packs_that_are_held_appear_together(tmp_path, operator):
    with ExitStack() as held:
        writers = [held.enter_context(PackWriter(tmp_path / name, hold=True)) for name in ("one", "two")]
        for writer in writers:
            fill(writer)
            writer.seal({}, model(specimen(1, 0, kind="submission")), [operator])
        assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
        publish_together(writers)
        assert sorted(path.name for path in tmp_path.iterdir() if path.name in ("one", "two")) == ["one", "two"]


def test_when_one_pack_cannot_be_put_in_its_place_none_is(tmp_path, operator):
    with ExitStack() as held:
        writers = [held.enter_context(PackWriter(tmp_path / name, hold=True)) for name in ("one", "two")]
        for writer in writers:
            fill(writer)
            writer.seal({}, model(specimen(1, 0, kind="submission")), [operator])
        (tmp_path / "two").mkdir()  # somebody else's
        with pytest.raises(PlaceError):
            publish_together(writers)
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
