"""What return packs say to cleanse: every defect of the sample, and misalignments that are planted here by hand.

The sample tells what it planted in ``defects.csv``. Misalignments are planted here in files of the backup, with no
part of the product, in metering points that are sound otherwise.
"""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.cut.config import load_cut
from tests.command import datacut
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

CUT = "SAMPLE-2023-08-19"
SEEN = ["participant", "extract", "mpan_core", "token", "column", "rule"]
RESTORED = ("EELC", "SUPB", "MOPB")


@dataclass(frozen=True)
class Planted:
    """A value that was changed in one backup: whose, in which column, and what both sides say."""

    mpan: str
    participant: str
    extract: str
    column: str
    own: str | None
    other: str | None


def plant(folder: Path) -> list[Planted]:
    """Change values of SUPB's portfolio that EELC registers otherwise."""
    registered = pl.read_csv(folder / "EELC/registration.csv", infer_schema=False)
    faulty = set(pl.read_csv(folder / "defects.csv", infer_schema=False)["mpan_core"])
    portfolio = pl.read_csv(folder / "SUPB/portfolio.tsv", separator="\t", infer_schema=False)
    sound = registered.filter(
        ~pl.col("MPAN Core").is_in(list(faulty)),
        pl.col("MPAN Core").is_in(portfolio["MPAN_CORE"].implode()),
        pl.col("Energisation Status") == "E",
        pl.col("DC") == "DCOL",
        pl.col("MOP").is_not_null(),
        pl.col("Related MPAN").is_null(),
    )
    one, two, three, four, five = sound["MPAN Core"].head(5)
    operator = dict(sound.select("MPAN Core", "MOP").iter_rows())
    other = {"MOPA": "MOPB", "MOPB": "MOPA"}[operator[three]]
    classes = dict(sound.select("MPAN Core", "Measurement Class").iter_rows())
    own_class = "B" if classes[four] != "B" else "A"
    planted = [
        Planted(one, "SUPB", "portfolio", "energisation_status", "D", "E"),
        Planted(two, "SUPB", "portfolio", "data_collector_mpid", None, "DCOL"),
        Planted(three, "SUPB", "portfolio", "meter_operator_mpid", other, operator[three]),
        Planted(four, "SUPB", "portfolio", "measurement_class", own_class, classes[four]),
        Planted(five, "SUPB", "portfolio", "supplier_mpid", "SUPC", "SUPB"),
    ]
    for change in planted:
        here = pl.col("MPAN_CORE") == change.mpan
        name = change.column.upper()
        portfolio = portfolio.with_columns(pl.when(here).then(pl.lit(change.own)).otherwise(name).alias(name))
    portfolio.write_csv(folder / "SUPB/portfolio.tsv", separator="\t")
    return planted


@dataclass(frozen=True)
class Cut:
    """A run, what was planted in it, and what everybody was told."""

    folder: Path
    planted: list[Planted]
    told: pl.DataFrame
    pseudonymiser: Pseudonymiser

    def hidden(self, mpans: pl.Series) -> pl.DataFrame:
        """Return pseudonyms, and tokens of what has none."""
        names = self.pseudonymiser.values(Field.MPAN, mpans).alias("mpan_core")
        raw = mpans.set(names.is_not_null(), None)
        return pl.DataFrame([names, self.pseudonymiser.tokens(raw, "mpan_core").alias("token")])

    def back(self, mpid: str) -> Path:
        return self.folder / "back" / mpid


