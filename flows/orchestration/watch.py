"""The look into the inbox as a flow: a process every few minutes, so that it loads nothing of the stages."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event

from flows.cut.config import load_cut
from flows.delivery.pages import board_markdown
from flows.orchestration import inbox
from flows.orchestration.options import (
    ARRIVED,
    COMPLETE,
    LATE,
    OPTIONS,
    OVERDUE,
    CutFile,
    inbox_tag,
    resource,
    run_name,
    without_values,
)
from flows.orchestration.telling import AWAY, NOTIFY, alerts_registered, tell, tell_missed, told_by_hook
from flows.report.formatting import plural

KEPT = timedelta(days=2)  # what the server keeps of looks
FORGOTTEN_AT_ONCE = 100  # an hour has twelve


@flow(
    name="inbox", flow_run_name=run_name, validate_parameters=True, on_failure=[told_by_hook],
    on_crashed=[told_by_hook], **OPTIONS,
)  # fmt: skip
def watch_inbox(cut_file: CutFile) -> dict[str, int | bool]:
    """Look whether every backup and submission pack that the cut waits for has arrived, and say so once.

    Emits ``datacut.input.arrived`` for each new one, and ``datacut.inputs.complete`` when none is missing any more: a
    deployment of ``data-cut`` is triggered by that event. Emits ``datacut.inputs.late`` once for inputs whose day has
    passed, and ``datacut.release.overdue`` once when the day of the release has passed without one. Tells of runs that
    ended badly and of which the server's alerts told nobody.
    """
    with without_values():
        look = inbox.look(cut_file)
        if look.changed:
            create_markdown_artifact(
                markdown=board_markdown(look.board), key="deliveries", description=look.board.headline()
            )
        for name in look.arrived:
            emit_event(ARRIVED, resource={**resource(look.cut), "prefect.resource.name": name}, payload={"input": name})
        if look.complete:
            emit_event(COMPLETE, resource=resource(look.cut), payload={"cut_file": str(cut_file)})
            get_run_logger().info("every input has arrived")
        if look.late:
            _alert(LATE, look.cut, *_late(cut_file, look))
        if look.overdue:
            _alert(OVERDUE, look.cut, *_overdue(cut_file, look))
        tell_missed(look.cut)
        forget_looks(look.cut)
    return {"arrived": len(look.arrived), "missing": len(look.missing), "complete": look.complete}


def forget_looks(cut: str, *, kept: timedelta = KEPT, at_once: int = FORGOTTEN_AT_ONCE) -> int:
    """Remove earlier looks into a cut's inbox from the server, which keeps runs for good by itself; return how many.

    Looks that ended well, or gave way to another, are there for two days; others stay. What is left, and a server that
    is away, is seen to by the next look.

    Args:
        at_once: most to remove.
    """
    gone = 0
    with contextlib.suppress(*AWAY), get_client(sync_client=True) as client:
        ended = [StateType.COMPLETED, StateType.CANCELLED]
        old = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[inbox_tag(cut)]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ended)),
                end_time=FlowRunFilterEndTime.model_validate({"before_": datetime.now(UTC) - kept}),
            ),
            limit=at_once,
        )
        for run in old:
            client.delete_flow_run(run.id)
            gone += 1
    return gone


def _late(cut_file: Path, look: inbox.Look) -> tuple[str, str]:
    listed = "\n".join(f"- {d.participant}/{d.extract}, due {d.due}: {d.detail}" for d in look.late)
    subject = f"datacut {look.cut}: {plural(len(look.late), 'input')} late"
    remedy = f"ask for them (datacut status {cut_file.name} lists all), or leave a participant out by name and go on."
    return subject, f"Cut: {look.cut}\nLate:\n{listed}\nWhat to do: {remedy}"


def _overdue(cut_file: Path, look: inbox.Look) -> tuple[str, str]:
    due = load_cut(cut_file).model.release.due
    waits = f"{plural(len(look.missing), 'input')} missing" if look.missing else "every input has arrived"
    remedy = f"chase what is missing (datacut status {cut_file.name})" if look.missing else "look at the last run"
    body = f"Cut: {look.cut}\nState: no release, {plural(look.overdue, 'day')} after {due}; {waits}"
    return f"datacut {look.cut}: no release yet", f"{body}\nWhat to do: {remedy}."


def _alert(event: str, cut: str, subject: str, body: str) -> None:
    """Emit an event that the server's alert tells; where there is none, tell the block that is named here."""
    get_run_logger().warning(subject)
    emit_event(event, resource=resource(cut), payload={"cut": cut, "subject": subject, "body": body})
    named = os.environ.get(NOTIFY)
    if named and not alerts_registered(cut):
        tell(subject, body, named)
