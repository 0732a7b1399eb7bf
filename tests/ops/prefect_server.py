"""A Prefect server and its workers on loopback, and a receiver of notifications: real processes, own home."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


def wait(until: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until a call returns something, and return it.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := until():
            return found
        time.sleep(0.5)
    raise TimeoutError(f"not within {seconds} s: {what}")


class Server:
    """A Prefect server and a worker, with a home of their own.

    Args:
        database: URL of Prefect's database; SQLite in the home if none is given.
    """

    def __init__(self, home: Path, database: str = "", **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **settings,
        }
        if database:
            self.environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
        self.processes: list[subprocess.Popen[bytes]] = []
        self.begin()

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the server, also again after it was killed."""
        process = self.start("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        wait(lambda: self.ask("/health") is True, 300, "the server answers")
        return process

    def begin_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of the pool."""
        self.worker = self.start("worker", "start", "--pool", "datacut", "--name", "tester", "--limit", "3")
        return self.worker

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of Prefect's in a session of its own."""
        log = Path(self.environment["PREFECT_HOME"]) / f"{arguments[0]}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [BIN / "prefect", *arguments],
            env=self.environment,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API; nothing where nobody answers or it refuses. A busy server is given a minute, and asked again."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.api + path, data, {"Content-Type": "application/json"})  # noqa: S310
        for pause in (1, 3, 0):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    return json.loads(answer.read() or "true")
            except urllib.error.HTTPError as refusal:
                if refusal.code < 500 or not pause:
                    return None
                time.sleep(pause)
            except OSError:
                return None
        return None

    def change(self, path: str, facts: dict[str, Any]) -> None:
        """Change some facts of a thing."""
        data = json.dumps(facts).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, data, headers, method="PATCH")  # noqa: S310
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Return the runs of a flow in the order in which they began."""
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return self.ask("/flow_runs/filter", body) or []

    def logs(self, run: str) -> list[dict[str, Any]]:
        """Return what a run and its tasks have logged; the server gives two hundred lines at a time."""
        found: list[dict[str, Any]] = []
        chosen = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        while more := self.ask("/logs/filter", {**chosen, "offset": len(found)}):
            found += more
        return found

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return self.ask(f"/flow_runs/{run_id}") or {}

    def deployment(self, name: str) -> str:
        """Return the id of a deployment whose name begins so."""
        (found,) = [d for d in self.ask("/deployments/filter", {}) if d["name"].startswith(name)]
        return str(found["id"])

    def begin_run(self, deployment: str, parameters: dict[str, Any] | None = None) -> str:
        """Ask for a run of a deployment and return its id."""
        body = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}}
        return str(self.ask(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def stop(self) -> None:
        """Stop everything that was started, softly and then hard."""
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Receiver:
    """A web hook on loopback that keeps what it is told, with the time."""

    def __init__(self) -> None:
        told: list[tuple[float, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                told.append((time.monotonic(), json.loads(self.rfile.read(length))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.told = told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, words: str) -> list[dict[str, str]]:
        """Return the messages that hold some words."""
        return [message for _, message in self.told if words in message["subject"] + message["body"]]

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def descendants(ancestor: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


MAKE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
block = CustomWebhookNotificationBlock(
    name="ops", url=sys.argv[1], json_data={"subject": "{{subject}}", "body": "{{body}}"}
)
block.save("ops", overwrite=True)
"""


def make_block(server: Server, receiver: Receiver) -> str:
    """Make a notification block on the server and return its type and name."""
    subprocess.run([sys.executable, "-c", MAKE_BLOCK, receiver.url], env=server.environment, check=True)
    return "custom-webhook/ops"


def deploy(server: Server, cut: Path, *options: str) -> str:
    """Register a cut and return what was said."""
    command = [str(BIN / "datacut"), "deploy", str(cut), *options]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise AssertionError(done.stderr)
    return str(done.stdout)
