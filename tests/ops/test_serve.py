"""``datacut serve``: its own server serves whoever has its token, and nobody else on the machine."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flows.orchestration.deployments import DEPLOYMENTS
from flows.sample import SampleRequest, generate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ask(url: str, token: str = "", body: object = None) -> tuple[int, object]:
    """Return the status and the answer of a request."""
    question = urllib.request.Request(url, None if body is None else json.dumps(body).encode())  # noqa: S310
    question.add_header("Content-Type", "application/json")
    if token:
        question.add_header("Authorization", f"Basic {base64.b64encode(token.encode()).decode()}")
    try:
        with urllib.request.urlopen(question, timeout=10) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, None
    except OSError:
        return 0, None


@pytest.mark.requirement("Q72")
def test_only_who_has_the_token_can_start_anything(tmp_path):
    generate(SampleRequest(60, 4, 0.0), tmp_path / "s")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("datacut"), "serve", tmp_path / "s" / "cut.yaml", "--port", str(port)]
    named = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    serving = subprocess.Popen(
        [*command, "--no-schedules"], env=named, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    file, api = tmp_path / "s" / "work" / "prefect" / "auth-string", f"http://127.0.0.1:{port}/api"
    try:
        until, found = time.monotonic() + 400, []
        while len(found) < len(DEPLOYMENTS) and time.monotonic() < until and serving.poll() is None:
            time.sleep(0.5)
            token = file.read_text() if file.is_file() else ""
            found = (token and ask(f"{api}/deployments/filter", token, {})[1]) or []
        assert {one["name"] for one in found} == {f"{d.name}-SAMPLE-2023-08-19" for d in DEPLOYMENTS}
        assert file.stat().st_mode & 0o777 == 0o600
        started = f"{api}/deployments/{found[0]['id']}/create_flow_run"
        assert ask(started, "", {"parameters": {"cut_file": "/tmp/another/cut.yaml"}})[0] == 401  # noqa: S108
        assert ask(started, "datacut-serve:00000000000000000000000000000000", {})[0] == 401
        assert ask(f"{api}/flow_runs/count", token, {}) == (200, 0)
    finally:
        serving.send_signal(signal.SIGINT)
        told, _ = serving.communicate(timeout=60)
    assert token not in told
    assert str(file) in told
    assert not file.exists()
