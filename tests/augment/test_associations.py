"""Associations: ranked evidence, conflicts left alone, related groups ordered, REG1050 to REG1067 in every result."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.augmentation import associations
from transforms.augment.associations import links, related, violations

RULES = associations()


def PC(code: str) -> dict:
    return {"profile_class": code}


KINDS = {
    "point": pl.UInt64, "mpan_core": pl.String, "site": pl.UInt64, "serial": pl.UInt64, "premises": pl.UInt64,
    "uprn": pl.UInt64, "stated": pl.UInt64, "related": pl.UInt64, "direction": pl.String, "metered": pl.Boolean,
    "out": pl.Boolean, "connection_type": pl.String, "profile_class": pl.String, "supplier_mpid": pl.String,
    "supplier_effective_from": pl.Date,
}  # fmt: skip
USUAL = {"site": 1, "direction": "I", "metered": True, "out": False, "connection_type": "W", "profile_class": "01",
         "supplier_mpid": "SUPA", "supplier_effective_from": date(2020, 1, 1)}  # fmt: skip


def candidates(*points: dict) -> pl.DataFrame:
    rows = [{**dict.fromkeys(KINDS), **USUAL, "mpan_core": f"M{p['point']}", **p} for p in points]
    return pl.DataFrame(rows, schema=KINDS)


def export(point: int, **values) -> dict:
    return {"point": point, "direction": "E", **values}


def found(*points: dict) -> dict[int, tuple[int, str, str]]:
    """Return export -> (import, rule, grade)."""
    frame = candidates(*points)
    done = links(frame, related(frame, RULES.primary), RULES).links
    rows = done.filter(pl.col("role") == "SUBSIDIARY").select("point", "partner", "rule", "grade").rows()
    return {point: (partner, rule, grade) for point, partner, rule, grade in rows}


def outcomes(*points: dict) -> dict[str, str]:
    frame = candidates(*points)
    done = links(frame, related(frame, RULES.primary), RULES).outcomes
    return dict(done.select("rule", "outcome").rows())


@pytest.mark.requirement("Q59")
@pytest.mark.parametrize(
    ("mine", "theirs", "wanted"),
    [
        ({"stated": 1}, {}, (1, "AS1", "certain")),
        ({}, {"stated": 2}, (1, "AS1", "certain")),
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8}, (1, "AS2", "certain")),
        ({"serial": 7, "uprn": 9}, {"serial": 7, "uprn": 9, "premises": 5}, (1, "AS3", "certain")),
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 6}, (1, "AS4", "probable")),
        ({"serial": 7}, {"serial": 7}, (1, "AS4", "probable")),
        ({"premises": 8, "uprn": 9}, {"serial": 4, "premises": 8, "uprn": 9}, (1, "AS5", "probable")),
        ({"serial": 3, "premises": 8}, {"serial": 4, "premises": 8}, (1, "AS6", "possible")),
        ({"uprn": 9}, {"uprn": 9}, (1, "AS7", "possible")),
        ({"serial": 3}, {"serial": 4}, None),
        ({}, {}, None),
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "site": 2}, None),  # another distributor
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "connection_type": "H"}, None),  # R15
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "metered": False}, None),  # REG1051
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "direction": "E"}, None),  # REG1053
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "out": True}, None),  # excluded
        ({"serial": 7, "premises": 8}, {"serial": 7, "premises": 8, "supplier_mpid": "SUPB"}, (1, "AS2", "certain")),
    ],
)  # fmt: skip
def test_the_strongest_evidence_names_the_import(mine, theirs, wanted):
    assert found({"point": 1, **theirs}, export(2, **mine)).get(2) == wanted


def test_weaker_evidence_is_asked_only_where_stronger_names_nobody():
    """Two imports at one address: the one with the export's meter is meant."""
    meter, other = {"point": 1, "serial": 7, "premises": 8}, {"point": 3, "serial": 6, "premises": 8}
    assert found(meter, other, export(2, serial=7, premises=8))[2] == (1, "AS2", "certain")


def test_several_imports_are_a_conflict_and_left_alone():
    neighbours = [{"point": n, "premises": 8, "serial": n} for n in (1, 3)]
    assert found(*neighbours, export(2, premises=8, serial=99)) == {}
    assert outcomes(*neighbours, export(2, premises=8, serial=99)) == {"AS6": "ambiguous"}


def test_an_excluded_import_still_competes():
    """Its export is not linked to whoever else lives there."""
    own, neighbour = {"point": 1, "serial": 7, "premises": 8, "out": True}, {"point": 3, "serial": 6, "premises": 8}
    assert found(own, neighbour, export(2, serial=7, premises=8)) == {}
    assert outcomes(own, neighbour, export(2, serial=7, premises=8)) == {"AS2": "partner excluded"}


