"""DTC user files: nesting against a slow reading of the same file, what is dropped, totals, flows."""

from __future__ import annotations

import gzip

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.dtc.layout import DtcLayout
from contracts.errors import ContractError, IntakeError, RefusedError
from contracts.load import load_all
from flows.intake import Limits, SourceSpec, open_source

HEAD = "ZHV|0000000001|D0150002|M|AMOP|D|BDCO|20230819020000||||TR01|"
BODY = [
    "288|1900000000071|20190401||E|",
    "289|0393|20190401|",
    "290|L71C99117|||H|LANDIS E110|AMAP|||||||||||N|20040615|20040601||||M|20040615|",
    "293|R1|C|AI|1.00||||5|",
    "293|R2|C|AI|1.00||||5|",
    "290|L71C99118|||H||AMAP|",
    "288|1900000000099|20190401||E|",
    "290|L71C99119|||H|X|AMAP|",
]
LAYOUT = DtcLayout(
    flow="D0150",
    row_group="290",
    parents={"289": "288", "290": "288", "291": "290", "293": "290"},
    fields={"mpan_core": ("288", 1), "serial": ("290", 1), "make": ("290", 5), "ssc": ("289", 1)},
)


def dtc(body: list[str] = BODY, *, head: str = HEAD, count: int | None = None, ends: str = "\n") -> bytes:
    tail = f"ZPT|0000000001|{len(body) if count is None else count}||1|20230819020001|"
    return ends.join([head, *body, tail, ""]).encode()


