"""A partition that was written is there, or the run ends: what is gone is never taken for no rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import PlaceError
from flows.cut.partitions import EXCLUDED, JUDGED, QUALITY, STAGED, read_exclusions, write_exclusions
from flows.cut.records import Begun
from flows.cut.workspace import Workspace
from transforms.quality import exclusions


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "w", 2, {})
    for number, part in ((0, 0), (0, 1), (1, 0)):
        made.write(pl.DataFrame({"a": [1]}), STAGED, "SUPA", "portfolio", number, part)
    made.promise(STAGED, "SUPA", "portfolio")
    return made


@pytest.mark.parametrize("gone", ["0000-000000.arrow", "0000-000001.arrow", "0001-000000.arrow"])
def test_a_piece_that_is_gone_is_not_taken_for_no_rows(workspace: Workspace, gone: str):
    assert workspace.scan(STAGED, "SUPA", "portfolio", 1) is not None
    workspace.root.joinpath(STAGED, "SUPA", "portfolio", gone).unlink()
    with pytest.raises(PlaceError, match=gone):
        Workspace(workspace.root, 2, {}).scan(STAGED, "SUPA", "portfolio", int(gone[:4]))
    assert Workspace(workspace.root, 2, {}).scan(STAGED, "SUPA", "portfolio", 1 - int(gone[:4])) is not None


def test_a_judged_partition_keeps_its_pieces_and_its_exclusions(workspace: Workspace):
    workspace.write(pl.DataFrame({"a": [1]}), JUDGED, "SUPA", "portfolio", 1)
    workspace.promise(JUDGED, "0001")
    write_exclusions(workspace, QUALITY, 1, pl.DataFrame(schema=exclusions.SCHEMA))
    assert read_exclusions(workspace, 1).is_empty()
    assert workspace.scan(JUDGED, "SUPA", "portfolio", 0) is None
    workspace.root.joinpath(EXCLUDED, QUALITY, "0001.arrow").unlink()
    with pytest.raises(PlaceError, match="exclusions of a partition that was judged are gone"):
        read_exclusions(workspace, 1)
    workspace.root.joinpath(JUDGED, "SUPA", "portfolio", "0001-000000.arrow").unlink()
    with pytest.raises(PlaceError, match="gone"):
        workspace.scan(JUDGED, "SUPA", "portfolio", 1)


def test_a_folder_whose_removal_was_cut_short_is_nobodys_work(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    """Killed between two files, the next run does not go on with the rest: what says whose work it was is gone."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    workspace.record(Begun(at="", digest="d", fingerprint="", salt=""))
    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        workspace.remove()
    assert workspace.recorded(Begun) is None
    monkeypatch.undo()
    workspace.remove()
    assert not workspace.root.exists()
