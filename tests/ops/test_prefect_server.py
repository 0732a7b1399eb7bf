"""A real Prefect server on loopback: deployments, a schedule, an event, a worker, artifacts, the run page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.errors import EvidenceError
from flows.orchestration.deployments import DEPLOYMENTS
from flows.release.check_returns import check_returns
from flows.sample import SampleRequest, generate

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


class Server:
    """A Prefect server and a worker, with a home of their own."""

    def __init__(self, home: Path) -> None:
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
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.start("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        wait(lambda: self.ask("/health") is True, 300, "the server answers")

    def start(self, *arguments: str) -> None:
        log = Path(self.environment["PREFECT_HOME"]) / f"{arguments[0]}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [BIN / "prefect", *arguments],
            env=self.environment,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.append(process)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.api + path, data, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.URLError:
            return None

    def runs(self, flow: str) -> list[dict[str, Any]]:
        body = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC"}
        return self.ask("/flow_runs/filter", body) or []

    def stop(self) -> None:
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait(until: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := until():
            return found
        time.sleep(0.5)
    pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("prefect") / "home")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ops") / "cut"
    generate(SampleRequest(120, 5, 0.02), folder)
    return folder / "cut.yaml"


def given_participants(cut: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(cut.read_text())["participants"]


def test_prefect_yaml_says_what_the_code_deploys():
    said = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [(d["name"], d["entrypoint"]) for d in said] == [
        (d.name + "-{{ $DATACUT_CUT_ID }}", f"flows.orchestration.flows.{d.flow}") for d in DEPLOYMENTS
    ]
    for one, deployment in zip(said, DEPLOYMENTS, strict=True):
        schedule = (one.get("schedules") or [{}])[0]
        assert schedule.get("cron", "") == deployment.cron
        assert schedule.get("interval", 0) == deployment.every
        assert one.get("triggers", [{}])[0].get("expect", [""])[0] == deployment.after
        assert one["concurrency_limit"] == deployment.at_once
        assert {k: v for k, v in one["parameters"].items() if k != "cut_file"} == dict(deployment.parameters)


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.requirement("Q74")
def test_scheduled_looks_find_the_inputs_and_trigger_the_whole_job(server, cut):
    """Backups arrive one after the other; the scheduled inbox sees the last one, and its event starts the job."""
    last = cut.parent / "EELC" / "registration.csv"
    kept = last.read_bytes()
    last.unlink()
    command = [BIN / "datacut", "deploy", cut, "--look-every", "5"]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Registered") == len(DEPLOYMENTS)
    names = {d["name"] for d in server.ask("/deployments/filter", {})}
    assert names == {f"{d.name}-SAMPLE-2023-08-19" for d in DEPLOYMENTS}
    limits = server.ask("/v2/concurrency_limits/filter", {})
    assert [(limit["name"], limit["limit"]) for limit in limits if limit["name"] == "datacut-ring-fence"]

    server.start("worker", "start", "--pool", "datacut", "--name", "tester", "--limit", "3")
    looks = wait(lambda: [r for r in server.runs("inbox") if r["state_type"] == "COMPLETED"], 240, "a scheduled look")
    assert looks[0]["created_by"]["type"] == "SCHEDULE" or looks[0]["auto_scheduled"]
    assert server.runs("data-cut") == []
    last.write_bytes(kept)
    wait(lambda: server.runs("data-cut"), 240, "the start of the job")
    (inbox,) = [d for d in server.ask("/deployments/filter", {}) if d["name"].startswith("inbox")]
    server.ask(f"/deployments/{inbox['id']}/pause_deployment", {})  # each look is a process, and enough were taken
    (run,) = wait(
        lambda: [r for r in server.runs("data-cut") if r["state_type"] in ("COMPLETED", "FAILED")], 400, "the job"
    )
    assert run["state_type"] == "COMPLETED", run["state"]
    assert run["created_by"]["type"] == "AUTOMATION"
    assert run["name"] == "release SAMPLE-2023-08-19 of EELC, YELG, IPNL, SUPA and 6 more"
    assert "cut:SAMPLE-2023-08-19" in run["tags"]

    found = {a["key"]: a for a in server.ask("/artifacts/latest/filter", {})}
    table = json.loads(found["row-accounting"]["data"])
    assert len(table) == len({(p["mpid"], e["contract"]) for p in given_participants(cut) for e in p["extracts"]})
    assert all(row["rows in"] == row["released"] + row["excluded"] for row in table)
    assert "report/index.html" in found["report"]["data"]
    tasks = server.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 100})
    # names are as "quality: part 1 of 1" and "release, leak scan, report"
    stages = {re.split("[:,]", task["name"])[0] for task in tasks}
    assert stages == {"intake", "quality", "align", "augment", "ring-fence", "release"}
    (cut.parent / "run.json").write_text(json.dumps(run))
    (given,) = wait(
        lambda: [r for r in server.runs("return") if r["state_type"] in ("COMPLETED", "FAILED")], 240, "the returns"
    )
    assert (given["state_type"], given["created_by"]["type"]) == ("COMPLETED", "AUTOMATION"), given["state"]
    (packs,) = server.ask("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["return-packs"]}}})
    ready = json.loads(packs["data"])
    assert [entry["participant"] for entry in ready] == [p["mpid"] for p in given_participants(cut)]


@pytest.mark.slow
@pytest.mark.requirement("Q62")
def test_a_return_pack_that_was_changed_is_not_handed_over(cut):
    if not (cut.parent / "run.json").is_file():
        pytest.skip("needs the run of the test above")
    assert len(check_returns(cut)) == 10
    pack = cut.parent / "out" / "SAMPLE-2023-08-19-return-SUPB"
    table = pack / "data" / "SUPB" / "counterparties.parquet"
    table.write_bytes(table.read_bytes()[:-9] + b"x" + table.read_bytes()[-8:])
    with pytest.raises(EvidenceError, match="counterparties"):
        check_returns(cut)
    shutil.rmtree(pack)
    shutil.copytree(pack.with_name("SAMPLE-2023-08-19-return-SUPA"), pack)
    with pytest.raises(EvidenceError, match="another participant"):
        check_returns(cut)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_run_page_opens_in_a_browser(server, cut, tmp_path):
    chromium = shutil.which("chromium")
    record = cut.parent / "run.json"
    if chromium is None or not record.is_file():
        pytest.skip("needs chromium and the run of the test above")
    run = json.loads(record.read_text())
    shot = tmp_path / "run.png"
    url = f"http://127.0.0.1:{server.port}/runs/flow-run/{run['id']}"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1400,1000",
    ]
    command = [chromium, *flags, f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=15000"]
    subprocess.run([*command, f"--screenshot={shot}", url], check=True, capture_output=True, timeout=120)
    assert shot.stat().st_size > 20_000
    page = subprocess.run([*command, "--dump-dom", url], check=True, capture_output=True, timeout=120)
    assert b"release SAMPLE-2023-08-19" in page.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_prefect_itself_deploys_the_same_from_the_file(server, cut):
    """Of another cut, beside the one that is there: same names, schedules, limits, and events of its own cut alone."""
    if not (cut.parent / "run.json").is_file():
        pytest.skip("needs the run of the test above")
    given = {"DATACUT_HOME": str(cut.parent), "DATACUT_CUT": str(cut), "DATACUT_CUT_ID": "OTHER"}
    command = [BIN / "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", ROOT / "prefect.yaml"]
    done = subprocess.run(
        command, env={**server.environment, **given}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr

    def registered(cut_id: str) -> dict[str, tuple[Any, ...]]:
        found = {}
        for one in server.ask("/deployments/filter", {}):
            if one["name"].endswith(f"-{cut_id}"):
                times = [(s["schedule"].get("cron"), s["schedule"].get("interval")) for s in one["schedules"]]
                limit = (one.get("global_concurrency_limit") or {}).get("limit")
                own = {k: v for k, v in one["parameters"].items() if k != "cut_file"}
                tags = {tag.replace(cut_id, "CUT") for tag in one["tags"]}
                name = one["name"].removesuffix(f"-{cut_id}")
                found[name] = (name != "inbox" and times, limit, own, tags, one["work_pool_name"])
        return found

    def starts(cut_id: str) -> set[tuple[str, ...]]:
        return {
            (*one["trigger"]["expect"], one["trigger"]["match"]["prefect.resource.id"].replace(cut_id, "CUT"))
            for one in server.ask("/automations/filter", {})
            if one["trigger"]["match"].get("prefect.resource.id", "").endswith(f".{cut_id}")
        }

    assert registered("OTHER") == registered("SAMPLE-2023-08-19")
    assert len(registered("OTHER")) == len(DEPLOYMENTS)
    assert starts("OTHER") == starts("SAMPLE-2023-08-19")
    assert len(starts("OTHER")) == 2
