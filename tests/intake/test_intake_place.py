"""The file itself: links, pipes, folders, changes under the reader, digests, threads and descriptors."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import socket
import threading
from pathlib import Path

import pytest

from contracts.errors import IntakeError, PlaceError, RefusedError
from flows.intake import Limits, SourceSpec, open_source
from flows.intake.raw_file import RawFile

TABLE = b"MPAN,Name\n" + b"1900000000071,SHADY OAK PADDOCK\n" * 500


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def test_links_inside_the_root_are_followed_and_others_refused(intake, tmp_path):
    root, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    (root / "deep").mkdir(parents=True)
    elsewhere.mkdir()
    (root / "deep" / "real.csv").write_bytes(TABLE)
    (elsewhere / "secret.csv").write_bytes(TABLE)
    (root / "inner.csv").symlink_to(root / "deep" / "real.csv")
    (root / "outer.csv").symlink_to(elsewhere / "secret.csv")
    (root / "folder").symlink_to(elsewhere)
    (root / "loop.csv").symlink_to(root / "loop.csv")
    assert intake.read(root / "inner.csv", root=root).height == 500
    assert intake.read(root / "deep" / "real.csv", root=root).height == 500
    for path in (
        root / "outer.csv",
        root / "folder" / "secret.csv",
        root / ".." / "elsewhere" / "secret.csv",
    ):
        error = intake.fault_of(lambda path=path: intake.read(path, root=root))
        assert isinstance(error, RefusedError)
        assert "outside the backup folder" in str(error)
    assert isinstance(intake.fault_of(lambda: intake.read(root / "loop.csv", root=root)), RefusedError | IntakeError)


def test_root_itself_may_be_a_link(intake, tmp_path):
    root = tmp_path / "real"
    root.mkdir()
    (root / "a.csv").write_bytes(TABLE)
    (tmp_path / "backup").symlink_to(root)
    assert intake.read(tmp_path / "backup" / "a.csv", root=tmp_path / "backup").height == 500


def test_without_a_root_a_link_is_refused(intake, tmp_path):
    intake.write(TABLE)
    (tmp_path / "link.csv").symlink_to(tmp_path / "backup.csv")
    error = intake.fault_of(lambda: intake.read(tmp_path / "link.csv"))
    assert isinstance(error, RefusedError)
    assert "symbolic link" in str(error)


def test_what_is_no_file(intake, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.csv"))
        (tmp_path / "folder.csv").mkdir()
        for name, phrase in {
            "pipe.csv": "pipe, socket or device",
            "s.csv": "pipe, socket or device",
            "folder.csv": "a folder",
            "missing.csv": "no such file",
            "folder.csv/x/y.csv": "no such file",
            "backup.csv\0": "no such file",
        }.items():
            error = intake.fault_of(lambda name=name: intake.read(tmp_path / name))
            assert isinstance(error, IntakeError)
            assert phrase in str(error)
            assert name not in str(error)
    if Path("/dev/zero").exists():
        assert "device" in str(intake.fault_of(lambda: intake.read(Path("/dev/zero"))))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_denied_access_is_the_places_fault(intake):
    path = intake.write(TABLE)
    path.chmod(0)
    assert isinstance(intake.fault_of(lambda: intake.read(path)), PlaceError)


def test_failing_disk_is_the_places_fault(intake, monkeypatch):
    path = intake.write(TABLE)

    def fail(*_):
        raise OSError(5, "1900000000071")

    monkeypatch.setattr(os, "pread", fail)
    error = intake.fault_of(lambda: intake.read(path))
    assert isinstance(error, PlaceError)
    assert error.exit_code == 19


def changing(path: Path, change) -> None:
    with open_source(SourceSpec("x", path), limits=Limits(block_bytes=4096)) as reader:
        for number, _ in enumerate(reader.batches()):
            if number == 0:
                change(path)


def test_change_while_reading_is_seen(intake, tmp_path):
    def append(path):
        with path.open("ab") as out:
            out.write(b"1,2\n")

    def cut(path):
        os.truncate(path, 5000)

    def rewrite(path):
        with path.open("r+b") as out:
            out.write(b"MPAN,NAME\n")

    def hide(path):
        before = path.stat()
        rewrite(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def swap(path):
        other = path.with_name("other")
        other.write_bytes(TABLE)
        other.replace(path)

    def remove(path):
        path.unlink()

    for number, change in enumerate((append, cut, rewrite, hide, swap, remove)):
        path = intake.write(TABLE, f"{number}.csv")
        error = intake.fault_of(lambda path=path, change=change: changing(path, change))
        assert isinstance(error, IntakeError)
        assert "changed while it was being read" in str(error)


def test_what_is_digested_is_what_is_parsed(intake):
    """Swap the file again and again under the reader: a digest is of the bytes that gave the rows, or there is none."""
    path = intake.write(TABLE)
    versions = [b"a,b\n" + f"{n},x\n".encode() * 1000 for n in range(5)]
    by_digest = {hmac.digest(b"k", data, "sha256"): str(n) for n, data in enumerate(versions)}
    stop = threading.Event()

    def keep_swapping():
        choice = random.Random(1)
        other = path.with_name("other")
        while not stop.is_set():
            other.write_bytes(choice.choice(versions))
            other.replace(path)

    path.write_bytes(versions[0])
    thread = threading.Thread(target=keep_swapping)
    thread.start()
    whole = changed = 0
    try:
        while whole < 20 and changed < 400:
            digest = hmac.new(b"k", digestmod=hashlib.sha256)
            try:
                frame = intake.read(path, digest=digest, limits=Limits(block_bytes=2048))
            except IntakeError:
                changed += 1
                continue
            whole += 1
            assert set(frame["a"]) == {by_digest[digest.digest()]}
    finally:
        stop.set()
        thread.join()
    assert whole or changed


def test_reader_left_early_leaves_nothing_behind(intake):
    path = intake.write(TABLE * 20)
    threads, open_files = threading.active_count(), descriptors()
    for _ in range(5):
        with open_source(SourceSpec("x", path), limits=Limits(block_bytes=1024)) as reader:
            next(reader.batches())
        reader.close()
    for data in (b"", b"\x1f\x8b", b"PK\3\4", b"PAR1PAR1", b"ZHV|x|\n", TABLE + b"1\n"):
        intake.fault(data, "bad")
    assert threading.active_count() == threads
    assert descriptors() == open_files


def test_nothing_is_written(intake, monkeypatch):
    """No decompressed or transcoded copy: the intake opens files for reading and for nothing else."""
    import gzip

    path = intake.write(gzip.compress(TABLE.replace(b"OAK", b"\xd6AK")), "a.gz")
    flags = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda *a, **k: (flags.append(a[1]), real(*a, **k))[1])
    assert intake.read(path).height == 500
    assert flags
    assert not any(flag & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for flag in flags)
    assert sorted(p.name for p in intake.folder.iterdir()) == ["a.gz"]


def test_raw_file_reads_and_positions_do_not_disturb_each_other(intake):
    raw = RawFile(intake.write(TABLE), root=None, label="x")
    first = raw.read(10)
    assert raw.pread(4, 100) == TABLE[100:104]
    assert first + raw.read(len(TABLE)) == TABLE
    raw.finish()
    raw.close()
    raw.close()
