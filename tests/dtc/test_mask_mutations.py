"""Spoilt flow files: a documented exit code or a masked file, and no raw identifier in anything that is written."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from contracts.errors import DataCutError
from flows.dtc import files
from tests.dtc import flow_files
from tests.dtc.test_mask_layouts import masked, pseudonymiser, rules
from tests.mutations import spoil_bytes

__all__ = ["pseudonymiser", "rules"]
KINDS = frozenset({"mpan", "meter_serial", "esme_id", "address_line", "postcode", "name", "telephone", "email"})
NO_IDENTIFIER = 6  # a shorter value may be anything


def originals(choice: random.Random) -> list[bytes]:
    keys = sorted(flow_files.published())
    small = [key for key in keys if len(flow_files.published()[key]) < 60]
    made = [flow_files.make(key, choice) for key in choice.sample(small, 40)]
    return [*(path.read_bytes() for path in sorted(flow_files.CASES.iterdir())), *made]


def identifiers(raw: bytes) -> set[bytes]:
    """What of an unspoilt file may not come out."""
    kind_of = flow_files.kinds()
    found, label = set(), ""
    for line in raw.split(b"\n"):
        fields = line.rstrip(b"\r").split(b"|")
        group = fields[0].decode()
        if group in {"ZHV", "ZHD"}:
            label = fields[2 if group == "ZHV" else 1].decode()
        for place, value in enumerate(fields[1:], 1):
            if kind_of.get((label, group, place)) in KINDS and len(value) >= NO_IDENTIFIER:
                found.add(value)
    return found


Lines = list[bytes]


def on_field(change: Callable[[Lines, int, random.Random], Lines]) -> Callable[[Lines, int, random.Random], None]:
    """A change of the fields of one line, at a field."""

    def spoil(lines: Lines, at: int, choice: random.Random) -> None:
        fields = lines[at].split(b"|")
        lines[at] = b"|".join(change(fields, choice.randrange(len(fields)), choice))

    return spoil


def record_gone(lines: Lines, at: int, choice: random.Random) -> None:
    del lines[at]


def record_twice(lines: Lines, at: int, choice: random.Random) -> None:
    lines.insert(at, lines[at])


def records_swapped(lines: Lines, at: int, choice: random.Random) -> None:
    other = choice.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def records_joined(lines: Lines, at: int, choice: random.Random) -> None:
    lines[at : at + 2] = [b"".join(lines[at : at + 2])]


def record_cut_off(lines: Lines, at: int, choice: random.Random) -> None:
    lines[at] = lines[at][: choice.randrange(len(lines[at]) + 1)]


def other_version(lines: Lines, at: int, choice: random.Random) -> None:
    lines[at] = re.sub(rb"D\d{7}", choice.choice((b"D0150002", b"D9999001", b"D0010001")), lines[at])


def other_group(lines: Lines, at: int, choice: random.Random) -> None:
    group = choice.choice((b"026", b"028", b"ZZZ", b"zpt", b"", b"29", b"2900"))
    lines[at] = b"|".join([group, *lines[at].split(b"|")[1:]])


RECORDS: dict[str, Callable[[Lines, int, random.Random], None]] = {
    "record gone": record_gone,
    "record twice": record_twice,
    "records swapped": records_swapped,
    "records joined": records_joined,
    "record cut off": record_cut_off,
    "other version": other_version,
    "other group": other_group,
    "field too many": on_field(lambda fields, at, _: [*fields[:at], b"", *fields[at:]]),
    "value too many": on_field(lambda fields, at, choice: [*fields[:at], choice.choice(fields), *fields[at:]]),
    "field gone": on_field(lambda fields, at, _: [*fields[:at], *fields[at + 1 :]]),
    "two fields gone": on_field(lambda fields, at, _: [*fields[:at], *fields[at + 2 :]]),
    "fields joined": on_field(lambda fields, at, _: [*fields[:at], b"".join(fields[at : at + 2]), *fields[at + 2 :]]),
}
CLASSES = (*RECORDS, "bytes", "packed", "mixed")


def spoilt(raw: bytes, name: str, choice: random.Random) -> bytes:
    """Return one file spoilt in the way that is named, once or a few times."""
    match name:
        case "bytes":
            return spoil_bytes(raw, choice)
        case "packed":
            data = gzip.compress(spoilt(raw, "mixed", choice), mtime=0)
            return spoil_bytes(data, choice) if choice.random() < 0.5 else data
    lines = raw.split(b"\n")
    for _ in range(choice.choice((1, 1, 2, 5))):
        way = RECORDS[choice.choice(sorted(RECORDS)) if name == "mixed" else name]
        way(lines, choice.randrange(len(lines)), choice)
        lines = lines or [b""]
    return b"\n".join(lines)


def survivors(names: set[bytes], written: bytes) -> set[bytes]:
    """Which raw values are in what was written."""
    return {name for name in names if re.search(rb"(?<![0-9A-Za-z])" + re.escape(name) + rb"(?![0-9A-Za-z])", written)}


def run(count: int, seed: int, name: str, tmp_path, rules, pseudonymiser, monkeypatch) -> Counter[int]:
    monkeypatch.setattr(files.os, "sync", lambda: None)
    choice = random.Random(f"{seed} {name}")
    sources = [(raw, identifiers(raw)) for raw in originals(choice)]
    codes: Counter[int] = Counter()
    path = tmp_path / "in.usr"
    for number in range(count):
        raw, names = choice.choice(sources)
        data = spoilt(raw, name, choice)
        path.write_bytes(data)
        out = tmp_path / str(number)
        try:
            report = masked(rules, pseudonymiser, [path], out, blank_unknown=choice.random() < 0.5)
        except DataCutError as fault:
            codes[fault.exit_code] += 1
            assert not out.exists(), (seed, number)
            written = fault.line().encode()
        else:
            codes[0] += 1
            body = (out / "in.usr").read_bytes()
            body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
            written = body + b"|" + json.dumps(report.manifest().document()).encode()
        assert not survivors(names, written), (seed, name, number, data)
    assert sum(codes.values()) == count
    assert set(codes) <= {0, 11, 12}
    return codes


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("name", CLASSES)
def test_spoilt_flows_give_a_code_and_no_identifier(tmp_path, rules, pseudonymiser, monkeypatch, name):
    run(30, 1, name, tmp_path, rules, pseudonymiser, monkeypatch)


FILES = int(os.environ.get("DATACUT_SPOILT_FILES", "300"))  # a campaign has 10,000 a seed; CI a sample of them


@pytest.mark.slow
@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("seed", [2, 3, 5])
@pytest.mark.parametrize("name", CLASSES)
def test_ten_thousand_spoilt_flows(tmp_path, rules, pseudonymiser, monkeypatch, name, seed):
    """Ten thousand a seed, an equal share of each class."""
    files = FILES // len(CLASSES) + 1
    codes = run(files, seed, name, tmp_path, rules, pseudonymiser, monkeypatch)
    assert files < 100 or codes[0] > files // 33  # of many some are masked, in whatever way they were spoilt


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize(
    ("gone", "more"),
    [(1, 0), *(pytest.param(*change, marks=pytest.mark.slow) for change in ((2, 0), (4, 0), (0, 1), (0, 3)))],
)
def test_no_value_gets_through_a_record_of_another_length(tmp_path, rules, pseudonymiser, gone, more):
    """At every field of every group of every layout in turn, fields are left out or blank ones put in."""
    choice, names = random.Random(gone), {}
    (tmp_path / "in").mkdir()
    for key in sorted(flow_files.published()):
        raw = flow_files.make(key, choice, optional=1.0)
        lines = raw.split(b"\n")
        done = set()
        for at, line in enumerate(lines[1:-2], 1):
            fields = line.split(b"|")
            if fields[0] in done:
                continue
            done.add(fields[0])
            for place in range(1, len(fields) - gone):
                changed = b"|".join([*fields[:place], *[b""] * more, *fields[place + gone :]])
                name = f"{''.join(key)}-{fields[0].decode()}-{place}.usr"
                (tmp_path / "in" / name).write_bytes(b"\n".join([*lines[:at], changed, *lines[at + 1 :]]))
                names[name] = identifiers(raw)
    masked(rules, pseudonymiser, [tmp_path / "in"], tmp_path / "out", blank_unknown=True)
    found = {name: survivors(values, (tmp_path / "out" / name).read_bytes()) for name, values in names.items()}
    assert {name: values for name, values in found.items() if values} == {}
    assert len(found) > 1000
