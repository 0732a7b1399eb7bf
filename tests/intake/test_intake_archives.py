"""Compressed sources: what is unpacked, and bombs, tricks and damage that are refused."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import os
import resource
import stat
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest

from contracts.errors import IntakeError, RefusedError
from flows.intake import Limits

TABLE = b"MPAN,Name\n" + b"1900000000071,SHADY OAK PADDOCK\n" * 50
MIB = 1 << 20


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as out:
        for name, data in members:
            out.writestr(name, data)
    return held.getvalue()


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new)


def central(data: bytes, offset: int, fmt: str, value: int) -> bytes:
    """Change one field of the first entry of the central directory."""
    at = data.index(b"PK\1\2") + offset
    return data[:at] + struct.pack(fmt, value) + data[at + struct.calcsize(fmt) :]


def test_gzip_of_several_members_and_padding(intake):
    first, second = TABLE[:700], TABLE[700:]
    data = gzip.compress(first) + gzip.compress(b"") + gzip.compress(second) + b"\0" * 1024
    for block in (64, 1000, MIB):
        assert intake.frame(data, "a.csv.gz", limits=Limits(block_bytes=block)).height == 50


def test_stored_and_deflated_members_and_folders(intake):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = archive(("extract/", b""), ("extract/r.csv", TABLE), ("__MACOSX/._r.csv", b"x"), method=method)
        for block in (64, MIB):
            assert intake.frame(data, "a.zip", limits=Limits(block_bytes=block)).height == 50


def test_streamed_zip_with_sizes_after_the_data(intake):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.held = b""

        def writable(self):
            return True

        def write(self, data):
            self.held += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("r.csv", TABLE)
    assert intake.frame(pipe.held, "a.zip").height == 50


def test_member_is_chosen_by_name_or_by_kind(intake):
    data = archive(("readme.pdf", b"%PDF"), ("r.csv", TABLE))
    assert intake.frame(data, "a.zip").height == 50
    several = archive(("a.csv", TABLE), ("b.csv", b"x\n1\n"))
    assert "holds 2 files" in str(intake.fault(several, "a.zip"))
    assert intake.frame(several, "a.zip", member="b.csv").rows() == [("1",)]
    assert "no member of that name" in str(intake.fault(several, "a.zip", member="c.csv"))
    assert "holds no file" in str(intake.fault(archive(), "a.zip"))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TABLE, "a.csv"),
        (gzip.compress(TABLE), "a.csv.gz"),
        (archive(("x.txt", b"later"), ("r.csv", TABLE), ("y.pdf", b"z" * 5000)), "a.zip"),
    ],
    ids=["plain", "gzip", "zip"],  # a packed file holds the time of its packing: no name of a test
)
@pytest.mark.parametrize("block", [64, MIB])
def test_digest_covers_the_file_as_it_lies_on_disk(intake, data, name, block):
    digest = hmac.new(b"k" * 32, digestmod=hashlib.sha256)
    member = "r.csv" if name == "a.zip" else None
    intake.frame(data, name, digest=digest, limits=Limits(block_bytes=block), member=member)
    assert digest.digest() == hmac.digest(b"k" * 32, data, "sha256")


DAMAGED = {
    "gzip cut off": gzip.compress(TABLE)[:-20],
    "gzip without its trailer": gzip.compress(TABLE)[:-8],
    "gzip header only": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
    "gzip magic only": b"\x1f\x8b",
    "gzip with wrong CRC": gzip.compress(TABLE)[:-8] + b"abcd" + gzip.compress(TABLE)[-4:],
    "gzip with wrong length": gzip.compress(TABLE)[:-4] + b"abcd",
    "gzip and rubbish": gzip.compress(TABLE) + b"rubbish",
    "gzip cut in the second member": gzip.compress(TABLE) + gzip.compress(TABLE)[:30],
    "zip cut off": archive(("r.csv", TABLE))[:-30],
    "zip with wrong CRC": central(archive(("r.csv", TABLE)), 16, "<I", 1),
    "zip that lies about its length": central(archive(("r.csv", TABLE)), 24, "<I", len(TABLE) - 1),
    "zip with unknown compression": archive(("r.csv", TABLE), method=zipfile.ZIP_LZMA),
    "zip magic only": b"PK\3\4" + b"\0" * 40,
    "gz that is none": TABLE,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("block", [64, MIB])
def test_damaged(intake, data, block):
    error = intake.fault(data, "a.zip" if data[:2] == b"PK" else "a.gz", limits=Limits(block_bytes=block))
    assert isinstance(error, IntakeError)


def linked(name: str, kind: int) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (kind | 0o644) << 16
        out.writestr(entry, "/etc/passwd")
        out.writestr("r.csv", TABLE)
    return held.getvalue()


def renamed(name: str) -> bytes:
    """An archive whose second member is called ``name``, which zipfile itself would not write."""
    plain = "n" * len(name.encode())
    return patched(archive(("r.csv", TABLE), (plain, b"x")), plain.encode(), name.encode())


def overlapping() -> bytes:
    """Two directory entries that share one member's bytes."""
    data = archive(("a.csv", TABLE), ("b.csv", TABLE))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    return data[: second + 42] + struct.pack("<I", 0) + data[second + 46 :]


