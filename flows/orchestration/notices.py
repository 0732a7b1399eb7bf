"""NOTICES: what somebody is told of a run that did not end well: cut, stage, last good step, what to do.

One template serves the server's alerts (:mod:`flows.orchestration.alerts`) and, where none are registered, the hook of
a flow. It shows states, names and our own lines, which hold no value of a row.
"""

from __future__ import annotations

import os
from typing import Any

from jinja2 import ChainableUndefined, Environment
from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

NOTIFY = "DATACUT_NOTIFY_BLOCK"  # a notification block, as type/name
STAGE, LAST = "datacut.stage", "datacut.last-good-step"  # labels of a flow run
NO_SIGN = "No sign of life for too long: the run's process, its worker or its machine is gone."

SUBJECT = "datacut <cut>: {{ flow.name }} {{ flow_run.state.name | lower }}"
BODY = """\
{%- set message = flow_run.state.message or '' -%}
Cut: <cut>
Run: {{ flow_run.name }}
State: {{ flow_run.state.name }}{% if message %}: {{ message }}{% endif %}

Stage: {{ flow_run.labels['datacut.stage'] or 'before the first' }}
Last good step: {{ flow_run.labels['datacut.last-good-step'] or 'none' }}
What to do: {% if flow_run.state.name == 'Cancelled' -%}
somebody cancelled it, and nothing was published. Run it again when it may go on.
{%- elif 'code: -9' in message or 'code -9' in message or 'code: -6' in message or 'code: 137' in message -%}
it was killed, most often for lack of memory. Give it more, or fewer workers, and run it again: it goes on where it was.
{%- elif flow_run.state.name == 'Crashed' -%}
see that machine, worker and server are there, and run it again: it goes on where it was.
{%- else -%}
as the line above says; docs/runbook.md has every exit code. Then run it again: it goes on where it was.
{%- endif %}"""
STUCK_SUBJECT = "datacut <cut>: {{ flow.name }} makes no progress"
STUCK_BODY = """\
Cut: <cut>
Run: {{ flow_run.name }}
State: {{ flow_run.state.name }}, and no step has ended for <minutes> minutes
Stage: {{ flow_run.labels['datacut.stage'] or 'before the first' }}
Last good step: {{ flow_run.labels['datacut.last-good-step'] or 'none' }}
What to do: look at the machine (disk, memory, a database that does not answer). Cancel the run if nothing moves, \
and run it again: it goes on where it was."""
LATE_SUBJECT = "datacut <cut>: {{ flow.name }} does not start"
LATE_BODY = """\
Cut: <cut>
Run: {{ flow_run.name }}
State: Late: nobody has begun it
Stage: before the first
Last good step: none
What to do: see that a worker runs and has a slot free."""
POOL_SUBJECT = "datacut: no worker answers in pool <pool>"
POOL_BODY = """\
Pool: <pool>
State: not ready: no worker has given a sign of life
What to do: start one where the backups are (prefect worker start --pool <pool>). \
Runs that it had begun are told of by themselves."""
INBOX_SUBJECT = "datacut <cut>: looks into the inbox fail"
EVENT_SUBJECT, EVENT_BODY = "{{ event.payload['subject'] }}", "{{ event.payload['body'] }}"


def of_cut(text: str, cut: str, **more: object) -> str:
    """Return a template with what is known when it is registered."""
    for name, value in {"cut": cut, **more}.items():
        text = text.replace(f"<{name}>", str(value))
    return text


def tell(subject: str, body: str, named: str) -> None:
    """Tell a notification block; ``named`` is its type and name."""
    Block.load(named).notify(subject=subject, body=body)  # type: ignore[union-attr]


def alerts_registered(cut: str) -> bool:
    """Tell whether the server itself tells of this cut's runs."""
    with get_client(sync_client=True) as client:
        return bool(client.read_automations_by_name(alert_name(cut, "failed")))


def alert_name(cut: str, what: str) -> str:
    """Return the name of an alert on the server."""
    return f"datacut {cut}: {what}"


def told_by_hook(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the block that ``DATACUT_NOTIFY_BLOCK`` names, where no alert of the server does: never twice."""
    named = os.environ.get(NOTIFY)
    cut = next((tag.partition(":")[2] for tag in flow_run.tags if tag.partition(":")[0] in ("cut", "inbox")), "")
    if not named or alerts_registered(cut):
        return
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(flow_run.id)  # with the labels that it has got since
    found.state = state
    templates = Environment(undefined=ChainableUndefined, autoescape=False)  # noqa: S701 - a message is plain text
    subject, body = (
        templates.from_string(of_cut(text, cut or "?")).render(flow=flow, flow_run=found) for text in (SUBJECT, BODY)
    )
    tell(subject, body, named)
