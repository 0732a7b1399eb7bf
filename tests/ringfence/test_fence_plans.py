"""Plans: YAML and CSV mean the same, faults are told with their lines, values are taken as written."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, DataCutError
from contracts.ringfence.model import Criterion, Pick, UnitKind
from flows.ringfence.plan import check_attributes, read_plan, read_policy

YAML = """\
plan: 1
cut: CUT-1
policy:
  pick: stratified
  strata: [gsp_group_id]
  keep_together: [meter]
phases:
  - phase: CIT
    stages:
      - stage: interval-1
        test_cases:
          - id: CIT-1
            participant: SUPA
            role: Supplier
            quantity: 3
            minimum: 2
            spares: 1
            hub: {supplier: SUPA, metering_service: [MOPA, MOPB]}
            criteria:
              profile_class: [01, 02]
              country: NO
              smart: true
              eac: {from: 100, to: 1e4}
              esme_id: {present: true}
  - phase: SIT
    stages:
      - stage: functional
        round: 2
        test_cases:
          - {id: F-1, participant: SUPB, role: Supplier, quantity: 4, unit: pair, priority: 2,
             mutates: false, reuse: same-phase, export_criteria: {direction: EXPORT}}
"""

CSV = """\
round,test_case,stage,participant,priority,base,spare,kind,criteria,export_criteria,mutates
1,TC-1,CIT,SUPA,1,3,1,SINGLE,"{""profile_class"": [""01"", ""02""], ""smart"": [true], ""n"": [7]}",{},true
2,TC-2,SIT-FUNCTIONAL,SUPB,2,4,0,pair,"{""eac"": {""from"": 1}}","{""x"": [""y""]}",false
"""


def book(tmp_path, text: str, name: str = "plan.yaml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_plan(file)


@pytest.mark.requirement("Q53", "Q57", "Q84", "Q29")
def test_a_yaml_plan_says_everything_a_demand_may_want(tmp_path):
    plan = book(tmp_path, YAML)
    first, second = plan.demands
    assert (first.test_case, first.phase, first.stage, first.participant, first.role) == (
        "CIT-1", "CIT", "interval-1", "SUPA", "Supplier",
    )  # fmt: skip
    assert (first.base, first.minimum, first.spare, first.round, first.where) == (3, 2, 1, 1, "plan.yaml line 12")
    assert set(first.criteria) == {
        Criterion("profile_class", ("01", "02")),
        Criterion("country", ("NO",)),
        Criterion("smart", ("true",)),
        Criterion("eac", at_least="100", at_most="1e4"),
        Criterion("esme_id", present=True),
        Criterion("supplier_mpid", ("SUPA",)),
        Criterion("meter_operator_mpid", ("MOPA", "MOPB")),
    }
    assert (second.kind, second.priority, second.mutates, second.reuse, second.round) == (
        UnitKind.PAIR,
        2,
        False,
        True,
        2,
    )
    assert (plan.cut, plan.policy.pick, plan.policy.strata) == ("CUT-1", Pick.STRATIFIED, ("gsp_group_id",))
    assert plan.policy.keep_together == ("meter",)


def test_a_csv_book_says_the_same(tmp_path):
    first, second = book(tmp_path, CSV, "book.csv").demands
    assert set(first.criteria) == {
        Criterion("profile_class", ("01", "02")),
        Criterion("smart", ("true",)),
        Criterion("n", ("7",)),
    }
    assert (first.phase, second.phase, second.kind) == ("CIT", "SIT", UnitKind.PAIR)
    assert (second.where, second.mutates, second.export_criteria) == (
        "book.csv line 3",
        False,
        (Criterion("x", ("y",)),),
    )
    assert second.criteria == (Criterion("eac", at_least="1"),)


YAML_FAULTS = [
    (
        "quantity: 3",
        "quantity: 0",
        "line 15: phase CIT, stage interval-1, test case CIT-1, quantity: must be",
    ),
    ("minimum: 2", "minimum: 9", "line 12: .*minimum is greater than quantity"),
    ("interval-1", "functional", "line 8: .*stages of CIT are cit, interval-"),
    ("phase: SIT", "phase: SAT", "line 25: phase"),
    (
        "role: Supplier\n            quantity",
        "rule: Supplier\n            quantity",
        "line 14: .*, test case CIT-1, rule: is not known here .did you mean 'role'",
    ),
    ("unit: pair", "unit: pairs", "line 30: .*, unit: must be SINGLE, PAIR or GROUP"),
    ("unit: pair", "unit: single", "line 30: .*export_criteria belong to unit 'pair'"),
    ("mutates: false", "mutates: true", "line 30: .*cannot allow their reuse"),
    ("reuse: same-phase", "reuse: often", "line 31: .*, reuse: reuse is 'never' or 'same-phase'"),
    ("country: NO", "country: []", "line 21: .*names no value"),
    ("{from: 100, to: 1e4}", "{}", "line 23: .*a range has"),
    ("strata: [gsp_group_id]", "strata: []", "line 3: .*go together"),
    ("plan: 1", "plan: 2", "line 1: plan"),
    ("spares: 1", "spares: 1\n            spares: 2", "line 18: .*, spares: an entry 'spares' appears twice"),
    ("id: CIT-1", "id: [", "line 1[0-9]: is not valid YAML"),
    ("id: F-1", "id: CIT-1, title: x", None),
]


@pytest.mark.parametrize(("good", "bad", "told"), YAML_FAULTS)
def test_yaml_faults_are_told_with_their_lines(tmp_path, good, bad, told):
    text = YAML.replace(good, bad, 1)
    assert text != YAML
    if told is None:
        book(tmp_path, text)
        return
    with pytest.raises(ConfigurationError) as fault:
        book(tmp_path, text)
    assert re.search(told, fault.value.line()), fault.value.line()


CSV_FAULTS = [
    ("1,TC-1,CIT,SUPA,1,3,1", "1,TC-1,CIT,SUPA,1,three,1", "line 2: base is not a whole number"),
    ("1,TC-1,CIT,SUPA,1,3,1", "-1,TC-1,CIT,SUPA,1,3,1", "line 2: round is not a whole number"),
    (",SINGLE,", ",DOUBLE,", "line 2: kind is SINGLE, PAIR or GROUP"),
    (",{},true", ",{},perhaps", "line 2: mutates is not true or false"),
    ('"{""eac"": {""from"": 1}}"', "{eac}", "line 3: criteria is not JSON"),
    ('"{""eac"": {""from"": 1}}"', "[1]", "line 3: criteria is not a JSON object"),
    ('"{""eac"": {""from"": 1}}"', '"{""eac"": []}"', "line 3: criteria: eac names no value"),
    (",pair,", ",single,", "line 3: export_criteria belong to kind PAIR only"),
    (",spare,", ",spares,", "line 1: lacks spare"),
    (",mutates", ",mutated", "line 1: has columns it cannot have: mutated"),
    ("2,TC-2", ",TC-2", "line 3: round is not a whole number"),
    ("2,TC-2,", "2,,", "line 3: test_case is empty"),
    (",false\n", ",false,x\n", "line 3: has 12 fields, not 11"),
    ('""y""]}"', '""y""]}', "line 3: is not proper CSV"),
]


@pytest.mark.parametrize(("good", "bad", "told"), CSV_FAULTS)
def test_csv_faults_are_told_with_their_lines(tmp_path, good, bad, told):
    text = CSV.replace(good, bad, 1)
    assert text != CSV
    with pytest.raises(ConfigurationError) as fault:
        book(tmp_path, text, "book.csv")
    assert told.replace("line 1: ", "").replace("line 3: is", "is") in fault.value.line()
    assert "line" in fault.value.line()


def test_all_faults_are_told_at_once_and_fields_may_span_lines(tmp_path):
    text = CSV.replace("[7]", "[7,\n8]").replace("2,TC-2", "x,TC-2") + "1,TC-3,CIT,SUPA,1,x,1,SINGLE,{},{},true\n"
    with pytest.raises(ConfigurationError) as fault:
        book(tmp_path, text, "book.csv")
    assert "line 4: round" in fault.value.line()
    assert "line 5: base" in fault.value.line()


def test_a_demand_that_comes_twice_names_both_lines(tmp_path):
    twice = CSV + CSV.splitlines()[1] + "\n"
    with pytest.raises(ConfigurationError, match=r"book.csv line 4: test case TC-1 .* first in book.csv line 2"):
        book(tmp_path, twice, "book.csv")


def test_an_attribute_nobody_has_is_told_with_its_line_and_a_guess(tmp_path):
    plan = book(tmp_path, CSV, "book.csv")
    with pytest.raises(ConfigurationError, match=r"line 2: .* no attribute smart, perhaps smarts"):
        check_attributes(plan, ["profile_class", "smarts", "n", "eac", "x"])


def test_layout_and_order_do_not_change_the_digest(tmp_path):
    head, *lines = CSV.splitlines()
    turned = "\n\n".join([head, *reversed(lines)]) + "\n"
    assert book(tmp_path, CSV, "a.csv").digest() == book(tmp_path, turned, "b.csv").digest()
    assert book(tmp_path, CSV, "a.csv").digest() != book(tmp_path, CSV.replace("1,3,1", "1,4,1"), "c.csv").digest()


def test_a_policy_alone(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("single_on_pair: forbid\nwhole_test_cases: true\n")
    assert read_policy(file).whole_test_cases
    file.write_text("single_on_pairs: forbid\n")
    with pytest.raises(ConfigurationError, match=r"single_on_pairs: is not known here .did you mean 'single_on_pair'"):
        read_policy(file)


@pytest.mark.parametrize("name", ["plan.yaml", "book.csv"])
def test_broken_plans_are_refused_in_one_line_and_never_crash(tmp_path, name):
    rng = random.Random(7)
    source = (YAML if name.endswith("yaml") else CSV).encode()
    file = tmp_path / name
    refused = 0
    for _ in range(400):
        data = bytearray(source)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = bytes(
                rng.choice(b'\x00\xff"[]{}:,-\n\t a0&*!|>') for _ in range(rng.randint(0, 3))
            )
        file.write_bytes(data)
        try:
            read_plan(file)
        except DataCutError as fault:
            assert fault.exit_code == 2
            assert "\n" not in fault.line()
            refused += 1
    assert refused > 100


def test_the_plan_in_the_documentation_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "ring-fence.md").read_text(encoding="utf-8")
    plan = book(tmp_path, page.split("```yaml\n")[1].split("```")[0])
    assert [demand.test_case for demand in plan.demands] == ["CIT-SUP-001", "FUN-001"]
    assert len(plan.demands[0].criteria) == 7


SEGMENTS = """\
plan: 1
policy: {segments: {SUPA: [S], SUPB: [S, A]}}
phases:
  - phase: SIT
    stages:
      - stage: functional
        test_cases:
          - {id: UMS-1, participant: SUPA, role: Supplier, quantity: 1, criteria: {market_segment: U}}
          - {id: ANY-1, participant: SUPA, role: Supplier, quantity: 1, criteria: {profile_class: [01]}}
          - {id: ADV-1, participant: SUPB, role: Supplier, quantity: 1, criteria: {market_segment: [A, U]}}
          - {id: UMS-2, participant: SUPC, role: Supplier, quantity: 1, criteria: {market_segment: U},
             processes: [consumption, annual_consumption]}
