"""``docs/processes.md``: every market process as a sequence and a table of its events, made from the contracts.

python -m contracts.documents.process_page > docs/processes.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from contracts.messages import message_tables
from contracts.messages.model import MessageTables
from contracts.processes import market_processes
from contracts.processes.model import Process, Processes, ProcessStep

_HEAD = """\
# Market processes

Made from `contracts/processes/` (`make docs`). Each process is a chain of DIP messages: who sends which interface when,
who receives the publication of the same number, and which items of the record who holds after the step. A release has
the chain of each ring-fenced metering point in `data/<participant>/expected/steps.parquet`, `datacut expected` prints
it, `datacut messages` writes its payloads. "(assumed)" marks receivers where the interface catalogue says "many".

A test case of a ring-fence plan names the processes that it runs (`processes: [change_of_supplier, meter_exchange]`);
without them it runs all that apply.
"""


def page(processes: Processes, tables: MessageTables) -> str:
    """Return the page."""
    chains = [line for process in processes.processes.values() for line in _process(process, processes)]
    return "\n".join([_HEAD, *_events(processes, tables), *chains]).rstrip("\n") + "\n"


def _events(processes: Processes, tables: MessageTables) -> Iterator[str]:
    """Yield the table of all events that some process names."""
    events = processes.events()
    yield f"## Events\n\n{len(events)} of the {len(tables.events)} published events.\n"
    yield "| interface | event | publication | sent by | processes |\n|---|---|---|---|---|"
    for interface, code in events:
        chains = [
            p for p in processes.processes.values() if (interface, code) in {(s.interface, s.event) for s in p.steps}
        ]
        names = ", ".join(f"`{process.id}`" for process in chains)
        event = tables.events[interface, code]
        yield f"| {interface} | {code} | {event.publication} | {', '.join(event.senders)} | {names} |"
    yield ""


def _named(process: Process) -> set[tuple[str, str]]:
    return {(step.interface, step.event) for step in process.steps}


def _process(process: Process, processes: Processes) -> Iterator[str]:
    yield f"## {process.title}\n\n`{process.id}`"
    for refusal in process.refuses:
        yield f"\nNot where `{refusal.when}`: {refusal.why}."
    if process.needs:
        yield f"\nNeeds {', '.join(f'`{name}`' for name in process.needs)}."
    yield "\n```mermaid\nsequenceDiagram"
    named = dict.fromkeys(name for s in process.steps for name in (s.sender, *s.receivers))
    for name in named:
        yield f"  participant {name} as {processes.parties[name].title}"
    for step in process.steps:
        yield from _step(step)
    yield "```\n"


def _step(step: ProcessStep) -> Iterator[str]:
    assumed = " (assumed)" if step.assumed else ""
    first, *others = step.receivers
    yield f"  {step.sender}->>{first}: {step.number}. {step.interface} {step.event}{assumed}"
    for other in others:
        yield f"  {step.sender}->>{other}: {step.interface.replace('IF-', 'PUB-')}"
    if step.unless is not None:
        yield f"  Note right of {step.sender}: passed over where {step.unless.why}"
    if step.holds is not None:
        yield f"  Note over {step.holds.by[0]}: {', '.join(step.holds.by)} hold {', '.join(step.holds.items)}"


if __name__ == "__main__":
    sys.stdout.write(page(market_processes(), message_tables()))
