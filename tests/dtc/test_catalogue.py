"""Layouts of flows: the shipped ones against the published facts, and the parser of the published form."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from contracts.dtc import catalogue_text, parse_catalogue, shipped_flow, shipped_flows
from contracts.errors import ContractError

PUBLISHED = Path(__file__).parent / "published-15.4.csv"
READ = ["D0010", "D0019", "D0036", "D0052", "D0086", "D0149", "D0150", "D0204", "D0217", "D0268", "D0313", "D0379"]
HEADER = "flow,version,group,parent,cardinality,position,item,name,format,optionality\n"
LINE = "D0001,001,001,,1..*,1,J0003,MPAN Core,NUM(13),M\n"


def test_every_shipped_layout_is_as_published() -> None:
    # Compared by another reader than the product's: field by field, nothing more and nothing less.
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        published = [tuple(row.values()) for row in csv.DictReader(file)]
    shipped = [
        (
            *(flow.flow, flow.version, group.name, group.parent, str(group.cardinality)),
            *(str(item.position), item.item, item.name, item.format, "M" if item.mandatory else "O"),
        )
        for flow in shipped_flows().values()
        for group, item in flow.items()
    ]
    assert sorted({flow for flow, _ in shipped_flows()}) == READ
    assert sorted(shipped) == sorted(published)
    assert all(flow.name for flow in shipped_flows().values())


def test_places_that_were_wrong_once() -> None:
    group = shipped_flow("D0150").groups["290"]
    assert group.width == 25
    assert [group.places(item) for item in ("J0410", "J1677", "J0483", "J0848")] == [(6,), (7,), (18,), (19,)]
    register = shipped_flow("D0150", "002").groups["293"]
    assert (register.width, register.places("J0478"), register.places("J0475")) == (8, (6,), (4,))
    assert shipped_flow("D0268").groups["03A"].places("J1677") == (10,)


def test_a_catalogue_is_written_and_read_back() -> None:
    flows = parse_catalogue(PUBLISHED.read_text(encoding="utf-8"))
    assert parse_catalogue(catalogue_text(flows.values())) == flows
    assert flows["D0149", "001"].ancestors("284") == ("283", "778", "281", "280")


def test_a_parent_that_is_not_listed_is_told() -> None:
    text = HEADER + LINE.replace("001,001,,", "001,SCI,ZPD,")
    flow = parse_catalogue(text)["D0001", "001"]
    assert (flow.unlisted, flow.ancestors("SCI")) == ({"ZPD"}, ())


def test_headings_stand_in_any_order_and_two_versions_are_two_flows() -> None:
    text = HEADER + LINE + LINE.replace("D0001,001", "D0001,002")
    turned = "\ufeff" + "\r\n".join(",".join(reversed(line.split(","))) for line in text.splitlines())
    assert parse_catalogue(turned) == parse_catalogue(text)
    assert set(parse_catalogue(text)) == {("D0001", "001"), ("D0001", "002")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks the headings"),
        (HEADER, "holds no field"),
        (HEADER.replace("item,", ""), "lacks the headings item"),
        (HEADER + LINE.replace(",M\n", "\n"), "cells at line 2"),
        (HEADER + LINE.replace("1..*", "2..3"), "no valid cardinality at line 2"),
        (HEADER + LINE.replace("J0003", "J3"), "no valid item at line 2"),
        (HEADER + LINE.replace("NUM(13)", "NUM"), "no valid format at line 2"),
        (HEADER + LINE.replace(",1,J", ",2,J"), "with a gap"),
        (HEADER + LINE + LINE, "twice or with a gap"),
        (HEADER + LINE + LINE.replace(",1,J", ",2,J").replace("1..*", "0..1"), "another cardinality at line 3"),
        (HEADER + LINE.replace("001,001,,", "001,001,002,") + LINE.replace("001,001,,", "001,002,001,"), "circle"),
    ],
)
def test_a_catalogue_of_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        parse_catalogue(text, where="mine.csv")
