"""Success with nothing is a failure: too much excluded, nothing read, nothing left, and the likely cause in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.causes import causes
from contracts.errors import ConfigurationError, InsufficientDataError
from contracts.vocabulary import Form
from flows.cut.config import load_cut
from flows.intake.market_domain_data import load_reference
from flows.pipeline import run_plain
from flows.sample import SampleRequest, generate
from transforms.quality.causes import by_cause

MPANS = 150
Change = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("limits") / "sample"
    generate(SampleRequest(MPANS, 5, 0.0), folder)
    for file in (folder / "cut.yaml",):
        document = yaml.safe_load(file.read_text())
        document["participants"] = [p for p in document["participants"] if p["mpid"] == "EELC"]
        document.pop("ring_fence")
        file.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


@pytest.fixture
def cut(sample, tmp_path) -> Path:
    import shutil

    return shutil.copytree(sample, tmp_path / "cut") / "cut.yaml"


def changed(cut: Path, heading: str, value: Callable[[str], str], share: float = 1.0) -> None:
    """Change a column of EELC's registration in the first rows."""
    path = cut.parent / "EELC/registration.csv"
    frame = pl.read_csv(path, infer_schema=False)
    texts = [v or "" for v in frame[heading].to_list()]
    until = round(share * len(texts))
    frame.with_columns(pl.Series(heading, [value(v) if n < until else v for n, v in enumerate(texts)])).write_csv(path)


def policy(cut: Path, limits: object) -> None:
    document = yaml.safe_load(cut.read_text())
    document["cut"]["policy"] = {"excluded_at_most": limits}
    cut.write_text(yaml.safe_dump(document, sort_keys=False))


def refused(cut: Path, kind: str = "submission") -> str:
    with pytest.raises(InsufficientDataError) as fault:
        run_plain(cut, kind=kind)
    assert fault.value.exit_code == 20
    assert not list((cut.parent / "out").glob("*")) if (cut.parent / "out").exists() else True
    return fault.value.line()


def digits(text: str) -> str:
    return text.replace(" ", "")


SPOILT = {
    # column, what the export made of it, what the line says
    "shortened": (
        "MPAN Core",
        lambda v: f"{float(digits(v)):.1E}",
        "MPANs look like 1.2E+12: the spreadsheet shortened",
    ),
    "lost digits": ("MPAN Core", lambda v: digits(v)[2:], "have fewer than 13 digits"),
    "rounded": ("MPAN Core", lambda v: digits(v)[:9] + "0000", "end in zeros: the spreadsheet rounded them"),
    "null word": ("MPAN Core", lambda _: "NULL", "words such as NULL"),
    "masked": ("MPAN Core", lambda v: digits(v)[:2] + "*" * 11, "are masked"),
    "serials": ("MPAN Core", lambda _: "L04C15502", "look like meter serial numbers"),
    "digit changed": ("MPAN Core", lambda v: digits(v)[:-1] + str((int(v[-1]) + 1) % 10), "wrong check digit"),
    "noughts": ("Registration From", lambda _: "0000-00-00", "a date of zeros"),
    "MPID": ("Registration From", lambda _: "SUPA", "look like MPIDs"),
    "no day": ("Registration From", lambda _: "", "dates are empty"),
    "a word": ("Supplier", lambda _: "NULL", "words such as NULL"),
    "unknown": ("LLFC", lambda _: "ZZ9", "is not in"),
    "description": ("Measurement Class", lambda _: "Non half hourly metered", "are words"),
}


@pytest.mark.requirement("Q48", "Q67")
@pytest.mark.parametrize(("heading", "value", "words"), SPOILT.values(), ids=SPOILT)
def test_a_spoilt_column_ends_the_run_and_says_why(cut, heading, value, words):
    raw = pl.read_csv(cut.parent / "EELC/registration.csv", infer_schema=False)["MPAN Core"].to_list()
    changed(cut, heading, value)
    line = refused(cut)
    assert words in line, line
    assert (f'sent as "{heading}"' in line) == (heading in {"Registration From", "LLFC", "Supplier"}), line
    assert not [mpan for mpan in raw if digits(mpan) in line]


@pytest.mark.requirement("Q48")
def test_a_share_within_the_limit_is_no_reason(cut):
    changed(cut, "MPAN Core", lambda _: "NULL", share=0.15)
    assert run_plain(cut, kind="submission").accounting[0].excluded > 10


@pytest.mark.requirement("Q48")
def test_the_limit_is_configuration(cut):
    changed(cut, "MPAN Core", lambda _: "NULL", share=0.15)
    policy(cut, 0.05)
    assert "of" in refused(cut)


@pytest.mark.requirement("Q48")
def test_every_row_is_too_much_however_few(cut):
    path = cut.parent / "EELC/registration.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    changed(cut, "MPAN Core", lambda _: "NULL")
    assert "excludes 3 of 3 rows" in refused(cut)


