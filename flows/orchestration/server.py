"""A Prefect server for as long as a command runs, where none is configured.

Prefect's own temporary server is not used, for three reasons that were measured (``docs/operations.md``): it answers
every user of the machine, it outlives a command that is killed, and starting it loads all of its code into the command.
This one is the same application, with its state in a private folder, mode 0700, behind a token made anew each time. It
starts while the libraries load here, and ends when this process ends, however that happens. What it is told are
Prefect's own settings; they hold for this run alone. History, artifacts and events of a cut stay in ``prefect.db``.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from contracts.errors import PlaceError
from flows.cut.installed import require
from flows.keys.secret_files import write_new
from flows.orchestration import history

HOST = "127.0.0.1"
PATIENCE = 90  # seconds; a cold start takes about 9, more on a busy machine
DRAINED_WITHIN = 30  # seconds for the last lines of log, and the last events, of a run to reach the server
TOKEN_FILE = "auth-string"  # noqa: S105 - a file's name, in the home of a server with pages
CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
LIFELINE = "from flows.orchestration.server import serve; serve()"


def configured() -> bool:
    """Tell whether a server is configured: by ``PREFECT_API_URL``, or by the Prefect profile in use.

    Prefect is loaded only where a profile may name one.

    Raises:
        PlaceError: one may be, and Prefect is not installed to say so.
    """
    if os.environ.get("PREFECT_API_URL"):
        return True
    if not (os.environ.get("PREFECT_PROFILE") or _profiles().is_file()):
        return False
    require("prefect", otherwise="run with --plain")
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _profiles() -> Path:
    """Return where the user's profiles of Prefect are, if there are any."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    return Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))


@contextmanager
def connected(home: Path) -> Iterator[None]:
    """Work against the server that is configured, or one of our own while the block runs.

    Args:
        home: where the state of our own lies.

    Raises:
        PlaceError: Prefect is not installed, the configured server does not answer, or ours does not start.
    """
    require("prefect", otherwise="run with --plain")
    if configured():
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        from flows.orchestration.deployments import HEARTBEAT

        remedy = swallowing_proxy() or "start it, or run with --plain"
        _wait_for_answer(None, "the Prefect server does not answer", "PREFECT_API_URL", remedy)
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT}):  # as its alerts expect
            yield
        return
    with own_server(home):
        yield


def swallowing_proxy() -> str:
    """Return what to do about a proxy that takes what is meant for this machine; empty if there is none."""
    from prefect.settings import PREFECT_API_URL

    url = urlsplit(PREFECT_API_URL.value() or "")
    host = url.hostname or ""
    near = host == "localhost" or host.startswith("127.") or host == "::1"
    if not near or url.scheme not in getproxies() or proxy_bypass(host):
        return ""
    return f"a proxy takes what is for this machine ({url.scheme}_proxy): add {host} to NO_PROXY"


@contextmanager
def own_server(home: Path, *, port: int | None = None, pages: bool = False) -> Iterator[str]:
    """Run a server on loopback while the block runs.

    Args:
        home: Prefect's private home; made if need be.
        port: where to listen; any free port where not given.
        pages: with its pages, scheduler and triggers, and its token in a file of ``home`` for whoever opens them.

    Yields:
        The address of its pages.

    Raises:
        PlaceError: the home cannot be made, or the server does not start.
    """
    url, token = f"http://{HOST}:{port or _free_port()}", f"datacut:{secrets.token_hex(16)}"
    told = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        # whoever may start a run has the operator's keys at work for him: not every user of the machine may
        "PREFECT_API_AUTH_STRING": token,
        "PREFECT_SERVER_API_AUTH_STRING": token,
    }
    if (profiles := _profiles()).is_file():  # what prefect config set has set holds for this server too
        told["PREFECT_PROFILES_PATH"] = str(profiles)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        history.begin(home, profiles=_profiles())
        if pages:
            (home / TOKEN_FILE).unlink(missing_ok=True)
            write_new(home / TOKEN_FILE, token.encode())
        process = _start(home, told if pages else {**told, "PREFECT__SERVER_EPHEMERAL": "1"})
    except OSError as fault:
        raise PlaceError("the Prefect server cannot start", where=str(home), remedy=str(fault.strerror)) from None
    try:
        with _settings(home, told, quiet=not pages):
            _wait_for_answer(
                process,
                "the Prefect server did not start",
                str(home),
                "run with --plain, or name a server in PREFECT_API_URL",
            )
            try:
                yield url
            finally:
                if process.poll() is None:
                    _drain()
    finally:
        _stop(process)
        if pages:
            (home / TOKEN_FILE).unlink(missing_ok=True)


def serve() -> None:
    """Be the server: serve until standard input ends, which it does when the parent is gone."""
    import uvicorn

    def follow_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=follow_parent, daemon=True).start()
    port = int(os.environ["PREFECT_API_URL"].rsplit(":", 1)[1].removesuffix("/api"))
    uvicorn.run("prefect.server.api.server:create_app", factory=True, host=HOST, port=port, log_level="critical")


def _start(home: Path, told: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", LIFELINE],
        env={**os.environ, **told},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _settings(home: Path, told: Mapping[str, str], *, quiet: bool) -> Iterator[None]:
    """Let Prefect work with settings of this run; the slow libraries load here, while the server starts.

    Args:
        quiet: one run that says itself what it does: no log of Prefect's on the terminal, and no heartbeat to watch it,
            whose thread holds each flow up for a second at its end.
    """
    profiles = told.get("PREFECT_PROFILES_PATH", os.environ.get("PREFECT_PROFILES_PATH", str(home / "profiles.toml")))
    with (  # where they are read at import: a ~/.prefect would be made
        _environment("PREFECT_HOME", str(home)),
        _environment("PREFECT_PROFILES_PATH", profiles),
    ):
        from prefect import settings
        from prefect.logging.configuration import setup_logging
    import flows.orchestration.flows
    import flows.quality.great_expectations  # noqa: F401

    named = {name: value for name, value in told.items() if name != "PREFECT_PROFILES_PATH"}
    updates: dict[Any, Any] = {getattr(settings, name): value for name, value in named.items()}
    if quiet:
        updates |= {settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    terminal = os.environ.get(CONSOLE_LEVEL, "CRITICAL" if quiet else "NOTSET")
    # what is said on loopback is kept from a proxy that the environment names: it has our token, and gets nowhere
    others = [part for part in os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(",") if part]
    beside = ",".join([*others, HOST])
    with (
        _environment("NO_PROXY", beside),
        _environment("no_proxy", beside),
        _environment(CONSOLE_LEVEL, terminal),
        settings.temporary_settings(updates),
    ):
        setup_logging()
        yield
    setup_logging()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _wait_for_answer(process: subprocess.Popen[bytes] | None, what: str, where: str, remedy: str) -> None:
    """Wait until the server in the settings answers; once where no process of ours is on its way up.

    Raises:
        PlaceError: it does not answer, or not to our token.
    """
    import httpx
    from prefect.client.orchestration import get_client

    until = time.monotonic() + PATIENCE
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with get_client(sync_client=True) as client:
        while True:
            try:
                # behind the token, unlike /health: another run's server on the same port must not pass for this one
                client.api_version()
                return
            except (httpx.HTTPError, OSError):
                if process is None or process.poll() is not None or time.monotonic() > until:
                    raise PlaceError(what, where=where, remedy=remedy) from None
            time.sleep(0.05)


def _drain() -> None:
    """Let what the run has logged and emitted reach the server before it ends, also of a run that failed.

    What is left over is sent when the process ends, for a minute and to nobody.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=DRAINED_WITHIN)
