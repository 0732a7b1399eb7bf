"""TELLING: who tells a notification block where the server's alerts do not, so that nobody waits for a message.

Prefect's server keeps its queue of events in memory: what ends while it is killed, or before it listens again, sets off
no alert. Whoever saw the end looks whether a message went out, and so does the next look into the inbox; they tell what
was missed. An alert that went out leaves an event that names the state it told of; what is told here, a label.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from jinja2 import ChainableUndefined, Environment
from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.actions import SendNotification
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter, EventResourceFilter
from prefect.events.schemas.automations import Automation
from prefect.exceptions import PrefectException

from flows.orchestration.notices import BODY, FAILED, GONE, SUBJECT, alert_name, of_cut
from flows.orchestration.options import job_tag

NOTIFY = "DATACUT_NOTIFY_BLOCK"  # a notification block, as type/name
TOLD = "datacut.told-of"  # label of a flow run: the state that was told of here
EXECUTED = "prefect.automation.action.executed"
ENDED_BADLY = (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
PATIENCE = timedelta(seconds=45)  # alerts need ten seconds, the server five to note that one went out
LOOKS_AGAIN = 2.0  # seconds
LEFT_TO_OTHERS = timedelta(minutes=3)  # by then whoever saw the end has told
LOOKS_BACK = timedelta(days=1)
AWAY = (httpx.HTTPError, OSError, PrefectException, RuntimeError)


def tell(subject: str, body: str, named: str) -> None:
    """Tell a notification block; ``named`` is its type and name."""
    Block.load(named).notify(subject=subject, body=body)  # type: ignore[union-attr]


def alerts_registered(cut: str) -> bool:
    """Tell whether the server itself tells of this cut's runs."""
    with get_client(sync_client=True) as client:
        return bool(client.read_automations_by_name(alert_name(cut, FAILED)))


def told_by_hook(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """See that somebody is told of a run that ended badly: never twice.

    Where no alert of the server does, the block that ``DATACUT_NOTIFY_BLOCK`` names is told. Where there are alerts,
    they have their time, and what they miss is told here: before the process of a run that failed ends, or beside a
    worker's other work.
    """
    cut = next((tag.partition(":")[2] for tag in flow_run.tags if tag.partition(":")[0] in ("cut", "inbox")), "")
    if alerts_registered(cut):
        if job_tag(cut) not in flow_run.tags:
            return
        if state.is_failed():
            _see_to(cut, flow_run)
        else:
            threading.Thread(target=copy_context().run, args=(_see_to, cut, flow_run), name="told").start()
    elif named := os.environ.get(NOTIFY):
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(flow_run.id)  # with the labels that it has got since
        found.state = state
        tell(*_rendered(cut or "?", flow.name, found), named)


def _see_to(cut: str, run: FlowRun) -> None:
    """Wait until somebody was told of a run, or tell; a server that is away is asked again."""
    until = time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < until:
        with contextlib.suppress(*AWAY), get_client(sync_client=True) as client:
            found = client.read_flow_run(run.id)
            if not _missed(client, _alerts(client, cut), [found]):
                return
        time.sleep(LOOKS_AGAIN)
    tell_missed(cut, only=run, after=timedelta(0))


def tell_missed(cut: str, *, only: FlowRun | None = None, after: timedelta = LEFT_TO_OTHERS) -> list[str]:
    """Tell of the cut's runs that ended badly within a day and of which no alert went out; return their names.

    Nothing where no alerts are registered, or somebody has turned them off. A server or block that is away is left
    to the next look.

    Args:
        only: look at this run alone.
        after: leave runs alone that have ended since.
    """
    told = []
    with contextlib.suppress(*AWAY), get_client(sync_client=True) as client:
        alerts = _alerts(client, cut)
        for run, alert in _missed(client, alerts, _ended_badly(client, cut, only, after) if alerts else ()):
            client.update_flow_run_labels(run.id, {TOLD: str(run.state.id if run.state else "")})
            try:
                _tell_of(client, alert, cut, run)
            except BaseException:
                client.update_flow_run_labels(run.id, {TOLD: ""})
                raise
            told.append(run.name)
    return told


def _alerts(client: SyncPrefectClient, cut: str) -> dict[StateType, Automation]:
    """Return the alert that tells of each bad end, if it is registered."""
    found: dict[StateType, Automation] = {}
    for what, states in ((FAILED, ENDED_BADLY[:1]), (GONE, ENDED_BADLY[1:])):
        for alert in client.read_automations_by_name(alert_name(cut, what)):
            found |= dict.fromkeys(states, alert)
    return found


def _ended_badly(client: SyncPrefectClient, cut: str, only: FlowRun | None, after: timedelta) -> list[FlowRun]:
    now = datetime.now(UTC)
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            id=FlowRunFilterId(any_=[only.id]) if only else None,
            tags=FlowRunFilterTags(all_=[job_tag(cut)]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ENDED_BADLY))),
            end_time=FlowRunFilterEndTime.model_validate({"after_": now - LOOKS_BACK, "before_": now - after}),
        )
    )


def _missed(
    client: SyncPrefectClient, alerts: Mapping[StateType, Automation], runs: Iterable[FlowRun]
) -> list[tuple[FlowRun, Automation]]:
    """Return the runs of which no alert went out, and which: a state has the id of the event that sets one off."""
    found = []
    for run in runs:
        state = run.state
        alert = alerts.get(state.type) if state else None
        if state is None or alert is None or not alert.enabled or run.labels.get(TOLD) == str(state.id):
            continue
        went_out = EventFilter(
            event=EventNameFilter(name=[EXECUTED]),
            resource=EventResourceFilter(id=[f"prefect.automation.{alert.id}"]),
            related=EventRelatedFilter(id=[f"prefect.event.{state.id}"]),
        )
        if not client.read_events(filter=went_out, limit=1).events:
            found.append((run, alert))
    return found


def _tell_of(client: SyncPrefectClient, alert: Automation, cut: str, run: FlowRun) -> None:
    action = next(action for action in alert.actions if isinstance(action, SendNotification))
    block = Block._from_block_document(client.read_block_document(action.block_document_id))
    subject, body = _rendered(cut, client.read_flow(run.flow_id).name, run)
    block.notify(subject=subject, body=body)  # type: ignore[attr-defined]


def _rendered(cut: str, flow: str, run: FlowRun) -> tuple[str, str]:
    templates = Environment(undefined=ChainableUndefined, autoescape=False)  # noqa: S701 - a message is plain text
    subject, body = (
        templates.from_string(of_cut(text, cut)).render(flow={"name": flow}, flow_run=run) for text in (SUBJECT, BODY)
    )
    return subject, body
