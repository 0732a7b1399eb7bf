"""Files of any published layout, made from random numbers; and a splitter that compares two files and knows no layout.

Neither reads anything of the product but its policy file, as plain YAML.
"""

from __future__ import annotations

import csv
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PUBLISHED = HERE / "catalogue-15.4.csv"
CASES = HERE / "cases"
POLICY = HERE.parents[1] / "contracts" / "dtc" / "policy" / "mask-policy.yaml"
WEIGHTS = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
MANY = "ABCDEFGHJKLMNPRSTUVWXYZ"


@cache
def policy() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    return found


@cache
def published() -> dict[tuple[str, str], list[dict[str, str]]]:
    flows = defaultdict(list)
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            flows[row["flow"], row["version"]].append(row)
    return dict(flows)


@cache
def kinds() -> dict[tuple[str, str, int], str]:
    """(flow and version, group, position) -> the policy's word."""
    known = policy()
    places = {(p["flow"], p["group"], p["item"]): p["kind"] for p in known["places"]}
    return {
        (flow + version, row["group"], int(row["position"])): places.get(
            (flow, row["group"], row["item"]), known["items"][row["item"]]
        )
        for (flow, version), rows in published().items()
        for row in rows
    }


def mpan(choice: random.Random) -> str:
    body = f"{choice.choice((10, 12, 20, 22, 24)):02d}{choice.randrange(10**10):010d}"
    return body + str(sum(w * int(d) for w, d in zip(WEIGHTS, body, strict=True)) % 11 % 10)


def serial(choice: random.Random) -> str:
    number = choice.randrange(10**6)
    return choice.choice((f"E{choice.randrange(30):02d}Z{number:06d}", f"{number:08d}", f"KX{number:06d}"))


def value(row: dict[str, str], kind: str, choice: random.Random) -> str:  # noqa: PLR0911 - a format a line
    """A value of an item's format that looks like what the item is."""
    form, _, length = row["format"].rstrip(")").partition("(")
    room = int(length) or 30
    match kind:
        case "mpan":
            return mpan(choice)
        case "meter_serial":
            return serial(choice)[:room]
        case "esme_id":
            return "-".join(f"{choice.randrange(256):02X}" for _ in range(8))
        case "postcode":
            area, unit = choice.choice(("LS", "M", "SW")), choice.choice("ABD")
            return f"{area}{choice.randrange(1, 20)} {choice.randrange(10)}{unit}Q"
        case "address_line":
            return f"{choice.randrange(1, 99)} Ferrars Yard {choice.randrange(99)}"[:room]
        case "name":
            return f"MRS QUILLFEATHER {choice.randrange(99)}"[:room]
        case "telephone":
            return f"0113{choice.randrange(10**7):07d}"[:room]
        case "email":
            return f"q{choice.randrange(99)}.quillfeather@mail.example"[:room]
    match form:
        case "DATE":
            return f"{choice.randrange(1996, 2024)}{choice.randrange(1, 13):02d}{choice.randrange(1, 29):02d}"
        case "DATETIME":
            return f"2023{choice.randrange(1, 13):02d}{choice.randrange(1, 29):02d}{choice.randrange(24):02d}3000"
        case "TIME":
            return f"{choice.randrange(24):02d}0000"
        case "BOOLEAN":
            return choice.choice("TFYN")
        case "NUM" | "INT":
            return str(choice.randrange(10 ** choice.randrange(1, room + 1)))
    return "".join(choice.choice(MANY + "0123456789") for _ in range(choice.randrange(1, room + 1)))


def make(key: tuple[str, str], choice: random.Random, *, optional: float = 0.8) -> bytes:
    """One file of a layout: every group with two records or so below each of its parent's."""
    rows = published()[key]
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    kind_of = kinds()
    label = "".join(key)

    def records(name: str) -> list[str]:
        fields = [
            value(row, kind_of[label, name, int(row["position"])], choice)
            if row["optionality"] == "M" or choice.random() < optional
            else ""
            for row in groups[name]
        ]
        below = [line for child in groups if groups[child][0]["parent"] == name for line in some(child)]
        return ["|".join([name, *fields]) + "|", *below]

    def some(name: str) -> list[str]:
        most = groups[name][0]["cardinality"].split("..")[1]
        return [line for _ in range(1 if most == "1" else 2) for line in records(name)]

    tops = [name for name in groups if groups[name][0]["parent"] not in groups]
    body = [line for name in tops for line in some(name)]
    number = f"{choice.randrange(10**10):010d}"
    head = f"ZHV|{number}|{label}|M|MOPA|D|DCOL|20230819020000||||OPER|"
    return "\n".join([head, *body, f"ZPT|{number}|{len(body)}|123456|1|20230819020001|", ""]).encode()


@dataclass
class Compared:
    """What the splitter saw: the raw values of the policy's items by kind with what came out, and what is wrong."""

    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    others: int = 0


def compare(raw: bytes, out: bytes, kind_of: dict[tuple[str, str, int], str]) -> Compared:
    """Split both files by line feed and pipe; every field that is no item of the policy is compared byte by byte."""
    seen = Compared()
    before, after = raw.split(b"\n"), out.split(b"\n")
    if len(before) != len(after):
        seen.wrong.append("another number of lines")
        return seen
    label, count = "", 0
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        olds, news = old.split(b"|"), new.split(b"|")
        group = olds[0].decode()
        if len(olds) != len(news) or olds[0] != news[0]:
            seen.wrong.append(f"line {number}: another number of fields")
        elif group in {"ZHV", "ZHD"}:
            label, count = olds[2 if group == "ZHV" else 1].decode(), 0
            form = group
            _control(seen, number, olds, news, {11: rb"TR\d\d"} if group == "ZHV" else {})
        elif group == "ZPT":
            at = 2 if form == "ZHV" else 1
            _control(seen, number, olds, news, {at: rb"%d" % count, at + 1: rb""} if form == "ZHV" else {at + 1: rb""})
        elif old.strip():
            count += 1
            for place, (was, now) in enumerate(zip(olds[1:], news[1:], strict=True), 1):
                kind = kind_of.get((label, group, place), "keep")
                if kind == "keep":
                    seen.others += 1
                    if was != now:
                        seen.wrong.append(f"line {number} field {place}: is not as it was")
                else:
                    seen.pairs[kind].append((was.decode(), now.decode()))
        elif old != new:
            seen.wrong.append(f"line {number}: blank and changed")
    return seen


def _control(seen: Compared, number: int, olds: list[bytes], news: list[bytes], changed: dict[int, bytes]) -> None:
    for place, (was, now) in enumerate(zip(olds, news, strict=True)):
        if not (re.fullmatch(changed[place], now) if place in changed else was == now):
            seen.wrong.append(f"line {number} field {place} of a control record")
