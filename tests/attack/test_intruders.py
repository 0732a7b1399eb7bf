"""Intruders find what is planted and nothing in noise; a release of real values is taken apart."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.attack import INTRUDERS, intruders
from contracts.attack.model import Attack
from flows.sample import SampleRequest, generate
from tests.attack.campaign import WEAK, Exact, exact, one
from tests.attack.population import noise, people
from tests.command import Done, datacut
from transforms.attack.intervals import paired_difference, wilson
from transforms.attack.memory import remember, sample
from transforms.attack.outcome import conclude
from transforms.attack.search import ReleasedPart, Searcher, Sought, uses

EXACT = ("supplied_from", "installed", "consumption", "largest_register", "advance", "reading")


def plan(targets: int) -> Attack:
    whole = intruders()
    return replace(whole, search=replace(whole.search, targets=targets))


def played(real: ReleasedPart, release: list[ReleasedPart], targets: int, seed: int = 7) -> list[dict]:
    """Every intruder that searches metering points, and what it achieves."""
    whole, found = plan(targets), []
    who = sample(real.points, targets, seed)
    truth = real.of(who)
    for intruder in whole.intruders:
        if intruder.series or intruder.from_other:
            continue
        known = remember(truth, intruder.knows, who, seed)
        for variant, facts in uses(intruder, whole.facts):
            searcher = Searcher(whole, intruder, facts, Sought(who, known, truth))
            for chunk in release:
                searcher.count(chunk)
            for chunk in release:
                searcher.search(chunk)
            found.append({"intruder": intruder.id, "variant": variant, **asdict(conclude(searcher).outcome())})
    return found


def surest(rows: list[dict]) -> float:
    """The largest lower end of the interval of a difference."""
    return max(row["difference_interval"][0] for row in rows)


def test_intervals_are_the_published_ones():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3
    assert [round(x, 4) for x in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(x, 4) for x in wilson(15, 148)] == [0.0624, 0.1605]
    assert [round(x, 4) for x in wilson(0, 20)] == [0.0, 0.1611]
    low, high = paired_difference(50, 0, 0, 50)[1:]
    assert low <= 0 <= high  # all pairs agree
    assert paired_difference(0, 0, 0, 0) == (0.0, -1.0, 1.0)
    assert paired_difference(10, 40, 2, 48)[0] == pytest.approx(0.38)


@pytest.mark.parametrize("weak", EXACT)
def test_one_fact_left_exact_is_found(weak):
    real = people(5000, 11)
    rows = played(real, [noise(real, 12, (weak,))], 400)
    assert surest(rows) > 0.05, weak


def test_noise_raises_no_alarm():
    real = people(5000, 21)
    assert surest(played(real, [noise(real, 22)], 400)) <= 0.0


RELEASES = int(os.environ.get("INTRUDER_RELEASES", "4"))  # 100 for the whole campaign


@pytest.mark.slow
@pytest.mark.parametrize("weak", [*EXACT, None])
def test_many_releases(weak):
    found = 0
    for run in range(RELEASES):
        real = people(5000, 100 + run)
        release = noise(real, 900 + run, (weak,) if weak else ())
        found += surest(played(real, [release], 300, run)) > (0.01 if weak else 0.0)
    assert found >= RELEASES * 99 // 100 if weak else found == 0


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Exact:
    """The exact tables of 5,000 metering points of the sample."""
    return exact(tmp_path_factory.mktemp("campaign"), 4)


@pytest.mark.slow
@pytest.mark.requirement("Q55", "Q58")
@pytest.mark.parametrize("weak", [*WEAK, "", None])
def test_what_is_left_exact_of_a_release_is_found(submitted: Exact, weak: str | None) -> None:
    """Of releases by the product's own treatment; ``python -m tests.attack.campaign`` makes a hundred of each."""
    assert one(submitted, weak, 1) == bool(weak)


