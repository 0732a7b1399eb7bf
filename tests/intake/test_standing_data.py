"""Industry standing data as published: entities M16 and M18, two lines before the rows."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest

from contracts.augmentation import services
from contracts.errors import DataCutError
from flows.intake.standing_data import StandingData, load_standing_data

CUT = date(2023, 8, 19)
HEAD = (
    '"M16","Market Participant to DIP Participant","12","2025-03-04T10:15:00Z"\n'
    "Market Participant ID,Market Participant Role Code,DIP Participant ID,DIP Role Code,"
    "Effective From Date {MP2DPM},Effective To Date {MP2DPM},Changed\n"
)
ROWS = (
    "SUPA,X,23000A1234,SUP,2024-01-01,,\n"
    "SUPA,X,23000A9999,SUP,2025-01-01,,\n"  # later: the first is taken
    "SUPB,X,23000A1235,SUP,2020-01-01,2023-08-18,\n"  # ended the day before the cut
    "SUPC,X,23000A1236,,2024-01-01,,\n"  # M18 tells
    "MOPA,M,12000A0001,,2024-01-01,,\n"  # M has two DIP roles: not told
    "MDRX,Q,77000A0001,MDR,2024-01-01,,\n"  # a role without a use here
)
ROLES = (
    "M18,DIP Market Role,3,01/03/2025\n"
    "DIP Market Role,Description,Market Participant Role Code,"
    "Effective From Date (DIPRole),Effective To Date (DIPRole)\n"
    "SUP,Supplier,X,2024-01-01,\nMSS,Smart,M,2024-01-01,\nMSA,Advanced,M,2024-01-01,\n"
)
pytestmark = pytest.mark.requirement("Q110")


def written(folder: Path, participants: str = HEAD + ROWS, roles: str = ROLES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "DIP Participants.csv").write_text(participants)
    (folder / "roles.csv").write_text(roles)
    (folder / "M05.csv").write_text("M05,Other,1,2024-01-01\nA,B\n1,2\n")
    return folder


def load(path: Path) -> StandingData:
    return load_standing_data(path, CUT, services().prefixes)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_dip_ids_of_both_entities(tmp_path, form):
    place = written(tmp_path / "isd")
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "isd.zip", "w") as archive:
            for path in place.iterdir():
                archive.write(path, f"ISD/{path.name}")
        place = tmp_path / "isd.zip"
    found = load(place)
    assert found.dip_ids.rows() == [("SUPA", "SUP", "23000A1234"), ("SUPC", "SUP", "23000A1236")]
    assert dict(found.unused) == {"MDR": 1}
    assert found.unknown == 1
    told = {entry.table: entry for entry in found.evidence()}
    assert (told["isd/M16"].version, told["isd/M16"].latest, told["isd/M16"].rows) == ("12", "2025-03-04", 6)
    assert (told["isd/M18"].version, told["isd/M18"].latest) == ("3", "2025-03-01")


def test_the_latest_version_is_taken_by_its_number(tmp_path):
    place = written(tmp_path / "isd")
    (place / "old.csv").write_text(HEAD.replace('"12"', '"9"') + "SUPA,X,2300000009,SUP,2024-01-01,,\n")
    assert load(place).files["M16"].version == "12"


@pytest.mark.parametrize(
    ("participants", "words"),
    [
        (HEAD, "holds headings and no row"),
        (HEAD + ROWS[:-9], "cells"),
        (HEAD + ROWS.replace("23000A1234", "2300"), "'DIP Participant ID' is malformed in row 1"),
        (HEAD.replace("DIP Participant ID", "Participant"), "lacks the column 'DIP Participant ID'"),
        (HEAD.replace("{MP2DPM}", "{MPR}").replace("From Date", "Start"), "lacks the column 'Effective From Date"),
        ("M17,x,1,2024-01-01\nA\n1\n", "holds no entity M16"),
        (HEAD + ROWS.replace("2024-01-01", "soon"), "no day"),
    ],
)
def test_what_is_not_whole_is_refused_by_name(tmp_path, participants, words):
    if "Start" in participants:
        participants += ROWS
    if "Participant," in participants.splitlines()[1]:
        participants += ROWS
    with pytest.raises(DataCutError) as fault:
        load(written(tmp_path / "isd", participants))
    assert words in str(fault.value)
    assert "2300" not in str(fault.value)


def test_the_same_version_twice_is_refused(tmp_path):
    place = written(tmp_path / "isd")
    (place / "again.csv").write_text(HEAD + ROWS)
    with pytest.raises(DataCutError, match="M16 is there twice"):
        load(place)
