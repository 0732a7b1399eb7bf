"""Market domain data as published: headings, forms, versions, and what is not whole."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from contracts.errors import DataCutError, InsufficientDataError, IntakeError
from contracts.reference import definitions
from flows.intake.market_domain_data import Reference, load_reference
from flows.intake.standing_data import load_standing_data
from transforms.published_headings import PublishedHeadings

CUT = date(2023, 8, 19)
CASES = Path(__file__).parents[1] / "cases"
BARE, REAL = CASES / "shared" / "mdd", CASES / "04-mdd-real-headings" / "mdd"
Rows = list[list[str]]
pytestmark = pytest.mark.requirement("Q75")

# The combination tables as published, keys of other tables and all: table -> its columns, in order
FROM, TO = "Effective From Settlement Date", "Effective To Settlement Date"
MTC, WHOSE = "Meter Timeswitch Class Id", "Market Participant Id"
LLFC, SSC, PC = "Line Loss Factor Class Id", "Standard Settlement Configuration Id", "Profile Class Id"
_AREA = [MTC, f"{FROM} {{MTC}}", WHOSE, f"{FROM} {{MTCPA}}"]
_RATES = [*_AREA, SSC, f"{FROM} {{VMTCSC}}"]
_LOSS = [*_RATES, LLFC, f"{FROM} {{VMTCLSC}}"]
PUBLISHED = {
    "Valid_MTC_LLFC_Combination": [*_AREA, LLFC, f"{FROM} {{VMTCLC}}", f"{TO} {{VMTCLC}}"],
    "Valid_MTC_SSC_Combination": [*_RATES, f"{TO} {{VMTCSC}}"],
    "Valid_MTC_LLFC_SSC_Combination": [*_LOSS, f"{TO} {{VMTCLSC}}"],
    "Valid_MTC_LLFC_SSC_PC_Combination": [
        *_LOSS, PC, f"{FROM} {{VMTCLSPC}}", f"{TO} {{VMTCLSPC}}", "Preserved Tariff Indicator"],
}  # fmt: skip


def rows_of(path: Path) -> Rows:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def as_published(name: str, rows: Rows) -> Rows:
    """Give a combination table of the bare form its published columns; keys of other tables begin after all cuts."""
    if name not in PUBLISHED:
        return rows
    own = {FROM: rows[0].index(FROM), TO: rows[0].index(TO)}
    columns = PUBLISHED[name]
    mine = next(h for h in columns if h.startswith(TO)).removeprefix(TO)
    out = [columns]
    for row in rows[1:]:
        cells = []
        for heading in columns:
            bare = heading.partition(" {")[0]
            if bare in own:
                cells.append(row[own[bare]] if heading == bare + mine else "31/12/2049")
            else:
                cells.append(row[rows[0].index(heading)] if heading in rows[0] else "F")
        out.append(cells)
    return out


Change = Callable[[str, Rows], Rows]


def published(folder: Path, change: Change = lambda _, rows: rows, *, suffix: str = "", quoting: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(BARE.glob("*.csv")):
        rows = change(path.stem, as_published(path.stem, rows_of(path)))
        with (folder / f"{path.stem}{suffix}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return folder


def same(one: Reference, other: Reference) -> bool:
    return {n: t.rows() for n, t in one.tables.items()} == {n: t.rows() for n, t in other.tables.items()}


@pytest.fixture(scope="module")
def bare() -> Reference:
    return load_reference(BARE, CUT)


def headings(change: Callable[[str], str]) -> Change:
    return lambda _, rows: [[change(heading) for heading in rows[0]], *rows[1:]]


def reordered(_: str, rows: Rows) -> Rows:
    order = sorted(range(len(rows[0])), key=lambda n: rows[0][n][::-1])
    return [[row[n] for n in order] for row in rows]


def further(_: str, rows: Rows) -> Rows:
    return [["", *rows[0], "Remarks", ""], *(["", *row, "caf\u00e9", ""] for row in rows[1:])]


def timed(_: str, rows: Rows) -> Rows:
    return [rows[0], *([re.sub(r"^(../../....)$", r"\1 00:00:00", c) for c in row] for row in rows[1:])]


FORMS: dict[str, Change] = {
    "braces": lambda _, rows: rows,
    "parentheses": headings(lambda h: h.replace("{", "(").replace("}", ")")),
    "words in capitals": headings(lambda h: h.upper().replace(" ", "_")),
    "another order": reordered,
    "further columns": further,
    "dates with a time": timed,
    "no qualifier at all": headings(lambda h: h.partition(" {")[0]),
    "a qualifier of its own": headings(lambda h: h.replace("{VMTCLSPC}", "{VMTCLLSCPC}")),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tables(tmp_path, bare, form):
    assert same(load_reference(published(tmp_path / "mdd", FORMS[form]), CUT), bare)


def test_real_headings_give_the_same_tables(bare):
    found = load_reference(REAL, CUT)
    assert same(found, bare)
    assert found.version == 233
    (told,) = found.publication()
    assert told.model_dump() == {"publication": "market domain data", "place": "mdd", "files": 9, "version": "233",
                    "latest": "2023-08-20"}  # fmt: skip
    assert {entry.file for entry in found.evidence()} == {
        f"{definition.file}_233.csv" for definition in definitions().values() if definition.name in found.origins
    }


def test_a_date_of_another_table_is_never_the_tables_own(tmp_path):
    def without_own(name: str, rows: Rows) -> Rows:
        gone = [n for n, h in enumerate(rows[0]) if h == f"{FROM} {{VMTCLC}}"]
        return [[c for n, c in enumerate(row) if n not in gone] for row in rows]

    with pytest.raises(IntakeError) as fault:
        load_reference(published(tmp_path / "mdd", without_own), CUT)
    assert "Valid_MTC_LLFC_Combination.csv: lacks the column 'Effective From Settlement Date {VMTCLC}'" in str(
        fault.value
    )


def test_two_headings_that_may_be_meant_are_refused():
    found = PublishedHeadings([FROM, MTC, FROM, WHOSE], where="t.csv", own_after=LLFC)
    with pytest.raises(IntakeError, match="2 columns that may be"):
        found.own_date(f"{FROM} {{X}}", f"{TO} {{X}}")


def test_bytes_of_cp1252_in_descriptions(tmp_path, bare):
    folder = published(tmp_path / "mdd")
    path = folder / "Line_Loss_Factor_Class.csv"
    path.write_bytes(path.read_bytes().replace(b"LV Domestic Unrestricted,", b"LV Domestic \x96 Unrestricted,"))
    found = load_reference(folder, CUT)
    columns = ["distributor_mpid", "line_loss_factor_class_id", "connection"]
    assert (
        found.tables["line_loss_factor_classes"]
        .select(columns)
        .equals(bare.tables["line_loss_factor_classes"].select(columns))
    )


def packed(folder: Path, archive: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.iterdir()):
            out.write(path, inside + path.name)
    return archive


@pytest.mark.parametrize("form", ["zip", "zip with a folder", "folder in a folder", "zip in a folder"])
def test_a_set_is_a_folder_or_a_zip_nested_once(tmp_path, bare, form):
    folder = published(tmp_path / "outer" / "MDD v316", suffix="_316", quoting=csv.QUOTE_ALL)
    place = {
        "zip": lambda: packed(folder, tmp_path / "mdd.zip"),
        "zip with a folder": lambda: packed(folder, tmp_path / "mdd.zip", "MDD_316/"),
        "folder in a folder": lambda: folder.parent,
        "zip in a folder": lambda: packed(folder, (tmp_path / "in").joinpath("mdd.zip")).parent,
    }
    (tmp_path / "in").mkdir()
    found = load_reference(place[form](), CUT)
    assert same(found, bare)
    assert found.version == 316


def test_of_whole_sets_the_later_number_is_taken(tmp_path):
    folder = published(tmp_path / "mdd", suffix="_99")
    published(folder, suffix="_316")
    assert load_reference(folder, CUT).version == 316


def rename(folder: Path, name: str, new: str) -> None:
    (folder / f"{name}.csv").rename(folder / f"{new}.csv")


@pytest.mark.parametrize(
    ("table", "new"),
    [
        ("Measurement_Requirement_316", "Measurement_Requirement_315"),
        ("Measurement_Requirement_316", "Measurement_Requirement_1000"),
        ("GSP_Group_316", "GSP_Group_99"),  # not read, but of the set
        ("Profile_Class_316", "Profile_Class"),
    ],
)
def test_mixed_versions_are_refused_by_name(tmp_path, table, new):
    folder = published(tmp_path / "mdd", suffix="_316")
    rename(folder, table, new)
    with pytest.raises(IntakeError) as fault:
        load_reference(folder, CUT)
    assert "mixes versions of the market domain data" in str(fault.value)
    assert new.rpartition("_")[0] in str(fault.value) or new in str(fault.value)


def cut_at(name: str, where: Callable[[bytes], int]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / f"{name}.csv"
        data = path.read_bytes()
        path.write_bytes(data[: where(data)])

    return change


HALF = {
    "no byte": cut_at("Valid_MTC_SSC_Combination", lambda d: 0),
    "headings alone": cut_at("Line_Loss_Factor_Class", lambda d: d.index(b"\n") + 1),
    "the middle of a row": cut_at("Line_Loss_Factor_Class", lambda d: d.rindex(b",") - 3),
    "the middle of a date": cut_at("Valid_MTC_LLFC_Combination", lambda d: d.index(b"18/08/2023") + 6),
    "a quotation mark": cut_at("Meter_Timeswitch_Class", lambda d: d.index(b'"') + 5),
    "half the rows of a table that others refer to": cut_at(
        "Line_Loss_Factor_Class", lambda d: d.index(b"\n", len(d) // 2) + 1
    ),
    "half the timeswitch codes": cut_at("Meter_Timeswitch_Class", lambda d: d.index(b"\n", len(d) // 2) + 1),
    "half the configurations": cut_at("Measurement_Requirement", lambda d: d.index(b"\n", len(d) // 2) + 1),
    "half the last combinations": cut_at(
        "Valid_MTC_LLFC_SSC_PC_Combination", lambda d: d.index(b"\n", len(d) // 2) + 1
    ),
    "half the participants": cut_at("Market_Participant_Role", lambda d: d.index(b"\n", len(d) // 9) + 1),
}


@pytest.mark.parametrize("end", HALF)
def test_a_table_that_was_cut_off_is_refused_by_name(tmp_path, end):
    folder = published(tmp_path / "mdd")
    HALF[end](folder)
    with pytest.raises((IntakeError, InsufficientDataError)) as fault:
        load_reference(folder, CUT)
    changed = [p.name for p in folder.iterdir() if p.read_bytes() != (published(tmp_path / "w") / p.name).read_bytes()]
    assert str(fault.value).startswith(changed[0])


def test_a_publication_of_another_time_is_refused():
    with pytest.raises(InsufficientDataError, match="no row in force"):
        load_reference(BARE, date(1995, 1, 1))


@pytest.mark.parametrize("make", [lambda p: p, lambda p: (p / "readme.txt").touch() or p, lambda p: p / "nowhere"])
def test_a_place_without_tables_is_refused(tmp_path, make):
    with pytest.raises(DataCutError, match="market domain data"):
        load_reference(make(tmp_path), CUT)


def test_an_absent_table_is_told_and_its_rules_cannot_be_judged(tmp_path):
    folder = published(tmp_path / "mdd")
    (folder / "Valid_MTC_SSC_Combination.csv").unlink()
    found = load_reference(folder, CUT)
    assert "valid_mtc_ssc" not in found.tables
    assert found.publication()[0].absent == ("valid_mtc_ssc",)


def test_tables_of_distributors_need_their_ids(tmp_path):
    folder = published(tmp_path / "mdd")
    (folder / "Market_Participant_Role.csv").unlink()
    found = load_reference(folder, CUT)
    assert not [n for n, t in found.tables.items() if "distributor_mpid" in t.columns]
    assert {"participant_roles", "distributors", "line_loss_factor_classes"} <= set(found.absent)


def test_a_few_keys_astray_are_told_and_do_not_stop(tmp_path):
    folder = published(tmp_path / "mdd")
    path = folder / "Line_Loss_Factor_Class.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("EELC,R,01/04/1996,1,")))
    assert load_reference(folder, CUT).publication()[0].astray == {"line_loss_factor_classes": 1}


@pytest.mark.parametrize("form", ["file", "folder", "zip", "gzip", "blank line first"])
@pytest.mark.parametrize("flow", ["D0269002", "D0270002"])
def test_the_flow_of_market_domain_data_is_refused_and_told_what_is_read(tmp_path, flow, form):
    text = (
        f"ZHV|0000000001|{flow}|Z|SVAA|X|SUPA|20230819020000||||OPER|\nMDD|316|\nZPT|0000000001|1||1|20230819020001|\n"
    )
    data = {"gzip": gzip.compress(text.encode()), "blank line first": b"\n" + text.encode()}.get(form, text.encode())
    (tmp_path / "mdd").mkdir()
    path = tmp_path / "mdd" / "MDD.usr"
    path.write_bytes(data)
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "mdd.zip", "w") as archive:
            archive.write(path, "MDD.usr")
        path = tmp_path / "mdd.zip"
    for load in (load_reference, lambda place, day: load_standing_data(place, day, ())):
        with pytest.raises(IntakeError, match=rf"MDD.usr is a {flow[:5]}: the .* is not read from a flow .put its CSV"):
            load(path.parent if form == "folder" else path, CUT)
