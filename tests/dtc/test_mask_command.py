"""``datacut dtc mask`` and ``verify`` as a user runs them: files, folders, gzip, refusals, the signed manifest."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

from contracts.dtc.policy import shipped_policy_text
from tests.command import datacut
from tests.dtc import flow_files

CUT = "CASE-1"
HEAD = "ZHV|0000000001|D0150002|M|MOPA|D|DCOL|20230819020000||||OPER|"
BODY = (
    "288|2064385657041|20190401||E|",
    "290|E12Z090719|||100|J|MAKE 7|AMAP|sim.example|IP|1234|||KEY99|||||N|20190401|||||H|20190401|",
    "08A|KX 1234567|20190401|AMAP|",
)
TAIL = "ZPT|0000000001|3|987654|1|20230819020001|"


def flow(*, head: str = HEAD, body: tuple[str, ...] = BODY, tail: str = TAIL, end: str = "\n") -> str:
    return end.join([head, *body, tail, ""])


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "cut.key").write_text(bytes(range(32)).hex() + "\n")
    (tmp_path / "cut.key").chmod(0o600)
    return tmp_path


def mask(place: Path, *more: object, inputs: tuple[object, ...] = ("in",), out: str = "out"):
    options = ("--key", place / "cut.key", "--cut", CUT, "--catalogue", flow_files.PUBLISHED)
    return datacut("dtc", "mask", *(place / str(name) for name in inputs), "--out", place / out, *options, *more)


def written(place: Path, name: str, out: str = "out") -> list[str]:
    return (place / out / name).read_text().split("\n")


@pytest.mark.requirement("Q61", "Q73")
def test_identifiers_get_pseudonyms_and_secrets_go(place):
    (place / "in" / "a.usr").write_text(flow())
    done = mask(place)
    assert (done.code, done.err) == (0, "")
    assert written(place, "a.usr") == [
        HEAD.replace("OPER", "TR01"),
        written(place, "a.usr")[1],
        written(place, "a.usr")[2],
        written(place, "a.usr")[3],
        "ZPT|0000000001|3||1|20230819020001|",
        "",
    ]
    assert written(place, "a.usr")[1].split("|")[2:] == BODY[0].split("|")[2:]
    meter = written(place, "a.usr")[2].split("|")
    assert meter[1] not in {"", "E12Z090719"}
    assert meter[2:] == BODY[1].replace("sim.example", "").replace("1234", "").replace("KEY99", "").split("|")[2:]
    for raw in ("2064385657041", "E12Z090719", "1234567", "sim.example", "KEY99"):
        assert all(raw not in text for text in (done.out, (place / "out" / "a.usr").read_text()))
        assert raw not in (place / "out" / "manifest.json").read_text()


@pytest.mark.requirement("Q58")
def test_pseudonyms_are_those_of_datacut_pseudonym(place, monkeypatch):
    import io
    import sys

    (place / "in" / "a.usr").write_text(flow())
    assert mask(place).code == 0
    lines = written(place, "a.usr")
    for field, raw, found in (
        ("mpan", "2064385657041", lines[1].split("|")[1]),
        ("meter-serial", "E12Z090719", lines[2].split("|")[1]),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{raw}\n".encode())))
        done = datacut("pseudonym", "--field", field, "--key", place / "cut.key", "--cut", CUT)
        assert done.out == f"{found}\n"


def test_an_address_is_the_one_of_datacut_pseudonym(place, monkeypatch):
    import io
    import sys

    address = ["", "", "12", "", "MILL LANE", "", "", "LEEDS", "", "LS1 4AP"]
    body = "|".join(["71C", *address]) + "|"
    head, tail = HEAD.replace("D0150002", "D0131001"), TAIL.replace("|3|", "|2|")
    (place / "in" / "a.usr").write_text(flow(head=head, body=("253|2064385657041||", body), tail=tail))
    group = [row for row in flow_files.published()["D0131", "001"] if row["group"] == "71C"]
    assert [row["item"] for row in group][:10] == [*(f"J10{n}" for n in range(36, 45)), "J0263"]
    done = mask(place)
    assert done.code == 0, done.err
    found = written(place, "a.usr")[2].split("|")[1:11]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(("|".join(address) + "\n").encode())))
    known = datacut("pseudonym", "--field", "address", "--key", place / "cut.key", "--cut", CUT)
    assert known.out.strip("\n").split("|") == found
    assert found[9].startswith("LS1 ")
    assert found[9] != "LS1 4AP"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (flow(tail="ZPT|0000000001|4||1|20230819020001|"), 12, "line 5: the trailer states another number"),
        (flow(tail="ZPT|0000000002|3||1|20230819020001|"), 12, "header and trailer belong to different files"),
        (flow(tail=""), 11, "ends without its ZPT"),
        (flow(head=HEAD.replace("D0150002", "D9999001")), 11, "holds D9999001, which is not in the catalogue"),
        (flow(head="MPAN|SERIAL|"), 11, "line 1: is not a record"),
        (flow(head=HEAD[:30]), 11, "line 1: its header lacks fields"),
        (flow(body=(*BODY[:2], "ZZ9|2064385657041|")), 12, "line 4: D0150002 group ZZ9 is not in the catalogue"),
        (flow(body=(*BODY[:2], BODY[2] + "SMITH LANE|")), 12, "line 4: D0150002 group 08A has more fields"),
        (flow(body=("288|20190401||E|2064385657041|", *BODY[1:])), 12, "line 2: D0150002 group 288"),
        (flow(body=("288||2064385657041||E|", *BODY[1:])), 12, "line 2: D0150002 group 288"),
        (flow(body=("288", *BODY[1:])), 12, "lacks a mandatory identifier"),
        (flow(body=("2064385657041|x|", *BODY[1:])), 11, "line 2: is not a record"),
        ("288|2064385657041|20190401||E|\n" + flow(), 11, "line 1: is outside header and trailer"),
        (HEAD + "\n" + flow(), 11, "line 2: starts a flow before the trailer"),
        (flow() + TAIL + "\n", 11, "line 6: is a trailer without a header"),
        ("", 11, "holds no flow"),
        (flow(head=HEAD.replace("OPER", "2064385657041")), 11, "field 11 of its header is not of its form"),
    ],
)  # fmt: skip
def test_what_is_no_sound_flow_is_refused_and_nothing_is_written(place, text, code, words):
    (place / "in" / "good.usr").write_text(flow())
    (place / "in" / "bad.usr").write_text(text)
    done = mask(place)
    assert done.code == code
    assert words in done.told[0]
    assert "bad.usr" in done.told[0]
    assert "2064385657041" not in done.err
    assert sorted(path.name for path in place.iterdir()) == ["cut.key", "in"]


def test_an_item_without_a_kind_refuses_by_name_or_is_blanked(place):
    (place / "in" / "a.usr").write_text(flow())
    policy = place / "policy.yaml"
    policy.write_text(shipped_policy_text().replace("  J0410: keep", "  #J0410: keep"))
    done = mask(place, "--policy", policy)
    assert done.code == 12
    assert "does not classify J0410 Manufacturers Make & Type of D0150002" in done.told[0]
    done = mask(place, "--policy", policy, "--blank-unknown")
    assert done.code == 0
    assert "blanked: 1 of D0150002 group 290 position 6 (J0410)" in done.out
    assert written(place, "a.usr")[2].split("|")[6] == ""


def test_what_the_catalogue_does_not_know_is_blanked_on_demand(place):
    body = (*BODY, "ZZ9|MR SMITH|2064385657041|", "08A||2064385657041|20190401|AMAP|")
    (place / "in" / "a.usr").write_text(flow(body=body, tail=TAIL.replace("|3|", "|5|")))
    done = mask(place, "--blank-unknown")
    assert done.code == 0, done.err
    assert written(place, "a.usr")[4:6] == ["ZZ9|||", "08A|||||"]
    assert "1 of D0150002 group ZZ9, whole records" in done.out
    assert "1 of D0150002 group 08A, whole records" in done.out


@pytest.mark.parametrize("flag", ["TR01", "TR06", "", "OPER", "LIVE", None])
def test_a_masked_file_is_a_test(place, flag):
    head = HEAD.removesuffix("OPER|") + f"{flag}|" if flag is not None else HEAD.removesuffix("|||OPER|")
    (place / "in" / "a.usr").write_text(flow(head=head, end="\r\n"))
    assert mask(place, "--test-flag", "TR02").code == 0
    found = (place / "out" / "a.usr").read_bytes().split(b"\r\n")[0].decode().split("|")
    assert found[11] == (flag if flag in {"TR01", "TR06"} else "TR02")
    assert found[:8] == HEAD.split("|")[:8]


def test_a_last_field_without_its_pipe_is_a_field(place):
    body = (BODY[0], BODY[1], "296|20200101|MR SMITH SAW IT  ", "08A|KX 1234567|20190401|AMAP")
    (place / "in" / "a.usr").write_text(flow(body=body, tail=TAIL.replace("|3|", "|4|")))
    done = mask(place)
    assert done.code == 0, done.err
    lines = written(place, "a.usr")
    assert lines[4].endswith("|20190401|AMAP")
    assert lines[3] == "296|20200101|REMOVED  "


def test_a_number_has_a_sign_and_a_point_beside_its_digits_and_no_more(place):
    head = HEAD.replace("D0150002", "D0149001")
    above = ("280|2064385657041|20190401|", "281|0393|20190401|", "778|00001|20190401|", "283|E12Z090719|")
    text = flow(head=head, body=(*above, "284|01|-1|"), tail=TAIL.replace("|3|", "|5|"))
    (place / "in" / "a.usr").write_text(text)
    assert mask(place).code == 0
    assert written(place, "a.usr")[5] == "284|01|-1|"
    (place / "in" / "a.usr").write_text(text.replace("|-1|", "|2064385657041|"))
    assert mask(place, out="other").code == 12


def test_a_short_header_and_its_trailer(place):
    text = "ZHD|D0010002|D|UDMS|X|MRCY|20231201120000|\n026|2072411681206|V|\nZPT|3|77|1|20231201|\n"
    (place / "in" / "a.uff").write_text(text)
    done = mask(place)
    assert done.code == 0, done.err
    assert "1 flows begin with ZHD" in done.out
    assert written(place, "a.uff")[0] == text.split("\n", maxsplit=1)[0]
    assert written(place, "a.uff")[2] == "ZPT|3||1|20231201|"
    done = mask(place, "--require-test-flag", out="other")
    assert done.code == 12
    assert "a.uff: line 1: begins with ZHD" in done.told[0]
    assert not (place / "other").exists()


@pytest.mark.requirement("Q68")
def test_a_mandatory_code_becomes_a_code(place):
    raw = flow_files.make(("D0225", "002"), random.Random(1)).decode()
    (place / "in" / "a.usr").write_text(raw)
    done = mask(place)
    assert done.code == 0, done.err
    codes = [line for line in written(place, "a.usr") if line.startswith("99C|")]
    assert codes
    assert {line.split("|")[1] for line in codes} == {"14"}


def test_an_mpan_without_a_pseudonym_becomes_a_constant_and_is_told(place):
    (place / "in" / "a.usr").write_text(flow(body=("288|2064385657042|20190401||E|", *BODY[1:])))
    done = mask(place)
    assert written(place, "a.usr")[1] == "288|0000000000000|20190401||E|"
    assert "no pseudonym: 1 of J0003 MPAN Core" in done.out
    manifest = json.loads((place / "out" / "manifest.json").read_text())
    assert manifest["not_covered"] == [{"item": "J0003", "name": "MPAN Core", "values": 1}]


def test_folders_gzip_and_names_that_hold_an_mpan(place):
    (place / "in" / "deep").mkdir()
    (place / "in" / "deep" / "D0150-2064385657041.usr.gz").write_bytes(gzip.compress(flow().encode()))
    (place / "in" / ".hidden").write_text("not read")
    (place / "one.usr").write_text(flow())
    assert mask(place, inputs=("in", "one.usr")).code == 0
    packed = next((place / "out" / "deep").iterdir())
    assert "2064385657041" not in packed.name
    plain = (place / "out" / "one.usr").read_bytes()
    assert gzip.decompress(packed.read_bytes()) == plain
    again = mask(place, inputs=("in", "one.usr"), out="again")
    assert again.code == 0
    for path in (place / "out").rglob("*.*"):
        assert (place / "again" / path.relative_to(place / "out")).read_bytes() == path.read_bytes()


@pytest.mark.requirement("Q67")
def test_the_manifest_is_signed_and_every_change_is_seen(place):
    assert datacut("key", "signing", "--out", place / "sign.pem").code == 0
    assert datacut("key", "signing", "--out", place / "other.pem").code == 0
    (place / "in" / "a.usr").write_text(flow())
    (place / "in" / "b.usr").write_text(flow())
    assert mask(place, "--signing-key", place / "sign.pem").code == 0
    check = ("dtc", "verify", place / "out", "--public-key")
    assert datacut(*check, place / "sign.pub").code == 0
    assert datacut(*check, place / "other.pub").code == 18
    kept = place / "kept"
    shutil.copytree(place / "out", kept)
    changes = {
        "changed": lambda: (place / "out" / "a.usr").write_text(flow()),
        "gone": (place / "out" / "a.usr").unlink,
        "more": lambda: (place / "out" / "c.usr").write_text("x"),
        "manifest": lambda: (place / "out" / "manifest.json").write_text(
            (place / "out" / "manifest.json").read_text().replace('"records":3', '"records":4')
        ),
        "unsigned": (place / "out" / "signature.dsse.json").unlink,
    }
    for name, change in changes.items():
        change()
        assert datacut(*check, place / "sign.pub").code == 18, name
        shutil.rmtree(place / "out")
        shutil.copytree(kept, place / "out")


def test_inputs_and_output_that_contradict_each_other(place):
    (place / "in" / "a.usr").write_text(flow())
    (place / "a.usr").write_text(flow())
    assert mask(place, inputs=("in", "a.usr")).code == 2
    assert mask(place, out="in/out").code == 2
    (place / "empty").mkdir()
    assert mask(place, inputs=("empty",)).code == 11
    assert mask(place, inputs=("nowhere",)).code == 11
    assert mask(place, "--test-flag", "OPER").code == 2
    assert mask(place).code == 0
    assert mask(place).code == 2
    (place / "in" / "manifest.json").write_text(flow())
    assert mask(place, out="third").code == 2


def test_wrong_rules_and_keys(place):
    (place / "in" / "a.usr").write_text(flow())
    (place / "wrong.csv").write_text("a,b\n1,2\n")
    assert mask(place, "--catalogue", place / "wrong.csv").code == 10
    (place / "wrong.yaml").write_text("policy: dtc-mask/1\n")
    assert mask(place, "--policy", place / "wrong.yaml").code == 10
    (place / "cut.key").write_text("nothing\n")
    assert mask(place).code == 13


def test_thousands_of_small_files(place):
    choice = random.Random(1)
    texts = [flow_files.make(("D0010", "002"), choice) for _ in range(20)]
    for number in range(2000):
        (place / "in" / f"{number:04d}.usr").write_bytes(texts[number % 20])
    done = mask(place)
    assert done.code == 0
    assert "2000 files, 2000 flows" in done.out
    assert len(list((place / "out").glob("*.usr"))) == 2000


def test_the_shipped_policy_is_printed():
    assert datacut("dtc", "policy").out == shipped_policy_text()


def erroneous_transfer(place: Path, record: str) -> None:
    head, tail = HEAD.replace("D0150002", "D0301002"), TAIL.replace("|3|", "|1|")
    (place / "in" / "a.usr").write_text(flow(head=head, body=(record,), tail=tail))


ADDRESS = "2064385657041|12|MILL LANE|||||||LEEDS|LS1 4AP|"


@pytest.mark.requirement("Q61")
@pytest.mark.parametrize("end", ["MR BROWN|01134960000|N|", "MR BROWN|01134960000|", "MR BROWN|"])
def test_a_record_without_its_last_optional_fields_is_kept_as_it_stands(place, end):
    erroneous_transfer(place, f"63C|{ADDRESS}20230401|20230315|SUPA|SUPB|{end}")
    done = mask(place)
    assert (done.code, done.err) == (0, "")
    assert "blanked" not in done.out
    found = written(place, "a.usr")[1]
    assert "|20230401|20230315|SUPA|SUPB|REMOVED" in found
    assert found.count("|") == f"63C|{ADDRESS}20230401|20230315|SUPA|SUPB|{end}".count("|")


@pytest.mark.requirement("Q67")
def test_a_name_that_moved_into_a_kept_field_does_not_pass(place):
    """A date is left out in the middle: the name is where a supplier belongs."""
    erroneous_transfer(place, f"63C|{ADDRESS}20230401|SUPA|SUPB|MR BROWN|01134960000|N|")
    done = mask(place)
    assert done.code == 12
    assert "D0301002 group 63C position 13" in done.told[0]
    erroneous_transfer(place, f"63C|{ADDRESS}20230401|20230315|SUPB|MR BROWN|01134960000|N|")
    done = mask(place)
    assert done.code == 12
    assert "D0301002 group 63C position 15 (J1650): its record is shorter than its layout" in done.told[0]
    done = mask(place, "--blank-unknown")
    assert done.code == 0
    assert "1 of D0301002 group 63C position 15 (J1650): record shorter or longer than its layout" in done.out
    assert "BROWN" not in (place / "out" / "a.usr").read_text()


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize(("code", "found"), [("987654321", ""), ("8025004312345", "8025004312345"), ("", "")])
def test_an_optional_field_of_a_shorter_record_is_blanked_and_counted(place, code, found):
    """The last field, a unit's reference of twelve characters, is missing, or the charge code of thirteen before it."""
    head, tail = HEAD.replace("D0150002", "D0389001"), TAIL.replace("|3|", "|2|")
    body = ("RP1|2064385657041|1|A|", f"RP2|A|123|{code}|")
    (place / "in" / "a.usr").write_text(flow(head=head, body=body, tail=tail))
    done = mask(place)
    assert done.code == 0, done.err
    assert written(place, "a.usr")[2] == f"RP2|A|123|{found}|"
    words = "blanked: 1 of D0389001 group RP2 position 3 (J2276): record shorter or longer than its layout"
    assert (words in done.out) == (code != found)


