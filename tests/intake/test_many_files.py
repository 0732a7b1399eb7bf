"""Many files are one source: folders, globs, lists, archives, joined flows; each row is known by its file."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import ConfigurationError, DataCutError, IntakeError, RefusedError
from contracts.load import load_all
from flows.intake import FILE, Limits, SourceFiles, SourceSpec
from flows.intake import joined as joined_module
from flows.intake.archives import Bytes
from flows.intake.source import safe_name, telling

CASE = Path(__file__).parents[1] / "cases" / "51-split-files"
LAYOUTS = load_all()["metering"].dtc_layouts
HEAD = b"MPAN,Supplier,Registration From\n"
ROWS = [b"%013d,SUPA,01/04/2020\n" % number for number in range(40)]


def read(root: Path, *paths: str, specs=None, limits=Limits(), **options) -> tuple[pl.DataFrame, SourceFiles]:
    """Return all rows with the name of their file, and what was read."""
    spec = SourceSpec("MOPA/metering (x)", paths=tuple(root / path for path in paths), root=root, **options)
    source = SourceFiles(
        specs or [spec], layouts=LAYOUTS, new_digest=lambda: hmac.new(b"k", digestmod=hashlib.sha256), limits=limits
    )
    frames = [batch for reader in source.readers() for batch in reader.batches()]
    names = {file.number: file.spec.file for file in source.files}
    whole = pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema={FILE: pl.UInt32})
    rows = whole.with_columns(pl.col(FILE).replace_strict(names, return_dtype=pl.String).alias("file")).drop(FILE)
    return rows.sort(rows.columns), source


def bare(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("file").sort(rows.drop("file").columns)


@pytest.fixture
def case(tmp_path) -> Path:
    shutil.copytree(CASE, tmp_path / "case")
    return tmp_path / "case"


def zipped(target: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def members(case: Path) -> dict[str, bytes]:
    return {f"in/{path.name}": path.read_bytes() for path in sorted((case / "in").iterdir())}


def packed(case: Path, kind: str) -> str:
    """Pack the twelve files in one way; return the path that names them."""
    files = members(case)
    if kind == "zip":
        zipped(case / "all.zip", files)
        return "all.zip"
    if kind == "zip in zip":
        zipped(case / "inner.zip", files)
        zipped(case / "outer.zip", {"inner.zip": (case / "inner.zip").read_bytes()})
        return "outer.zip"
    if kind == "gzip in zip":
        zipped(case / "each.zip", {f"{name}.gz": gzip.compress(data) for name, data in files.items()})
        return "each.zip"
    if kind == "tgz in zip":
        zipped(case / "outer.zip", {"inner.tgz": gzip.compress(tarred(files))})
        return "outer.zip"
    form = {"tar": "w", "tgz": "w:gz"}[kind]
    (case / f"all.{kind}").write_bytes(tarred(files, form))
    return f"all.{kind}"


@pytest.mark.requirement("Q86")
@pytest.mark.parametrize("path", ["in", "in/*.usr", "**/D0150*.usr", "all.usr"])
def test_a_folder_a_glob_and_joined_flows_give_the_same_rows(case, path):
    each, source = read(case, "in")
    assert each.height == 12
    assert each["file"].to_list().sort() == [f.spec.file for f in source.files].sort()
    rows, _ = read(case, path)
    assert bare(rows).equals(bare(each))


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz", "zip in zip", "gzip in zip", "tgz in zip"])
def test_an_archive_of_many_members_gives_the_same_rows(case, kind):
    rows, source = read(case, packed(case, kind))
    assert bare(rows).equals(bare(read(case, "in")[0]))
    assert len({file.spec.file for file in source.files}) == 12
    assert [file.rows for file in source.files] == [1] * 12
    assert all(file.hmac_sha256 for file in source.files)


def test_each_row_is_known_by_its_file(case):
    rows, source = read(case, "in")
    for file in source.files:
        (row,) = rows.filter(pl.col("file") == file.spec.file).to_dicts()
        text = (case / file.spec.file).read_text()
        assert row["mpan_core"] in text
        assert row["meter_serial_number"] in text
        assert file.bytes == len(text)
        assert file.hmac_sha256 == hmac.new(b"k", text.encode(), hashlib.sha256).hexdigest()


def test_a_list_names_each_file_once_whatever_its_order(case):
    rows, source = read(case, "in/D0150003.usr", "in", "in/D015000[0-4].usr")
    again, other = read(case, "in")
    assert rows.equals(again)
    assert source.digest() == other.digest()


def test_two_sources_may_not_name_one_file(case):
    spec = SourceSpec("MOPA/metering (a)", paths=(case / "in",), root=case)
    one = SourceSpec("MOPA/metering (b)", path=case / "in" / "D0150000.usr", root=case, file="D0150000.usr")
    with pytest.raises(ConfigurationError, match="named by two sources"):
        read(case, specs=[spec, one])


@pytest.mark.parametrize("path", ["nothing", "in/*.csv", "empty"])
def test_a_path_without_a_file_is_refused(case, path):
    (case / "empty").mkdir()
    with pytest.raises(IntakeError):
        read(case, path)


def test_what_lies_beside_is_named_and_not_read(case):
    for name in (".DS_Store", "README.txt", "run.log", "D0150000.usr.md5", "Thumbs.db", "notes.pdf"):
        (case / "in" / name).write_bytes(b"\0\1")
    rows, source = read(case, "in")
    assert rows.height == 12
    assert sorted(Path(name).name for name in source.skipped) == sorted(
        [".DS_Store", "README.txt", "run.log", "D0150000.usr.md5", "Thumbs.db", "notes.pdf"]
    )


def test_what_is_named_by_itself_is_read_whatever_it_is_called(case):
    (case / "in" / "D0150000.usr").rename(case / "in" / "flow.log")
    assert read(case, "in/flow.log", "in/D0150001.usr")[0].height == 2


def test_flows_of_other_extracts_in_a_folder_are_named(case):
    data = (case / "in" / "D0150000.usr").read_bytes().replace(b"D0150002", b"D0010002")
    (case / "in" / "D0010.usr").write_bytes(data)
    rows, source = read(case, "in")
    assert rows.height == 12
    assert source.skipped == ["in/D0010.usr (D0010)"]


def test_a_folder_of_other_flows_alone_is_refused(case):
    for path in (case / "in").iterdir():
        path.write_bytes(path.read_bytes().replace(b"D0150002", b"D0010002"))
    with pytest.raises(IntakeError, match="D0010"):
        read(case, "in")


def spoilt(data: bytes) -> list[bytes]:
    """Return ways in which one small file of many is not sound."""
    return [
        data.replace(b"ZPT|0000000004|4", b"ZPT|0000000004|5"),
        data.replace(b"ZPT|0000000004|", b"ZPT|0000000009|"),
        data[: data.index(b"ZPT")],
        data.replace(b"288|", b"X|"),
        b"".join(line for line in data.splitlines(True) if not line.startswith(b"288")),
        data.replace(b"|100|J|", b"|100|J\0|"),
        data.replace(b"D0150002", b"D0150009"),
        b"",
        b"PK\3\4 not a zip",
        data.replace(b"MAKE 3", b"MAKE \xff\xfe" + "é".encode()),
    ]


@pytest.mark.parametrize("number", range(len(spoilt(b"ZPT"))))
def test_one_spoilt_file_among_many_is_told_by_name(case, number):
    path = case / "in" / "D0150003.usr"
    path.write_bytes(spoilt(path.read_bytes())[number])
    with pytest.raises(DataCutError) as told:
        read(case, "in")
    assert "D0150003.usr" in str(told.value)
    assert told.value.exit_code in (11, 12)


def test_a_record_is_never_taken_for_one_of_the_file_before(case):
    """A file that begins below its metering point has no row of the metering point before it."""
    path = case / "in" / "D0150003.usr"
    lines = [line for line in path.read_bytes().splitlines(True) if not line.startswith(b"288")]
    path.write_bytes(b"".join(lines).replace(b"ZPT|0000000004|4|", b"ZPT|0000000004|3|"))
    with pytest.raises(DataCutError, match=r"D0150003\.usr"):
        read(case, "in")


def tables(folder: Path, *parts: list[bytes], head: bytes = HEAD) -> None:
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(parts):
        (folder / f"part-{number}.csv").write_bytes(head + b"".join(rows))


def test_parts_of_an_export_are_one_table(tmp_path):
    tables(tmp_path / "in", ROWS[:10], ROWS[10:11], [], ROWS[11:])
    rows, source = read(tmp_path, "in")
    assert rows["MPAN"].to_list() == sorted(row[:13].decode() for row in ROWS)
    assert [file.rows for file in source.files] == [10, 1, 0, 29]


def test_small_and_large_files_mix(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.intake.read_files.SMALL", 500)
    monkeypatch.setattr(joined_module, "SMALL", 500)
    tables(tmp_path / "in", ROWS[:2], ROWS[2:39], ROWS[39:])
    rows, source = read(tmp_path, "in")
    assert rows.height == 40
    assert {file.spec.file: file.rows for file in source.files} == {
        "in/part-0.csv": 2, "in/part-1.csv": 37, "in/part-2.csv": 1,
    }  # fmt: skip


@pytest.mark.parametrize("size", [200, 300, 500, 1000])
def test_joined_flows_of_any_size_are_cut_where_a_file_begins(case, monkeypatch, size):
    monkeypatch.setattr(joined_module, "SMALL", size)
    rows, _ = read(case, "all.usr")
    assert bare(rows).equals(bare(read(case, "in")[0]))


@pytest.mark.parametrize(
    "second",
    [
        HEAD.replace(b",", b"|") + ROWS[1].replace(b",", b"|"),
        HEAD.replace(b"\n", b"\r\n") + ROWS[1].replace(b"\n", b"\r\n"),
        b"Supplier,MPAN,Registration From\nSUPA,0000000000001,01/04/2020\n",
        b'MPAN,Supplier,Registration From\n"0000000000001","SUPA","01/04/2020"\n',
        b"\xef\xbb\xbf" + HEAD + ROWS[1],
        gzip.compress(HEAD + ROWS[1]),
        HEAD + ROWS[1].rstrip(),
    ],
    ids=["pipes", "CR LF", "another order", "quoted", "byte order mark", "gzip", "no line end"],
)
def test_parts_may_be_written_in_other_ways(tmp_path, second):
    tables(tmp_path / "in", ROWS[:1], ROWS[2:3])
    (tmp_path / "in" / "part-1.csv").write_bytes(HEAD + ROWS[2])
    (tmp_path / "in" / "part-0b.csv").write_bytes(second)
    rows, _ = read(tmp_path, "in")
    assert rows["MPAN"].to_list() == ["0000000000000", "0000000000001", "0000000000002"]
    assert set(rows["Supplier"]) == {"SUPA"}


def test_line_ends_inside_cells_do_not_move_rows_to_other_files(tmp_path):
    head = b"MPAN,Address\n"
    tables(tmp_path / "in", [b'1,"a\nb"\n', b"2,c\n"], [b'3,"d\n\ne"\n'], [b"4,f\n"], head=head)
    rows, source = read(tmp_path, "in")
    assert [file.rows for file in source.files] == [2, 1, 1]
    assert dict(rows.select("MPAN", "file").iter_rows())["3"] == "in/part-1.csv"


TWICE = HEAD.replace(b"MPAN", b"Supplier")


@pytest.mark.parametrize("fault", [b"1,2\n", b'1,"2,3\n', b"1,2,3,4\n", b"1,2,\0\n", TWICE])
def test_a_spoilt_table_among_many_is_told_by_name(tmp_path, fault):
    tables(tmp_path / "in", ROWS[:3], ROWS[3:5], ROWS[5:])
    (tmp_path / "in" / "part-1.csv").write_bytes(fault if b"Supplier" in fault else HEAD + ROWS[3] + fault)
    with pytest.raises(DataCutError, match=r"part-1\.csv"):
        read(tmp_path, "in")


def test_more_members_than_allowed_are_refused(case):
    name = packed(case, "zip")
    with pytest.raises(RefusedError, match="more than 11 members"):
        read(case, name, limits=replace(Limits(), max_members=11))


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../x.csv", "/x.csv", "a/../../x.csv", "c:x.csv", "a\nb.csv"])
def test_a_members_name_leads_nowhere(tmp_path, kind, name):
    files = {"a.csv": HEAD, name: HEAD}
    if kind == "zip":
        zipped(tmp_path / "x.zip", files)
    else:
        (tmp_path / "x.tar").write_bytes(tarred(files))
    with pytest.raises(RefusedError):
        read(tmp_path, f"x.{kind}")


def test_a_link_in_a_tar_is_refused(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    (tmp_path / "x.tar").write_bytes(out.getvalue())
    with pytest.raises(RefusedError, match="link or device"):
        read(tmp_path, "x.tar")


def test_archives_within_archives_within_an_archive_are_refused(tmp_path):
    zipped(tmp_path / "1.zip", {"a.csv": HEAD, "b.csv": HEAD})
    for number in (2, 3):
        zipped(tmp_path / f"{number}.zip", {"in.zip": (tmp_path / f"{number - 1}.zip").read_bytes(), "c.csv": HEAD})
    assert read(tmp_path, "2.zip")[1].files
    with pytest.raises(RefusedError, match="archives within archives"):
        read(tmp_path, "3.zip")


@pytest.mark.parametrize("kept", [300, 700, 1024, 5 * 1024, 11_500])
def test_a_tar_that_was_cut_off_is_refused(case, kept):
    (case / "x.tar").write_bytes(tarred(members(case))[:kept])
    with pytest.raises(DataCutError):
        read(case, "x.tar")


@pytest.mark.parametrize(
    "name",
    ["D0150000.usr", "D0150_000123.usr", "D0150002_20230819.usr", "part-00012.csv", "20230819_023000_7.usr"],
)
def test_names_that_tell_of_nobody_are_shown(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["1012345678901.csv", "10 1234 5678 901.csv", "LS1_4AP.csv", "sw1a1aa.csv", "uprn100012345678.csv"]
)
def test_names_that_may_identify_are_hidden(name):
    assert telling(name)
    assert not any(c.isdigit() for c in safe_name(name))


@pytest.mark.parametrize("size", [100, 200, 243, 244, 300, 1000, 10_000])
def test_each_joined_flow_begins_with_its_header_and_ends_before_the_next(case, monkeypatch, size):
    monkeypatch.setattr(joined_module, "SMALL", size)
    data = (case / "all.usr").read_bytes()
    units = [
        unit if isinstance(unit, bytes) else b"".join(iter(lambda unit=unit: unit.read(37), b""))
        for unit in joined_module.JoinedUnits(Bytes(data, "x"))
    ]
    assert b"".join(units) == data
    assert [(unit[:4], unit.count(b"ZHV|")) for unit in units] == [(b"ZHV|", 1)] * 12