def test_one_import_may_have_several_exports_and_names_the_surest():
    frame = candidates(
        {"point": 9, "serial": 7, "premises": 8}, export(2, serial=5, premises=8), export(3, serial=7, premises=8)
    )
    done = links(frame, related(frame, RULES.primary), RULES).links
    assert done.filter(pl.col("point") == 9).select("partner", "role", "grade").rows() == [(3, "PRINCIPAL", "certain")]
    assert sorted(done.filter(pl.col("role") == "SUBSIDIARY")["point"]) == [2, 3]


def test_of_related_imports_the_primary_is_linked():
    first = {"point": 1, "premises": 8, "profile_class": "02", "related": 4}
    primary = {"point": 4, "premises": 8, "profile_class": "01", "related": 1}
    assert found(first, primary, export(2, premises=8))[2] == (4, "AS6", "possible")


def test_a_meter_that_two_imports_claim_is_a_conflict():
    twins = [{"point": n, "serial": 7, "premises": n} for n in (1, 3)]
    assert found(*twins, export(2, serial=7, premises=5)) == {}


@pytest.mark.requirement("DQ27")
@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ([{"related": 2}, {}], {1: "SECONDARY", 2: "PRIMARY"}),  # named, and names nobody
        ([{"related": 2, "profile_class": "02"}, {"related": 1}], {1: "SECONDARY", 2: "PRIMARY"}),
        ([{"related": 2, **PC("04")}, {"related": 1, **PC("03")}], {1: "SECONDARY", 2: "PRIMARY"}),
        ([{"related": 3}, {"related": 3}, {}], {1: "SECONDARY", 2: "SECONDARY", 3: "PRIMARY"}),
        ([{"related": 2, "supplier_effective_from": date(2019, 1, 1)}, {"related": 1}], {1: "PRIMARY", 2: "SECONDARY"}),
        ([{"related": 2}, {"related": 1}], {}),  # nothing tells them apart: REG1062
        ([{"related": 2}, {"related": 3}, {}], {}),  # a chain: REG1063
        ([{"related": 2, "supplier_mpid": "SUPB"}, {}], {}),  # REG1060
        ([{"related": 2, "direction": "E"}, {}], {}),  # REG1067
        ([{"related": 2, "metered": False}, {}], {}),  # REG1051
        ([{"related": 7}, {}], {}),  # a member that nobody holds
    ],
)  # fmt: skip
def test_related_groups_are_ordered_or_unsound(members, wanted):
    frame = candidates(*({"point": n, **m} for n, m in enumerate(members, start=1)))
    done = related(frame, RULES.primary)
    assert dict(done.filter("sound").select("point", "role").rows()) == wanted
    if not wanted:
        assert not done["sound"].any()


MARKET = st.lists(
    st.fixed_dictionaries(
        {
            "direction": st.sampled_from("IIE"),
            "site": st.integers(1, 2),
            "serial": st.one_of(st.none(), st.integers(1, 6)),
            "premises": st.one_of(st.none(), st.integers(1, 6)),
            "uprn": st.one_of(st.none(), st.integers(1, 6)),
            "stated": st.one_of(st.none(), st.none(), st.integers(1, 14)),
            "related": st.one_of(st.none(), st.none(), st.none(), st.integers(1, 14)),
            "metered": st.sampled_from([True, True, True, False]),
            "out": st.sampled_from([False, False, False, True]),
            "connection_type": st.sampled_from("WWL"),
            "profile_class": st.sampled_from(["01", "02", "00"]),
            "supplier_mpid": st.sampled_from(["SUPA", "SUPB"]),
        }
    ),
    max_size=14,
)


