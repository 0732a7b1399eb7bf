"""Free texts are released where ten metering points share them: counted, replaced, guarded, the same each way."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ContractError, ResidueError
from contracts.evidence import Evidence
from contracts.load import load_all
from contracts.model import Treatment
from contracts.overlay import NONE, refusal
from contracts.profiles import Profile, under_profile
from contracts.vocabulary import Classification, Form, Method
from flows.augment import shared_texts
from flows.pipeline import run_plain
from flows.sample import SampleRequest, generate
from tests.command import datacut
from transforms.treatment.shared_texts import HEADS, OTHER, POINTS, VALUE, SharedRule, enough, required, tally

NOBODY = (np.empty(0, np.uint64), np.empty(0, np.uint64))
TEN = Treatment(Method.COMMON, None, "10 metering points")
RARE = "PSR OXYGEN PATIENT"


def of(pairs: list[tuple[int, str | None]]) -> pl.LazyFrame:
    schema = {"_order": pl.UInt64, "text": pl.String}
    return pl.DataFrame(pairs, schema=schema, orient="row").lazy()


@pytest.mark.parametrize(("many", "stays"), [(9, False), (10, True), (11, True)])
def test_a_text_stays_where_so_many_have_it(many, stays):
    rows = of([(point, "A") for point in range(many)] * 2 + [(99, "B"), (98, None)])
    rule = SharedRule.of(TEN)
    shared = enough(tally(rows, "text", rule, NOBODY), rule)
    released = rows.select(rule.released(pl.col("text"), shared)).collect()["text"]
    assert Counter(released) == Counter({"A" if stays else OTHER: 2 * many}) + Counter([OTHER, None])


def test_who_shares_a_meter_counts_once():
    rows = of([(point, "A") for point in range(10)])
    counted = tally(rows, "text", SharedRule.of(TEN), (np.array([9], np.uint64), np.array([1], np.uint64)))
    assert counted.row(0, named=True) == {VALUE: "A", POINTS: 10, HEADS: 9}
    assert enough(counted, SharedRule.of(TEN)).is_empty()


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["LAN 1", "LAN 2", "EDM 7", None]))), st.integers(0, 40))
def test_parts_are_counted_as_the_whole(pairs, split):
    rule = SharedRule.of(Treatment(Method.COMMON, None, "first 3, 10 metering points"))
    parts = [tally(of([p for p in pairs if (p[0] < split) == side]), "text", rule, NOBODY) for side in (True, False)]
    summed = pl.concat(parts).group_by(VALUE).agg(pl.col(POINTS, HEADS).sum()).sort(VALUE)
    assert summed.rows() == tally(of(pairs), "text", rule, NOBODY).sort(VALUE).rows()
    assert set(summed[VALUE]) <= {"LAN", "EDM"}


def test_nothing_is_released_by_a_count_that_nobody_made():
    with pytest.raises(ContractError, match="nobody counted"):
        required({}, "metering", "make_and_model")


@pytest.mark.parametrize(
    ("rule", "taken"),
    [("10 metering points", True), ("first 3, 250 metering points", True), ("9 metering points", False),
     ("first 3", False), (None, False)],
)  # fmt: skip
def test_which_rules_an_overlay_may_have(rule, taken):
    column = load_all()["metering"].column("make_and_model")
    assert (refusal(column, Treatment(Method.COMMON, None, rule)) == "") is taken
    assert refusal(load_all()["metering"].column("meter_type"), Treatment(Method.COMMON, None, rule))


def test_every_free_text_that_leaves_is_released_so():
    free = [
        (name, column.name)
        for name, contract in load_all().items()
        for column in contract.released
        if column.form is Form.TEXT and column.classification is not Classification.IDENTIFIER
    ]
    assert free == [("metering", "make_and_model")]
    for profile in (Profile.STANDARD, Profile.STRICT):
        under = under_profile(load_all(), profile, NONE)
        assert all(
            under[extract].treatment(under[extract].column(name)).method is Method.COMMON for extract, name in free
        )


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample in which one meter's make says who lives there."""
    folder = tmp_path_factory.mktemp("shared") / "cut"
    generate(SampleRequest(600, 5, 0.0), folder)
    source = folder / "MOPB" / "metering.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")
    at = next(n for n, name in enumerate(columns) if "make" in name.lower())
    cells = lines[3].split(",")
    lines[3] = ",".join([*cells[:at], RARE, *cells[at + 1 :]])
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def ran(backups: Path, folder: Path, more: str = "", policy: str = "") -> Path:
    shutil.copytree(backups, folder)
    cut = folder / "cut.yaml"
    text = cut.read_text(encoding="utf-8")
    cut.write_text(text.replace("  scheme: 1", f"  policy: {{profile: {policy}}}\n  scheme: 1") if policy else text)
    cut.write_text(cut.read_text(encoding="utf-8") + more, encoding="utf-8")
    return Path(run_plain(cut).pack)


