"""The leak scan knows what was raw from intake alone, finds it however it is written, and cries no wolf."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.errors import KeyMaterialError, ResidueError
from contracts.vocabulary import Form
from flows.cut.context import scan_key
from flows.cut.records import Begun
from flows.leak_scan import read_back
from flows.leak_scan import scan as leaks
from flows.leak_scan.digests_of_run import digests_file, run_scanner
from flows.leak_scan.section import require_searched
from flows.release import searches
from transforms.leak_scan.digests import Digester, DigestSet, Kind
from transforms.leak_scan.known import beyond_chance, most_by_chance
from transforms.leak_scan.raw_columns import raw_digests
from transforms.pseudonymise import mpan

pytestmark = pytest.mark.requirement("DQ32", "Q67")


def scan(judged, folder: Path, **how: bool) -> leaks.Scanner:
    scanner = run_scanner(judged)
    scanner.folder(folder, **how)
    return scanner


def table(folder: Path, **columns: list) -> None:
    pl.DataFrame(columns).write_parquet(folder / "table.parquet")


@pytest.fixture(scope="module")
def mpans(judged, raw) -> list[str]:
    return sorted(m for m in raw.mpan if len(m) == 13 and m.isdigit())[10:40]


WAYS = {
    "past a block's end": lambda f, m: (f / "t.txt").write_text("x" * (read_back.BLOCK - 5) + f" {m}\n"),
    "in an endless line": lambda f, m: (f / "t.txt").write_text("x " * read_back.BLOCK + m),
    "one cell of many": lambda f, m: table(f, note=["0"] + ["A"] * 998 + [m]),
    "in the middle of a column of numbers": lambda f, m: table(f, eac=[1] * 500 + [int(m)] + [3] * 499),
    "between other digits of a column of numbers": lambda f, m: table(f, eac=[10**14, int(m), 9 * 10**14]),
}


@pytest.mark.parametrize("leak", WAYS.values(), ids=WAYS)
def test_a_leak_is_told_by_its_place_and_never_by_its_value(judged, mpans, tmp_path, leak):
    leak(tmp_path, mpans[7])
    scanner = scan(judged, tmp_path)
    with pytest.raises(ResidueError) as caught:
        leaks.refuse(scanner)
    assert caught.value.exit_code == 14
    assert mpans[7] not in caught.value.line()
    assert scanner.findings.confirmed == {"mpan": 1}


def test_the_place_of_a_leak_has_file_column_and_row(judged, mpans, tmp_path):
    table(tmp_path, a=["A"] * 41 + [f"see {mpans[3]}"] + ["B"])
    assert scan(judged, tmp_path).findings.places[0] == "mpan (alone) in table.parquet, column a, row 42"
    (tmp_path / "table.parquet").unlink()
    (tmp_path / "t.csv").write_text(f"one,two\nA,B\nA,{mpans[3]}\n")
    assert scan(judged, tmp_path).findings.places == ["mpan (alone) in t.csv, column two, line 3"]


def test_every_raw_mpan_is_known(judged, raw, tmp_path):
    known = sorted({m for m in raw.mpan if len(m) == 13 and m.isdigit()})
    table(tmp_path, note=[f"see {m}" for m in known])
    twelve = {m[:12] for m in known}
    found = scan(judged, tmp_path).findings.tallies["mpan", "alone", "table.parquet, column note"]
    assert (found.hits, found.candidates) == (len(twelve), len(known))


def test_the_search_knows_nothing_of_the_pseudonymiser(judged, mpans, tmp_path):
    table(tmp_path, note=mpans)
    text = (
        "import flows.leak_scan.scan, flows.leak_scan.known, sys; print([m for m in sys.modules if 'pseudonymis' in m])"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    found = scan(judged, tmp_path).findings.tallies["mpan", "alone", "table.parquet, column note"]
    assert found.hits == len(mpans)


def test_nothing_raw_and_no_key_is_written(judged, raw):
    files = list((judged.workspace.root / "digests").glob("*.npz"))
    assert len(files) == len(judged.extracts)
    begun = judged.workspace.recorded(Begun)
    for path in [*files, judged.workspace.root / "begun.json"]:
        whole = path.read_bytes()
        assert scan_key(judged) not in whole
        assert scan_key(judged).hex().encode() not in whole
        assert not [v for v in raw.values() if v in whole]
    assert begun is not None
    assert len(begun.salt) == 32


def test_a_worker_with_another_key_is_refused(judged):
    begun = judged.workspace.recorded(Begun)
    try:
        judged.workspace.record(begun.model_copy(update={"fingerprint": "0" * 16}))
        with pytest.raises(KeyMaterialError, match="another cut key"):
            scan_key(judged)
    finally:
        judged.workspace.record(begun)


def test_digests_that_are_gone_end_the_run(judged):
    source = judged.extracts[0]
    path = digests_file(judged.workspace, source.participant, source.extract)
    aside = path.rename(path.with_suffix(".aside"))
    try:
        with pytest.raises(ResidueError, match="digests of raw identifiers are missing"):
            run_scanner(judged)
    finally:
        aside.rename(path)


def test_a_file_that_was_not_searched_or_changed_since_ends_the_run(judged, tmp_path):
    (tmp_path / "a.csv").write_text("a\nb\n")
    scanner = scan(judged, tmp_path)
    require_searched(scanner, tmp_path)
    (tmp_path / "b.csv").write_text("a\nb\n")
    with pytest.raises(ResidueError, match="1 files were not searched, or changed since"):
        require_searched(scanner, tmp_path)
    (tmp_path / "b.csv").unlink()
    (tmp_path / "a.csv").write_text("a\nc\n")
    with pytest.raises(ResidueError, match="1 files were not searched, or changed since"):
        require_searched(scanner, tmp_path)


def test_no_false_alarm_on_what_only_looks_like_an_identifier(judged, tmp_path):
    """One in ten random 13-digit strings has a valid check digit; timestamps and bar codes too."""
    numbers = [f"{10**12 + n * 7_919_000_003:013d}" for n in range(20_000)]
    table(tmp_path, note=numbers, at=[f"202308191200{n % 100:02d}" for n in range(20_000)])
    (tmp_path / "hex.txt").write_text("\n".join(f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(5_000)))
    scanner = scan(judged, tmp_path)
    assert scanner.findings.places == []
    assert scanner.findings.searched["mpan"] > 20_000


def test_hits_of_short_identifiers_are_held_against_chance(judged, raw, tmp_path):
    """Invented serials of the shape of real ones hit some of them; as many of them raw are a leak."""
    serials = sorted(s for s in raw.serial if len(s) == 10 and s.isalnum() and s[0].isalpha() and s[1:3].isdigit())
    drawn = random.Random(4)
    invented = [f"{drawn.choice(serials)[:-7]}{drawn.randrange(10**7):07d}" for _ in range(40_000)]
    table(tmp_path, meter_serial_number=invented)
    findings = scan(judged, tmp_path).findings
    assert findings.places == []
    for tally in findings.by_chance.values():
        assert tally.hits <= most_by_chance(tally.expected)
    table(tmp_path, meter_serial_number=invented[:1_000] + serials[:30])
    assert scan(judged, tmp_path).findings.confirmed["meter-serial"] >= 30


@pytest.mark.parametrize(
    ("hits", "expected", "leak"),
    [
        (0, 0.0, False), (1, 0.0, True), (1, 1e-6, True), (1, 1e-3, False), (2, 1e-3, True), (2, 0.1, False),
        (5, 0.1, True), (10, 10.0, False), (28, 10.0, True), (1_000, 1_000.0, False), (1_150, 1_000.0, True),
        (20_500, 20_000.0, False), (20_700, 20_000.0, True), (5, 9.0, False),
    ],
)  # fmt: skip
def test_what_chance_explains(hits, expected, leak):
    assert beyond_chance(hits, expected) is leak
    assert (most_by_chance(expected) < hits) is leak


def test_a_serial_of_the_row_itself_is_found_among_millions(judged, tmp_path):
    """No chance gives a row the very value that it had: one is enough, however many others there are."""
    raw_rows = list(csv.DictReader((Path(judged.job.file).parent / "MOPB/metering.csv").open(encoding="utf-8-sig")))
    row = next(r for r in raw_rows if len(r["METER_SERIAL_NUMBER"]) == 10 and r["METER_SERIAL_NUMBER"].isalnum())
    from contracts.vocabulary import Field

    name = judged.pseudonymiser.values(Field.MPAN, pl.Series([row["MPAN_CORE"]]))[0]
    table(tmp_path, mpan_core=["1000000000000", name], meter_serial_number=["A", row["METER_SERIAL_NUMBER"]])
    findings = scan(judged, tmp_path).findings
    own = {key: tally for key, tally in findings.leaks.items() if key[1] == "its own row's"}
    assert [tally.first for tally in own.values()] == [", row 2"]


@pytest.mark.parametrize(("planted", "leak"), [(10, False), (30, True)])
def test_chance_is_reckoned_with_every_block_of_a_table(judged, tmp_path, monkeypatch, planted, leak):
    """Ten of 24,000 rows may have their own postcode by chance, though each of them be in a block of its own."""
    monkeypatch.setattr(read_back, "LINES", 1 << 14)
    from contracts.vocabulary import Field

    with (Path(judged.job.file).parent / "EELC/registration.csv").open(encoding="utf-8-sig") as file:
        real = [r for r in csv.DictReader(file) if len(r["MPAN Core"]) == 13 and len(r["Postcode"]) == 7][:planted]
    names = judged.pseudonymiser.values(Field.MPAN, pl.Series([row["MPAN Core"] for row in real]))
    drawn = random.Random(7)
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    inward = [f"{digit}{first}{last}" for digit in range(10) for first in letters for last in letters]
    rows = [f"{drawn.randrange(10**13):013d},NR{drawn.randrange(1, 10)} {drawn.choice(inward)}" for _ in range(24_000)]
    for number, (name, row) in enumerate(zip(names, real, strict=True)):
        rows[number * len(rows) // planted] = f"{name},{row['Postcode']}"
    (tmp_path / "table.csv").write_text("\n".join(["mpan_core,postcode", *rows, ""]))
    findings = scan(judged, tmp_path).findings
    own = [key for key in findings.leaks if key[:2] == ("postcode", "its own row's")]
    assert bool(own) is leak


def test_a_search_that_failed_leaves_nothing_out_when_it_is_tried_again(judged, mpans, tmp_path):
    """Lines that it had searched are searched once more: what stood in them was noted nowhere."""
    (tmp_path / "a.csv").write_text("".join(f"{m},x\n" for m in ("mpan_core", *mpans)))
    with pytest.raises(OSError, match=r"b\.csv"):
        searches.search(judged, tmp_path, "tried-again", ("a.csv", "b.csv"))
    (tmp_path / "b.csv").write_text("mpan_core,x\n")
    done = searches.search(judged, tmp_path, "tried-again", ("a.csv", "b.csv"))
    assert sum(len(one.values) for one in done.tallies if one.kind == "mpan") >= len(mpans)


def test_a_digest_depends_on_key_kind_and_text_alone():
    text = np.frombuffer(b"1200012345678ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUV" + bytes(64), np.uint8)
    first, other = Digester(bytes(range(32))), Digester(bytes(range(1, 33)))
    lengths = np.array([1, 7, 8, 15, 16, 17, 31, 32, 47, 48, 60])
    starts = np.zeros(lengths.size, np.int64)
    together = first.of(Kind.MPAN, text, starts, lengths)
    alone = [first.of(Kind.MPAN, text, starts[:1], lengths[n : n + 1])[0] for n in range(lengths.size)]
    assert together.tolist() == alone  # whatever else is asked for at the same time
    assert len(set(together.tolist())) == lengths.size
    assert not set(together.tolist()) & set(first.of(Kind.UPRN, text, starts, lengths).tolist())
    assert not set(together.tolist()) & set(other.of(Kind.MPAN, text, starts, lengths).tolist())
    assert "key" not in repr(first)


def test_a_digest_set_has_what_was_put_in_and_nothing_else():
    drawn = np.random.default_rng(3).integers(0, 2**63, 200_000, dtype=np.uint64)
    held = DigestSet(np.append(drawn[:100_000], drawn[:10]))
    assert len(held) == 100_000
    assert held.contains(drawn[:100_000]).all()
    assert not held.contains(drawn[100_000:]).any()
    assert not DigestSet(drawn[:0]).contains(drawn[:5]).any()


SLOWLY = """
import sys
from pathlib import Path
from flows.leak_scan.read_back import pieces
from tests.peak import peak_rss_kib
for piece in pieces(Path(sys.argv[1]), "large.csv"):
    pass
