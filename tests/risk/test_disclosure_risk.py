"""Disclosure risk: figures against a plain count, the threshold that ends a run, and configurations that cannot be."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.sample import SampleRequest, generate
from tests.command import Done, datacut
from transforms.release import disclosure_risk

NAMES = ("area", "outward", "profile_class", "consumption_band")
BANDS = (0, 1_000, 2_000, 3_000, 5_000, 10_000, 50_000, 100_000)

rows = st.lists(
    st.tuples(
        st.sampled_from(["NR1 3AB", "NR14 3AB", "N1 1AA", "S1 2AB", None]),
        st.sampled_from(["00", "01", "03", None]),
        st.sampled_from([-1.5, 0.0, 999.9, 1_000.0, 4_999.0, 100_000.0, None]),
    ),
    max_size=60,
)


def points(found: list[tuple]) -> pl.DataFrame:
    schema = {"postcode": pl.String, "profile_class": pl.String, "eac": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")


def plain_class(postcode: str | None, profile_class: str | None, eac: float | None) -> tuple:
    """The class of a metering point, by hand."""
    outward = postcode.split(" ")[0] if postcode else None
    area = "".join(c for c in outward[:2] if c.isalpha()) if outward else None
    lower = [bound for bound in BANDS if eac is not None and eac >= bound]
    band = None if eac is None else str(lower[-1]) if lower else "negative"
    return area, outward, profile_class, band


def plain_figures(sizes: list[int]) -> dict[str, float]:
    """Prosecutor and marketer risk record by record: one by the size of the record's class."""
    records = [Fraction(1, size) for size in sizes for _ in range(size)]
    mean = sum(records, Fraction(0)) / len(records) if records else Fraction(0)
    return {
        "prosecutor_max": float(max(records, default=Fraction(0))),
        "prosecutor_mean": float(mean),
        "journalist_max": float(max(records, default=Fraction(0))),
        "marketer": float(Fraction(len(sizes), len(records))) if records else 0.0,
    }


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(1, 5))
def test_figures_agree_with_a_plain_count(found, parts):
    wanted = Counter(plain_class(*row) for row in found)
    pieces = [disclosure_risk.classes(points(found[n::parts]).lazy(), NAMES).collect() for n in range(parts)]
    together = disclosure_risk.merge_classes(pieces, NAMES)
    assert {row[:-1]: row[-1] for row in together.select(*NAMES, "size").rows()} == dict(wanted)
    got = disclosure_risk.figures(together["size"], NAMES)
    for name, value in plain_figures(list(wanted.values())).items():
        assert getattr(got, name) == pytest.approx(value, abs=1e-6), name
    assert got.metering_points == len(found) == sum(band.metering_points for band in got.class_sizes)
    assert got.classes == len(wanted)


def test_figures_of_a_worked_example():
    """Classes of 1, 4, 5, 10, 11, 100 and 101 metering points: 232 in all."""
    got = disclosure_risk.figures(pl.Series([5, 1, 101, 4, 100, 10, 11]), ["outward"])
    assert [band.metering_points for band in got.class_sizes] == [1, 4, 15, 111, 101]
    assert got.prosecutor_max == got.journalist_max == 1.0
    assert got.prosecutor_mean == got.marketer == pytest.approx(7 / 232, abs=1e-6)
    assert disclosure_risk.passed(got, {"marketer": 7 / 232 + 1e-6, "prosecutor_max": 1.0}) == []
    assert disclosure_risk.passed(got, {"prosecutor_max": 0.2, "marketer": 0.01}) == [
        "marketer is 0.030172, above 0.01",
        "prosecutor_max is 1, above 0.2",
    ]


def test_k_anonymity_is_what_the_threshold_says():
    """A cut is k-anonymous exactly when the prosecutor's risk is at most 1/k."""
    for sizes in ([11, 12], [10, 400], [11], [1]):
        got = disclosure_risk.figures(pl.Series(sizes), ["area"])
        assert (min(sizes) >= 11) == (disclosure_risk.passed(got, {"prosecutor_max": 1 / 11}) == []), sizes


# -- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("risk") / "sample"
    generate(SampleRequest(400, 9, 0.02), folder)
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    document.pop("ring_fence", None)
    (folder / "plain.yaml").write_text(yaml.safe_dump(document))
    return folder


