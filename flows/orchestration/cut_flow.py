"""Runs the job under Prefect in this process: against the server that is configured, or a temporary one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.errors import PlaceError
from flows.cut import progress
from flows.cut.config import load_cut
from flows.cut.progress import listening
from flows.orchestration import server


def run_flow(
    cut_file: Path,
    *,
    kind: progress.Kind = "release",
    listener: progress.ProgressListener = progress.NULL_LISTENER,
    workers: str = "",
) -> dict[str, Any]:
    """Run the job as a flow; same arguments and result as :func:`flows.pipeline.run_plain`.

    Raises:
        DataCutError: as the stages raise it, and PlaceError where the temporary server does not start, or the one that
            is configured does not answer.
    """
    cut = load_cut(cut_file)
    with server.api(cut.path(cut.model.work) / "prefect") as api:
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        import flows.quality.great_expectations  # noqa: F401 - loads while the server starts
        from flows.orchestration import flows as prefect_flows

        if api is not None:
            api.ready()
        else:
            _require_server()
        # Without a heartbeat thread a flow ends at once instead of a second later; a one-shot run needs no watcher.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if api else {}), listening(listener):
            return prefect_flows.data_cut(cut_file.resolve(), kind=kind, workers=workers)


def _require_server() -> None:
    """See that the configured server answers, before a stage begins.

    Raises:
        PlaceError: it does not.
    """
    from prefect.client.orchestration import get_client

    if get_client(sync_client=True).api_healthcheck() is not None:
        raise PlaceError(
            "the Prefect server does not answer", where="PREFECT_API_URL", remedy="start it, or run with --plain"
        )
