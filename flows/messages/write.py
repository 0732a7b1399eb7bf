"""Writes the messages of test cases: a file per test case, interface and event, and the manifest (Q34)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import ConfigurationError, EvidenceError, PlaceError
from contracts.json_types import JsonObject
from contracts.messages import SCHEMA, messages
from contracts.messages.model import Messages
from flows.pack.bag import pack_reference
from transforms.release.dip_messages import MessageDefaults, Record, Subject, compose, respelt, why_not

MOST = 10  # faults that one message may list
# what a caller of the command chooses: option -> attribute of the terms, and where the schema says what it may be
CHOSEN = {
    "--environment": ("environment", "S1", "environmentTag"),
    "--schema-version": ("version", "S0", "schemaVersion"),
    "--connection-provider": ("connection_provider", "S1", "DIPConnectionProviderID"),
    "--scenario": ("scenario", "B070", "appointmentScenario"),
}


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_bytes()))


def term_faults(terms: MessageDefaults) -> list[str]:
    """Name the options whose value no message may carry; an empty one stands for the table's own."""
    faults = []
    for option, (attribute, block, key) in CHOSEN.items():
        value = getattr(terms, attribute)
        place = _validator().evolve(schema=_validator().schema["$defs"][block]["properties"][key])
        if (value or attribute == "scenario") and not place.is_valid(value):
            faults.append(option)
    return faults


def message_faults(message: JsonObject) -> list[str]:
    """Name the places of a message that break the schema, at most ten."""
    faults = []
    for error in _validator().iter_errors([message]):
        place = "/".join(str(step) for step in list(error.absolute_path)[1:]) or "message"
        faults.append(f"{place} breaks {error.validator}")
        if len(faults) == MOST:
            break
    return faults


MANIFEST, FACTS = "manifest.csv", "manifest.json"
HEADER = ("test_case", "mpan_core", "role", "interface", "event", "file", "position", "sha256", "reason")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class MessageSelection:
    """Which messages are wanted.

    Attributes:
        test_cases: ids; empty for all of the phase CIT.
        interfaces: names; empty for all.
        spelling: of the keys.
    """

    test_cases: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    spelling: str = "schema"


@dataclass(slots=True)
class MessageCounts:
    """What was written: files, messages, and what no message is made for."""

    files: int = 0
    messages: int = 0
    left_out: int = 0
    test_cases: list[str] = field(default_factory=list)


def write_messages(pack: Path, out: Path, asked: MessageSelection, terms: MessageDefaults) -> MessageCounts:
    """Write the messages of a release or return pack into a new folder.

    Raises:
        ConfigurationError: a test case, interface, spelling, or a value of the terms is not known.
        EvidenceError: the pack holds no allocations, or a message breaks the schema.
        PlaceError: the folder exists already, or the disk is unfit.
    """
    table = messages()
    _check(asked, table, terms)
    given = allocated(pack, asked)
    records = expected(pack, given)
    if out.exists():
        raise PlaceError("already exists", where=out.name, remedy="name a new folder")
    aside = out.absolute().parent / f".{out.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    writer = MessageWriter(aside, records, terms, asked.spelling)
    done = writer.done
    done.test_cases = given["test_case"].unique().sort().to_list()
    try:
        aside.mkdir(parents=True)
        for group in _groups(given, asked, table):
            writer.write(group)
        (aside / MANIFEST).write_text(writer.manifest(), encoding="utf-8")
        made = {"schema": "dip-messages/1", "files": done.files, "messages": done.messages}
        facts = {**pack_reference(pack).model_dump(), **made}
        (aside / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        aside.rename(out)
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=out.name) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return done


def _check(asked: MessageSelection, table: Messages, terms: MessageDefaults) -> None:
    if wrong := term_faults(terms):
        where = SCHEMA.name
        raise ConfigurationError(f"the schema does not know the value of {', '.join(wrong)}", where=where)
    if unknown := sorted(set(asked.interfaces) - set(table.interfaces)):
        raise ConfigurationError(
            f"no such interface: {', '.join(unknown)}", remedy=f"there are {', '.join(table.interfaces)}"
        )
    if asked.spelling not in table.spellings:
        raise ConfigurationError("no such spelling", where=asked.spelling, remedy=f"{' or '.join(table.spellings)}")


def allocated(pack: Path, asked: MessageSelection) -> pl.DataFrame:
    """Return the allocations wanted, each once: ``test_case``, ``mpan_core``, ``role``, in order.

    Raises:
        EvidenceError: the pack holds no allocations. ConfigurationError: a test case has none.
    """
    files = sorted((pack / "data").glob("*/allocations.parquet"))
    if not files:
        raise EvidenceError(
            "holds no allocations", where=pack.name, remedy="name a release made with a ring-fence plan"
        )
    whole = pl.concat(pl.scan_parquet(f).select("test_case", "phase", "mpan_core", "role") for f in files)
    chosen = pl.col("test_case").is_in(asked.test_cases) if asked.test_cases else pl.col("phase") == "CIT"
    found = whole.filter(chosen).unique().sort("test_case", "mpan_core", "role").collect()
    if missing := sorted(set(asked.test_cases) - set(found["test_case"])):
        raise ConfigurationError(f"no metering point is allocated to {', '.join(missing)}", where=pack.name)
    return found