def quoted() -> bytes:
    """The overlapping bomb: each member's data begin with the next member's header."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = kernel.compress(b"a,b\n" + b"1,2\n" * 100_000) + kernel.flush()
    local, directory = b"", b""
    for number in range(20):
        name = b"%04d.csv" % number
        head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), 400_004, len(name), 0)
        entry = struct.pack(
            "<4s6H3I5H2I",
            b"PK\1\2",
            20,
            20,
            0,
            8,
            0,
            33,
            0,
            len(packed) + 40 * (19 - number),
            400_004,
            len(name),
            0,
            0,
            0,
            0,
            0,
            len(local),
        )
        directory += entry + name
        local += head + name
    body = local + packed
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 20, 20, len(directory), len(body), 0)
    return body + directory + end


REFUSED = {
    "climbs": renamed("../../etc/x.csv"),
    "climbs with backslashes": renamed("..\\..\\x.csv"),
    "absolute": renamed("/etc/x.csv"),
    "drive": renamed("C:/x.csv"),
    "stream of a file": renamed("r.csv:x"),
    "newline in the name": renamed("a\nb.csv"),
    "NUL in the name": renamed("a\0b.csv"),
    "same name twice": renamed("r.csv"),
    "same name in other letters": renamed("R.CSV"),
    "symbolic link": linked("link.csv", stat.S_IFLNK),
    "device": linked("dev.csv", stat.S_IFCHR),
    "FIFO": linked("fifo.csv", stat.S_IFIFO),
    "archive within": archive(("r.csv", TABLE), ("more.zip", b"PK")),
    "archive under another name": archive(("r.csv", archive(("r.csv", TABLE)))),
    "gzip under another name": archive(("r.csv", gzip.compress(TABLE))),
    "encrypted": central(archive(("r.csv", TABLE)), 8, "<H", 1),
    "encrypted, says the member": patched(archive(("r.csv", TABLE)), b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0"),
    "overlapping": overlapping(),
    "overlapping bomb": quoted(),
    "member of another name": patched(archive(("r.csv", TABLE)), b"\0\0r.csv", b"\0\0s.csv").replace(
        b"s.csv", b"r.csv", 1
    ),
    "gzip in gzip": gzip.compress(gzip.compress(TABLE)),
    "xz": b"\xfd7zXZ\0" + b"\0" * 100,
    "7z": b"7z\xbc\xaf\x27\x1c" + b"\0" * 100,
    "zstd": b"\x28\xb5\x2f\xfd" + b"\0" * 100,
    "bzip2": b"BZh91AY" + b"\0" * 100,
    "rar": b"Rar!\x1a\x07\0" + b"\0" * 100,
    "gzip of nothings": gzip.compress(b"a,b\n") + gzip.compress(b"") * 2000,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refused(intake, data):
    before = set(os.listdir(intake.folder))
    error = intake.fault(data, "x.zip" if data[:2] == b"PK" else "x.gz" if data[:2] == b"\x1f\x8b" else "x.csv")
    assert isinstance(error, RefusedError), error
    assert set(os.listdir(intake.folder)) - before <= {"x.zip", "x.gz", "x.csv"}


def deflate(block: bytes, times: int, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([*(packer.compress(block) for _ in range(times)), packer.flush()])


def lying_zip(packed: bytes, stated: int) -> bytes:
    """A zip whose directory understates what its member inflates to."""
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), stated, 5, 0)
    body = head + b"r.csv" + packed
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(packed), stated, 5, 0, 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry) + 5, len(body), 0)
    return body + entry + b"r.csv" + end


ROWS = b"a,b\n" + b"1,2\n" * (MIB // 4)
BOMBS = {
    "gzip of rows": (lambda: deflate(ROWS[4:], 1024, 31), {12}),
    # Either limit may be met first: 64 KiB for a line, 200 for the ratio.
    "gzip of one line": (lambda: deflate(b"x" * MIB, 1024, 31), {11, 12}),
    "gzip of zeros": (lambda: deflate(b"\0" * MIB, 1024, 31), {11, 12}),
    "gzip of many members": (lambda: deflate(ROWS[4:], 16, 31) * 64, {12}),
    "zip that says so": (lambda: lying_zip(deflate(ROWS, 256, -15), 256 * len(ROWS)), {12}),
    "zip that lies": (lambda: lying_zip(deflate(ROWS, 256, -15), 1000), {12}),
    "zip with a vast directory": (
        lambda: b"PK\3\4" + b"\0" * 33 * MIB + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, 33 * MIB, 4, 0),
        {12},
    ),
}

CHILD = """
import sys, pathlib
from contracts.errors import DataCutError
from flows.intake import SourceSpec, open_source
from tests.peak import peak_rss_kib
try:
    with open_source(SourceSpec("x", pathlib.Path(sys.argv[1]))) as reader:
        for frame in reader.batches():
            pass
    code = 0
except DataCutError as error:
    code = error.exit_code
print(code, peak_rss_kib())
"""


@pytest.mark.parametrize(("bomb", "codes"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_fast_and_small(intake, bomb, codes):
    path = intake.write(bomb(), "bomb")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, peak = map(int, done.stdout.split())
    assert code in codes
    assert not done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10  # of the processor, however busy
    assert peak < 512 * 1024
