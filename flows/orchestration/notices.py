"""NOTICES: what somebody is told of a run that did not end well: cut, stage, last good step, what to do.

One template serves the server's alerts (:mod:`flows.orchestration.alerts`) and who tells in their place
(:mod:`flows.orchestration.telling`). It shows states, names and our own lines, which hold no value of a row.
"""

from __future__ import annotations

FAILED, GONE = "failed", "crashed or cancelled"  # alerts
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


def alert_name(cut: str, what: str) -> str:
    """Return the name of an alert on the server."""
    return f"datacut {cut}: {what}"