def makes(pack: Path) -> Counter[str]:
    """Count metering points by make and model over the extracts of a pack."""
    parts = [
        pl.read_parquet(path, columns=["mpan_core", "make_and_model"]) for path in pack.glob("data/*/metering.parquet")
    ]
    return Counter(pl.concat(parts).unique().drop_nulls()["make_and_model"].to_list())


@pytest.mark.slow
@pytest.mark.requirement("Q58")
def test_rare_makes_are_in_no_pack_and_counted(backups, tmp_path):
    """Attack 5: free text that one home has leaves in no form; what many have stays as it is, in any partitioning."""
    pack, seven, exact = (
        ran(backups, tmp_path / "standard"),
        ran(backups, tmp_path / "seven", "\npartitions: 7\n"),
        ran(backups, tmp_path / "exact", policy="exact"),
    )
    before, after = makes(exact), makes(pack)
    assert before[RARE] == 1
    many = {text for text, count in before.items() if count >= 12}
    assert many
    assert many <= set(after) - {OTHER}
    assert all(count >= 10 for text, count in after.items() if text != OTHER)
    (told,) = Evidence.model_validate_json((pack / "evidence/evidence.json").read_bytes()).shared_texts
    assert (told.extract, told.column, told.least) == ("metering", "make_and_model", 10)
    assert told.replaced == sum(count for text, count in before.items() if text not in after) > 0
    assert told.metering_points == sum(before.values())
    assert told.texts - told.released == len(set(before) - set(after))
    assert not [path for path in (tmp_path / "standard" / "out").rglob("*.parquet") if _says(path, RARE)]
    assert (pack / "manifest-sha256.txt").read_bytes() == (seven / "manifest-sha256.txt").read_bytes()


@pytest.mark.slow
@pytest.mark.requirement("Q74")
def test_its_owner_gets_its_own_make_back(backups, tmp_path):
    """In expected results and steps the meter operator sees OTHER, and after restore what its own backup says."""
    ran(backups, tmp_path / "cut")
    cut = tmp_path / "cut" / "cut.yaml"
    pack = next((tmp_path / "cut" / "out").glob("*-return-MOPB"))
    before = pl.read_parquet(pack / "data/MOPB/expected.parquet")
    assert (before["make_and_model"] == OTHER).any()
    done = datacut(
        "restore", pack, "--backup", cut, "--key", tmp_path / "cut" / "keys" / "cut.key", "--out", tmp_path / "back"
    )
    assert done.code == 0, done.err
    after = pl.read_csv(tmp_path / "back" / "expected.csv", infer_schema=False)
    assert after.height == before.height
    real = pl.read_csv(backups / "MOPB" / "metering.csv", infer_schema=False)
    pairs = set(real.select("MPAN_CORE", "MAKE_AND_MODEL").rows())
    told = set(after.select("mpan_core", "make_and_model").drop_nulls().rows())
    left = {mpan for mpan, text in told if text == OTHER}
    assert {pair for pair in told if pair[0] not in left} <= pairs
    makes_of = Counter(mpan for mpan, text in pairs if text)
    assert all(makes_of[mpan] > 1 for mpan in left)  # of two makes nobody can say which


def _says(path: Path, text: str) -> bool:
    table = pl.read_parquet(path)
    return any(table[name].cast(pl.String, strict=False).str.contains(text, literal=True).any()
               for name, kind in table.schema.items() if kind == pl.String)  # fmt: skip


@pytest.mark.slow
def test_the_guard_counts_for_itself(backups, tmp_path, monkeypatch):
    """Sabotage: whoever counts says that all is shared; what was written is counted again, and nothing leaves."""
    monkeypatch.setattr(shared_texts, "enough", lambda counted, rule: counted[VALUE].sort())
    with pytest.raises(ResidueError, match="is not treated as the policy says") as told:
        ran(backups, tmp_path / "cut")
    assert "make_and_model" in str(told.value)
    assert not list((tmp_path / "cut" / "out").glob("*-re*"))


def test_a_submission_pack_cannot_count_the_cut(backups, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(backups, folder)
    (folder / "policy.yaml").write_text(
        "treatments: {metering: {make_and_model: {method: common, rule: 20 metering points}}}\n"
    )
    cut = folder / "cut.yaml"
    cut.write_text(cut.read_text().replace("  scheme: 1", "  policy: {overlay: policy.yaml}\n  scheme: 1"))
    done = datacut("anonymise", cut, "--plain")
    assert done.code != 0
    assert "metering.make_and_model" in done.err
    assert "only the whole cut tells" in done.err
