"""One way to write a file whole or not at all, one way to read a file of keys."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from contracts.errors import KeyMaterialError
from flows.files import whole
from flows.keys.secret_files import read_key_file
from flows.keys.signing_key import load_signer

FLOWS = Path(__file__).parents[2] / "flows"
# where something else than one file takes a name: a pack or folder, a pair of names that go together
RENAMES = (
    "files.py", "pack/writer.py", "keys/destruction.py", "ringfence/pool.py",
)  # fmt: skip


def test_a_file_takes_its_name_when_all_went_well(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with whole(path, durable=True) as growing:
        growing.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_that_failed_leaves_nothing_and_changes_nothing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole(path) as growing:
        _fail_half_way(growing)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def _fail_half_way(growing: Path) -> None:
    growing.write_text("half")
    raise RuntimeError


def test_files_take_their_names_in_one_place():
    own = []
    for path in sorted(FLOWS.rglob("*.py")):
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        for call in calls:
            f = call.func
            name = f.attr if isinstance(f, ast.Attribute) else ""
            system = isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == "os"
            if (system and name in ("replace", "rename")) or (name in ("replace", "rename") and _path_like(call)):
                own.append(str(path.relative_to(FLOWS)))
    assert set(own) <= set(RENAMES)


def _path_like(call: ast.Call) -> bool:
    """Tell a path that takes a name (``aside.replace(path)``) from texts, frames and dataclasses."""
    value = call.func.value  # type: ignore[attr-defined]
    growing = ("aside", "growing", "working", "pending", "partial")
    return len(call.args) == 1 and isinstance(value, ast.Name) and value.id in growing


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("private", [True, False])
def test_a_pipe_for_a_key_is_refused_and_not_waited_for(tmp_path, private):
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(KeyMaterialError, match="not a regular file"):
        read_key_file(tmp_path / "key", private=private)
    with pytest.raises(KeyMaterialError, match="not a regular file"):
        load_signer(tmp_path / "key")
