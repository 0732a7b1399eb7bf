"""A command that puts something in its place at the end leaves nothing beside it, wherever it was killed before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DataCutError
from flows import files
from flows.dtc.files import new_folder
from flows.files import clean_stale, partial_folder, whole_folder
from flows.keys.secret_files import write_new
from flows.pack.writer import private_folder
from flows.sample.generate import _new_folder as sample_folder
from tests.recovery.commands import CHECKS, HIDDEN, Tally, child, judged

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks and signals of POSIX")

Grow = Callable[[Path], None]


def _into(folder: Callable[[Path], AbstractContextManager[Path]]) -> Grow:
    def grow(out: Path) -> None:
        with contextlib.suppress(DataCutError, FileExistsError), folder(out) as growing:
            (growing / "rows.csv").write_text("rows")

    return grow


def _key(out: Path) -> None:
    with contextlib.suppress(DataCutError):
        write_new(out, b"key")


GROWN: dict[str, Grow] = {
    "a folder": _into(whole_folder),
    "restore": _into(private_folder),
    "dtc mask": _into(new_folder),
    "sample": _into(sample_folder),
    "check": _into(partial_folder),
    "key new": _key,
}


@pytest.mark.parametrize("what", GROWN)
def test_whatever_step_it_is_killed_at_the_next_one_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    grow = GROWN[what]
    for wait in ("sync", "fsync"):
        monkeypatch.setattr(os, wait, lambda *_: None)

    def call(place: Path) -> None:
        place.mkdir()
        grow(place / "out")

    _, said = child(tmp_path / "x", lambda: call(tmp_path / "undisturbed"))
    wanted = sorted(p.name for p in (tmp_path / "undisturbed").rglob("*"))
    kinds, left = said[0], 0
    assert len(kinds) > 3
    for last in range(1, len(kinds) + 1):
        for after in (False, True):
            place = tmp_path / f"{last}-{after}"
            ended, _ = child(tmp_path / "x", lambda place=place: call(place), last=last, after=after)
            assert ended == signal.SIGKILL, (last, after)
            left += any(place.glob(".*"))
            place.mkdir(exist_ok=True)
            grow(place / "out")
            assert sorted(p.name for p in place.rglob("*")) == wanted, (kinds[last - 1], last, after)
    assert left > 2  # else it was killed where nothing is left, and this proves nothing


def test_one_that_is_at_work_is_let_be(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as growing:
        (growing / "a").touch()
        assert clean_stale(tmp_path) == 0
        assert (growing / "a").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out", empty=True) as growing:
        (growing / "a").touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]
    for empty in (True, False):
        with pytest.raises(FileExistsError), whole_folder(tmp_path / "out", empty=empty):
            pass
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "link", empty=True):
        pass


def test_a_folder_that_may_not_be_looked_into_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(files.os, "scandir", refused)
    assert clean_stale(tmp_path) == 0


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({}, []),
        ({"left": {"out/a": "2", "twice": "0"}}, ["other than undisturbed in ['out/a']"]),
        ({"left": {"twice": "0"}}, ["other than undisturbed in ['out/a']"]),
        ({"left": {"out/a": "1", "twice": "1"}}, ["other than undisturbed in ['twice']", "reserved twice"]),
        ({"aside": {".lock", ".back.partial-00"}}, ["left behind ['.back.partial-00']"]),
    ],
)
def test_each_check_of_the_campaign_sees_what_it_looks_for(planted: dict[str, Any], told: list[str]) -> None:
    tally = Tally()
    wanted = {"out/a": "1", "twice": "0", HIDDEN: '[".lock"]'}
    given = {"left": {"out/a": "1", "twice": "0"}, "aside": {".lock"}, **planted}
    assert judged(given["left"], wanted, given["aside"], tally) == told
    assert all(tally.looked[what] for what in CHECKS)
