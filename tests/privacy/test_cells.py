"""The scan reads each text once: what is left out is left out rightly, and what cells say together is not lost."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.leak_scan import scan as leaks
from flows.leak_scan.digests_of_run import run_scanner
from transforms.leak_scan.cells import LONGEST_HASHED, Cells, PartedLines, Seen, neighbours

pytestmark = pytest.mark.requirement("DQ32", "Q67")


@pytest.fixture(scope="module")
def point(raw) -> str:
    return sorted(m for m in raw.mpan if len(m) == 13 and m.isdigit())[21]


@pytest.fixture(scope="module")
def scanner(judged) -> leaks.Scanner:
    """One scanner for all: what it searched before it leaves out."""
    return run_scanner(judged)


def found(scanner: leaks.Scanner, path: Path) -> list[str]:
    return scanner.file(path, path.name).places


PARTED = {
    "two cells": "{0},{1}", "three cells": "{2},{3},{4}", "cells with empty ones between": "{0},,,{1}",
    "a quoted cell of groups": '"{2},{3},{4}"', "words and groups in a quoted cell": '"METER {2},{3},{4} X",',
    "its number of 21 digits": "01,801,001,{0},{1}",
}  # fmt: skip


@pytest.mark.parametrize("form", PARTED.values(), ids=PARTED)
def test_an_mpan_in_cells_side_by_side_is_found(scanner, point, tmp_path, form):
    parts = (point[:5], point[5:], point[:2], point[2:9], point[9:])
    lines = ["a,b,c,d,e", *(f"2023-08-19,X,{n},Y,Z" for n in range(50))]
    lines.insert(20, form.format(*parts))
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    assert found(scanner, path)
    path.write_text("\n".join(line for n, line in enumerate(lines) if n != 20) + "\n")
    assert found(scanner, path) == []


def test_what_neighbours_say_is_what_stands_side_by_side():
    text = b"NR1,1NL|1000,1234567,89;x;FA,F9,2F,D5,C4,B6,FD,83\n226,,,,HAMMOND SHOAL,x\n226,,,,,,,,HAMMOND SHOAL\n"
    lines = PartedLines.of(np.frombuffer(text.replace(b"|", b",").replace(b";", b","), np.uint8), ord(","))
    both = neighbours(lines)
    assert both is not None
    start, length = both.cell_spans()
    said = [both.data[s : s + n].tobytes().decode() for s, n in zip(start, length, strict=True)]
    assert said == ["1000123456789", "FAF92FD5C4B6FD83", "NR11NL", "226HAMMONDSHOAL"]


def test_a_flow_has_columns_by_group_and_item(scanner, point, tmp_path):
    path = tmp_path / "t.usr"
    path.write_text(f"ZHV|1|D0010002|\n026|{1000000000009}|\n028|A|\n030|S|1|\n026|X|{point}|\nZPT|1|\n")
    assert found(scanner, path) == ["mpan (alone) in t.usr, column 026 item 2, line 5"]


def test_what_was_clean_before_does_not_hide_what_is_raw(scanner, point, tmp_path):
    """The same file three times, and one raw cell among cells that were seen: found each time it is looked at."""
    cells = [f"cell {n:05}" for n in range(5_000)]
    for number in range(3):
        path = tmp_path / f"t{number}.parquet"
        pl.DataFrame({"note": cells}).write_parquet(path, statistics=False)
        assert found(scanner, path) == []
        pl.DataFrame({"note": [*cells, f"see {point}"]}).write_parquet(path, statistics=False)
        assert found(scanner, path) == [f"mpan (alone) in t{number}.parquet, column note, row 5001"]


def test_chance_is_reckoned_with_every_cell_of_a_column_in_a_text_table(judged, raw, tmp_path):
    """Invented postcodes hit some real ones, in the same block and in others; as many of those at once are a leak."""
    real = sorted({postcode for _, postcode in raw.address if " " in postcode})
    drawn = random.Random(5)
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    out = [drawn.choice(real).split()[0] for _ in range(90_000)]
    invented = [f"{o} {drawn.randrange(10)}{drawn.choice(letters)}{drawn.choice(letters)}" for o in out]
    path = tmp_path / "t.csv"
    path.write_text("a,postcode\n" + "\n".join(f"{n},{postcode}" for n, postcode in enumerate(invented)) + "\n")
    findings = run_scanner(judged).file(path, "t.csv")
    assert findings.places == []
    tally = findings.by_chance["postcode", "in groups", "t.csv, column postcode"]
    assert tally.hits > 100
    assert tally.hits < tally.expected + 5 * tally.expected**0.5  # one hit, though several blocks expect it
    assert tally.hits > tally.expected / 4
    path.write_text("a,postcode\n" + "\n".join(f"{n},{code}" for n, code in enumerate([*invented[:999], *real[:60]])))
    assert run_scanner(judged).file(path, "t.csv").confirmed["postcode"] >= 60


def test_cells_that_differ_have_other_hashes():
    drawn = random.Random(3)
    texts = {"".join(drawn.choices("AB01-", k=drawn.randrange(0, 30))) for _ in range(30_000)}
    texts |= {"A" * n for n in range(LONGEST_HASHED)} | {"A" * n + "B" for n in range(LONGEST_HASHED - 1)}
    ordered = [*sorted(texts), None]
    cells = Cells.of_array(pa.array(ordered))
    hashes = cells.hashes()
    assert len(set(hashes.tolist())) == len(texts)
    again = Cells.of_array(pa.array([None, *sorted(texts)[::-1]], pa.large_string()).slice(1)).hashes()
    assert again.tolist() == hashes[:-1][::-1].tolist()
    data, edges = cells.joined()
    assert data.tobytes().decode() == "".join(sorted(texts))
    assert np.diff(edges).tolist() == [len(text or "") for text in ordered]


def test_what_was_searched_is_known_until_two_others_take_its_place():
    seen = Seen(bits=4)
    hashes = np.array([1, 3, (1 << 60) + 1, (2 << 60) + 7], np.uint64)
    assert seen.fresh(hashes).all()
    for one in hashes:
        seen.note(np.array([one]))
    assert not seen.fresh(hashes).any()
    seen.note(np.array([5], np.uint64))
    assert seen.fresh(hashes).tolist() == [True, False, False, False]  # 5 and 3 share its place


def test_a_line_is_searched_once_among_tables_of_one_layout_and_anew_in_another(scanner, point, tmp_path):
    clean, leak = "2023-08-19,X,{},Y,Z", f"2023-08-19,X,{point},Y,Z"
    lines = [clean.format(n) for n in range(400)]

    def told(name: str, header: str, *rows: str) -> list[str]:
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        return found(scanner, tmp_path / name)

    assert told("a.csv", "a,b,c,d,e", *lines) == []
    assert told("b.csv", "a,b,c,d,e", *lines, leak)[0].endswith("b.csv, column c, line 402")
    assert told("c.csv", "a,b,c,d,f", *lines, leak)[0].endswith("c.csv, column c, line 402")
    # halves in two lines of which one was searched before, beside another
    assert told("d.csv", "a,b", *(f"{n},q" for n in range(50)), point[:7], "q,q") == []
    assert told("e.csv", "a,b", *(f"{n},q" for n in range(50)), point[:7], f"{point[7:]},q")


def test_a_column_of_dates_that_are_none_is_searched(scanner, raw, tmp_path):
    number = int(max(u for u in raw.uprn if u.isdigit() and 8 <= len(u) <= 9))
    days = pa.array([number] * 3 + [19_000] * 20, pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"day": days}), tmp_path / "days.parquet")
    assert found(scanner, tmp_path / "days.parquet")