@pytest.fixture(scope="module")
def cut(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("feedback") / "cut"
    shutil.copytree(pristine, folder)
    planted = plant(folder)
    done = datacut("run", folder / "cut.yaml", "--plain")
    assert done.code == 0, done.err
    parts = []
    for pack in sorted((folder / "out").glob("*-return-*")):
        lines = pl.read_csv(pack / "feedback/lines.csv", infer_schema=False)
        assert lines.equals(pl.read_parquet(pack / "feedback/lines.parquet").cast(pl.String))
        parts.append(lines.with_columns(participant=pl.lit(pack.name.rpartition("-")[2])))
    for mpid in RESTORED:
        done = datacut(
            "restore", folder / f"out/{CUT}-return-{mpid}", "--backup", folder / "cut.yaml",
            "--key", folder / "keys/cut.key", "--out", folder / "back" / mpid,
        )  # fmt: skip
        assert done.code == 0, done.err
        assert "cleanse.csv" in done.out
    keys = FieldKeys(bytes.fromhex((folder / "keys/cut.key").read_text().strip()), CUT)
    policy = load_cut(folder / "cut.yaml").model.cut.policy.postcode
    return Cut(folder, planted, pl.concat(parts), Pseudonymiser(keys, policy, lists=scheme_lists()))


@pytest.mark.requirement("Q48", "Q50", "Q52")
def test_every_planted_defect_is_told_its_owner_with_the_right_column(cut):
    defects = pl.read_csv(cut.folder / "defects.csv", infer_schema=False)
    wanted = defects.drop("mpan_core").hstack(cut.hidden(defects["mpan_core"]))
    own = cut.told.filter(pl.col("broken_by") == pl.col("participant") + "/" + pl.col("extract"))
    lost = wanted.join(own, on=SEEN, how="anti", nulls_equal=True)
    assert lost.is_empty(), lost
    assert wanted["rule"].n_unique() >= 24
    assert set(cut.told["effect"]) == {"exclude", "warn", "disagree"}


@pytest.mark.requirement("Q52", "Q62")
@pytest.mark.parametrize("mpid", RESTORED)
def test_restore_gives_them_their_real_mpans_files_and_rows(cut, mpid):
    path = cut.back(mpid) / "cleanse.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = pl.read_csv(path, infer_schema=False)
    defects = pl.read_csv(cut.folder / "defects.csv", infer_schema=False).filter(participant=mpid)
    keys = ["participant", "extract", "row", "mpan_core", "column", "rule"]
    lost = defects.join(found, on=keys, how="anti")
    assert lost.is_empty(), lost
    for gone in cut.back(mpid).glob("excluded-*.csv"):
        rows = pl.read_csv(gone, infer_schema=False)
        extract = gone.stem.removeprefix("excluded-")
        assert set(rows["row"]) <= set(found.filter(effect="exclude", extract=extract)["row"])


@pytest.mark.requirement("Q74", "Q78", "Q83")
def test_every_planted_misalignment_is_told_both_sides_with_both_values(cut):
    restored = pl.read_csv(cut.back("SUPB") / "cleanse.csv", infer_schema=False)
    for change in cut.planted:
        (pseudonym,) = cut.hidden(pl.Series([change.mpan]))["mpan_core"]
        about = cut.told.filter(mpan_core=pseudonym, column=change.column)
        own = about.filter(participant=change.participant, extract=change.extract)
        assert own["broken_by"].to_list() == ["SUPB/portfolio"], change
        assert own.select("own_value", "other", "other_value").rows() == [
            (change.own, "EELC/registration", change.other)
        ], change
        theirs = about.filter(participant="EELC", effect="disagree", other="SUPB/portfolio", broken_by="SUPB/portfolio")
        assert theirs.filter(pl.col("rule_id") == f"portfolio.{change.column}").select(
            "own_value", "other_value"
        ).rows() == [(change.other, change.own)], change
        back = restored.filter(mpan_core=change.mpan, column=change.column)
        assert back.select("broken_by", "own_value", "other_value").rows() == [
            ("SUPB/portfolio", change.own, change.other)
        ]


@pytest.mark.requirement("Q67")
def test_no_line_names_a_metering_point_or_a_value_that_is_not_for_its_reader(cut):
    shown = set(pl.concat([cut.told["own_value"], cut.told["other_value"]]).drop_nulls())
    registered = pl.read_csv(cut.folder / "EELC/registration.csv", infer_schema=False)
    assert not shown & {
        *registered["MPAN Core"],
        *registered["Postcode"].drop_nulls(),
        *registered["UPRN"].drop_nulls(),
    }
    for mpid in ("SUPA", "SUPB", "SUPC"):
        pack = cut.folder / f"out/{CUT}-return-{mpid}"
        mine = {*pl.read_parquet(pack / f"data/{mpid}/portfolio.parquet")["mpan_core"]}
        mine |= {*pl.read_parquet(pack / f"excluded/{mpid}/portfolio.parquet")["mpan_core"]}
        assert set(cut.told.filter(participant=mpid)["mpan_core"]) <= mine


@pytest.mark.requirement("Q49")
def test_the_page_counts_what_the_lines_say_and_begins_with_what_brings_most_back(cut):
    pack = cut.folder / f"out/{CUT}-return-EELC"
    counts = pl.read_csv(pack / "feedback/counts.csv")
    page = (pack / "feedback/index.html").read_text()
    assert 'href="../feedback/index.html"' in (pack / "report/index.html").read_text()
    lines = cut.told.filter(participant="EELC")
    point = pl.coalesce("mpan_core", "token")
    for row in counts.filter(pl.col("rows") > 0).iter_rows(named=True):
        some = lines.filter(
            rule_id=row["rule_id"], effect=row["effect"], broken_by=row["broken_by"], extract=row["extract"]
        ).filter(pl.col("other").eq_missing(pl.lit(row["other"] or None, pl.String)))
        assert some.select(point.n_unique()).item() == row["points"], row
        assert set(some["column"]) == set(row["columns"].split(", "))
        assert f"{row['reason'][:1].upper()}{row['reason'][1:]}".replace("'", "&#39;") in page
    own = counts.filter(effect="exclude", broken_by="EELC/registration")["alone"].to_list()
    assert own == sorted(own, reverse=True)
    assert own[0] > 0


@pytest.mark.requirement("Q93")
def test_the_share_of_smart_meters_is_what_the_released_files_hold(cut):
    release = cut.folder / f"out/{CUT}-release"
    evidence = json.loads((release / "evidence/evidence.json").read_bytes())
    points = pl.concat(pl.read_parquet(p) for p in sorted(release.glob("data/*/registration.parquet")))
    meters = pl.concat(pl.read_parquet(p) for p in sorted(release.glob("data/*/metering.parquet")))
    one = meters.join(meters.group_by("mpan_core").len().filter(pl.col("len") == 1), on="mpan_core", how="semi")
    several = meters["mpan_core"].n_unique() - one.height
    met = points.select("mpan_core", "supplier_mpid", "gsp_group_id").join(one, on="mpan_core")
    smart = pl.col("meter_type").str.contains("^(S1$|S2|2)")
    wanted = met.group_by("supplier_mpid", "gsp_group_id").agg(pl.len().alias("metered"), smart.sum().alias("smart"))
    told = pl.DataFrame(evidence["smart"])
    assert told["metered"].min() >= 10
    both = told.join(wanted, left_on=["supplier", "gsp_group"], right_on=["supplier_mpid", "gsp_group_id"])
    assert both.height == told.height
    assert (both["smart"] - both["smart_right"].cast(pl.Int64)).abs().sum() <= several
    assert (both["metered"] - both["metered_right"].cast(pl.Int64)).abs().sum() <= several
    held = {(e["extract"], e["column"]): e for e in evidence["column_values"]}
    classes = held["registration", "profile_class"]
    counts = dict(points["profile_class"].value_counts().iter_rows())
    assert {v["value"]: v["rows"] for v in classes["values"]} == {k: n for k, n in counts.items() if n >= 10}
    assert all(v["rows"] >= 10 for e in evidence["column_values"] for v in e["values"])