def expected(pack: Path, given: pl.DataFrame) -> Mapping[str, Record]:
    """Return the expected records of the allocated metering points and of those associated with them, by MPAN."""
    whole = pl.concat(pl.scan_parquet(f) for f in sorted((pack / "data").glob("*/expected.parquet")))
    mpans = given["mpan_core"].implode()
    own = whole.filter(pl.col("mpan_core").is_in(mpans)).unique("mpan_core").collect()
    near = pl.concat([own["linked_mpan"], own["related_mpan"]]).drop_nulls().unique()
    near_of = pl.any_horizontal(pl.col(c).is_in(mpans) for c in ("linked_mpan", "related_mpan"))
    others = whole.filter(pl.col("mpan_core").is_in(near.implode()) | near_of).unique("mpan_core").collect()
    both = pl.concat([own, others]).unique("mpan_core", maintain_order=True)
    return {record["mpan_core"]: record for record in both.to_dicts()}


@dataclass(frozen=True, slots=True)
class MessageGroup:
    """The metering points of one test case for one event of one interface."""

    test_case: str
    interface: str
    event: str
    members: Sequence[tuple[str, str]]


def _groups(given: pl.DataFrame, asked: MessageSelection, table: Messages) -> Iterator[MessageGroup]:
    for (test_case,), rows in given.group_by("test_case", maintain_order=True):
        members = list(zip(rows["mpan_core"], rows["role"], strict=True))
        for name, interface in table.interfaces.items():
            if not asked.interfaces or name in asked.interfaces:
                for event in interface.events:
                    yield MessageGroup(str(test_case), name, event, members)


class MessageWriter:
    """Writes groups of messages below a folder, and a line of the manifest for each metering point and event."""

    def __init__(self, folder: Path, records: Mapping[str, Record], terms: MessageDefaults, spelling: str) -> None:
        self._folder, self._terms, self._spelling, self._table = folder, terms, spelling, messages()
        self._records = records
        self._exports, self._secondaries = _by_partner(records)
        self._text = io.StringIO()
        self._manifest = csv.writer(self._text, lineterminator="\n")
        self._manifest.writerow(HEADER)
        self.done = MessageCounts()

    def manifest(self) -> str:
        """Return the manifest as CSV."""
        return self._text.getvalue()

    def write(self, group: MessageGroup) -> None:
        """Write the messages of one group as one file, a JSON array.

        Raises:
            EvidenceError: a message breaks the schema.
        """
        body: list[JsonObject] = []
        file = f"{_safe(group.test_case)}/{group.interface}-{group.event}.json"
        for mpan, role in group.members:
            line = [group.test_case, mpan, role, group.interface, group.event]
            message, reason = self._message(group, mpan)
            if message is None:
                self._manifest.writerow([*line, "", "", "", reason])
                self.done.left_out += 1
                continue
            text = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            self._manifest.writerow([*line, file, len(body), hashlib.sha256(text.encode()).hexdigest(), ""])
            body.append(message)
        if body:
            path = self._folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            self.done.files += 1
            self.done.messages += len(body)

    def _message(self, group: MessageGroup, mpan: str) -> tuple[JsonObject | None, str]:
        """Return the message, or why there is none."""
        record = self._records.get(mpan)
        if record is None:
            return None, "is not in the expected records"
        if reason := why_not(self._table, self._table.interfaces[group.interface], group.event, record):
            return None, reason
        message = compose(
            self._table, group.interface, group.event, self._subject(record, group.test_case), self._terms
        )
        if faults := message_faults(message):
            raise EvidenceError(f"{group.interface} [{group.event}]: {'; '.join(faults)}", where=group.test_case)
        return respelt(message, self._table, self._spelling), ""

    def _subject(self, record: Record, test_case: str) -> Subject:
        mine = record["mpan_core"]
        if record["association_role"] == "PRINCIPAL":
            linked = self._exports.get(mine, [])
        else:
            linked = [self._records[m] for m in (record["linked_mpan"],) if m in self._records]
        return Subject(record, test_case, linked, self._secondaries.get(mine, []))


def _by_partner(records: Mapping[str, Record]) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
    """Return the exports of each import, and the secondaries of each primary, in order."""
    exports: dict[str, list[Record]] = {}
    secondaries: dict[str, list[Record]] = {}
    for record in sorted(records.values(), key=lambda r: str(r["mpan_core"])):
        if record["association_role"] == "SUBSIDIARY":
            exports.setdefault(record["linked_mpan"], []).append(record)
        if record["related_role"] == "SECONDARY":
            secondaries.setdefault(record["related_mpan"], []).append(record)
    return exports, secondaries


def _safe(name: str) -> str:
    """Return a folder name for a test case; two names never meet."""
    plain = _UNSAFE.sub("_", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