print(peak_rss_kib())
"""


@pytest.mark.slow
def test_a_large_csv_file_is_read_in_bounded_memory(tmp_path):
    """Return packs of two participants are searched at a time; at 30 million their files are of two GiB each."""
    large = tmp_path / "large.csv"
    with large.open("w") as file:
        file.write("mpan_core,reasons\n")
        for _ in range(400):
            file.write("1234567890123,DQ01 and so on\n" * 36_000)
    done = subprocess.run([sys.executable, "-c", SLOWLY, large], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 450 << 10  # KiB; the file has 400 MiB, and none of it need be held


SPELT = (
    "{}", " {} ", "'{}", '="{}"', "{}.0", "{}.00 ", '="{}.0"', "'{}.0'", "01-801-002-{}", "01801002{}",
    "S 01 801 002 {}",
    "1801002{}", "801002{}", "01/801/00A/{}",
)  # fmt: skip


@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("parted", [False, True], ids=["joined", "parted"])
def test_whatever_becomes_a_pseudonym_is_known_raw(spelt, parted):
    """A spelling that intake takes for an MPAN and the search does not would end every run of its sender."""
    numbers = ["1012345678908", "2054294281372"]
    written = [f"{n[:2]} {n[2:6]} {n[6:10]} {n[10:]}" if parted else n for n in numbers]
    texts = pl.Series("MPAN", [spelt.format(n) for n in written])
    meant = mpan.normalise(texts).is_in(numbers)
    digester = Digester(bytes(range(32)))
    common = DigestSet(np.zeros(0, np.uint64))
    found = raw_digests(texts.to_frame(), {"MPAN": Form.MPAN}, digester, common).values.get(Kind.MPAN, [])
    plain = raw_digests(pl.DataFrame({"MPAN": numbers}), {"MPAN": Form.MPAN}, digester, common).values[Kind.MPAN]
    known = np.isin(np.concatenate(plain), np.concatenate([np.zeros(0, np.uint64), *found]))
    assert [bool(k) for k, m in zip(known, meant, strict=True) if m] == [True] * int(meant.sum())
    assert meant.all(), "the list holds what intake takes"