CLOSED = ("289|0393|20190401|", "289|0393|20190401|")


@pytest.mark.requirement("Q61")
@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ((BODY[1], BODY[0]), 2, "group 290 is out of place: its layout has it below 288, 0..*"),
        ((BODY[0], "293|R1|C|AI|1.00||5|||"), 3, "group 293 is out of place: its layout has it below 290, 1..*"),
        ((BODY[0], BODY[1], BODY[2], "293|R1|C|AI|1.00||5|||"), 5, "group 293 is out of place"),
        ((BODY[0], *CLOSED), 4, "group 289 is out of place: its layout has it below 288, 1..1"),
        ((BODY[0], CLOSED[0], BODY[1], CLOSED[1]), 5, "group 289 is out of place"),
    ],
)
@pytest.mark.parametrize("block", [20, 1 << 22])
def test_a_group_stands_where_its_layout_has_it(place, body, line, words, block, monkeypatch):
    monkeypatch.setattr("flows.dtc.mask.BLOCK", block)
    monkeypatch.setattr("flows.dtc.files.CHUNK", block)
    (place / "in" / "a.usr").write_text(flow(body=body, tail=TAIL.replace("|3|", f"|{len(body)}|")))
    done = mask(place)
    assert done.code == 12
    assert f"line {line}: D0150002 {words}" in done.told[0]
    done = mask(place, "--blank-unknown")
    assert done.code == 0, done.err
    assert "blanked: 1 of D0150002 group" in done.out
    assert set(written(place, "a.usr")[line - 1].split("|")[1:]) == {""}
    kept = [number for number in range(1, len(body) + 1) if number != line - 1]
    assert all(written(place, "a.usr")[number].split("|")[1] for number in kept)


def test_one_of_a_kind_below_each_parent_is_right(place):
    body = (BODY[0], CLOSED[0], *BODY[1:], BODY[0], CLOSED[0], BODY[1])
    (place / "in" / "a.usr").write_text(flow(body=body, tail=TAIL.replace("|3|", "|7|")))
    done = mask(place)
    assert done.code == 0, done.err
    assert "blanked" not in done.out


def test_what_stands_below_a_record_out_of_place_is_blanked_with_it(place):
    register = "293|R1|C|AI|1.00||5|||"
    body = (BODY[1], register, register, *BODY, "295|01234|KX1234567|")
    (place / "in" / "a.usr").write_text(flow(body=body, tail=TAIL.replace("|3|", f"|{len(body)}|")))
    done = mask(place, "--blank-unknown")
    assert done.code == 0, done.err
    assert "blanked: 2 of D0150002 group 293, whole records" in done.out
    assert "blanked: 1 of D0150002 group 290, whole records" in done.out
    assert "blanked: 1 of D0150002 group 295, whole records" in done.out
