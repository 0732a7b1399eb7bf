"""The product's blocks and events against the published ones, row by row, both ways."""

from __future__ import annotations

import re

import pytest

from contracts.messages import message_tables, message_values
from contracts.messages.model import FormKind, Part
from contracts.processes import market_processes, process_faults
from tests.messages import oracle

TABLES = message_tables()
KINDS = {"string": (FormKind.TEXT, FormKind.DATE_TIME, FormKind.DECIMAL), "boolean": (FormKind.BOOLEAN,),
         "number": (FormKind.NUMBER,), "list": (FormKind.LIST,)}  # fmt: skip


def every(part: Part) -> list[Part]:
    return [part, *(inner for below in part.parts for inner in every(below))]


@pytest.mark.parametrize("block", sorted(oracle.blocks()))
def test_a_block_has_the_published_keys(block):
    own = TABLES.blocks[block]
    parts = {part.path.removeprefix(f"{block}."): part for top in own.parts for part in every(top)}
    published = oracle.blocks()[block]
    assert list(parts) == list(published)
    assert own.repeats == all(row["container"] == "list" for row in published.values())
    assert own.open == (block in oracle.OPEN)
    for path, row in published.items():
        part, form = parts[path], row["example_or_format"]
        assert part.optional == row["notes"].startswith("optional"), path
        if row["json_type"] == "object" or form.startswith("list of objects"):
            assert part.form is None
            assert part.repeats == form.startswith("list"), path
            assert part.most == int((re.search(r"maxItems (\d+)", form) or [0, 0])[1]), path
            continue
        assert part.form is not None
        assert part.form.kind in KINDS[row["json_type"]], path
        assert part.form.nullable == (row["json_type"] != "list" and "null allowed" in row["notes"]), path
        if row["enumeration_if_known"] and part.known_as not in ("interfaceID", "eventCode", "schemaVersion"):
            assert sorted(part.form.codes) == sorted(row["enumeration_if_known"].split("|")), path
        if item := re.search(r"DI-\d+", row["notes"]):
            assert part.item, (path, item[0])


SHAPES = {
    "text": ["", "A", "_A", "AB", "ABCD", "abcd", "SITB", "A" * 5, "A" * 10, "A" * 11, "1" * 10, "1" * 13, "1" * 14,
             "A" * 23, "A" * 24, "A" * 40, "A" * 41, "A" * 50, "A" * 51, "A" * 60, "A" * 61, "A" * 200, "A" * 201,
             "83", "0393", "a\nb", "2023-08-19T00:00:00+01:00", "2023-08-19T00:00:00Z", "2023-08-19", "1.500", "1.5",
             "-1.500",
             "1234567890.000", ".500", "S-IF-031-23AB000001-SUP-20230819-0a1B", "S-31-23AB000001-SUP-20230819-0a1B"],
}  # fmt: skip


def test_a_value_is_judged_as_the_published_form_judges_it():
    """Every key of every block with values of many shapes: two ways of judging, written apart, agree."""
    import polars as pl

    from transforms.release.message_forms import conforms

    texts = pl.Series("v", SHAPES["text"])
    for block, rows in oracle.blocks().items():
        parts = {p.path: p for top in TABLES.blocks[block].parts for p in every(top)}
        for path, row in rows.items():
            form = parts[f"{block}.{path}"].form
            if row["json_type"] != "string" or form is None or path in ("interfaceID", "schemaVersion", "eventCode"):
                continue
            judge = oracle.checker("string", row["example_or_format"], row["enumeration_if_known"], path)
            mine = pl.DataFrame(texts).select(conforms(pl.col("v"), form)).to_series().to_list()
            assert mine == [judge(text) for text in SHAPES["text"]], (block, path)


def test_events_are_the_published_ones():
    own = {(name, f"[{code}]"): event for (name, code), event in TABLES.events.items()}
    assert set(own) == set(oracle.events())
    for key, published in oracle.events().items():
        event = own[key]
        assert set(event.senders) == published["senders"], key
        assert event.version == published["version"], key
        assert event.publication == key[0].replace("IF", "PUB")
        for uses, (needed, known) in ((event.common, published["common"]), (event.custom, published["custom"])):
            assert {u.key for u in uses} == known, key
            assert {u.key for u in uses if not u.optional} == needed, key
        assert [u.block for u in event.custom if u.key == "B906"] in ([], ["B906a" if published["variant"] else "B906"])


@pytest.mark.requirement("Q74")
def test_processes_fit_the_events_and_every_key_has_a_value():
    assert process_faults(market_processes(), TABLES, message_values()) == []


@pytest.mark.requirement("Q94")
def test_an_older_version_is_what_is_known_to_differ_and_no_more():
    older = message_tables("009")
    assert [p.name for p in older.blocks["B013"].parts] == ["CSSRegistrationRequestID"]
    assert set(TABLES.events) - set(older.events) == {("IF-051", "EESRefresh")}
    (status, _) = older.blocks["B025"].parts
    assert status.form is not None
    assert sorted(status.form.codes) == ["D", "E"]
    same = [name for name in older.blocks if name not in ("B013", "B025", "B051")]
    assert all(older.blocks[name] == TABLES.blocks[name] for name in same)
    assert older.unknown
