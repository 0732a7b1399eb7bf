"""A cut under profile standard: judged alike, treated alike everywhere, real again after restore, harder to attack."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.evidence import Evidence
from flows.release.intruders import beyond
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.treatment.__main__ import differing
from tests.treatment.half_hours import days

POLICY = "\n  policy: {profile: exact}"  # standard is what nobody has to ask for


@dataclass(frozen=True)
class Made:
    """A cut and its packs."""

    folder: Path

    @property
    def cut(self) -> Path:
        return self.folder / "cut.yaml"

    def pack(self, kind: str) -> Path:
        return next((self.folder / "out").glob(f"*-{kind}"))

    def evidence(self, kind: str = "release") -> dict:
        return json.loads((self.pack(kind) / "evidence" / "evidence.json").read_text(encoding="utf-8"))

    def table(self, kind: str, name: str, participant: str = "*") -> pl.DataFrame:
        files = sorted(self.pack(kind).glob(f"data/{participant}/{name}.parquet"))
        return pl.concat([pl.read_parquet(file) for file in files], how="diagonal").unique().sort(pl.all())


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    """The same backups released under profile exact and under profile standard."""
    made = []
    exact = tmp_path_factory.mktemp("exact")
    generate(SampleRequest(500, 5, 0.04), exact)
    standard = tmp_path_factory.mktemp("standard") / "cut"
    shutil.copytree(exact, standard)
    text = (exact / "cut.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("key:"))
    (exact / "cut.yaml").write_text(text.replace(line, f"{line}{POLICY}"), encoding="utf-8")
    for folder in (exact, standard):
        done = datacut("run", folder / "cut.yaml", "--plain")
        assert done.code == 0, done.err
        made.append(Made(folder))
    return made[0], made[1]


@pytest.mark.requirement("Q58", "Q62")
def test_everything_is_judged_as_before(cuts):
    exact, standard = (made.evidence() for made in cuts)
    for section in ("accounting", "rules", "exclusions", "alignment", "augmentation", "coincident", "limits"):
        assert standard.get(section) == exact.get(section), section
    assert standard["ring_fence"]["test_cases"] == exact["ring_fence"]["test_cases"]
    assert [name for name, why in differing(standard, exact).items() if not why] == []
    spoilt = {**standard, "rules": standard["rules"][1:], "ring_fence": {**standard["ring_fence"], "test_cases": []}}
    assert [name for name, why in differing(spoilt, exact).items() if not why] == ["ring_fence", "rules"]
    assert (exact["policy"]["profile"], standard["policy"]["profile"]) == ("exact", "standard")
    assert standard["policy"]["extracts"]["registration"]["supplier_effective_from"]["treatment"] == "move (365 days)"


def test_what_is_not_treated_is_untouched(cuts):
    exact, standard = cuts
    for extract in ("registration", "portfolio", "metering", "register", "annual_consumption", "bmu_mapping"):
        before, after = exact.table("release", extract), standard.table("release", extract)
        moved = [n for n, kind in before.schema.items() if kind == pl.Date or n in ("eac", "aa")]
        kept = [n for n in before.columns if n not in moved and n != "make_and_model"]  # rare ones are OTHER
        assert before.select(kept).sort(kept).equals(after.select(kept).sort(kept)), extract
        for name in moved:
            assert before[name].null_count() == after[name].null_count()


@pytest.mark.requirement("Q58", "Q83")
def test_every_file_tells_the_same_day_and_the_same_amount(cuts):
    _, standard = cuts
    registered = standard.table("release", "registration").select("mpan_core", "supplier_effective_from")
    for name in ("portfolio", "expected"):
        both = standard.table("release", name).join(registered, on="mpan_core", suffix="_registered")
        assert both.height
        assert both["supplier_effective_from"].equals(both["supplier_effective_from_registered"])
    meters = standard.table("release", "metering").group_by("mpan_core").agg(pl.col("meter_install_date").unique())
    for name in ("expected",):
        both = (
            standard.table("release", name)
            .drop_nulls("meter_install_date")
            .join(meters, on="mpan_core", suffix="_metered")
        )
        assert both.select(pl.col("meter_install_date").is_in(pl.col("meter_install_date_metered")).all()).item()
    rows = standard.table("release", "annual_consumption").with_columns(pl.col("eac", "aa").cast(pl.Float64))
    each = [pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in ("eac", "aa")]
    best = rows.group_by("mpan_core", "time_pattern_regime_id").agg(each).with_columns(pl.coalesce("aa", "eac"))
    regimes = best.group_by("mpan_core").agg(pl.col("aa").sum().alias("whole"))
    items = standard.table("release", "augmented", "EELC").drop_nulls("annual_consumption")
    both = items.join(regimes, on="mpan_core")
    assert both.height
    assert both.select((pl.col("annual_consumption").cast(pl.Float64) - pl.col("whole")).abs().max()).item() < 0.01


@pytest.mark.requirement("Q4", "Q58")
def test_metering_points_that_share_a_meter_move_together(cuts):
    _exact, standard = cuts
    serial = ["mpan_core", "meter_serial_number", "meter_install_date"]
    days = [made.table("release", "metering").select(serial) for made in cuts]
    links = standard.table("release", "augmented", "DCOL").drop_nulls("linked_mpan").select("mpan_core", "linked_mpan")
    assert links.height > 5
    for table in days:
        both = links.join(table, on="mpan_core").join(
            table, left_on=["linked_mpan", "meter_serial_number"], right_on=["mpan_core", "meter_serial_number"]
        )
        assert both.height > 5
        assert both["meter_install_date"].equals(both["meter_install_date_right"])
    assert not days[0]["meter_install_date"].equals(days[1]["meter_install_date"])


def same_steps(exact: Path, standard: Path, before: pl.DataFrame, after: pl.DataFrame, participant: str) -> None:
    """See that steps tell the own dates and amounts as they really are, and only another's as they were released."""
    one, other = (pl.read_parquet(out / "expected_steps.parquet") for out in (exact, standard))
    assert one.drop("value").equals(other.drop("value"))
    items = one.with_columns(differs=one["value"].ne_missing(other["value"]))
    others = {name for name in before.columns if not before[name].equals(after[name])}
    made = {"settlement_kwh"}  # what settlement makes of a released consumption
    if "supplier_effective_from" in others:
        made.add("energisation_status_from")  # told by the supplier's date where no record has it
    differing = set(items.filter("differs")["item"])
    assert differing <= others | made, participant
    own = {"EELC": "supplier_effective_from", "SUPA": "supplier_effective_from", "MOPA": "meter_install_date",
           "DCOL": "annual_consumption"}[participant]  # fmt: skip
    assert own not in differing
    assert items.filter(pl.col("item") == own)["value"].drop_nulls().len(), own


