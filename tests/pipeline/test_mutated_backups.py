"""Spoilt backups in every physical form: a documented exit code, one line, and nothing raw in anything that is left.

The campaign of 10,000 is ``python -m tests.pipeline.mutated 10000``; here is a share of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.pipeline import mutated
from tests.pipeline.mutated import LISTED, MPIDS, Place, campaign, past_python, survivors

QUICK, SLOW, BEYOND = 18, 36, 100_000  # numbers that the campaign of 10,000 does not reach
FOUND_BEFORE = (7, 5159)  # each was a fault once


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("spoilt"))


@pytest.fixture
def heard() -> Iterator[Callable[[], str]]:
    with past_python() as hearing:
        yield hearing


@pytest.mark.slow
def test_every_sound_backup_passes(place):
    """Only what was spoilt is refused: each form as it was made ends in a pack."""
    choice = random.Random(1)
    for form in place.forms:
        done = place.run(form, form.pack(form.table, choice))
        assert done.code == 0, (form.name, done.told)
        assert survivors(form.table, place.left()) == []


@pytest.mark.requirement("Q67", "DQ32")
def test_spoilt_backups_end_in_a_documented_code_and_leave_nothing_raw(place, heard):
    found = campaign(place, [*FOUND_BEFORE, *range(BEYOND, BEYOND + QUICK)], heard)
    assert found.faults == []
    assert found.total.total() == QUICK + len(FOUND_BEFORE)
    assert {0, 11} <= found.total.keys()


@pytest.mark.slow
@pytest.mark.requirement("Q67", "DQ32")
def test_many_spoilt_backups(place, heard):
    found = campaign(place, range(BEYOND + 1_000, BEYOND + 1_000 + SLOW), heard)
    assert found.faults == []
    assert found.total.keys() <= {0, 11, 12, 14, 20}
    assert min(found.total[code] for code in (0, 11, 12)) > SLOW // 50
    assert len(found.lines) > SLOW // 4


def test_the_search_finds_what_it_looks_for(place, tmp_path):
    """A raw identifier is seen in a name, in bytes, in a compressed table, with spaces, and an address in two cells."""
    table = next(form.table for form in place.forms if form.name == "csv")
    values, addresses = mutated.identifiers(table)
    mpan = next(value for value in sorted(values) if len(value) == 13)
    line, code = min(addresses)
    spaced = f"{mpan[:2]} {mpan[2:6]} {mpan[6:10]} {mpan[10:]}"
    for number, plant in enumerate(
        (
            lambda f: (f / f"{mpan}.txt").touch(),
            lambda f: (f / "t.json").write_text(f'{{"a": "{spaced}"}}'),
            lambda f: pl.DataFrame({"n": [int(mpan)] * 3}).write_parquet(f / "t.parquet"),
            lambda f: pl.DataFrame({"t": ["x", mpan]}).write_ipc(f / "t.arrow", compression="lz4"),
            lambda f: (f / "t.html").write_text(f"<td>{line}</td><td>{code}</td>"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        plant(folder)
        assert survivors(table, mutated.texts(folder)), number


def test_a_fault_would_be_told(place, monkeypatch):
    """A traceback, a second line, an undocumented code, a value and a half-made pack are each seen."""
    form = place.forms[0]
    secret = next(iter(mutated.identifiers(form.table)[0]))
    for code, out, err in (
        (1, "", "datacut: defect\n"),
        (11, "", "datacut: one\ndatacut: two\n"),
        (11, "", "datacut: one\nTraceback (most recent call last)\n"),
        (12, "", f"datacut: refused {secret}\n"),
        (11, "", ""),
    ):
        monkeypatch.setattr(place, "run", lambda *_, done=mutated.Done(code, out, err): done)
        assert campaign(place, [0]).faults, (code, err)
    (place.folder / "out" / "half").mkdir(parents=True)
    monkeypatch.setattr(place, "run", lambda *_: mutated.Done(11, "", "datacut: one\n"))
    assert any("out folder" in fault for fault in campaign(place, [0]).faults)


def test_what_is_refused_leaves_no_work_behind(place):
    """Columns that pass as they are may hold what they should not; a refused run does not keep them."""
    form = next(f for f in place.forms if f.name == "D0150")
    spoilt = [list(row) for row in form.table[1]]
    spoilt[-1][2] = "1"  # the trailer counts one record
    done = place.run(form, "".join("|".join(row) + "|\n" for row in spoilt).encode())
    assert done.code == 12
    work = Path(place.folder / "work")
    notes = [f".deliveries/FUZZ/{MPIDS.get(form.extracts[0], 'DCOL')}-{extract}.json" for extract in form.extracts]
    left = {p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file() and p.name != LISTED}
    assert left == {"log.jsonl", ".FUZZ.lock", *notes}
    assert {p.name for p in work.iterdir()} - {LISTED} == {"log.jsonl", ".FUZZ.lock", ".deliveries"}
    assert not (work / ".FUZZ.lock").stat().st_size
    assert survivors(form.table, place.left()) == []
    form = next(f for f in place.forms if f.name == "csv of registers")
    header, rows = form.table
    swapped = [list(row) for row in rows]
    swapped[0][header.index("MULTIPLIER")] = next(row[0] for row in rows if row[0] != rows[0][0])  # another's MPAN
    done = place.run(form, form.pack((header, swapped), random.Random(1)))
    assert done.code == 0, done.told  # no multiplier is that large: the number is not taken over
    assert survivors((header, rows), place.left()) == []