def test_chunks_make_no_difference():
    real = people(1200, 31)
    whole = noise(real, 32, ("supplied_from", "outward"))
    half = real.points.size // 2
    parts = [
        ReleasedPart(whole.points[part], {name: column[part] for name, column in whole.values.items()})
        for part in (slice(0, half), slice(half, None))
    ]
    assert played(real, [whole], 300) == played(real, parts, 300)


def test_an_intruder_errs_as_its_source_does():
    real, whole = people(5000, 41), intruders()
    knows = next(one for one in whole.intruders if one.id == "neighbour").knows
    known = remember(dict(real.values), knows, real.points, 3)
    unknown = float((known["supplier"] == 0).mean())
    there = known["supplier"] != 0
    wrong = float((known["supplier"] != real.values["supplier"])[there].mean())
    assert unknown == pytest.approx(1 - knows["supplier"].known, abs=0.03)
    assert 0 < wrong <= knows["supplier"].wrong + 0.01  # somebody else's supplier may be the same
    assert (known["outward"] == real.values["outward"]).all()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A cut of the sample with its release."""
    folder = tmp_path_factory.mktemp("attack")
    generate(SampleRequest(400, 5, 0.0), folder)
    done = datacut("run", folder / "cut.yaml", "--plain", "--json")
    assert done.code == 0, done.err
    return folder / "cut.yaml", Path(json.loads(done.out)["pack"])


def of(done: str, intruder: str, variant: str = "") -> dict:
    rows = json.loads(done)["intruders"]
    return next(r for r in rows if (r["intruder"], r["variant"]) == (intruder, variant))


def test_real_values_are_taken_apart(released, tmp_path):
    cut, pack = released
    done = datacut("attack", pack, "--truth", cut, "--json", "--targets", 150)
    assert done.code == 0, done.err
    bill, everything = of(done.out, "bill_holder"), of(done.out, "fuzzy_linker", "everything")
    for row in (bill, everything):
        assert row["people"] == 150
        assert row["difference_interval"][0] <= row["difference"] <= row["difference_interval"][1]
    assert everything["success"] > 0.5
    assert json.loads(done.out)["not_played"] == {"other_cut": "no other release was given (--other)"}
    again = datacut("attack", pack, "--truth", cut, "--json", "--targets", 150)
    assert again.out == done.out

    shuffled = tmp_path / "shuffled"  # the same columns, every value somebody else's
    shutil.copytree(pack / "data", shuffled / "data")
    for path in sorted((shuffled / "data").glob("*/*.parquet")):
        frame = pl.read_parquet(path)
        others = frame.drop("mpan_core").select(pl.all().shuffle(seed=1))
        frame.select("mpan_core").hstack(others).write_parquet(path)
    lost = datacut("attack", shuffled, "--truth", cut, "--json", "--targets", 150, "--tolerate", 0.02)
    assert lost.code == 0, lost.err


def test_words_of_the_command(released, tmp_path):
    cut, pack = released
    done = datacut("attack", pack, "--truth", cut, "--targets", 60, "--tolerate", 0.05)
    assert done.code == 14
    assert "of people" in done.told[0]
    assert "success" in done.out
    assert datacut("attack", pack).code == 2
    assert datacut("attack", tmp_path, "--truth", cut).code == 11
    assert datacut("attack", pack, "--truth", cut, "--other", pack).code == 2


def one_line(done: Done, code: int, *words: str) -> None:
    """See that a command ended with one line that says what is wrong."""
    assert done.code == code, done.err
    assert len(done.told) == 1
    assert "defect in datacut" not in done.err
    for word in words:
        assert word in done.told[0]


def test_what_is_no_pack_gets_one_clear_line(released, tmp_path):
    cut, pack = released
    rest = ("--truth", cut, "--targets", 5)
    one_line(datacut("attack", tmp_path / "nowhere", *rest), 11, "no such folder")
    one_line(datacut("attack", cut, *rest), 11, "no such folder")
    table = next(pack.glob("data/*/registration.parquet"))
    frame = pl.read_parquet(table)
    spoilt: dict[str, tuple[pl.DataFrame | bytes, str]] = {
        "broken": (b"PAR1 and no table", "cannot be read as parquet"),
        "empty": (b"", "cannot be read as parquet"),
        "unnamed": (frame.drop("mpan_core"), "has no column mpan_core"),
        "nobody": (frame.with_columns(mpan_core=pl.lit(None, pl.String)), "rows name no metering point"),
        "none": (frame.head(0), "releases no metering point"),
        "texts": (frame.with_columns(supplier_effective_from=pl.lit("soon")), "does not hold what a release has"),
    }
    for name, (content, words) in spoilt.items():
        path = tmp_path / name / "data" / table.parent.name / table.name
        path.parent.mkdir(parents=True)
        path.write_bytes(content) if isinstance(content, bytes) else content.write_parquet(path)
        one_line(datacut("attack", tmp_path / name, *rest), 11, words)
    text = tmp_path / "text" / "data" / "EELC" / "registration.csv"
    text.parent.mkdir(parents=True)
    text.write_bytes(b"mpan_core,postcode\n\xff\xfe,1\n")
    one_line(datacut("attack", tmp_path / "text", *rest), 11, "registration.csv")
    one_line(datacut("attack", pack, *rest, "--other", pack, "--other-truth", cut), 2, "--other-truth", "very cut")
    one_line(datacut("attack", pack, *rest, "--intruders", tmp_path / "none.yaml"), 10, "none.yaml")


def test_own_intruders_are_played(released, tmp_path):
    cut, pack = released
    own = tmp_path / "own.yaml"
    text = INTRUDERS.read_text(encoding="utf-8").replace("title: Neighbour", "title: Postman")
    own.write_text(text, encoding="utf-8")
    done = datacut("attack", pack, "--truth", cut, "--targets", 20, "--intruders", own)
    assert done.code == 0, done.err
    assert "Postman" in done.out
    assert "Neighbour" not in done.out


def test_knowledge_is_of_the_pack_alone():
    """What treats values is unknown to who attacks them."""
    root = Path(__file__).parents[2]
    for path in [*(root / "flows/attack").glob("*.py"), *(root / "transforms/attack").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "import treat" not in text
        assert "transforms.treatment" not in text


def test_levels_and_facts_that_cannot_be_are_refused(tmp_path):
    from contracts.errors import ContractError

    text = INTRUDERS.read_text(encoding="utf-8")
    wrong = tmp_path / "intruders.yaml"
    wrong.write_text(text.replace("wants: [consumption, supplied_from]", "wants: [shoe_size]", 1), encoding="utf-8")
    with pytest.raises(ContractError, match="no fact"):
        intruders(wrong)


def test_a_block_too_large_to_look_through_is_said():
    real, whole = people(300, 5), intruders()
    real.values["outward"][:] = 1  # everybody lives in one half postcode
    neighbour = next(one for one in whole.intruders if one.id == "neighbour")
    known = remember(dict(real.values), neighbour.knows, real.points, 1)
    for largest, overlooked in ((299, 300), (300, 0)):
        plan_ = replace(whole, search=replace(whole.search, largest_block=largest))
        searcher = Searcher(plan_, neighbour, tuple(neighbour.knows), Sought(real.points, known, dict(real.values)))
        searcher.count(real)
        searcher.search(real)
        assert int(searcher.overlooked.sum()) == overlooked
        assert (searcher.pairs().records[:, 0] == real.points[0]).any() == (overlooked == 0)


def test_ties_are_given_up():
    """Two records alike in everything: nobody is named."""
    real = people(50, 3)
    twice = ReleasedPart(
        np.sort(np.concatenate([real.points, real.points + np.uint64(10**10)])),
        {name: np.concatenate([column, column]) for name, column in real.values.items()},
    )
    rows = played(real, [twice], 50)
    assert all(row["right"] == 0 and row["wrong"] == 0 for row in rows)