@pytest.mark.requirement("Q61", "Q62")
def test_restore_brings_own_values_back(cuts, tmp_path):
    exact, standard = cuts
    as_released = {"expected.csv", "expected_steps.csv", "augmented.csv", "mhhs.csv", "counterparties.csv"}
    as_released |= {"expected_settlement.csv"}  # sums of what was released
    for participant, own in (("EELC", "supplier_effective_from"), ("SUPA", "supplier_effective_from"),
                             ("MOPA", "meter_install_date"), ("DCOL", "annual_consumption")):  # fmt: skip
        found = []
        for made in (exact, standard):
            out = tmp_path / f"{participant}-{made.folder.name}"
            done = datacut("restore", made.pack(f"return-{participant}"), "--backup", made.cut, "--key",
                           made.folder / "keys" / "cut.key", "--out", out)  # fmt: skip
            assert done.code == 0, done.err
            found.append(out)
        for extract in json.loads((found[1] / "restore.json").read_text(encoding="utf-8"))["extracts"]:
            assert (extract["differing"], extract["only_in_pack"]) == (0, 0)
        before, after = (pl.read_parquet(out / "expected.parquet").sort("mpan_core") for out in found)
        assert before["mpan_core"].equals(after["mpan_core"])
        assert before[own].equals(after[own]), participant
        same_steps(*found, before, after, participant)
        backups = [
            sorted(p for p in out.rglob("*") if p.suffix in (".csv", ".usr", ".gz", ".tsv", ".zip")) for out in found
        ]
        for left, right in zip(*backups, strict=True):
            if left.name not in as_released:
                assert left.read_bytes() == right.read_bytes(), left.name


def test_a_submission_is_exact(cuts, tmp_path):
    exact, standard = cuts
    tables = []
    for made in (exact, standard):
        done = datacut("anonymise", made.cut)
        assert done.code == 0, done.err
        tables.append(made.table("submission", "registration"))
    assert tables[0].equals(tables[1])
    assert "profile" not in standard.evidence("submission")["policy"]


@pytest.mark.requirement("Q58")
def test_intruders_find_less(cuts):
    success = []
    for made in cuts:
        done = datacut("attack", made.pack("release"), "--truth", made.cut, "--json", "--targets", 200)
        assert done.code == 0, done.err
        rows = {row["intruder"]: row for row in json.loads(done.out)["intruders"] if not row["variant"]}
        success.append({name: rows[name]["difference"] for name in ("bill_holder", "former_supplier")})
    assert all(success[1][name] < 0.7 * success[0][name] for name in success[0]), success


def of_groups(made: Made) -> pl.DataFrame:
    """Sums of half-hourly series by GSP group, class, day and quantity, in watt-hours, and how many homes."""
    registered = made.table("release", "registration").select("mpan_core", "gsp_group_id", "measurement_class")
    rows = made.table("release", "half_hourly").join(registered, on="mpan_core", how="left")
    periods = [pl.col(f"period_{n:02d}").cast(pl.Float64).fill_null(0) for n in range(1, 51)]
    whole = rows.with_columns((pl.sum_horizontal(periods) * 1000).round().cast(pl.Int64).alias("wh"))
    keys = ["measurement_quantity", "settlement_date", "gsp_group_id", "measurement_class"]
    return whole.group_by(keys).agg(pl.len().alias("homes"), pl.col("wh").sum()).sort(keys)