def run(place: Path, policy: dict | None, **options: object) -> Done:
    document = yaml.safe_load((place / "plain.yaml").read_text())
    if policy is not None:
        document["cut"]["policy"] = {**document["cut"].get("policy", {}), "risk": policy}
    document.update(options)
    for name in ("out", "work"):
        shutil.rmtree(place / name, ignore_errors=True)
    (place / "cut.yaml").write_text(yaml.safe_dump(document))
    return datacut("anonymise", place / "cut.yaml", "--plain", "--json")


@pytest.mark.requirement("Q58", "Q67")
def test_the_evidence_has_the_figures_of_what_was_released(place):
    """Counted again from the files of the pack alone."""
    names = ["area", "profile_class", "measurement_class", "supplier_mpid"]
    done = run(place, {"quasi_identifiers": names, "thresholds": {"prosecutor_max": 1.0}})
    assert done.code == 0, done.err
    pack = Path(json.loads(done.out)["pack"])
    section = json.loads((pack / "evidence" / "evidence.json").read_text())["risk"]
    wanted = Counter()
    for file in sorted(pack.glob("data/*/registration.parquet")):
        for row in pl.read_parquet(file).iter_rows(named=True):
            wanted[plain_class(row["postcode"], None, None)[0], *(row[name] for name in names[1:])] += 1
    assert section["metering_points"] == wanted.total() > 300
    assert section["classes"] == len(wanted)
    for name, value in plain_figures(list(wanted.values())).items():
        assert section[name] == pytest.approx(value, abs=1e-6), name
    assert section["quasi_identifiers"] == names
    assert section["thresholds"] == {"prosecutor_max": 1.0}
    assert "supplier_mpid" in (pack / "report" / "index.html").read_text()


@pytest.mark.requirement("Q58", "Q67")
def test_a_passed_threshold_ends_the_run_without_a_pack(place):
    done = run(place, {"thresholds": {"prosecutor_max": 0.09, "marketer": 0.001}})
    assert done.code == 14
    assert len(done.told) == 1
    assert "disclosure risk: marketer is 0." in done.told[0]
    assert "prosecutor_max is 1, above 0.09" in done.told[0]
    assert not list((place / "out").glob("*"))
    assert run(place, {"quasi_identifiers": ["gsp_group_id"], "thresholds": {"marketer": 0.5}}).code == 0


@pytest.mark.requirement("Q58")
@pytest.mark.parametrize(
    ("policy", "phrase"),
    [
        ({"quasi_identifiers": ["shoe_size"]}, "no such quasi-identifier: shoe_size"),
        ({"quasi_identifiers": ["mpan_core_raw", "outward"]}, "no such quasi-identifier: mpan_core_raw"),
        ({"thresholds": {"prosecutor": 0.1}}, "cut.policy.risk.thresholds"),
        ({"thresholds": {"marketer": "low"}}, "cut.policy.risk.thresholds.marketer"),
        ({"thresholds": {"marketer": -0.1}}, "cut.policy.risk.thresholds.marketer"),
        ({"thresholds": {"marketer": 7}}, "cut.policy.risk.thresholds.marketer"),
        ({"thresholds": {"marketer": float("nan")}}, "cut.policy.risk.thresholds.marketer"),
        ({"quasi_identifiers": []}, "cut.policy.risk.quasi_identifiers"),
        ({"quasi_identifiers": ["outward", "outward"]}, "cut.policy.risk"),
        ({"quasi_identifiers": "outward"}, "cut.policy.risk.quasi_identifiers"),
        ({"k": 11}, "cut.policy.risk.k"),
    ],
)
def test_what_cannot_be_measured_is_told(place, policy, phrase):
    done = run(place, policy)
    assert done.code == 2, done.err
    assert len(done.told) == 1
    assert phrase in done.told[0]


@pytest.mark.requirement("Q58")
def test_a_column_that_the_policy_drops_can_single_nobody_out(place):
    (place / "overlay.yaml").write_text(
        "reason: x\ntreatments: {registration: {uprn: drop, line_loss_factor_class_id: drop}}\n"
    )
    document = yaml.safe_load((place / "plain.yaml").read_text())
    document["cut"]["policy"] = {
        "overlay": "overlay.yaml",
        "risk": {"quasi_identifiers": ["line_loss_factor_class_id"]},
    }
    done = run(place, None, cut=document["cut"])
    assert done.code == 2
    assert "no such quasi-identifier: line_loss_factor_class_id" in done.told[0]
