"""What the server hears of a run while it works: as labels its stage and last good step, and the end of each step.

A run that is killed can say nothing any more; its labels can. A thread of their own sends the latest of them, so that a
server that is slow or away holds nothing up.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import copy_context
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.events import emit_event

from flows.cut.progress import ProgressListener, Step, StepOutcome, current_listener, known_as, listening
from flows.orchestration.notices import LAST, STAGE
from flows.orchestration.options import STEP_DONE, job_tag

SHOWN = 3  # steps that run side by side
SENT_WITHIN = 2.0  # seconds, at the end


class RunListener:
    """Passes on what happens to another listener, and tells the server."""

    def __init__(self, inner: ProgressListener, run_id: str, cut: str) -> None:
        self._inner, self._run_id, self._cut = inner, run_id, cut
        self._running: dict[str, None] = {}
        self._labels: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._changed, self._ended = threading.Condition(), False
        self._thread = threading.Thread(target=copy_context().run, args=(self._send,), name="labels", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, for a moment."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(SENT_WITHIN)

    def begin(self, step: Step) -> None:
        """A step begins."""
        self._inner.begin(step)
        with self._changed:
            self._running[step.name] = None
            self._note()

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """A step has ended."""
        self._inner.end(step, seconds, result)
        with self._changed:
            self._running.pop(step.name, None)
            self._labels[LAST] = step.name
            self._note()
        emit_event(
            STEP_DONE,
            resource={"prefect.resource.id": f"prefect.flow-run.{self._run_id}", "prefect.resource.name": step.name},
            related=[{"prefect.resource.id": f"prefect.tag.{job_tag(self._cut)}", "prefect.resource.role": "tag"}],
            payload={"step": step.name, "seconds": seconds, **result.counts()},
        )

    def rows(self, label: str, rows: int) -> None:
        """So many rows of a source have been read."""
        self._inner.rows(label, rows)

    def _note(self) -> None:
        names = list(self._running)
        if names:  # between two steps the last one's name stays
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            self._labels[STAGE] = "; ".join(names[:SHOWN]) + more
        self._changed.notify()

    def _send(self) -> None:
        with contextlib.suppress(httpx.HTTPError, OSError), get_client(sync_client=True) as client:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._labels != self._sent)
                    latest, ended = dict(self._labels), self._ended
                if latest != self._sent:
                    client.update_flow_run_labels(UUID(self._run_id), latest)  # type: ignore[arg-type]
                    self._sent = latest
                if ended:
                    return


@contextlib.contextmanager
def told_to_server(run_id: str, cut: str) -> Iterator[None]:
    """Tell the server what the block does, beside whoever listens already."""
    listener = RunListener(current_listener(), run_id, cut)
    listener.start()
    try:
        with known_as(run_id), listening(listener):
            yield
    finally:
        listener.stop()
