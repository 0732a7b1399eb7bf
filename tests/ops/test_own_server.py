"""``datacut run`` where no server is configured: what is Prefect's works, stays private, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.errors import PlaceError
from flows.cut import installed
from flows.orchestration import history, server
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.ops.history_schema import migrated, parts
from tests.small_cut import FEWEST, keep_participants

DATACUT = Path(sys.executable).with_name("datacut")
SERVER = b"flows.orchestration.server"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody who has never used Prefect."""
    home.mkdir(exist_ok=True)
    named = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return {**named, "HOME": str(home), **more}


def servers(home: Path) -> Iterator[int]:
    """Yield the processes that serve from a home of Prefect's."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, told = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if SERVER in line and f"PREFECT_HOME={home}".encode() in told.split(b"\0"):
            yield int(process.name)


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the database that a run has left."""
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "cut"
    generate(SampleRequest(60, 4, 0.0), folder)
    return keep_participants(folder, FEWEST)


@pytest.mark.slow
@pytest.mark.timeout(2000)
@pytest.mark.requirement("Q67", "Q72")
def test_history_retries_artifacts_and_events_work_and_nothing_is_left_running(cut, tmp_path):
    """One run whose disk fails at first, then one that is killed, then one that ends well; one history of all three."""
    home, place = cut.parent / "work" / "prefect", environment(tmp_path / "user")
    driver = [sys.executable, "-m", "tests.ops.driver", cut]
    done = subprocess.run(
        [*driver, "PlaceError", "2"], env=place, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "prefect" not in done.stderr.lower()
    tables = "select run_count, state_name from task_run where name = 'quality: tables to look things up in'"
    assert rows(home, tables) == [(3, "Completed")]
    assert rows(home, "select count(*), count(distinct state_name) from task_run")[0][1] == 1
    assert {key for (key,) in rows(home, "select key from artifact")} == {"row-accounting", "report"}
    assert rows(home, "select count(*) from events where event = 'datacut.release.published'") == [(1,)]
    assert rows(home, "select count(*) from log where message like 'rows %' and task_run_id is not null")[0][0] > 5
    assert rows(home, "select distinct tags from task_run") == [("[]",)]
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(servers(home)) == []

    other = environment(tmp_path / "other")
    killed = subprocess.Popen([DATACUT, "run", cut], env=other, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(rows(home, "select 1 from flow_run")) < 2 and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    assert len(list(servers(home))) == 1
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=30)
    assert list((tmp_path / "other").iterdir()) == []  # no ~/.prefect
    until = time.monotonic() + 30
    while list(servers(home)) and time.monotonic() < until:
        time.sleep(0.2)
    assert list(servers(home)) == []

    done = subprocess.run(
        [*driver, "RefusedError", "1"], env=place, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 12  # what the data is, no second try changes
    assert [line for line in done.stderr.splitlines() if line.startswith("datacut: ")] == [
        "datacut: the work folder: cannot be written (free some space)"
    ]
    assert "logging to API" not in done.stderr  # nothing was left to send when the server was gone
    last = "(select id from flow_run where state_name = 'Failed')"
    assert rows(home, f"select count(*) from log where message like '%Failed%' and flow_run_id in {last}")[0][0] > 0
    assert rows(home, "select count(*) from events where event = 'prefect.flow-run.Failed'") == [(1,)]
    states = [name for (name,) in rows(home, "select state_name from flow_run order by created")]
    assert (states[0], states[2]) == ("Completed", "Failed")
    assert rows(home, "select max(run_count) from task_run where state_name = 'Failed'") == [(1,)]


@pytest.mark.parametrize(
    ("named", "found"),
    [({}, False), ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, True), ({"PREFECT_API_URL": ""}, False)],
)
def test_a_server_is_configured_by_its_address(tmp_path, monkeypatch, named, found):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert server.configured() is found


ASK = "from flows.orchestration import server; print(server.configured())"
PROFILES = 'active = "{active}"\n[profiles.far]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n[profiles.near]\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("active", "named", "found"),
    [("far", {}, True), ("near", {}, False), ("near", {"PREFECT_PROFILE": "far"}, True)],
)
def test_a_server_is_configured_by_a_profile(tmp_path, active, named, found):
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text(PROFILES.format(active=active))
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment(tmp_path, **named), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(found)


def test_what_prefect_config_set_has_set_holds_for_our_own_server(tmp_path, monkeypatch):
    """The server has a home of its own, and the user's profiles; without any it makes none in the user's home."""
    told: list[dict[str, str]] = []

    def start(_home: Path, settings: dict[str, str]) -> None:
        told.append(dict(settings))
        raise OSError(1, "no server here")

    monkeypatch.setattr(server, "_start", start)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    profiles = tmp_path / ".prefect" / "profiles.toml"
    for _ in range(2):
        with pytest.raises(PlaceError, match="cannot start"), server.own_server(tmp_path / "work"):
            pass
        profiles.parent.mkdir(exist_ok=True)
        profiles.write_text(PROFILES.format(active="near"))
    assert [settings.get("PREFECT_PROFILES_PATH") for settings in told] == [None, str(profiles)]


@pytest.mark.parametrize(
    ("named", "swallowed"),
    [
        ({}, False),
        ({"http_proxy": "http://proxy.example:3128"}, True),
        ({"http_proxy": "http://proxy.example:3128", "no_proxy": "127.0.0.1"}, False),
        ({"https_proxy": "http://proxy.example:3128"}, False),
    ],
)
def test_a_proxy_that_takes_what_is_for_this_machine_is_named(monkeypatch, named, swallowed):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        said = server.swallowing_proxy()
    assert ("add 127.0.0.1 to NO_PROXY" in said) is swallowed
    with temporary_settings({PREFECT_API_URL: "http://prefect.example/api"}):
        assert server.swallowing_proxy() == ""


def test_without_prefect_run_says_what_to_do(cut, monkeypatch):
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    done = datacut("run", cut)
    assert done.code == 19
    assert done.told == ["datacut: Prefect is not installed (run with --plain, or pip install 'datacut[si]')"]
    assert datacut("serve", cut).code == 19
    assert datacut("deploy", cut).code == 19


@pytest.mark.slow
def test_a_new_history_is_what_the_migrations_of_prefect_make(tmp_path, monkeypatch):
    """Told once more when another Prefect is pinned: ``tests.ops.history_schema`` writes the file."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    history.begin(tmp_path, profiles=tmp_path / "none")
    with closing(sqlite3.connect(tmp_path / history.DATABASE)) as made:
        assert parts("\n".join(made.iterdump())) == parts(migrated())


@pytest.mark.parametrize("elsewhere", ["profiles", "address", "version", "there"])
def test_a_history_that_is_not_ours_to_make_is_left_to_prefect(tmp_path, monkeypatch, elsewhere):
    profiles, place = tmp_path / "profiles.toml", tmp_path / history.DATABASE
    match elsewhere:
        case "profiles":
            profiles.write_text(PROFILES.format(active="near"))
        case "address":
            monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://nobody@127.0.0.1:9/none")
        case "version":
            monkeypatch.setattr(history, "version", lambda _: "3.9.0")
        case _:
            place.write_bytes(b"kept")
    history.begin(tmp_path, profiles=profiles)
    assert (place.read_bytes() if place.exists() else b"") == (b"kept" if elsewhere == "there" else b"")
