"""What somebody is told: words of a notice, late inputs and releases; and what stands over a pack that is published."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jinja2 import ChainableUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from contracts.errors import PlaceError
from flows import pipeline
from flows.cut import stopping
from flows.cut.parallel import map_parallel
from flows.orchestration import inbox, notices, settled, watch
from flows.release.published import Published
from flows.sample import SampleRequest, generate
from tests.ops.outages import Tally, judged


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("notices") / "cut"
    generate(SampleRequest(60, 4, 0.0), folder)
    return folder / "cut.yaml"


@pytest.fixture
def cut(made, tmp_path) -> Path:
    """Return a cut.yaml of its own beside the same backups."""
    file = made.with_name(f"{tmp_path.name}.yaml")
    document = yaml.safe_load(made.read_text())
    file.write_text(yaml.safe_dump({**document, "work": str(tmp_path / "work")}))
    return file


def rendered(text: str, name: str, message: str | None, **labels: str) -> str:
    """Render a template as Prefect's server does: in a sandbox, what is missing being empty."""
    run = SimpleNamespace(name="release C of A", state=SimpleNamespace(name=name, message=message), labels=labels)
    made = ImmutableSandboxedEnvironment(undefined=ChainableUndefined)
    return made.from_string(notices.of_cut(text, "C")).render(flow_run=run, flow=SimpleNamespace(name="data-cut"))


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("Crashed", "Process exited with status code: -9. SIGKILL", "killed, most often for lack of memory"),
        ("Crashed", "Flow run process exited with non-zero status code -9.", "killed, most often for lack of memory"),
        ("Crashed", notices.NO_SIGN, "see that machine, worker and server are there"),
        ("Cancelled", None, "somebody cancelled it, and nothing was published"),
        ("Failed", "PlaceError: the disk is full (free some space)", "as the line above says"),
    ],
)
def test_a_notice_says_cut_stage_last_good_step_and_what_to_do(name, message, remedy):
    labels = {notices.STAGE: "quality: part 2 of 4", notices.LAST: "quality: part 1 of 4"}
    lines = dict(line.split(": ", 1) for line in rendered(notices.BODY, name, message, **labels).splitlines() if line)
    assert lines["Cut"] == "C"
    assert lines["Run"] == "release C of A"
    assert lines["State"].startswith(name)
    assert message is None or message in lines["State"]
    assert (lines["Stage"], lines["Last good step"]) == ("quality: part 2 of 4", "quality: part 1 of 4")
    assert remedy in lines["What to do"]
    assert rendered(notices.SUBJECT, name, message) == f"datacut C: data-cut {name.lower()}"
    assert "Stage: before the first" in rendered(notices.BODY, name, message)


def test_the_server_takes_every_template():
    from prefect.server.utilities.user_templates import validate_user_template

    for name in dir(notices):
        if name.endswith(("SUBJECT", "BODY")):
            validate_user_template(getattr(notices, name))


def test_late_inputs_and_a_release_that_is_overdue_are_said_once(cut):
    document = yaml.safe_load(cut.read_text())
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    late = document["participants"][0]
    late |= {"due": yesterday, "extracts": [{**late["extracts"][0], "source": "absent.csv"}]}
    document["release"]["due"] = yesterday
    cut.write_text(yaml.safe_dump(document))
    first, second = inbox.look(cut), inbox.look(cut)
    assert ([d.participant for d in first.late], first.overdue, first.changed) == ([late["mpid"]], 1, True)
    assert (second.late, second.overdue) == ((), 0)
    assert not inbox.look(cut).changed
    subject, body = watch._late(cut, first)
    assert "1 input late" in subject
    assert f"{late['mpid']}/registration, due {yesterday}: 1 day late" in body
    subject, body = watch._overdue(cut, first)
    assert "no release yet" in subject
    assert f"no release, 1 day after {yesterday}" in body
    later = document["participants"][1]
    later |= {"due": yesterday, "extracts": [{**later["extracts"][0], "source": "absent too.csv"}]}
    cut.write_text(yaml.safe_dump(document))
    assert [d.participant for d in inbox.look(cut).late] == [later["mpid"]]  # the new one alone


def test_a_release_that_is_there_is_not_overdue(cut, tmp_path):
    document = yaml.safe_load(cut.read_text())
    document["release"] |= {"due": datetime.now(UTC).date() - timedelta(days=9), "folder": str(tmp_path / "out")}
    cut.write_text(yaml.safe_dump(document))
    (tmp_path / "out" / f"{document['cut']['id']}-release").mkdir(parents=True)
    assert inbox.look(cut).overdue == 0


