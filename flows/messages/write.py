"""Writes the messages of test cases: a file per test case, process and step, and the manifest (Q34)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import polars_hash  # noqa: F401 - registers the ``chash`` namespace

from contracts.errors import ConfigurationError, PlaceError
from contracts.messages import message_tables, message_values, versions
from contracts.messages.model import MessageTables
from contracts.processes import market_processes
from contracts.processes.model import Process
from contracts.strict import none_of
from flows.files import whole_folder
from flows.messages.pack_records import CASE, allocated, expected_records, processes_of
from flows.messages.published_schema import PublishedSchema, validate_folder
from flows.pack.bag import pack_reference
from transforms.release.market_processes import MessageDefaults, ProcessRun, StepResult
from transforms.release.message_forms import conforms

MANIFEST, FACTS = "manifest.csv", "manifest.json"
HEADER = (*CASE, "process", "step", "interface", "event", "file", "position", "sha256", "reason")
AT_ONCE = 5_000  # metering points whose messages are composed at a time
SCHEMA = "dip-messages/2"
# what a caller of the command chooses: option -> attribute of the terms, and the key that says what it may be
CHOSEN = {"--environment": ("environment", "environmentTag"), "--scenario": ("scenario", "appointmentScenario")}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class MessageSelection:
    """Which messages are wanted.

    Attributes:
        test_cases: ids; empty for all of the phase CIT.
        interfaces, processes: names; empty for all.
        version: of the tables; empty for the default one.
    """

    test_cases: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    version: str = ""


@dataclass(slots=True)
class MessageCounts:
    """What was written: files, messages by event, what no message is made for, and the verdict of a schema."""

    files: int = 0
    messages: int = 0
    left_out: int = 0
    passed_over: int = 0
    events: dict[str, int] = field(default_factory=dict)
    test_cases: list[str] = field(default_factory=list)
    validated: dict[str, Any] | None = None


def write_messages(
    pack: Path,
    out: Path,
    asked: MessageSelection,
    terms: MessageDefaults,
    schema: PublishedSchema | None = None,
    *,
    read: Callable[[], None] = lambda: None,
) -> MessageCounts:
    """Write the messages of the test cases of a release or return pack into a new folder.

    Args:
        schema: judges what was written; the folder is there whatever it says.
        read: called once all was read of the pack, before the folder is there.

    Raises:
        ConfigurationError: a test case, interface, process, version, or a value of the terms is not known.
        EvidenceError: the pack holds no allocations, records or processes.
        PlaceError: the folder exists already, or the disk is unfit.
    """
    tables, values = tables_of(asked), message_values()
    check_terms(tables, terms)
    processes = market_processes()
    given = allocated(pack, asked.test_cases)
    of_case = processes_of(pack, processes, asked.processes)
    records = expected_records(pack, given)
    run = ProcessRun(records, tables, values, processes.parties, terms)
    try:
        with whole_folder(out) as aside:
            writer = _Writer(aside)
            for chunk, chosen in chunks(given, of_case):
                for result in run.steps(chunk, chosen, asked.interfaces):
                    if not asked.interfaces or result.step.interface in asked.interfaces:
                        writer.add(result)
            done = writer.done
            done.test_cases = given["test_case"].unique().sort().to_list()
            facts = {
                **pack_reference(pack).model_dump(),
                "schema": SCHEMA,
                "version": tables.version,
                "processes": processes.digest,
                "files": done.files,
                "messages": done.messages,
                "events": done.events,
                "invented": list(values.invented),
                "dip_ids": dip_ids(records),
                **({"unknown": tables.unknown} if tables.unknown else {}),
            }
            (aside / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            read()
    except FileExistsError:
        raise PlaceError("already exists", where=out.name, remedy="name a new folder") from None
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=out.name) from None
    if schema is not None:
        done.validated = validate_folder(schema, written(out))
    return done


def tables_of(asked: MessageSelection) -> MessageTables:
    """Return the tables of the version asked for, and refuse interfaces that it does not have.

    Raises:
        ConfigurationError: there is no such version or interface.
    """
    known = versions()
    if asked.version and asked.version not in known:
        raise ConfigurationError(none_of(asked.version, known, "table of version"), where="--schema-version")
    tables = message_tables(asked.version)
    if unknown := sorted(set(asked.interfaces) - set(tables.interfaces())):
        raise ConfigurationError(
            f"no such interface: {', '.join(unknown)}", remedy=f"there are {', '.join(tables.interfaces())}"
        )
    return tables


def check_terms(tables: MessageTables, terms: MessageDefaults) -> None:
    """Refuse terms that no message may carry.

    Raises:
        ConfigurationError: names the options.
    """
    forms = {p.known_as: p.form for block in tables.blocks.values() for p in block.leaves()}
    wrong = []
    for option, (attribute, key) in CHOSEN.items():
        value, form = getattr(terms, attribute), forms[key]
        if (value or attribute == "scenario") and form is not None:
            fits = pl.select(conforms(pl.lit(value), form)).item()
            wrong += [] if fits else [option]
    if wrong:
        raise ConfigurationError(f"no message may carry the value of {', '.join(wrong)}", where="messages")


def chunks(
    given: pl.DataFrame, of_case: Mapping[str, Sequence[Process]]
) -> Iterator[tuple[pl.DataFrame, Sequence[Process]]]:
    """Yield metering points that go through the same processes, whole test cases at a time, in their order."""
    held: list[pl.DataFrame] = []
    mine: Sequence[Process] = ()
    for (name,), rows in given.group_by("test_case", maintain_order=True):
        processes = of_case.get(str(name), ())
        if held and ([p.id for p in processes] != [p.id for p in mine] or sum(f.height for f in held) >= AT_ONCE):
            yield pl.concat(held), mine
            held = []
        held, mine = [*held, rows], processes
    if held:
        yield pl.concat(held), mine


def dip_ids(records: pl.DataFrame) -> list[dict[str, str]]:
    """Return every party of some records with its DIP id and whose word that is: stated, or manufactured."""
    parties = [c.removesuffix("_dip_id_source") for c in records.columns if c.endswith("_dip_id_source")]
    found = [
        records.select(
            mpid=f"{party}_mpid", role=_role(records, party), dip_id=f"{party}_dip_id",
            source=f"{party}_dip_id_source",
        )
        for party in parties
    ]  # fmt: skip
    return pl.concat(found).drop_nulls().unique().sort("role", "mpid", "dip_id").to_dicts() if found else []


def _role(records: pl.DataFrame, party: str) -> pl.Expr:
    if f"{party}_role" in records.columns:
        return pl.col(f"{party}_role")
    names = {"supplier": "SUP", "other_supplier": "SUP", "distributor": "LDSO", "registration_service": "REGS"}
    return pl.lit(names.get(party, party.upper()))


class _Writer:
    """Writes the messages of steps below a folder, and a line of the manifest for each metering point and step."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.done = folder, MessageCounts()
        self._manifest = folder / MANIFEST
        self._manifest.write_text(",".join(HEADER) + "\n", encoding="utf-8")

    def add(self, result: StepResult) -> None:
        """Write one step: a JSON array a test case, one message a line."""
        step = result.step
        name = f"{result.process.id}/{step.number:02d}-{step.interface}-{step.event}.json"
        lines = []
        for (test_case,), rows in result.rows.group_by("test_case", maintain_order=True):
            file = f"{safe_name(str(test_case))}/{name}"
            there = rows["message"].is_not_null()
            body = rows["message"].drop_nulls()
            lines.append(
                rows.select(
                    *CASE, process=pl.lit(result.process.id), step=pl.lit(step.number),
                    interface=pl.lit(step.interface), event=pl.lit(step.event), file=pl.when(there).then(pl.lit(file)),
                    position=pl.when(there).then(there.cum_sum().cast(pl.Int64) - 1),
                    sha256=pl.col("message").chash.sha2_256(),  # type: ignore[attr-defined]
                    reason="reason",
                )
            )  # fmt: skip
            if len(body):
                path = self._folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                text = body.str.join(",\n").item()
                path.write_text(f"[\n{text}\n]\n", encoding="utf-8")
                self.done.files += 1
        with self._manifest.open("ab") as manifest:
            pl.concat(lines).write_csv(manifest, include_header=False)
        made = len(result.rows["message"].drop_nulls())
        passed = int(result.rows["reason"].str.starts_with("passed over").sum())
        self.done.messages += made
        self.done.passed_over += passed
        self.done.left_out += result.rows.height - made - passed
        if made:
            event = f"{step.interface} [{step.event}]"
            self.done.events[event] = self.done.events.get(event, 0) + made


def written(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield interface, event and JSON of every message in a folder, file by file."""
    manifest = pl.read_csv(folder / MANIFEST, infer_schema=False).filter(pl.col("file").is_not_null())
    for file, interface, event in manifest.select("file", "interface", "event").unique(maintain_order=True).rows():
        for line in (folder / file).read_text(encoding="utf-8").split("\n")[1:-2]:
            yield interface, event, line.removesuffix(",")


def safe_name(name: str) -> str:
    """Return a folder name for a test case; two names never meet."""
    plain = _UNSAFE.sub("_", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
