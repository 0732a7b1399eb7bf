"""Prefect without a server of one's own: a temporary API on loopback, for as long as the command runs.

Its state lies in a private folder beside the work folder, mode 0700; a token made anew for each run keeps other users
of the machine out. It is a process of its own that starts while the slow libraries load here, so a run waits for the
longer of the two and not for both, and it ends when this process ends, however that happens.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import PlaceError
from flows.keys.secret_files import write_new

HOST = "127.0.0.1"
PATIENCE = 90  # seconds; a cold start takes about 9, more on a busy machine
TOKEN_MARK = "datacut-temporary"  # noqa: S105 - says whose token it is
SERVED_MARK = "datacut-serve"
TOKEN_FILE = "auth-string"  # noqa: S105 - a file's name, in the private home of a server that stays
LIFELINE = "import flows.orchestration.server as e; e.serve(fresh={fresh})"
# Task runs written in batches: one by one, SQLite makes the flow wait for the server's bookkeeping.
BATCHED = {"PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50"}
DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
MIGRATE = "PREFECT_API_DATABASE_MIGRATE_ON_START"
BRIEF = {  # what a temporary server has no use for
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


def temporary() -> bool:
    """Tell whether this process works against a temporary API of its own."""
    return TOKEN_MARK in os.environ.get("PREFECT_API_AUTH_STRING", "")


def serve(*, fresh: bool = False) -> None:
    """Be the server: serve until standard input ends, which it does when the parent is gone.

    Args:
        fresh: the database is a new one of our own, whose tables are made here instead of by migrations.
    """
    import uvicorn

    def follow_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=follow_parent, daemon=True).start()
    if fresh:
        asyncio.run(_make_tables())
    port = int(os.environ["PREFECT_API_URL"].rsplit(":", 1)[1].removesuffix("/api"))
    uvicorn.run("prefect.server.api.server:create_app", factory=True, host=HOST, port=port, log_level="critical")


async def _make_tables() -> None:
    """Make the tables of a new database as they are today: the hundred migrations towards them take seconds."""
    from prefect.server.database import provide_database_interface

    database = provide_database_interface()
    named: set[str] = set()
    for table in database.Base.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name in named:  # declared twice, by the column and by the table
                table.indexes.discard(index)
            named.add(str(index.name))
    engine = await database.engine()
    async with engine.begin() as connection:
        await database.database_config.create_db(connection, database.Base.metadata)
    await engine.dispose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _past_proxies() -> None:
    """Keep what is said on loopback from a proxy that the environment names: it has our token, and gets nowhere."""
    for name in ("no_proxy", "NO_PROXY"):
        others = [part for part in os.environ.get(name, "").split(",") if part and part != HOST]
        os.environ[name] = ",".join([*others, HOST])


class Api:
    """An API on its way up, on loopback.

    Args:
        home: Prefect's private home; made if need be.
        brief: a temporary one for a single run: without scheduler and user interface. One that stays writes its
            token into its home, for whoever opens its pages.
        port: where to listen; any free port where not given.

    Raises:
        PlaceError: the home cannot be made, or no process can be started.
    """

    def __init__(self, home: Path, *, brief: bool = True, port: int | None = None) -> None:
        self._home, self._brief, self._named = home, brief, dict[str, str]()
        self.url = f"http://{HOST}:{port or _free_port()}/api"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            home.chmod(0o700)
            os.environ["PREFECT_HOME"], os.environ["PREFECT_API_URL"] = str(home), self.url
            _past_proxies()
            # whoever may start a run has the operator's keys at work for him: not every user of the machine may
            token = f"{TOKEN_MARK if brief else SERVED_MARK}:{secrets.token_hex(16)}"
            os.environ["PREFECT_API_AUTH_STRING"] = os.environ["PREFECT_SERVER_API_AUTH_STRING"] = token
            os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", self.url.removesuffix("/api"))
            if brief:
                self._own_database(home)
            else:
                self.token_file.unlink(missing_ok=True)
                write_new(self.token_file, token.encode())
            for name, value in (BATCHED | BRIEF if brief else BATCHED).items():
                os.environ.setdefault(name, value)
            self._process = subprocess.Popen(
                [sys.executable, "-c", LIFELINE.format(fresh=bool(self._named))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=home,
            )
        except OSError as fault:
            raise PlaceError("the Prefect server cannot start", where=str(home), remedy=str(fault.strerror)) from None

    @property
    def token_file(self) -> Path:
        """Where the token of a server that stays is written, for its owner alone."""
        return self._home / TOKEN_FILE

    def _own_database(self, home: Path) -> None:
        """Name a database that nobody has used before, unless one of the user's own is configured."""
        if not any(name in os.environ for name in DATABASES):
            self._named = {DATABASES[0]: f"sqlite+aiosqlite:///{home}/{secrets.token_hex(4)}.db", MIGRATE: "false"}
            os.environ.update(self._named)

    def ready(self) -> None:
        """Wait until the API answers.

        Raises:
            PlaceError: it ended, or took too long.
        """
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                # behind the token, unlike /health: another run's server on the same port must not pass for this one
                with urllib.request.urlopen(self._question(), timeout=5) as answer:  # noqa: S310 - our own loopback
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise PlaceError(
            "the Prefect server did not start",
            where=str(self._home),
            remedy="run with --plain, or name a server in PREFECT_API_URL",
        )

    def _question(self) -> urllib.request.Request:
        """Give a request that only the server with this run's token answers."""
        question = urllib.request.Request(f"{self.url}/admin/version")  # noqa: S310 - our own loopback
        if token := os.environ.get("PREFECT_API_AUTH_STRING"):
            question.add_header("Authorization", f"Basic {base64.b64encode(token.encode()).decode()}")
        return question

    def stop(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._brief:  # a temporary server may share its home with one that stays
            self.token_file.unlink(missing_ok=True)
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", *self._named):
            os.environ.pop(name, None)


@contextmanager
def api(home: Path) -> Iterator[Api | None]:
    """Bring up a temporary API where none is configured. Must run before Prefect is imported.

    Yields:
        The API on its way up, or None where a server of one's own is used.
    """
    if "PREFECT_API_URL" in os.environ or "PREFECT_PROFILE" in os.environ:
        yield None
        return
    own = Api(home)
    try:
        yield own
    finally:
        own.stop()
