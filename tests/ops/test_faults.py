"""Faults of memory, threads, files, network and servers end in 19 with what to do; only a defect is called one."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sqlite3
import ssl
import threading
import urllib.request
from collections.abc import Callable
from http.client import RemoteDisconnected
from pathlib import Path

import httpx
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy

from contracts.errors import DataCutError, PlaceError
from flows.cut.faults import failure_of
from flows.cut.workspace import disk

SECRET = "1200000000013"
GIB = 1 << 30


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answer(code: int) -> None:
    request = httpx.Request("POST", f"http://127.0.0.1/{SECRET}")
    httpx.Response(code, request=request, text=SECRET).raise_for_status()


def _many_files() -> None:
    kept = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        while True:
            kept.append(open(os.devnull))  # noqa: SIM115
    finally:
        for file in kept:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _connect(error: int) -> None:
    raise OSError(error, os.strerror(error), SECRET)


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "memory": (lambda: bytearray(1 << 62), "out of memory"),
    "memory of Arrow": (lambda: pa.array([0]).take(pa.array([0] * 3)) and pa.allocate_buffer(1 << 62), "out of memory"),
    "a file that is not there": (lambda: Path(f"/absent/{SECRET}").read_bytes(), "No such file"),
    "a folder in place of a file": (lambda: Path("/").write_bytes(b""), "Is a directory"),
    "a device that is full": (lambda: Path("/dev/full").write_bytes(b"x" * 10_000), "the disk is full"),
    "a full disk under Polars": (lambda: pl.DataFrame({"a": [SECRET] * 9}).write_csv("/dev/full"), "the disk is full"),
    "quota": (lambda: _connect(errno.EDQUOT), "quota"),
    "permission": (lambda: _connect(errno.EACCES), "permission is denied"),
    "open files": (_many_files, "too many files are open"),
    "a disk that fails": (lambda: _connect(errno.EIO), "the disk fails"),
    "a server that is away": (lambda: httpx.get(f"http://127.0.0.1:{_closed_port()}/"), "Prefect server went away"),
    "a server that is unwell": (lambda: _answer(503), "out of order (503)"),
    "a server that refuses": (lambda: _answer(401), "refuses us (401)"),
    "a port where nobody listens": (
        lambda: socket.create_connection(("127.0.0.1", _closed_port()), timeout=5), "nothing answers there"
    ),
    "a name that nobody knows": (lambda: socket.getaddrinfo("absent.invalid", 80), "cannot be resolved"),
    "a certificate": (lambda: (_ for _ in ()).throw(ssl.SSLCertVerificationError(1, SECRET)), "certificate"),
    "an answer that does not come": (lambda: (_ for _ in ()).throw(TimeoutError(SECRET)), "no answer in time"),
    "a database that is away": (
        lambda: sqlalchemy.create_engine(f"postgresql+psycopg://u:{SECRET}@127.0.0.1:{_closed_port()}/x").connect(),
        "a database is away",
    ),
    "a database on a full disk": (
        lambda: (_ for _ in ()).throw(sqlite3.OperationalError("database or disk is full")), "database is full"
    ),
}  # fmt: skip


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_place_is_told_as_one(name: str) -> None:
    call, words = FAULTS[name]
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever the library raises
        call()
    said = failure_of(caught.value)
    assert isinstance(said, PlaceError), caught.value
    assert said.exit_code == 19
    assert words in said.line()
    assert said.remedy
    assert SECRET not in said.line()


def test_threads_and_memory_that_the_system_refuses() -> None:
    """In a process of its own, whose address space ends: a thread's stack has no place, then nothing has."""
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            threading.stack_size(GIB)
            resource.setrlimit(resource.RLIMIT_AS, (used + GIB // 2, resource.RLIM_INFINITY))
            for call in (threading.Thread(target=int).start, lambda: bytearray(GIB)):
                try:
                    call()
                except (RuntimeError, MemoryError) as fault:
                    os.write(write, failure_of(fault).line().encode() + b"\n")
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        threads, memory = told.read().splitlines()
    assert "no more threads or processes can be started" in threads
    assert "out of memory" in memory


@pytest.mark.parametrize(
    "call",
    [
        lambda: {}[SECRET],
        lambda: list(SECRET)[99],
        lambda: int(SECRET + "x"),
        lambda: pl.DataFrame({"a": [SECRET]}).select(pl.col("a").cast(pl.Date)),
        lambda: pl.DataFrame({"a": [SECRET]}).select(pl.col("b")),
        lambda: (_ for _ in ()).throw(RuntimeError(SECRET)),
        lambda: pa.array([SECRET]).cast(pa.int8()),
    ],
    ids=["key", "index", "value", "cast", "column", "runtime", "arrow"],
)
def test_a_defect_is_called_one(call: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    said = failure_of(caught.value)
    assert type(said) is DataCutError
    assert said.exit_code == 1
    assert SECRET not in said.line()


def test_what_the_disk_refuses_and_what_is_a_defect_of_a_write(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="the disk is full"), disk(tmp_path):
        pl.DataFrame({"a": [1]}).write_csv("/dev/full")
    with pytest.raises(pl.exceptions.ComputeError), disk(tmp_path):
        raise pl.exceptions.ComputeError("a plan that makes no sense")


def _cut(server: socket.socket) -> None:
    server.accept()[0].close()


def test_a_proxy_or_a_program_that_speaks_no_http_is_no_defect() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        answering = threading.Thread(target=_cut, args=(server,))
        answering.start()
        with pytest.raises(OSError) as caught:  # noqa: PT011
            urllib.request.urlopen(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=5)
        answering.join()
    assert failure_of(caught.value).exit_code == 19


def test_a_connection_that_was_cut_is_of_the_network_without_the_systems_number_too() -> None:
    for fault in (RemoteDisconnected("Remote end closed connection without response"), BrokenPipeError()):
        with pytest.raises(ConnectionError) as caught:
            raise fault
        told = failure_of(caught.value)
        assert (told.exit_code, "the connection was cut" in told.what) == (19, True), told
