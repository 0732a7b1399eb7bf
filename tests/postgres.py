"""A real PostgreSQL server with durable writes, on a socket in a folder of its own; one for all tests of a process."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest


def binaries() -> str:
    """Return the folder of PostgreSQL's programs; nothing where there are none."""
    places = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return places[-1] if places else os.path.dirname(shutil.which("initdb") or "")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a server; yield the folder of its socket."""
    programs = binaries()
    if not programs:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        prefix = ["runuser", "-u", "nobody", "--"]
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, f"{programs}/{program}", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-D", f"{folder}/data", "-U", "datacut", "--auth=trust", "-E", "UTF8", "--locale=C")
    run("pg_ctl", "-D", f"{folder}/data", "-o", f"-k {folder} -h ''", "-l", f"{folder}/log", "-w", "start")
    try:
        yield str(folder)
    finally:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """Return the URL of a fresh database; its password is one that must not be said."""
    import psycopg

    name = f"test_{uuid4().hex}"
    with psycopg.connect(f"host={postgres_server} user=datacut dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://datacut:hunter2@/{name}?host={postgres_server}"