@pytest.mark.requirement("Q58", "Q68")
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [64, 200, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rows_carry_their_parents(intake, ends, block, pack):
    name = "d0150.usr" if pack is bytes else "d0150.usr.gz"
    frame = intake.frame(pack(dtc(ends=ends)), name, layout=LAYOUT, limits=Limits(block_bytes=block))
    assert frame.rows() == [
        ("1900000000071", "L71C99117", "LANDIS E110", "0393"),
        ("1900000000071", "L71C99118", None, "0393"),
        ("1900000000099", "L71C99119", "X", None),
    ]
    reader = intake.reader
    assert (reader.form, reader.delimiter, reader.header) == ("dtc", "pipe", tuple(LAYOUT.fields))
    assert (reader.stated_cut_date, reader.test_flag) == ("20230819", "TR01")
    # 288 has 4 fields of which 1 is named, 289 has 2 (1), 290 has 24 (2), 293 has 8 (0).
    assert reader.dropped_columns == 3 + 1 + 22 + 8


OTHER = [record.replace("L71C9911", "M71C9911") for record in BODY]
SERIALS = ["L71C99117", "L71C99118", "L71C99119"]


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, 200, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\r\n", b"\n  \n"])
def test_files_that_follow_each_other_are_one_source(intake, block, between):
    second = dtc(OTHER, head=HEAD.replace("0000000001", "0000000077"), ends="\r\n")
    second = second.replace(b"ZPT|0000000001", b"ZPT|0000000077")
    data = between + dtc() + between + second + between + dtc([])
    frame = intake.frame(data, layout=LAYOUT, limits=Limits(block_bytes=block))
    assert frame["serial"].to_list() == SERIALS + [serial.replace("L", "M") for serial in SERIALS]
    assert frame["ssc"].to_list() == ["0393", "0393", None] * 2


@pytest.mark.requirement("DQ29")
def test_a_header_ends_what_was_open(intake):
    error = intake.fault(dtc(BODY[:3]) + dtc(BODY[2:3]), layout=LAYOUT)
    assert "group 290 comes without its group 288 at line 7" in str(error)


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize("lines", ["blank", "spaces after", "fields after", "fewer fields"])
def test_what_real_files_have(intake, block, lines):
    body = list(BODY)
    if lines == "spaces after":
        body = [f"{record} \t" for record in BODY]
    if lines == "fields after":
        body = [f"{record} | |" for record in BODY]
    if lines == "fewer fields":
        body[2] = "290|L71C99117|||H|LANDIS E110|"
    data = dtc(body)
    if lines == "blank":
        data = b"\r\n \n" + data.replace(b"\n289", b"\n\r\n289") + b"\n\n"
    frame = intake.frame(data, layout=LAYOUT, limits=Limits(block_bytes=block))
    assert frame["serial"].to_list() == SERIALS
    assert frame["make"].to_list()[0] == "LANDIS E110"


@pytest.mark.requirement("Q58", "Q68")
@pytest.mark.parametrize("block", [64, 200])
def test_an_open_record_waits_without_what_nobody_reads(intake, block):
    body = ["288|1900000000071|20190401||E|", "290|L71C99117|a|b|c|d|hunter2|"] + ["291|200/5|"] * 40
    path = intake.write(dtc(body))
    layout = DtcLayout("D0150", "290", LAYOUT.parents, {"serial": ("290", 1), "m": ("288", 1)})
    with open_source(SourceSpec("x", path), layout=layout, limits=Limits(block_bytes=block)) as reader:
        for _ in reader.batches():
            assert "hunter2" not in repr(reader._context)
        assert reader.skipped_groups == {"291": 40}


@pytest.mark.requirement("Q58", "Q68")
def test_passwords_and_telephone_numbers_never_leave(intake):
    layout = DtcLayout("D0268", "03A", {"02A": "01A", "03A": "01A"}, {"mpan_core": ("01A", 1), "serial": ("03A", 1)})
    body = ["01A|1900000000071|", "02A|OUT1|T|hunter2|07700900123|8944|", "03A|L71C99117|MAKE|"]
    frame = intake.frame(dtc(body, head=HEAD.replace("D0150002", "D0268001")), layout=layout)
    assert frame.rows() == [("1900000000071", "L71C99117")]
    assert intake.reader.dropped_columns == 5 + 1
    assert "hunter2" not in repr(vars(intake.reader))


def test_contracts_layouts_are_served(intake):
    layouts = load_all()["annual_consumption"].dtc_layouts
    body = [
        "ZPI|1|",
        "ZIN|1|NH09|1900000000071|",
        "ISD|20230101|",
        "EAH|20230401|",
        "EAD|00001|1234.5|",
        "EAD|00206|7.0|",
    ]
    frame = intake.frame(dtc(body, head=HEAD.replace("D0150002", "D0019001")), layout=layouts)
    assert frame.select("mpan_core", "time_pattern_regime_id", "eac", "effective_from").rows() == [
        ("1900000000071", "00001", "1234.5", "20230401"),
        ("1900000000071", "00206", "7.0", "20230401"),
    ]


def slow_reading(body: list[str], layout: DtcLayout) -> list[tuple[str | None, ...]]:
    """Record by record: a record of a group ends all that hangs below that group."""
    below: dict[str, set[str]] = {}
    for group in set(layout.parents) | set(layout.parents.values()):
        step = group
        while step in layout.parents:
            step = layout.parents[step]
            below.setdefault(step, set()).add(group)
    opened: dict[str, list[str]] = {}
    rows = []
    for record in body:
        group, *fields = record.split("|")[:-1]
        for ended in below.get(group, ()):
            opened.pop(ended, None)
        opened[group] = fields
        if group == layout.row_group:
            rows.append(
                tuple(
                    (opened[g][p - 1] or None) if g in opened and len(opened[g]) >= p else None
                    for g, p in layout.fields.values()
                )
            )
    return rows


@st.composite
def bodies(draw):
    body = []
    for top in range(draw(st.integers(0, 8))):
        body.append(f"288|M{top}|")
        for inner in draw(st.lists(st.sampled_from(["289", "290", "289 290", "290 293", "291?", "08A"]), max_size=6)):
            for group in inner.replace("?", "").split():
                if group in ("291", "293") and not any(r.startswith("290") for r in body[-3:]):
                    continue
                body.append(f"{group}|{draw(st.sampled_from(['', 'x', 'y1', 'zz|w']))}|")
    return body


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(body=bodies(), block=st.integers(64, 400))
def test_nesting_reads_as_record_by_record(intake, body, block):
    fields = {"m": ("288", 1), "s": ("289", 1), "x": ("290", 1), "y": ("290", 2)}
    layout = DtcLayout("D0150", "290", LAYOUT.parents, fields)
    frame = intake.frame(dtc(body), layout=layout, limits=Limits(block_bytes=block))
    assert frame.rows() == slow_reading(body, layout)


MALFORMED = {
    "no trailer": (dtc()[: dtc().index(b"ZPT")], IntakeError, "without its ZPT"),
    "cut in a record": (dtc()[:-60], IntakeError, "does not end with |"),
    "records after the trailer": (dtc() + b"288|1900000000071|\n", IntakeError, "continues after its trailer"),
    "header again": (
        dtc([HEAD, *BODY]),
        IntakeError,
        "the file before this header has no ZPT trailer at line 2",
    ),
    "second file cut": (dtc() + dtc()[:-47], IntakeError, "ends without its ZPT trailer"),
    "second file miscounted": (dtc() + dtc(count=7), RefusedError, "another number of groups than the 8 found"),
    "records between files": (
        dtc() + b"288|1900000000071|\n" + dtc(),
        IntakeError,
        "continues after its trailer at line 11",
    ),
    "second file of another trailer": (
        dtc() + dtc().replace(b"ZHV|0000000001", b"ZHV|0000000002"),
        RefusedError,
        "belong to different files",
    ),
    "record without a pipe": (dtc([*BODY, "290|L71C99117"]), IntakeError, "does not end with | at line 10"),
    "record without a group": (dtc([*BODY, "|1900000000071|"]), IntakeError, "without a group id"),
    "text for a group": (dtc([*BODY, "SHADY OAK PADDOCK|"]), IntakeError, "without a group id"),
    "orphan row": (dtc(BODY[2:]), IntakeError, "group 290 comes without its group 288 at line 2"),
    "orphan parent": (dtc(BODY[1:]), IntakeError, "group 289 comes without its group 288 at line 2"),
    "too many fields": (dtc(["288|" + "x|" * 600]), IntakeError, "512 fields"),
    "long field": (dtc([*BODY[:2], "290|" + "x" * 5000 + "|"]), IntakeError, "4096 bytes"),
    "NUL": (dtc([*BODY, "290|\0|"]), IntakeError, "NUL bytes at line 10"),
    "old header": (dtc(head=HEAD.replace("ZHV", "ZHD")), IntakeError, "ZHV header"),
    "short header": (dtc(head="ZHV|1|D0150002|"), IntakeError, "ZHV header"),
    "another flow": (
        dtc(head=HEAD.replace("D0150", "D0010")),
        IntakeError,
        "holds D0010002; layouts known for this extract: D0150",
    ),
    "no flow": (dtc(head=HEAD.replace("D0150002", "1900000000071")), IntakeError, "an unknown flow"),
    "trailer counts too few": (dtc(count=7), RefusedError, "another number of groups than the 8 found"),
    "trailer counts too many": (dtc(count=9), RefusedError, "another number of groups"),
    "trailer counts header and trailer": (dtc(count=10), RefusedError, "another number of groups"),
    "trailer counts nothing": (dtc().replace(b"|8||1|", b"|||1|"), RefusedError, "another number of groups"),
    "trailer counts words": (dtc().replace(b"|8||1|", b"|eight||1|"), RefusedError, "another number"),
    "trailer of another file": (
        dtc().replace(b"ZPT|0000000001", b"ZPT|0000000002"),
        RefusedError,
        "belong to different files",
    ),
}


@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize(("data", "kind", "phrase"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(intake, data, kind, phrase, block):
    error = intake.fault(data, layout=LAYOUT, limits=Limits(block_bytes=block))
    assert isinstance(error, kind)
    assert phrase in str(error)


def test_file_without_rows(intake):
    assert intake.frame(dtc([]), layout=LAYOUT).height == 0
    assert intake.frame(dtc(["288|1900000000071|"]), layout=LAYOUT).height == 0


def test_flow_without_a_layout(intake):
    assert "layouts known for this extract: none" in str(intake.fault(dtc(), layout=None))


@pytest.mark.parametrize(
    "layout",
    [
        DtcLayout("D0150", "290", {"293": "290", "290": "288"}, {"r": ("293", 1)}),
        DtcLayout("D0150", "290", {"290": "288", "288": "289", "289": "288"}, {"r": ("290", 1)}),
    ],
    ids=["field below the row", "circle"],
)
def test_impossible_layouts_are_the_contracts_fault(intake, layout):
    path = intake.write(dtc())
    with pytest.raises(ContractError):
        open_source(SourceSpec("x", path), layout=layout)


def test_streams_in_blocks(intake):
    body = [record for n in range(2000) for record in (f"288|{n}|", "289|0393|", f"290|S{n}|", "293|R1|")]
    path = intake.write(dtc(body))
    with open_source(SourceSpec("x", path), layout=LAYOUT, limits=Limits(block_bytes=4096)) as reader:
        frames = list(reader.batches())
    assert len(frames) > 5
    assert pl.concat(frames)["serial"].to_list() == [f"S{n}" for n in range(2000)]
