"""The look into the inbox as a flow: a process every few minutes, so that it loads nothing of the stages."""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
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
    resource,
    run_name,
    without_values,
)
from flows.orchestration.telling import NOTIFY, alerts_registered, tell, tell_missed, told_by_hook
from flows.report.formatting import plural


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
    return {"arrived": len(look.arrived), "missing": len(look.missing), "complete": look.complete}


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
