"""Market processes as chains of DIP messages: who sends which interface when, who receives it, who holds what then.

A test manager reads and changes the YAML; ``datacut contracts check`` holds it against the published events. What a
message carries stands in ``contracts/messages``.

Source: Q74 (programme-wide expected results), domain 8.2 (receivers; "many" is marked as assumed), domain 6.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from contracts.conditions import NotRowWiseError, sql
from contracts.documents.processes import PartiesDocument, ProcessEntry, ProcessesDocument, StepEntry
from contracts.errors import ContractError
from contracts.load import read_document
from contracts.messages.model import MessageTables, MessageValues
from contracts.processes.model import Holding, Party, Process, Processes, ProcessRefusal, ProcessStep
from contracts.strict import none_of

HERE = Path(__file__).parent
PARTIES = "parties.yaml"


@cache
def market_processes(folder: Path = HERE) -> Processes:
    """Read every process of a folder.

    Raises:
        ContractError: a file is wrong, two processes have one name, or one includes another that there is not.
    """
    document, digest = read_document(folder / PARTIES, PartiesDocument)
    parties = {n: Party(n, p.title, p.mpid, p.dip_id, p.role) for n, p in document.parties.items()}
    nodes: dict[str, tuple[ProcessEntry, str]] = {}
    digests = [digest]
    for path in sorted(folder.glob("*.yaml")):
        if path.name == PARTIES:
            continue
        file, digest = read_document(path, ProcessesDocument, ProcessesDocument.faults)
        digests.append(digest)
        for node in file.processes:
            if node.id in nodes:
                raise ContractError(f"process {node.id} is also in {nodes[node.id][1]}", where=path.name)
            nodes[node.id] = node, path.name
    found = {name: _process(node, nodes, parties, where) for name, (node, where) in nodes.items()}
    return Processes(parties, found, hashlib.sha256("".join(digests).encode()).hexdigest())


def _process(
    node: ProcessEntry, nodes: Mapping[str, tuple[ProcessEntry, str]], parties: Mapping[str, Party], where: str
) -> Process:
    place = f"{where}, {node.id}"
    steps = []
    for number, (entry, changes) in enumerate(_entries(node, nodes, place, (node.id,)), start=1):
        step = _step(number, entry, changes)
        for name in (step.sender, *step.receivers, *(step.holds.by if step.holds else ())):
            if name not in parties:
                raise ContractError(none_of(name, [*parties], "party"), where=place)
        steps.append(step)
    return Process(
        id=node.id,
        title=node.title,
        basis=tuple(node.basis),
        refuses=tuple(ProcessRefusal(refusal.when, refusal.why) for refusal in node.refuses),
        needs=tuple(node.needs),
        independent=node.independent,
        steps=tuple(steps),
    )


def _step(number: int, entry: StepEntry, changes: Sequence[Mapping[str, str]]) -> ProcessStep:
    return ProcessStep(
        number=number,
        sender=str(entry.sender),
        interface=str(entry.send),
        event=str(entry.event),
        receivers=tuple(entry.to),
        assumed=entry.assumed,
        changes=tuple(changes),
        without=tuple(entry.without),
        unless=ProcessRefusal(entry.unless.when, entry.unless.why) if entry.unless else None,
        holds=Holding(tuple(entry.holds.by), tuple(entry.holds.items)) if entry.holds else None,
    )


def _entries(
    node: ProcessEntry, nodes: Mapping[str, tuple[ProcessEntry, str]], place: str, above: tuple[str, ...]
) -> Iterator[tuple[StepEntry, list[Mapping[str, str]]]]:
    """Yield the messages of a process with what is set before each, included processes in their place."""
    waiting: list[Mapping[str, str]] = [node.set] if node.set else []
    for entry in node.steps:
        own: list[Mapping[str, str]] = [entry.set] if entry.set else []
        name = entry.include
        if name is None:
            yield entry, waiting + own
            waiting = []
            continue
        if name not in nodes:
            raise ContractError(none_of(name, [*nodes], "process"), where=place)
        if name in above:
            raise ContractError(f"process {name} includes itself", where=place)
        for inner, changes in _entries(nodes[name][0], nodes, place, (*above, name)):
            yield inner, waiting + own + changes
            waiting, own = [], []


def process_faults(processes: Processes, tables: MessageTables, values: MessageValues) -> list[str]:
    """Name what is wrong with processes: events, senders, blocks, keys without a value, texts that are no SQL."""
    faults = []
    for process in processes.processes.values():
        texts = [("refuses", r.when) for r in process.refuses]
        for step in process.steps:
            place = f"{process.id}, step {step.number}"
            event = tables.events.get((step.interface, step.event))
            if event is None:
                faults.append(f"{place}: {step.interface} has no event {step.event}")
                continue
            texts += [("unless", step.unless.when)] if step.unless else []
            texts += [(name, text) for changes in step.changes for name, text in changes.items()]
            optional = {use.key for use in event.custom if use.optional}
            faults += [
                f"{place}: {b} is not a block that {step.event} may leave out"
                for b in step.without
                if b not in optional
            ]
            role = processes.parties[step.sender].role
            if role.startswith("'") and event.senders and role.strip("'") not in event.senders:
                faults.append(f"{place}: {role} does not send {step.interface}")
            for use in (*event.common, *event.custom):
                if use.key != "D0" and use.key not in step.without:
                    lacking = [p.path for p in tables.blocks[use.block].leaves() if values.source(p) is None]
                    faults += [f"{place}: values.yaml gives nothing for {path}" for path in lacking]
        faults += [f"{process.id}, {name}: is not SQL over one row" for name, text in texts if not _is_sql(text)]
    own = {**values.context, **values.keys, **values.paths}
    faults += [f"values.yaml, {name}: is not SQL over one row" for name, text in own.items() if not _is_sql(text)]
    return list(dict.fromkeys(faults))


def _is_sql(text: str) -> bool:
    import polars as pl

    try:
        sql(text)
    except (NotRowWiseError, pl.exceptions.PolarsError):
        return False
    return True
