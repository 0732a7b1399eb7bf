"""A supplier that another has taken over on a day (Q99): from submission packs to the return and the restored file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from flows.sample import SampleRequest, generate
from tests.command import Done, datacut

pytestmark = pytest.mark.slow
CUT = "SAMPLE-2023-08-19"
GONE, SUCCESSOR = "SUPC", "SUPB"
TAKEN = {"mpid": GONE, "successor": SUCCESSOR, "on": "2023-08-01"}
Party = dict[str, Any]


def done(*arguments: object) -> Done:
    found = datacut(*arguments)
    assert found.code == 0, found.err
    return found


def party(mpid: str, role: str, *sources: Party) -> Party:
    contract = "registration" if role == "LDSO" else "portfolio"
    return {"mpid": mpid, "role": role, "extracts": [{"contract": contract, "source": source} for source in sources]}


def cut_file(folder: Path, name: str, *parties: Party, **more: object) -> Path:
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    document |= {"participants": list(parties), "work": f"work-{name}", **more}
    document["release"] |= {"folder": name}
    document.pop("ring_fence")
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder / f"{name}.yaml"


def sent(name: str) -> Party:
    return {"pack": f"{name}/{CUT}-submission", "public_key": "keys/signing.pub"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The successor sends what the predecessor's system holds; the distributor still registers the predecessor."""
    folder = tmp_path_factory.mktemp("succession") / "cut"
    generate(SampleRequest(300, 11, 0.0), folder)
    state = {"cut_date": "2023-08-19"}
    backups = {
        "distributor": [party("EELC", "LDSO", {"path": "EELC/registration.csv", **state})],
        "suppliers": [
            party("SUPA", "SUP", {"path": "SUPA/portfolio.csv.gz", **state}),
            party(
                SUCCESSOR,
                "SUP",
                {"path": "SUPB/portfolio.tsv", "form": "csv", "delimiter": "tab", **state},
                {"path": "SUPC/portfolio.zip", "form": "csv", "member": "portfolio.csv", **state},
            ),
        ],
    }
    for name, parties in backups.items():
        done("anonymise", cut_file(folder, name, *parties), "--plain")
    parties = (
        party("EELC", "LDSO", sent("distributor")),
        party("SUPA", "SUP", sent("suppliers")),
        party(SUCCESSOR, "SUP", sent("suppliers")),
    )
    for name, more in (("before", {"on": "2023-08-20"}), ("after", {})):
        done("run", cut_file(folder, name, *parties, succession=[TAKEN | more]), "--plain")
    done(
        "restore", folder / f"after/{CUT}-return-{SUCCESSOR}", "--backup", folder / "suppliers.yaml",
        "--key", folder / "keys/cut.key", "--out", folder / "back",
    )  # fmt: skip
    return folder


def released(folder: Path, name: str, mpid: str, extract: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"{name}/{CUT}-release/data/{mpid}/{extract}.parquet")


def evidence(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}/{CUT}-release/evidence/evidence.json").read_bytes())
    return found


def disagreements(folder: Path, name: str) -> int:
    return sum(
        row["disagree"]
        for row in evidence(folder, name)["alignment"]
        if (row["left"], row["right"], row["item"]) == ("EELC", SUCCESSOR, "supplier_mpid")
    )


@pytest.mark.requirement("Q99")
@pytest.mark.parametrize(("mpid", "extract"), [("EELC", "registration"), (SUCCESSOR, "portfolio")])
def test_appointments_are_carried_over_in_what_packs_release(folder: Path, mpid: str, extract: str) -> None:
    before, after = (released(folder, name, mpid, extract) for name in ("before", "after"))
    taken = set(before.filter(supplier_mpid=GONE)["mpan_core"])
    assert len(taken) > 20
    assert GONE not in set(after["supplier_mpid"])
    assert taken <= set(after.filter(supplier_mpid=SUCCESSOR)["mpan_core"])
    assert before.drop("supplier_mpid").equals(after.drop("supplier_mpid")), "nothing else changes, dates least of all"


@pytest.mark.requirement("Q99", "Q83")
def test_the_successor_agrees_with_the_registration_and_the_evidence_says_why(folder: Path) -> None:
    assert evidence(folder, "after")["succession"] == [TAKEN]
    assert "succession" not in evidence(folder, "before"), "it has not happened on the day of the cut"
    assert disagreements(folder, "after") == 0
    page = (folder / f"after/{CUT}-release/report/index.html").read_text()
    assert GONE in page


@pytest.mark.requirement("Q99")
def test_the_successor_gets_back_its_records_and_the_predecessors(folder: Path) -> None:
    (extract,) = json.loads((folder / "back/restore.json").read_text())["extracts"]
    assert {name: extract[name] for name in ("differing", "only_in_backup", "only_in_pack")} == dict.fromkeys(
        ("differing", "only_in_backup", "only_in_pack"), 0
    )
    loads = {file["name"]: (file["returned"], file["rows"]) for file in extract["files"]}
    assert set(loads) == {"SUPB/portfolio.tsv", "SUPC/portfolio.zip"}
    assert all(rows - 2 <= returned <= rows > 20 for returned, rows in loads.values()), loads
    frame = pl.read_csv(folder / "back/portfolio/SUPC/portfolio", infer_schema=False)
    assert set(frame[:, 1]) == {GONE}, "a load file holds what its own system said"
