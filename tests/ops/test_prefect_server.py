"""A real Prefect server on loopback: deployments, a schedule, an event, a worker, artifacts, the run page."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from contracts.errors import EvidenceError
from flows.orchestration import telling
from flows.orchestration.deployments import DEPLOYMENTS, environment
from flows.release.check_returns import check_returns
from flows.sample import SampleRequest, generate
from tests.ops.prefect_server import BIN, Receiver, Server, deploy, descendants, make_block, wait
from tests.small_cut import EVERY_EXTRACT, keep_participants

ROOT = Path(__file__).parents[2]
KEPT = (*EVERY_EXTRACT, "SUPB")  # more than the name of a run has room for


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("prefect") / "home")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.stop()


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ops") / "cut"
    generate(SampleRequest(120, 5, 0.02), folder)
    return keep_participants(folder, KEPT)


def given_participants(cut: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(cut.read_text())["participants"]


def test_prefect_yaml_says_what_the_code_deploys():
    said = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [(d["name"], d["entrypoint"]) for d in said] == [
        (d.name + "-{{ $DATACUT_CUT_ID }}", d.entrypoint) for d in DEPLOYMENTS
    ]
    for one, deployment in zip(said, DEPLOYMENTS, strict=True):
        schedule = (one.get("schedules") or [{}])[0]
        assert schedule.get("cron", "") == deployment.cron
        assert schedule.get("interval", 0) == deployment.every
        assert one.get("triggers", [{}])[0].get("expect", [""])[0] == deployment.after
        limit = {"limit": deployment.at_once, "collision_strategy": "CANCEL_NEW"}
        assert one["concurrency_limit"] == (deployment.at_once if deployment.waits else limit)
        assert one["work_pool"]["job_variables"] == {"env": environment(deployment)}
        assert {k: v for k, v in one["parameters"].items() if k != "cut_file"} == dict(deployment.parameters)


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.requirement("Q74")
def test_scheduled_looks_find_the_inputs_and_trigger_the_whole_job(server, receiver, cut):
    """Backups arrive one after the other; the scheduled inbox sees the last one, and its event starts the job."""
    last = cut.parent / "EELC" / "registration.csv"
    kept = last.read_bytes()
    last.unlink()
    options = ("--look-every", "5", "--notify", make_block(server, receiver))
    told = deploy(server, cut, *options)
    assert told.count("Registered") == len(DEPLOYMENTS)
    paused = server.deployment("ring-fence")
    server.ask(f"/deployments/{paused}/pause_deployment", {})
    assert deploy(server, cut, *options).count("(paused, as it was)") == 1
    assert server.ask(f"/deployments/{paused}")["paused"] is True
    alerts = [one["name"] for one in server.ask("/automations/filter", {}) if "datacut" in one["name"]]
    assert len(alerts) == len(set(alerts))  # registered twice, there once
    names = {d["name"] for d in server.ask("/deployments/filter", {})}
    assert names == {f"{d.name}-SAMPLE-2023-08-19" for d in DEPLOYMENTS}
    limits = server.ask("/v2/concurrency_limits/filter", {})
    assert [(limit["name"], limit["limit"]) for limit in limits if limit["name"] == "datacut-ring-fence"]

    server.begin_worker()
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
    assert run["name"] == "release SAMPLE-2023-08-19 of EELC, SUPA, SUPB, MOPB and 2 more"
    assert "cut:SAMPLE-2023-08-19" in run["tags"]

    found = {a["key"]: a for a in server.ask("/artifacts/latest/filter", {})}
    table = json.loads(found["row-accounting"]["data"])
    assert len(table) == len({(p["mpid"], e["contract"]) for p in given_participants(cut) for e in p["extracts"]})
    assert all(row["rows in"] == row["released"] + row["excluded"] for row in table)
    screen = found["report"]["data"]
    assert screen.startswith("# Data cut SAMPLE-2023-08-19\n")
    assert "file:" not in screen
    assert "| What was excluded" in screen or "| How much was excluded" in screen or screen.count("\n| ") > 8
    tasks = server.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 100})
    # names are as "quality: part 1 of 1" and "release, leak scan, report"
    stages = {re.split("[:,]", task["name"])[0] for task in tasks}
    assert stages == {"intake", "quality", "align", "augment", "ring-fence", "release", "leak scan"}
    assert [task["name"] for task in tasks if task["tags"]] == []  # of each tag the server would be asked for a slot
    own = {task["id"] for task in tasks}  # a worker sends logs by the second
    wait(lambda: {log["task_run_id"] for log in server.logs(run["id"])} >= own, 60, "the logs of every task")
    assert [log for log in server.logs(run["id"]) if log["message"].startswith("allocated ")]
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
    assert len(check_returns(cut)) == len(KEPT)
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
    for one in server.ask("/deployments/filter", {}):
        if one["name"].endswith("-OTHER"):  # a look into its inbox would begin a second job over the same backups
            server.ask(f"/deployments/{one['id']}/pause_deployment", {})

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
            and not one["name"].startswith("datacut ")  # an alert starts nothing
        }

    assert registered("OTHER") == registered("SAMPLE-2023-08-19")
    assert len(registered("OTHER")) == len(DEPLOYMENTS)
    assert starts("OTHER") == starts("SAMPLE-2023-08-19")
    assert len(starts("OTHER")) == 2


def ended(server: Server, run: str) -> dict[str, Any]:
    return wait(
        lambda: (
            (found := server.run(run)).get("state_type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") and found
        ),
        300,
        "the end of a run",
    )


def during(server: Server, run: str, words: str) -> None:
    """Wait until a run is in a stage."""
    end = time.monotonic() + 200
    while words not in str((found := server.run(run)).get("labels")):
        state = found.get("state") or {}
        assert state.get("type") not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), state
        assert time.monotonic() < end, state
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.requirement("Q74")
def test_somebody_hears_once_of_a_run_that_fails_is_killed_or_cancelled(server, receiver, cut):
    """Good runs before these told nobody. Each message says cut, stage, last good step and what to do."""
    if not (cut.parent / "run.json").is_file():
        pytest.skip("needs the worker of the test above")
    assert receiver.told == []
    whole_job, kept = server.deployment("whole-job-SAMPLE"), cut.read_text()
    pack = cut.parent / "out" / "SAMPLE-2023-08-19-release"
    before = (pack / "tagmanifest-sha256.txt").stat().st_ino

    killed = server.begin_run(whole_job)
    during(server, killed, "datacut.stage")
    for pid in descendants(server.worker.pid):
        os.kill(pid, signal.SIGKILL)
    assert ended(server, killed)["state_type"] == "CRASHED"

    cancelled = server.begin_run(whole_job)
    during(server, cancelled, "datacut.stage")
    server.ask(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    assert ended(server, cancelled)["state_type"] == "CANCELLED"
    assert (pack / "tagmanifest-sha256.txt").stat().st_ino == before

    cut.write_text(kept.replace("\ncut:", "\ncut:\n  expires: 2020-01-01", 1))
    failed = server.begin_run(whole_job)
    assert ended(server, failed)["state_type"] == "FAILED"
    cut.write_text(kept)

    wait(lambda: len(receiver.told) >= 3, 60, "three messages")
    time.sleep(15)
    messages = [message for _, message in receiver.told]
    messages.sort(key=lambda message: message["subject"])
    told = [message["subject"] for message in messages]
    assert told == [f"datacut SAMPLE-2023-08-19: data-cut {end}" for end in ("cancelled", "crashed", "failed")], (
        messages
    )
    for message in messages:
        assert "Cut: SAMPLE-2023-08-19" in message["body"]
        assert re.search(r"\nStage: \w.*\nLast good step: \w.*\nWhat to do: \w", message["body"]), message["body"]
    assert "killed, most often for lack of memory" in messages[1]["body"]
    assert "the cut expired on 2020-01-01" in messages[2]["body"]
    lock = cut.parent / "work" / ".SAMPLE-2023-08-19.lock"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("Q74")
def test_what_the_alerts_missed_is_told_once_all_the_same(server, receiver, cut):
    """An alert that hears nothing, as while the server starts, leaves no trace; one that told does."""
    id_of_cut = yaml.safe_load(cut.read_text())["cut"]["id"]
    deploy(server, cut, "--no-schedules", "--notify", make_block(server, receiver))
    whole_job, before = server.deployment(f"whole-job-{id_of_cut}"), len(receiver.told)
    (alert,) = [a for a in server.ask("/automations/filter", {}) if a["name"] == f"datacut {id_of_cut}: failed"]

    traces = {"filter": {"event": {"name": [telling.EXECUTED]}}}
    seen = server.ask("/events/filter", traces)["total"]

    def fail(message: str) -> str:
        run = server.begin_run(whole_job)
        server.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "FAILED", "message": message}, "force": True})
        return run

    def told() -> list[str]:
        return [message["body"] for _, message in receiver.told[before:]]

    with temporary_settings({PREFECT_API_URL: server.api}):
        fail("heard of")
        wait(lambda: len(told()) == 1, 60, "the alert's message")
        wait(lambda: server.ask("/events/filter", traces)["total"] > seen, 60, "its trace")
        assert telling.tell_missed(id_of_cut, after=timedelta(0)) == []
        server.change(f"/automations/{alert['id']}", {"enabled": False})
        lost = fail("missed")
        time.sleep(8)
        assert telling.tell_missed(id_of_cut, after=timedelta(0)) == []  # turned off by somebody: nobody is told
        server.change(f"/automations/{alert['id']}", {"enabled": True})
        assert telling.tell_missed(id_of_cut) == []  # it ended just now, and is left to who saw it
        assert telling.tell_missed(id_of_cut, after=timedelta(0)) == [server.run(lost)["name"]]
        assert telling.tell_missed(id_of_cut, after=timedelta(0)) == []
    assert len(told()) == 2
    assert "State: Failed: missed" in told()[1]
    assert f"Cut: {id_of_cut}" in told()[1]
