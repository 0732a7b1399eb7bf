"""The shipped policy classifies every published item; what it keeps was looked at by name."""

from __future__ import annotations

import re

import pytest

from contracts.dtc import parse_catalogue
from contracts.dtc.policy import IdentifierKind, parse_policy, shipped_policy_text
from contracts.errors import ContractError
from tests.dtc import flow_files
from transforms.dtc.plan import make_plan

PERSONAL = re.compile(
    r"name|contact|customer|address|post ?code|phone|fax|e-?mail|password|user|pin\b|key\b|secret|sim\b|account|bank|"
    r"reference|serial|mpan|msid|metering system id|meter id|meter no|outstation id|additional|information|comment|"
    r"remark|details|warrant|psr|priority serv|medical|forename|surname|title|birth|person|password|payer|location",
    re.I,
)
# Kept although the name sounds personal: what it is, so that the next reader need not look it up.
REVIEWED = {
    "J0048": "contract between two companies",
    "J0150": "count", "J0152": "count", "J0153": "count", "J0190": "count", "J0191": "count", "J0241": "count",
    "J0248": "a company", "J0271": "a company", "J0323": "a company", "J0750": "a company", "J1741": "a company",
    "J1829": "a company",
    "J0269": "one of fourteen regions",
    "J0274": "code of a service", "J0275": "code of a service level",
    "J0419": "code of one letter",
    "J0486": "the network's number of an interruption",
    "J0526": "amount", "J0527": "date", "J0528": "time", "J0688": "date", "J0694": "date", "J0846": "date",
    "J1669": "date", "J2050": "date",
    "J0583": "number of a machine in a shop",
    "J0785": "count", "J0791": "count", "J0792": "amount", "J0904": "amount", "J0906": "flag", "J1120": "count",
    "J1705": "count", "J2080": "count", "J2081": "count", "J2084": "count", "J2153": "count", "J2154": "count",
    "J2157": "count", "J2163": "count", "J2176": "count", "J2323": "count", "J2338": "count", "J2369": "count",
    "J2377": "count", "J2378": "count", "J2379": "count",
    "J0830": "count of warrants in a report",
    "J1299": "published business address of a market participant",
    "J1570": "code of one letter", "J1575": "code of one letter", "J1579": "flag",
    "J1670": "flag", "J1674": "flag",
    "J1681": "contract between two companies",
    "J1703": "code", "J1710": "place in a meter's memory", "J1718": "place in a meter's memory",
    "J1745": "flag", "J1742": "date", "J1767": "date", "J1768": "date", "J1771": "code", "J1779": "date",
    "J1782": "code", "J1787": "date", "J1788": "date", "J1815": "date", "J1816": "code", "J1817": "flag",
    "J1831": "a company's entry in a public register",
    "J1845": "code of one letter",
    "J1992": "date of a period", "J1993": "date of a period", "J1994": "volume", "J1995": "volume", "J1996": "volume",
    "J1997": "volume", "J1998": "volume", "J1999": "volume", "J2000": "price",
    "J2051": "code", "J2053": "flag",
    "J2210": "flag: the codes themselves are masked",
    "J2219": "code", "J2220": "code", "J2221": "code",
    "J0135": "code of a tele-switch group's user, a company", "J0240": "a company", "J1285": "a company",
    "J0584": "amount", "J0585": "amount", "J0588": "amount", "J0586": "date", "J0910": "amount",
    "J1646": "code", "J1702": "code", "J1711": "code",
    "J2240": "code", "J2242": "code", "J2245": "flag", "J2257": "volume", "J2258": "volume",
}  # fmt: skip


def kept_and_personal() -> dict[str, str]:
    kinds = flow_files.policy()["items"]
    names = {row["item"]: row["name"] for rows in flow_files.published().values() for row in rows}
    return {item: name for item, name in names.items() if kinds[item] == "keep" and PERSONAL.search(name)}


@pytest.mark.requirement("Q58", "Q68")
def test_what_is_kept_and_sounds_personal_was_looked_at():
    found = kept_and_personal()
    assert {item: found[item] for item in set(found) - set(REVIEWED)} == {}
    assert set(REVIEWED) - set(found) == set()


