"""Wrong usage of the command line: one line that says what, where and what to do; the exit code; one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import DataCutError, PlaceError
from flows.cli import help as command_help
from flows.cli.outcome import failure_of
from flows.cli.progress import RELEASE_ONLY, SHARES, BarListener
from flows.cut.progress import Step, StepCounts
from flows.pipeline import RunPlan
from tests.command import BUILT, datacut

CODE = "from flows.cli.main import main; main()"
USAGE = (
    (("rnu",), "no such command 'rnu'", "datacut --help"),
    (("anonymize", "cut.yaml"), "'anonymise'", "datacut --help"),
    (("key", "nwe"), "no such command 'nwe'", "datacut key --help"),
    (("--verison",), "did you mean --version?", "datacut --help"),
    (("run", "--workrs", "2", "cut.yaml"), "did you mean --workers?", "datacut run --help"),
    (("run",), "missing argument 'CUT.yaml'", "datacut run --help"),
    (("verify", "pack"), "missing option '--public-key'", "datacut verify --help"),
    (("compare", "a", "b", "--tolerate", "7"), "'--tolerate'", "datacut compare --help"),
    (("pseudonym", "--field", "mpam"), "'--field'", "datacut pseudonym --help"),
    (("run", "cut.yaml", "cut.yaml"), "unexpected extra argument", "datacut run --help"),
    (("sample", "--mpans", "many"), "'--mpans'", "datacut sample --help"),
)


@pytest.mark.parametrize(("arguments", "words", "see"), USAGE)
def test_wrong_usage_is_one_line_and_code_2(arguments: tuple[str, ...], words: str, see: str) -> None:
    done = datacut(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("datacut: ")
    assert words in line
    assert line.endswith(f"(see {see})")


@pytest.mark.parametrize(
    ("arguments", "name", "code"),
    [
        (("run", "--json"), "ConfigurationError", 2),
        (("anonymise", "absent.yaml", "--json"), "ConfigurationError", 2),
        (("contracts", "check", "absent", "--json"), "ContractError", 10),
        (("compare", "absent", "absent", "--json"), "EvidenceError", 18),
    ],
)
def test_a_failure_is_one_json_object_too(arguments: tuple[str, ...], name: str, code: int) -> None:
    done = datacut(*arguments)
    error = json.loads(done.out)["error"]
    assert set(error) == {"class", "exit_code", "what", "where", "remedy"}
    assert (error["class"], error["exit_code"], done.code) == (name, code, code)
    assert done.told == [f"datacut: {DataCutError(error['what'], where=error['where'], remedy=error['remedy'])}"]


def test_what_nobody_expected_is_never_quoted() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError("1200000000013")
    assert "1200000000013" not in failure_of(caught.value).line()
    with pytest.raises(PermissionError) as denied:
        raise PermissionError(13, "Permission denied", "/backups/1200000000013.csv")
    said = failure_of(denied.value)
    assert isinstance(said, PlaceError)
    assert "permission is denied" in said.line()
    assert "1200000000013" not in said.line()
    assert failure_of(MemoryError()).exit_code == 19


def test_version() -> None:
    assert datacut("--version").out.startswith("datacut ")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_command_and_cuts_no_sentence(option: str) -> None:
    done = datacut(option)
    assert done.code == 0
    assert "..." not in done.out.replace("[ARGS]...", "")
    assert max(map(len, done.out.splitlines())) <= 80
    listed = [name for names in command_help.SECTIONS.values() for name in names]
    commands = list(BUILT().registered_commands) + list(BUILT().registered_groups)
    assert {command.name for command in commands} - {None} == set(listed)


@pytest.mark.parametrize("group", ["key", "ringfence", "contracts", "dtc"])
def test_help_of_a_group_cuts_no_sentence(group: str) -> None:
    done = datacut(group, "-h")
    assert done.code == 0
    assert "..." not in done.out.replace("[ARGS]...", "")
    bare = datacut(group)
    assert (bare.code, bare.out, bare.err.strip()) == (2, "", done.out.strip())


def test_keys_say_what_was_printed_and_what_comes_next(tmp_path: Path) -> None:
    made = datacut("key", "new", "--cut", "CUT-1", "--out", tmp_path / "cut.key")
    assert len(made.out.split()) == 1
    for words in ("fingerprint", str(tmp_path / "cut.key"), "cut.key in cut.yaml", "datacut key wrap"):
        assert words in made.err
    signing = datacut("key", "signing", "--out", tmp_path / "signing.pem")
    assert len(signing.out.split()) == 1
    for words in ("key id", str(tmp_path / "signing.pub"), "release.signing_key", "datacut verify"):
        assert words in signing.err


def test_nothing_on_standard_input_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datacut("key", "new", "--cut", "CUT-1", "--out", tmp_path / "cut.key")
    with (tmp_path / "nothing").open("w+") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        done = datacut("pseudonym", "--field", "mpan", "--cut", "CUT-1", "--key", tmp_path / "cut.key")
    assert (done.code, done.out) == (20, "")
    assert "standard input: is empty" in done.err


class Bar:
    """As much of rich's bar as the listener uses."""

    def __init__(self) -> None:
        self.total, self.done, self.console = 0.0, 0.0, self

    def add_task(self, _name: str, total: float, **_: object) -> int:
        self.total = total
        return 0

    def update(self, _task: int, completed: float | None = None, **_: object) -> None:
        self.done = self.done if completed is None else completed

    def advance(self, _task: int, by: float) -> None:
        self.done += by

    def print(self, *_: object, **__: object) -> None:
        """A line above the bar."""


@pytest.mark.parametrize("kind", ["release", "submission"])
def test_progress_ends_at_a_hundred_per_cent(kind) -> None:
    bar = Bar()
    listener = BarListener(bar, kind)
    sources = (("SUPA", "portfolio"), ("DISA", "registration"))
    plan = RunPlan(sources=sources, partitions=3, resumed=False)
    stages = [name for name in SHARES if kind == "release" or name not in RELEASE_ONLY]
    steps = [("intake",), ("intake", "pseudonymise"), ("intake", "pseudonymise"), *[("quality",)] * 5]
    steps += [(name,) for name in stages if name in RELEASE_ONLY]
    for number, names in enumerate(steps):
        listener.end(Step(names, dict), 0.1, StepCounts() if number else plan)
        assert bar.done < bar.total
    before = bar.done
    listener.end(Step(("release", "leak scan", "report"), dict), 0.1, StepCounts())
    assert bar.done == bar.total
    assert bar.total - before == pytest.approx(sum(SHARES[name] for name in ("release", "leak scan", "report")))


def test_a_closed_pipe_and_a_poor_encoding_are_no_defects() -> None:
    read, write = os.pipe()
    os.close(read)
    poor = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = [sys.executable, "-c", CODE, "contracts", "doc"]
    done = subprocess.run(run, stdout=write, stderr=subprocess.PIPE, env=poor, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
    done = subprocess.run(run, capture_output=True, env=poor, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
