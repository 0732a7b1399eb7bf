"""No run stands as cancelled or crashed over a pack that it has published.

Prefect's runner writes its state last, whatever stood there: a run that published before the cancellation took hold, or
was killed after its last rename, is put right once that was written. A run has published a pack if it lies in its place
and was sealed after the run began.
"""

from __future__ import annotations

import signal
import threading
import time
from contextvars import copy_context
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.states import Completed

from flows.cut.config import Job, load_cut
from flows.orchestration.options import RELEASED, resource
from flows.pack.bag import TAGMANIFEST

WRITTEN_WITHIN = 60.0  # seconds in which the runner writes its own state, after its hooks
PUBLISHED = "The packs were published before it ended."


def pack_of(job: Job, kind: str) -> Path:
    """Return where the pack of a run lies once it is published."""
    return job.path(job.model.release.folder) / f"{job.model.cut.id}-{kind}"


def has_published(run: FlowRun) -> bool:
    """Tell whether a run has published its packs."""
    parameters = run.parameters
    sealed = pack_of(load_cut(Path(parameters["cut_file"])), parameters.get("kind", "release")) / TAGMANIFEST
    began = run.start_time
    return began is not None and sealed.is_file() and sealed.stat().st_mtime >= began.timestamp()


def settle(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Put right the state of a run that published and is about to be called cancelled or crashed: a flow's hook."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    if has_published(run):
        threading.Thread(target=copy_context().run, args=(_settle, run), name="settle").start()


def _settle(run: FlowRun) -> None:
    until = time.monotonic() + WRITTEN_WITHIN
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            found = client.read_flow_run(run.id).state
            if found is not None and (found.is_cancelled() or found.is_crashed()):
                break
            time.sleep(0.2)
        if found is not None and not found.is_completed():
            client.set_flow_run_state(run.id, Completed(message=PUBLISHED), force=True)
    cut = load_cut(Path(run.parameters["cut_file"])).model.cut.id
    if run.parameters.get("kind", "release") == "release":
        emit_event(RELEASED, resource=resource(cut), payload={"cut": cut})


def refuse_recall() -> None:
    """Let no request to end interrupt what follows a publication, which is a matter of a second; Prefect puts back what
    was heard of before.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def complete_if_cancelling(run_id: str) -> None:
    """Say of a run that has published, and is being cancelled, that it completed."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(run_id)).state
        if state is not None and state.is_cancelling():
            client.set_flow_run_state(UUID(run_id), Completed(message=PUBLISHED), force=True)