"""


@pytest.mark.requirement("Q19", "Q20", "Q31")
def test_a_participants_test_cases_keep_to_the_segments_it_is_confirmed_for(tmp_path):
    plan = book(tmp_path, SEGMENTS)
    assert [demand.test_case for demand in plan.demands] == ["ANY-1", "ADV-1", "UMS-2"]
    assert plan.not_applicable == ("UMS-1 does not apply: segment U is not among those of SUPA (S).",)
    asked = {d.test_case: [c.values for c in d.criteria if c.attribute == "market_segment"] for d in plan.demands}
    assert asked == {"ANY-1": [("S",)], "ADV-1": [("A",)], "UMS-2": [("U",)]}


@pytest.mark.requirement("Q74")
def test_a_plan_names_market_processes_and_only_such_as_there_are(tmp_path):
    plan = book(tmp_path, SEGMENTS)
    assert plan.demands[-1].processes == ("consumption", "annual_consumption")
    same = book(tmp_path, SEGMENTS.replace("processes: [consumption, annual_consumption]", "mutates: true"))
    assert plan.digest() == same.digest()  # they say what is done with metering points, not which
    table = book(tmp_path, CSV.replace("mutates\n", "mutates,processes\n").replace(",true\n", ",true,consumption\n")
                 .replace(",false\n", ",false,\n"), "plan.csv")  # fmt: skip
    assert [demand.processes for demand in table.demands] == [("consumption",), ()]
    with pytest.raises(ConfigurationError, match="did you mean 'consumption'"):
        book(tmp_path, SEGMENTS.replace("[consumption, ", "[consumtion, "))
