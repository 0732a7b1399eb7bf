"""Spoilt flow files: a documented exit code or a masked file, and no raw identifier in anything that is written."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter

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


def spoil_records(data: bytes, choice: random.Random) -> bytes:
    """Change whole records and fields: gone, twice, moved, shifted, joined, of another group or version."""
    lines = data.split(b"\n")
    for _ in range(choice.choice((1, 1, 2, 5))):
        at = choice.randrange(len(lines))
        fields = lines[at].split(b"|")
        place = choice.randrange(len(fields))
        match choice.randrange(10):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines[at:at] = [lines[at]]
            case 2:
                other = choice.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = b"|".join([*fields[:place], b"", *fields[place:]])
            case 4:
                lines[at] = b"|".join([*fields[:place], *fields[place + 1 :]])
            case 5:
                lines[at] = b"|".join([*fields[:place], b"".join(fields[place : place + 2]), *fields[place + 2 :]])
            case 6:
                lines[at] = b"|".join(
                    [choice.choice((b"026", b"028", b"ZZZ", b"zpt", b"", b"29", b"2900")), *fields[1:]]
                )
            case 7:
                lines[at : at + 2] = [b"".join(lines[at : at + 2])]
            case 8:
                lines[at] = re.sub(rb"D\d{7}", choice.choice((b"D0150002", b"D9999001", b"D0010001")), lines[at])
            case _:
                lines[at] = lines[at][: choice.randrange(len(lines[at]) + 1)]
        if not lines:
            lines = [b""]
    return b"\n".join(lines)


def spoilt(raw: bytes, choice: random.Random) -> bytes:
    """Return one spoilt file, a few of them packed and then spoilt again."""
    data = spoil_records(raw, choice) if choice.random() < 0.7 else spoil_bytes(raw, choice)
    if choice.random() < 0.05:
        data = gzip.compress(data, mtime=0)
        data = spoil_bytes(data, choice) if choice.random() < 0.5 else data
    return data


def run(count: int, seed: int, tmp_path, rules, pseudonymiser, monkeypatch) -> Counter[int]:
    monkeypatch.setattr(files.os, "sync", lambda: None)
    choice = random.Random(seed)
    sources = [(raw, identifiers(raw)) for raw in originals(choice)]
    codes: Counter[int] = Counter()
    path = tmp_path / "in.usr"
    for number in range(count):
        raw, names = choice.choice(sources)
        data = spoilt(raw, choice)
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
            written = body + b"|" + json.dumps(report.document()).encode()
        survived = {
            name for name in names if re.search(rb"(?<![0-9A-Za-z])" + re.escape(name) + rb"(?![0-9A-Za-z])", written)
        }
        (tmp_path / "last").write_bytes(data)
        assert not survived, (seed, number, data)
    assert sum(codes.values()) == count
    assert set(codes) <= {0, 11, 12}
    return codes


@pytest.mark.requirement("Q67")
def test_spoilt_flows_give_a_code_and_no_identifier(tmp_path, rules, pseudonymiser, monkeypatch):
    codes = run(400, 1, tmp_path, rules, pseudonymiser, monkeypatch)
    assert codes[0] > 20
    assert codes[11] > 20
    assert codes[12] > 20


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_ten_thousand_spoilt_flows(tmp_path, rules, pseudonymiser, monkeypatch):
    codes = run(10_000, 2, tmp_path, rules, pseudonymiser, monkeypatch)
    assert codes[0] > 1000