@pytest.mark.requirement("Q48")
def test_what_is_accepted_by_name_is_published_and_told(cut):
    changed(cut, "LLFC", lambda _: "ZZ9", share=0.5)
    line = refused(cut)
    rules = {part.split(" in column")[0] for part in line.split("rule ")[1:]}
    allow = [{"extract": "registration", "rule": rule, "reason": "the class is new"} for rule in sorted(rules)]
    policy(cut, {"allow": allow})
    done = run_plain(cut, kind="submission")
    evidence = json.loads((Path(done.pack) / "evidence/evidence.json").read_text())
    told = evidence["limits"]["accepted"]
    assert {entry["rule"] for entry in told} == rules
    assert {entry["reason"] for entry in told} == {"the class is new"}
    page = Path(done.report).read_text()
    assert "accepted by name" in page
    assert '<div class="verdict note">' in page


@pytest.mark.requirement("Q48")
def test_nothing_is_released_with_a_red_banner_only_by_name(cut):
    changed(cut, "MPAN Core", lambda _: "NULL")
    policy(cut, {"allow": [{"extract": "registration", "participant": "EELC", "reason": "a trial"}]})
    page = Path(run_plain(cut, kind="submission").report).read_text()
    assert '<div class="verdict bad">' in page


@pytest.mark.requirement("Q48")
def test_no_row_read_is_a_failure(cut):
    path = cut.parent / "EELC/registration.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "no row was read" in refused(cut)


@pytest.mark.requirement("Q75")
@pytest.mark.parametrize("name", ["Line_Loss_Factor_Class", "Market_Participant_Role", "Valid_MTC_SSC_Combination"])
def test_an_empty_reference_table_is_a_failure(cut, name):
    path = cut.parent / f"elexon/mdd/{name}_316.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert f"{name}_316.csv: holds headings and no row" in refused(cut)


@pytest.mark.requirement("Q75")
def test_a_reference_table_loaded_by_half_is_a_failure(cut):
    path = cut.parent / "elexon/mdd/Valid_MTC_LLFC_SSC_PC_Combination_316.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3]) + "\n")
    assert "Valid_MTC_LLFC_SSC_PC_Combination_316.csv: lacks" in refused(cut)


def test_another_cut_date_leaves_no_row_in_force(cut):
    with pytest.raises(InsufficientDataError):
        load_reference(cut.parent / "elexon/mdd", date(1990, 1, 1))


@pytest.mark.parametrize(
    "entry",
    [{"extract": "metering", "reason": "x"}, {"extract": "registration", "rule": "DQ99_x", "reason": "x"},
     {"extract": "registration", "participant": "YELG", "reason": "x"}],
)  # fmt: skip
def test_an_acceptance_names_something_of_the_cut(cut, entry):
    policy(cut, {"allow": [entry]})
    with pytest.raises(ConfigurationError, match="excluded_at_most"):
        run_plain(cut, kind="submission")


def test_a_participant_without_extracts_is_a_mistake(cut):
    document = yaml.safe_load(cut.read_text())
    document["participants"][0]["extracts"] = []
    cut.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigurationError, match="extracts"):
        load_cut(cut)


@pytest.mark.parametrize(
    ("form", "text", "cause"),
    [
        (Form.MPAN, "1.20E+12", "shortened"),
        (Form.MPAN, "1,2E+12", "shortened"),
        (Form.DECIMAL, "1,234.5", "thousands"),
        (Form.DECIMAL, "1234,5", "decimal_comma"),
        (Form.CODE, "#REF!", "error_value"),
        (Form.DATE, "####", "too_narrow"),
        (Form.DATE, "45157", "serial_day"),
        (Form.DATE, "1-Aug-18", "two_digit_year"),
        (Form.DATE, "1-AUG-18", "two_digit_year"),
        (Form.DATE, "19/08/18", "two_digit_year"),
        (Form.DATE, "1-Mai-18", "month_in_words"),
        (Form.DATE, "10-JUIL-2019", "month_in_words"),
        (Form.CODE, "(null)", "null_word"),
        (Form.CODE, "n/a", "null_word"),
        (Form.TEXT, "LANDIS AND GY...", "truncated"),
        (Form.POSTCODE, "19/08/2018", "a_day"),
        (Form.METER_SERIAL, "CO1 1AA", "a_postcode"),
        (Form.UPRN, "1000000000030", "an_mpan"),
        (Form.MPAN, "CO1 1AA", "a_postcode"),
        (Form.MPAN, "1" * 21, "too_many_digits"),
        (Form.FLAG, "SUPA", "an_mpid"),
        (Form.MPAN, "9999999999999", "placeholder"),
        (Form.MPAN, "~", "other"),
    ],
)
def test_causes_by_form(form, text, cause):
    assert by_cause(pl.Series([text]), causes().of(form)) == {cause: 1}
