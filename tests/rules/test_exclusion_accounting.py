"""Exclusion: every cause is kept, the first stands first, companions go too, and no row is ever lost."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.load import load_all
from contracts.vocabulary import Effect
from flows.cut.partitions import JUDGED, read_exclusions
from flows.quality.exclusions import cascade
from tests.rules.cutting import MiniCut, mpan
from transforms.quality import exclusions

POINTS = [mpan(10, n) for n in range(1, 9)]
FAULTS = {
    "none": {},
    "class": {"profile_class": "09"},
    "group": {"gsp_group_id": "_I"},
    "disconnected": {"disconnection_date": "2023-01-01"},
    "note": {"address_line_3": "MRS SMITH"},
    "warned": {"domestic_premises_indicator": "F"},
    "no MPAN": None,
}
ROWS = st.lists(st.tuples(st.sampled_from(POINTS), st.sampled_from(sorted(FAULTS))), min_size=1, max_size=12)
METERS = st.lists(st.tuples(st.sampled_from(POINTS), st.sampled_from(["none", "smart", "no serial"])), max_size=12)


@pytest.mark.requirement("Q48")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(registrations=ROWS, meters=METERS, links=st.lists(st.tuples(*[st.sampled_from(POINTS)] * 2), max_size=6),
       partitions=st.sampled_from([1, 4]))  # fmt: skip
def test_the_accounting_balances(tmp_path_factory, reference, registrations, meters, links, partitions):
    mini = MiniCut(tmp_path_factory.mktemp("cut"), partitions=partitions, reference=reference)
    mini.add("EELC", "registration", [_registration(*row) for row in registrations])
    if meters:
        mini.add("MOPA", "metering", [_meter(number, *row) for number, row in enumerate(meters)])
    mini.judge()
    named = [(mini.pseudonym(a), mini.pseudonym(b)) for a, b in links]
    cascade(mini.workspace, pl.DataFrame(named, schema={"mpan_core": pl.String, "other": pl.String}, orient="row"))
    given_rows = {"registration": len(registrations), "metering": len(meters)}
    for source in mini.extracts:
        contract = load_all()[source.extract]
        released, gone = [], []
        for number in range(partitions):
            frame = mini.workspace.scan(JUDGED, source.participant, source.extract, number)
            if frame is not None:
                kept, out = exclusions.split(frame, contract, read_exclusions(mini.workspace, number).lazy())
                released.append(kept)
                gone.append(out)
        inside, outside = pl.concat(released).collect(), pl.concat(gone).collect()
        assert inside.height + outside.height == given_rows[source.extract]
        assert inside.columns == [c.name for c in contract.released]
        assert not set(inside["mpan_core"]) & set(outside["mpan_core"].drop_nulls())
        assert outside["first_cause"].null_count() == 0
        assert outside.select((pl.col("reasons").str.split(" ").list.first() == pl.col("first_cause")).all()).item()
        # what cannot be named has a token, what can has none
        assert outside.select((pl.col("mpan_core").is_null() == pl.col("token").is_not_null()).all()).item()


def _registration(point: str, fault: str) -> dict[str, str | None]:
    return {"mpan_core": point, **FAULTS[fault]} if FAULTS[fault] is not None else {"mpan_core": point[:-1]}


def _meter(number: int, point: str, kind: str) -> dict[str, str | None]:
    serial = None if kind == "no serial" else f"L04C{number:05d}"
    return {"mpan_core": point, "meter_serial_number": serial, "meter_type": "S2A" if kind == "smart" else "N"}


@pytest.mark.requirement("Q48")
def test_first_cause_and_all_causes(mini):
    rows = [
        {"mpan_core": POINTS[0], "profile_class": "09", "disconnection_date": "2023-01-01"},
        {"mpan_core": POINTS[1]},
    ]
    mini.add("EELC", "registration", rows)
    mini.add("MOPA", "metering", [{"mpan_core": p, "meter_serial_number": None} for p in POINTS[:2]]).judge()
    found = read_exclusions(mini.workspace, 0).sort("mpan_core")
    by_point = {row["mpan_core"]: row for row in found.iter_rows(named=True)}
    first, second = (by_point[mini.pseudonym(p)] for p in POINTS[:2])
    # the registration's causes in the order of its rules, then the meter's
    assert (first["first_cause"], first["extract"]) == ("DQ05", "registration")
    assert first["reasons"].split() == ["DQ05", "DQ20", "DQ13"]
    assert (second["first_cause"], second["extract"]) == ("DQ13", "metering")


@pytest.mark.requirement("Q48")
def test_an_excluded_metering_point_is_out_of_every_extract_of_everybody(mini):
    point = POINTS[0]
    mini.add("EELC", "registration", [{"mpan_core": point, "profile_class": "09"}, {"mpan_core": POINTS[1]}])
    other = {"mpan_core": POINTS[1], "meter_serial_number": "E12Z070111"}
    mini.add("MOPA", "metering", [{"mpan_core": point}, other])
    mini.add("SUPA", "portfolio", [{"mpan_core": point}, {"mpan_core": POINTS[1]}])
    mini.add("ELEX", "bmu_mapping", [{"mpan_core": point}]).judge()
    rows = {("EELC", "registration"): 2, ("MOPA", "metering"): 2, ("SUPA", "portfolio"): 2, ("ELEX", "bmu_mapping"): 1}
    excluded = read_exclusions(mini.workspace, 0).lazy()
    for source in mini.extracts:
        judged = mini.rows(source.participant, source.extract).lazy()
        kept, gone = (f.collect() for f in exclusions.split(judged, load_all()[source.extract], excluded))
        assert kept.height == rows[source.participant, source.extract] - 1
        assert gone.rows() == [(mini.pseudonym(point), None, "DQ05", "DQ05")]


@pytest.mark.requirement("DQ27", "Q57")
@pytest.mark.parametrize("partitions", [1, 8])
def test_related_metering_points_go_with_an_excluded_one(tmp_path, reference, partitions):
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    a, b, c, d, e, alone = POINTS[:6]
    rows = [
        {"mpan_core": a, "related_mpan": b}, {"mpan_core": b}, {"mpan_core": c, "related_mpan": b},
        {"mpan_core": d, "related_mpan": e}, {"mpan_core": e, "related_mpan": d},
        {"mpan_core": alone, "disconnection_date": "2023-01-01"},
    ]  # fmt: skip
    rows[2]["disconnection_date"] = "2023-01-01"
    mini.add("EELC", "registration", rows).judge()
    named = {mini.pseudonym(p): n for n, p in zip("abcde", (a, b, c, d, e), strict=True)} | {mini.pseudonym(alone): "x"}
    assert {named[p]: cause for p, cause in mini.excluded().items()} == {
        "a": "companion", "b": "companion", "c": "DQ20", "x": "DQ20",
    }  # fmt: skip


@pytest.mark.requirement("DQ27")
@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=14),
    out=st.sets(st.integers(0, 12), max_size=4),
)
def test_companions_are_the_connected_ones(edges, out):
    names = [f"{n:02d}" for n in range(13)]
    frame = pl.DataFrame(
        {"mpan_core": [names[a] for a, _ in edges], "other": [names[b] for _, b in edges]},
        schema={"mpan_core": pl.String, "other": pl.String},
    )
    near = defaultdict(set)
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    reached, waiting = set(), [n for n in out if n in near]
    while waiting:  # breadth first, step by step
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += near[node]
    found = exclusions.companions(frame, pl.Series([names[n] for n in out], dtype=pl.String))
    assert found["mpan_core"].to_list() == sorted(names[n] for n in reached - out)


def test_precedence_names_extracts_and_a_new_one_comes_last():
    assert set(exclusions.PRECEDENCE) <= set(load_all())
    assert exclusions.precedence("an extract of tomorrow") == len(exclusions.PRECEDENCE)
    for contract in load_all().values():
        assert any(rule.effect is Effect.EXCLUDE for rule in contract.rules)