@pytest.mark.requirement("Q58")
def test_half_hourly_sums_stay_and_no_homes_day_does(cuts):
    before, after = (of_groups(made) for made in cuts)
    told = cuts[1].evidence()["mixed_series"]
    assert [entry["participant"] for entry in told] == ["DCOL"]
    assert told[0]["series_days"] == after["homes"].sum() > 50
    assert (told[0]["invented"], told[0]["own_totals"]) == (0, 0)
    assert told[0]["least_homes"] >= 10
    days = ["measurement_quantity", "settlement_date"]
    for keys in (days, [*days, "gsp_group_id", "measurement_class"]):
        sums = [frame.group_by(keys).agg(pl.col("wh").sum(), pl.col("homes").sum()) for frame in (before, after)]
        both = sums[0].join(sums[1], on=keys, suffix="_after").filter(pl.col("homes") >= 10)
        assert both.height
        if keys == days:
            assert both["wh"].equals(both["wh_after"])  # whoever small groups were merged with
    periods = [f"period_{n:02d}" for n in range(1, 51)]
    rows = [made.table("release", "half_hourly").sort("mpan_core", *days) for made in cuts]
    assert rows[0].select("mpan_core", *days).equals(rows[1].select("mpan_core", *days))
    totals = [
        frame.select(pl.sum_horizontal(pl.col(periods).cast(pl.Float64).fill_null(0))).to_series() for frame in rows
    ]
    assert not ((totals[0] - totals[1]).abs() < 0.0005).any()
    assert [made.evidence()["policy"]["half_hourly"] for made in cuts] == ["synthetic", "mixed"]


@pytest.mark.requirement("Q55", "Q58")
def test_a_release_says_who_can_single_out_and_ends_where_more_is_found_than_promised(cuts):
    attacks = [Evidence.model_validate(made.evidence()).attack for made in cuts]
    assert all(found is not None for found in attacks)
    exact, standard = (found for found in attacks if found)
    assert {row.intruder for row in exact.played} == {row.intruder for row in standard.played}
    assert all(row.promised is None for row in exact.played)  # exact promises nothing
    assert beyond(standard) == []
    most = {row.intruder: row.promised for row in standard.played}
    held = [row.model_copy(update={"promised": most[row.intruder]}) for row in exact.played]
    joins = [one.model_copy(update={"promised": 0.01}) for one in exact.joins if len(one.columns) > 1]
    said = beyond(exact.model_copy(update={"played": tuple(held), "joins": tuple(joins)}))
    assert any("bill_holder" in line for line in said)
    assert any("app_user" in line for line in said)
    assert any("(joins)" in line for line in said)
    page = (cuts[0].pack("release") / "report" / "index.html").read_text(encoding="utf-8")
    assert "the policy asks for profile exact by name" in page
    page = (cuts[1].pack("release") / "report" / "index.html").read_text(encoding="utf-8")
    assert "the policy asks for profile exact" not in page
    assert "once their own records are taken out" in page
    annex = (cuts[1].pack("release") / "report" / "dpia.md").read_text(encoding="utf-8")
    assert "fuzzy linker" in annex
    assert "marketer: wants as many as possible" in annex.replace("\\", "")


def test_a_figure_that_is_accepted_by_name_must_be_an_intruders(tmp_path):
    from contracts.errors import ConfigurationError
    from flows.cut.config import load_cut

    generate(SampleRequest(36, 1, 0.0), tmp_path)
    text = (tmp_path / "cut.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("key:"))
    (tmp_path / "cut.yaml").write_text(text.replace(line, f"{line}\n  policy: {{promises: {{burglar: 0.5}}}}"), "utf-8")
    with pytest.raises(ConfigurationError, match="no intruder"):
        load_cut(tmp_path / "cut.yaml")


@pytest.mark.slow
@pytest.mark.requirement("Q58")
def test_homes_that_are_too_few_to_be_mixed_keep_no_shape(tmp_path: Path) -> None:
    """A real day times a number is still that home's day: with a few half-hours of it anybody finds the row."""
    generate(SampleRequest(36, 3, 0.0), tmp_path / "cut")
    small = Made(tmp_path / "cut")
    done = datacut("run", small.cut, "--plain")
    assert done.code == 0, done.err
    (mixed,) = small.evidence()["mixed_series"]
    assert mixed["invented"] > 0
    alike = [
        np.corrcoef(before, after)[0, 1]
        for _, real, made in days(small.pack("release"), small.cut)
        for before, after in zip(real, made, strict=True)
    ]
    assert len(alike) >= 4
    assert max(alike) < 0.9