@pytest.mark.requirement("Q58")
def test_texts_that_somebody_types_are_not_kept():
    """A kept text of thirty characters or more is a published name, description or make."""
    kinds = flow_files.policy()["items"]
    wide = {
        row["item"]: row["name"]
        for rows in flow_files.published().values()
        for row in rows
        if kinds[row["item"]] == "keep" and int((re.search(r"CHAR\((\d+)", row["format"]) or [0, 0])[1]) >= 30
    }
    plain = re.compile(
        r"Desc(?:ription)?$|Name$|^Manufacturers Make|^Address Line$|Memory Location$|GSP Groups|Event ID$"
    )
    assert {item: name for item, name in wide.items() if not plain.search(name)} == {}


def test_every_item_of_the_catalogue_is_classified():
    items = {row["item"] for rows in flow_files.published().values() for row in rows}
    assert items == set(flow_files.policy()["items"])
    plan = make_plan(
        parse_catalogue(flow_files.PUBLISHED.read_text(encoding="utf-8")), parse_policy(shipped_policy_text())
    )
    assert len(plan.flows) == 206
    assert [place for number in range(206) for place in plan.unclassified(number)] == []


@pytest.mark.requirement("Q73")
def test_secrets_are_secrets():
    names = {row["item"]: row["name"] for rows in flow_files.published().values() for row in rows}
    kinds = flow_files.policy()["items"]
    wanted = re.compile(r"password(?! effective)|username|\bPIN\b|encryption key|communications address|SIM ", re.I)
    found = {item for item, name in names.items() if wanted.search(name)}
    assert len(found) > 10
    assert {item for item in found if kinds[item] != "secret"} == set()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("policy: dtc-mask/1", "policy: 2"), "is not a policy"),
        (("J0003: mpan", "J0003: mapn"), "gives J0003 an unknown kind"),
        (("J0003: mpan", "J003: mpan"), "not J and four digits"),
        (("J0263: postcode", "J0263: keep"), "classifies J0263 as keep, and its address sets do not say so"),
        (("J0375: name", "J0375: address_line"), "classifies J0375 as address_line"),
        (("postcode: J0263", "postcode: J1036"), "an item twice"),
        (("groups: any", "groups: some"), "neither any nor a list"),
        (("groups: any", "groups: [D0150]"), "not flow/group"),
        (("places:", "place:"), "unknown parts: place"),
        (("items:", "items: ["), "is not valid YAML"),
        (('J1699: "14"', "J1699: 14"), "constant for J1699 that is not a text in quotes"),
        (('J1699: "14"', 'J0003: "14"'), "constant for J0003, which is neither secret nor sensitive"),
    ],
)
def test_a_wrong_policy_is_refused_in_words(change, words):
    text = shipped_policy_text()
    assert change[0] in text
    with pytest.raises(ContractError) as fault:
        parse_policy(text.replace(*change, 1), where="mine.yaml")
    assert words in fault.value.line()
    assert fault.value.line().startswith("mine.yaml: ")


def test_a_constant_that_is_not_of_the_format_is_refused():
    policy = parse_policy(shipped_policy_text().replace('J1699: "14"', 'J1699: "OTHER"'))
    with pytest.raises(ContractError) as fault:
        make_plan(parse_catalogue(flow_files.PUBLISHED.read_text(encoding="utf-8")), policy)
    assert "J1699 that is not of its format, CHAR(2)" in fault.value.line()


def test_a_place_and_a_set_for_some_groups_alone():
    text = """
policy: dtc-mask/1
addresses:
  site: {lines: [J1036, J1037], postcode: J0263, groups: [D0217/492]}
places:
  - {flow: D0150, group: "290", item: J0410, kind: free_text}
items: {J1036: address_line, J1037: address_line, J0263: postcode, J0410: keep}
"""
    policy = parse_policy(text)
    assert policy.kind("D0217", "492", "J1036") is IdentifierKind.ADDRESS_LINE
    assert policy.kind("D0204", "440", "J1036") is None  # no set is for this group: it is not classified
    assert policy.kind("D0150", "290", "J0410") is IdentifierKind.FREE_TEXT
    assert policy.kind("D0304", "79C", "J0410") is IdentifierKind.KEEP
    assert policy.kind("D0150", "290", "J0004") is None