def members_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the result as ``violations`` reads it, of metering points that stay released."""
    groups = related(frame, RULES.primary)
    unsound = groups.filter(~pl.col("sound"))["point"].implode()
    frame = frame.with_columns((pl.col("out") | pl.col("point").is_in(unsound)).alias("out"))
    done = links(frame, groups, RULES)
    named = frame.select("point", pl.col("mpan_core").alias("name")).unique("point")
    link = done.links.join(named, left_on="partner", right_on="point").select(
        "point", pl.col("name").alias("linked_mpan"), pl.col("role").alias("association_role")
    )
    group = groups.filter("sound").join(named, left_on="partner", right_on="point").select(
        "point", pl.col("name").alias("related_mpan"), pl.col("role").alias("related_role")
    )  # fmt: skip
    whole = frame.unique("point").join(link, on="point", how="left").join(group, on="point", how="left")
    out = set(whole.filter("out")["mpan_core"])
    for _ in whole.iter_rows():  # companions of excluded ones go with them, as flows.quality.exclusions.cascade has it
        gone = whole.filter(pl.col("linked_mpan").is_in(list(out)) | pl.col("related_mpan").is_in(list(out)))
        out |= set(gone["mpan_core"])
    return whole.filter(~pl.col("mpan_core").is_in(list(out))).select(
        "mpan_core", "linked_mpan", "association_role", "related_mpan", "related_role", "supplier_mpid",
        pl.col("direction").alias("energy_direction"), pl.col("metered").cast(pl.String).alias("metered_indicator"),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(MARKET, st.randoms(use_true_random=False))
def test_whatever_the_market_every_constraint_holds_and_order_does_not_matter(market, rng):
    points = [{"point": n, **m} for n, m in enumerate(market, start=1)]
    members = members_of(candidates(*points))
    assert violations(members, RULES.constraints) == dict.fromkeys((c.code for c in RULES.constraints), 0)
    shuffled = rng.sample(points, len(points))
    assert members_of(candidates(*shuffled)).sort("mpan_core").equals(members.sort("mpan_core"))


SOUND = [
    {"mpan_core": "A", "linked_mpan": "B", "association_role": "PRINCIPAL", "energy_direction": "I"},
    {"mpan_core": "B", "linked_mpan": "A", "association_role": "SUBSIDIARY", "energy_direction": "E"},
    {"mpan_core": "C", "related_mpan": "D", "related_role": "PRIMARY", "energy_direction": "I"},
    {"mpan_core": "D", "related_mpan": "C", "related_role": "SECONDARY", "energy_direction": "I"},
]
MEMBER = {
    "mpan_core": pl.String, "linked_mpan": pl.String, "association_role": pl.String, "related_mpan": pl.String,
    "related_role": pl.String, "energy_direction": pl.String, "metered_indicator": pl.String,
    "supplier_mpid": pl.String,
}  # fmt: skip


def broken(change) -> set[str]:
    rows = [{**dict.fromkeys(MEMBER), "metered_indicator": "true", "supplier_mpid": "SUPA", **row} for row in SOUND]
    change(rows)
    return {code for code, n in violations(pl.DataFrame(rows, schema=MEMBER), RULES.constraints).items() if n}


def test_a_sound_result_breaks_nothing():
    assert broken(lambda rows: None) == set()


def test_a_related_primary_may_have_an_export_of_another_supplier():
    """REG1060 and REG1067 are about related metering points; a link beside them may cross suppliers and directions."""
    frame = candidates(
        {"point": 1, "premises": 8, "related": 2, "profile_class": "02"}, {"point": 2, "premises": 8},
        export(3, premises=8, supplier_mpid="SUPB"),
    )  # fmt: skip
    groups = related(frame, RULES.primary)
    assert dict(groups.select("point", "role").rows()) == {1: "SECONDARY", 2: "PRIMARY"}
    assert found(*frame.select(KINDS.keys()).to_dicts())[3] == (2, "AS6", "possible")

    def beside(rows: list[dict]) -> None:
        rows[2].update(linked_mpan="E", association_role="PRINCIPAL")
        mine = {"mpan_core": "E", "linked_mpan": "C", "association_role": "SUBSIDIARY", "energy_direction": "E"}
        rows.append({**rows[0], **mine, "supplier_mpid": "SUPB"})

    assert broken(beside) == set()


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("REG1050", lambda r: [row.update(supplier_mpid=None) for row in r]),
        ("REG1051", lambda r: r[1].update(metered_indicator="false")),
        ("REG1052", lambda r: r.append({**r[1], "linked_mpan": "C"})),
        ("REG1053", lambda r: r[0].update(energy_direction="E")),
        ("REG1054", lambda r: r[1].update(energy_direction="I")),
        ("REG1056", lambda r: r.append({**r[1], "linked_mpan": "C"})),
        ("REG1057", lambda r: r[1].update(energy_direction="I")),
        ("REG1058", lambda r: r[0].update(energy_direction="E")),
        ("REG1059", lambda r: r[1].update(linked_mpan="B")),
        ("REG1059", lambda r: r.append(dict(r[1]))),
        ("REG1060", lambda r: r[3].update(supplier_mpid="SUPB")),
        ("REG1061", lambda r: r.append({**r[3], "related_mpan": "A"})),
        ("REG1062", lambda r: r[2].update(related_role=None)),
        ("REG1063", lambda r: r.append({**r[2], "related_mpan": "A", "related_role": "SECONDARY"})),
        ("REG1064", lambda r: r[3].update(linked_mpan="B", association_role="PRINCIPAL")),
        ("REG1065", lambda r: r.pop(0)),
        ("REG1067", lambda r: r[3].update(energy_direction="E")),
    ],
)
def test_each_broken_constraint_is_counted(code, change):
    assert code in broken(change)


def test_every_constraint_has_its_break():
    (cases,) = [m.args[1] for m in test_each_broken_constraint_is_counted.pytestmark if m.name == "parametrize"]
    assert {code for code, _ in cases} == {c.code for c in RULES.constraints}


def test_many_exports_at_one_address_need_no_pairs():
    """A landlord's thousand supplies at one address: keys are counted, pairs are never made."""
    points = [{"point": n, "premises": 1, "serial": n} for n in range(1, 20_001)]
    points += [export(n + 100_000, premises=1, serial=n) for n in range(1, 5_001)]
    rng = random.Random(1)
    rng.shuffle(points)
    frame = candidates(*points)
    done = links(frame, related(frame, RULES.primary), replace(RULES)).links
    assert done.filter(pl.col("role") == "SUBSIDIARY").height == 5_000
    assert (done["grade"] == "certain").all()
