"""The published blocks and events as facts: reads the two tables and judges a message, knowing nothing of the product.

``published/blocks.csv`` has a row for each key of a block (path with dots), ``events.csv`` one for each event.
Notes say what is required, what may be null, what may be left out. Dates and times are also parsed, not only matched.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parent / "published"
OPEN = {"B013", "B025", "B091", "B908List"}  # FACTS: these do not forbid further keys


@cache
def blocks() -> dict[str, dict[str, dict[str, str]]]:
    """Block -> path of a key -> its row."""
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    with (PUBLISHED / "blocks.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["block"]][row["key"]] = row
    return dict(found)


@cache
def events() -> dict[tuple[str, str], dict[str, Any]]:
    """(interface, event code with brackets) -> its blocks."""
    found = {}
    with (PUBLISHED / "events.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            needed = {what: _named(row["notes"], f"required {what}") for what in ("common", "custom")}
            found[row["interface"], row["event_code"]] = {
                "senders": set() if row["sender_role"] == "unknown" else set(row["sender_role"].split("|")),
                "common": (set(needed["common"]), set(row["common_blocks"].split())),
                "custom": (set(needed["custom"]), set(row["custom_blocks"].split())),
                "variant": "B906 in its variant B906a" in row["notes"],
                "version": _named(row["notes"], "schemaVersion", " ")[0],
            }
    return found


def _named(notes: str, what: str, between: str = ": ") -> list[str]:
    match = re.search(rf"(?:^|; ){what}{between}([^;]+)", notes)
    words = match[1].split() if match else []
    return [] if words == ["none"] else words


@cache
def children(block: str, path: str) -> dict[str, dict[str, str]]:
    """The keys that stand directly below a path of a block."""
    begin = f"{path}." if path else ""
    return {
        key[len(begin):]: row
        for key, row in blocks()[block].items()
        if key.startswith(begin) and "." not in key[len(begin):]
    }  # fmt: skip


@cache
def checker(json_type: str, form: str, enumeration: str, key: str) -> Callable[[Any], bool]:
    """Return what judges one value that is not null."""
    codes = set(enumeration.split("|")) if enumeration and not enumeration.startswith("see ") else None
    if json_type == "boolean":
        return lambda v: isinstance(v, bool)
    if json_type == "number":
        low, high = (
            float(n) for n in (re.findall(r"\d+", form) if ".." in form else ["0", re.findall(r"\d+", form)[0]])
        )
        kinds = (int,) if "integer" in form else (int, float)
        return lambda v: isinstance(v, kinds) and not isinstance(v, bool) and low <= v <= high
    if form.startswith("YYYY"):
        return stamp
    if match := re.search(r"pattern (\^.*\$)", form):
        pattern = re.compile(match[1])
        return lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None
    if form.startswith("decimal as text"):
        return lambda v: isinstance(v, str) and re.fullmatch(r"\d{1,9}\.\d{3}", v) is not None
    if form == "13 digits":
        return lambda v: isinstance(v, str) and re.fullmatch(r"\d{13}", v) is not None
    sizes = re.match(r"(\d+)(?:-(\d+))? characters", form)
    low, high = (int(sizes[1]), int(sizes[2] or sizes[1])) if sizes else (0, 10**6)

    def text(value: Any) -> bool:
        return isinstance(value, str) and low <= len(value) <= high and (codes is None or value in codes)

    return text


def stamp(value: Any) -> bool:
    """25 characters, a real moment, with an offset of whole hours and minutes."""
    if not isinstance(value, str) or len(value) != 25 or value[10] != "T" or value[-6] not in "+-":
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def faults(message: Any) -> list[str]:
    """Return what of a message is not as published."""
    found: list[str] = []
    if not isinstance(message, dict) or set(message) != {"payload"}:
        return ["not one payload"]
    payload = message["payload"]
    common, custom = payload.get("CommonBlock"), payload.get("CustomBlock")
    if not isinstance(common, dict) or set(payload) - {"CommonBlock", "CustomBlock"}:
        return ["no common block, or something beside the two"]
    try:
        name, code = common["S0"]["interfaceID"], common["S0"]["eventCode"]
        event = events()[name, code]
    except (KeyError, TypeError):
        return ["an event that is not published"]
    if common["S0"].get("schemaVersion") != event["version"]:
        found.append("S0.schemaVersion")
    if (custom is None) != (not event["custom"][1]):
        found.append("CustomBlock there or not")
    for part, (needed, known) in ((common, event["common"]), (custom or {}, event["custom"])):
        found += [f"lacks {b}" for b in sorted(needed - set(part))] + [f"has {b}" for b in sorted(set(part) - known)]
        for block, content in part.items():
            if block in known:
                variant = "B906a" if block == "B906" and event["variant"] else block
                found += _block(variant, content)
    role = str(common.get("S1", {}).get("senderRoleID"))
    if event["senders"] and role not in event["senders"]:
        found.append(f"sent by {role}")
    if not str(common.get("S1", {}).get("senderUniqueReference", "")).removeprefix("S-IF-").startswith(f"{name[3:]}-"):
        found.append("a reference of another interface")
    return found


def _block(block: str, content: Any) -> list[str]:
    if not block.endswith("List"):
        return _object(block, "", content)
    if not isinstance(content, list):
        return [f"{block} is no list"]
    most = {"B065List": 48, "B941List": 200}.get(block)
    too_many = [f"{block} has too many entries"] if most and len(content) > most else []
    return too_many + [fault for entry in content for fault in _object(block, "", entry)]


def _object(block: str, path: str, content: Any) -> list[str]:
    if not isinstance(content, dict):
        return [f"{block}.{path} is no object"]
    found = []
    below = children(block, path)
    for key in set(content) - set(below):
        if block not in OPEN or path:
            found.append(f"{block}.{path}.{key} is not published")
    for key, row in below.items():
        whole = f"{path}.{key}" if path else key
        if key not in content:
            if not row["notes"].startswith("optional"):
                found.append(f"{block}.{whole} is not there")
            continue
        found += _value(block, whole, row, content[key])
    return found


def _value(block: str, path: str, row: dict[str, str], value: Any) -> list[str]:
    form, place = row["example_or_format"], f"{block}.{path}"
    if row["json_type"] == "object":
        return _object(block, path, value)
    if form.startswith("list of objects"):
        bound = re.search(r"maxItems (\d+)", form)
        most = int(bound[1]) if bound else 10**9
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            return [f"{place} is no list of 1 to {most}"]
        return [fault for entry in value for fault in _object(block, path, entry)]
    if form.startswith("list of strings"):
        check = checker("string", form.partition(": ")[2], "", path)
        ok = isinstance(value, list) and all(entry is None or check(entry) for entry in value)
        return [] if ok else [f"{place} is no list of texts as published"]
    if value is None:
        return [] if "null allowed" in row["notes"] else [f"{place} is null"]
    ok = checker(row["json_type"], form, row["enumeration_if_known"], path)(value)
    return [] if ok else [f"{place} is not as published"]


def day_faults(message: Any) -> list[str]:
    """Return what of the half-hours of a message is not a UTC day of 48 periods, named by their ends."""
    custom = message["payload"]["CustomBlock"]
    found = []
    days = custom["B900"]["settlementDayConsumptionPeriods"] if "B900" in custom else [
        day for entry in custom["B920List"] for day in entry["settlementDayConsumptionPeriods"]
    ]  # fmt: skip
    for day in days:
        begin = datetime.fromisoformat(day["settlementDay"]["settlementDayDate"])
        if not day["settlementDay"]["settlementDayDate"].endswith("T00:00:00+00:00"):
            found.append("the day does not begin at midnight UTC")
        entries = day.get("consumptionPeriods") or day["defaultedConsumptionPeriods"]
        ends = [e.get("sp") or e["settlementPeriodEffectiveToDateTime"] for e in entries]
        wanted = [(begin + timedelta(minutes=30 * n)).isoformat(timespec="seconds") for n in range(1, 49)]
        if ends != wanted:
            found.append("not 48 periods by their ends in UTC")
    return found


def read(path: Path) -> list[Any]:
    return list(json.loads(path.read_text(encoding="utf-8")))