def test_a_run_has_published_what_was_sealed_after_it_began(cut, tmp_path):
    document = yaml.safe_load(cut.read_text())
    document["release"]["folder"] = str(tmp_path / "out")
    cut.write_text(yaml.safe_dump(document))
    pack = tmp_path / "out" / f"{document['cut']['id']}-release"
    began = datetime.now(UTC)
    run = SimpleNamespace(parameters={"cut_file": str(cut)}, start_time=began)
    assert not settled.has_published(run)
    pack.mkdir(parents=True)
    sealed = pack / "tagmanifest-sha256.txt"
    sealed.touch()
    for seconds, there in ((5, True), (-5, False)):  # an earlier run's pack is not this one's
        os.utime(sealed, (began.timestamp() + seconds,) * 2)
        assert settled.has_published(run) is there
    run.start_time = None
    assert not settled.has_published(run)


class Ended(BaseException):
    """As Prefect's signal of an end, by name."""


Ended.__name__ = "TerminationSignal"


def test_a_run_that_was_asked_to_end_publishes_nothing_any_more():
    def asked(item: int) -> None:
        if item:
            raise Ended

    with stopping.stoppable():
        stopping.refuse_stopped()
        with pytest.raises(Ended):
            map_parallel(asked, [0, 1])
        with pytest.raises(PlaceError, match="stopped before it published"):
            stopping.refuse_stopped()
    stopping.refuse_stopped()


@pytest.mark.parametrize("published", [True, False])
def test_a_run_that_is_ended_after_it_published_has_ended_well(made, monkeypatch, published):
    """The end is asked for while the last step is at work: before its rename, or after it."""
    done = Published(
        pack="p", report="r", tagmanifest_sha256="", accounting=(), reasons={}, returns=(), sources=(), phases={}
    )

    def ended(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    plan = pipeline.RunPlan(sources=(), partitions=1, resumed=False)
    for name, stand_in in {
        "prepare": lambda *_, **__: plan,
        "_waves": lambda *_: [],
        "publish": (lambda *_, **__: done) if published else ended,
        "accept": ended,
    }.items():
        monkeypatch.setattr(pipeline, name, stand_in)
    if published:
        assert pipeline.run_plain(made) == done
    else:
        with pytest.raises(KeyboardInterrupt):
            pipeline.run_plain(made)


class OfDask:
    """A step as Dask's futures tell of it: done, at work, or waiting."""

    def __init__(self, key: str, *, done: bool = False) -> None:
        self.key, self.client, self.cancelled = key, self, False
        self.done = lambda: done

    def processing(self) -> dict[str, tuple[str, ...]]:
        return {"worker 1": ("at work",), "worker 2": ()}

    def cancel(self) -> None:
        self.cancelled = True


def test_a_run_that_ends_early_waits_for_no_step_that_nobody_has_begun():
    from flows.orchestration.flows import begun

    steps = [OfDask("done", done=True), OfDask("at work"), OfDask("waits"), OfDask("waits too")]
    futures = [SimpleNamespace(wrapped_future=step) for step in steps]
    assert begun(futures) == futures[:2]
    assert [step.cancelled for step in steps] == [False, False, True, True]
    with ThreadPoolExecutor(1) as pool:
        go = threading.Event()
        one, waits = pool.submit(go.wait), pool.submit(go.wait)
        while not one.running():
            time.sleep(0.01)
        left = begun([SimpleNamespace(wrapped_future=future) for future in (one, waits)])
        go.set()
    assert [step.wrapped_future for step in left] == [one]
    assert waits.cancelled()


GOOD = {"subject": "datacut C: data-cut failed", "body": "Cut: C\nStage: quality\nLast good step: intake"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("flow", "CRASHED", 100.0, [GOOD]), []),
        (("server", "COMPLETED", 500.0, []), []),
        (("server", "FAILED", 30.0, []), ["0 messages of a run that FAILED: []"]),
        (("flow", "COMPLETED", 3.0, [GOOD]), ["1 messages of a run that COMPLETED"]),
        (("flow", "CRASHED", 3.0, [GOOD, GOOD]), ["2 messages of a run that CRASHED"]),
        (("flow", "CRASHED", 3.0, [{**GOOD, "body": "Cut: C"}]), ["no stage in 'Cut: C'"]),
        (("flow", "CRASHED", 121.0, [GOOD]), ["the state was right after 121 s"]),
    ],
)
def test_each_check_of_the_outages_sees_what_it_looks_for(given, told):
    tally = Tally()
    found = judged(*given, tally)
    assert [one[: len(wanted)] for one, wanted in zip(found, told, strict=True)] == told
    assert tally.looked["states"] == 1
    assert tally.lost == (given[1] != "COMPLETED" and not given[3])
