"""The job as a Prefect flow: the same stages as ``flows.job``, each a task.

Parameters, results and states hold paths, ids and counts; results are not persisted and nothing is cached, so the
orchestrator's database never holds a row, an identifier or a key. Without a server of one's own (``PREFECT_API_URL``)
a temporary one runs on loopback while the flow does (``flows.embedded``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows import embedded, job
from flows.config import load_cut
from flows.context import watching

OPTIONS: dict[str, Any] = {"persist_result": False, "log_prints": False}


class _Ears:
    """Who listens to the flow that runs in this process; a flow's parameters cannot carry a function."""

    told: job.Told = job.NOBODY


def build() -> Callable[..., dict[str, Any]]:
    """Import Prefect and return the flow."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    def as_task(step: job.Step) -> Callable[..., dict[str, Any]]:
        tags = [step.participant] if step.participant else []
        return task(
            step.call, name=step.stage, task_run_name=step.name, tags=tags, cache_policy=NO_CACHE, retries=0, **OPTIONS
        )

    @flow(name="data-cut", flow_run_name="{kind} {cut_file}", validate_parameters=True, **OPTIONS)
    def data_cut(cut_file: str, kind: job.Kind = "release") -> dict[str, Any]:
        """Turn the backups that ``cut_file`` names into a validated, pseudonymised, signed pack.

        Args:
            cut_file: path of ``cut.yaml``.
            kind: ``release`` for the whole job, ``submission`` for the stages a participant runs.
        """
        return job.run(cut_file, kind, run_step=lambda step: as_task(step)(), told=_Ears.told)

    return data_cut


def run_flow(cut_file: Path, *, kind: job.Kind = "release", told: job.Told = job.NOBODY) -> dict[str, Any]:
    """Run the job under Prefect in this process; same arguments and result as :func:`flows.job.run_plain`.

    Raises:
        DataCutError: as the stages raise it, and PlaceError where the temporary server does not start.
    """
    cut = load_cut(cut_file)
    _Ears.told = told
    with embedded.api(cut.path(cut.model.work) / "prefect") as api:
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        import flows.gx_polars  # noqa: F401 - loads while the server starts

        flow = build()
        if api is not None:
            api.ready()
        # Without a heartbeat thread a flow ends at once instead of a second later; a one-shot run needs no watcher.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if api else {}), watching(told.rows):
            return flow(str(cut_file.resolve()), kind=kind)
