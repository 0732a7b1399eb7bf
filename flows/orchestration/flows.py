"""The flows as Prefect sees them: importable by name, with typed parameters, tags and artifacts.

A worker imports this module by its name, so nothing has to be copied to it. Parameters, results and states hold paths,
ids and counts; results are not persisted and nothing is cached, so the orchestrator's database never holds a row, an
identifier or a key.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import Task, flow, get_run_logger, runtime, tags
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.context import TagsContext
from prefect.events import emit_event
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from contracts.errors import ConfigurationError, PlaceError
from contracts.json_types import JsonObject
from flows import pipeline
from flows.cut import progress
from flows.cut.config import load_cut
from flows.cut.installed import require
from flows.cut.parallel import WORKERS
from flows.orchestration.options import (
    OPTIONS,
    RELEASED,
    CutFile,
    IgnoreDisk,
    Kind,
    Why,
    Workers,
    guarded,
    job_tag,
    resource,
    run_name,
    without_values,
)
from flows.orchestration.run_listener import told_to_server
from flows.orchestration.settled import complete_if_cancelling, refuse_recall, settle
from flows.orchestration.telling import told_by_hook
from flows.release.check_returns import check_returns
from flows.release.published import Published
from flows.report.first_screen import first_screen

ONE_AT_A_TIME = "datacut-ring-fence"  # global concurrency limit: one commit to the ledger at a time
RETRIED = (pipeline.PSEUDONYMISE, pipeline.QUALITY, pipeline.ALIGN, pipeline.AUGMENT)
"""Stages that only read and write the work folder: a step that ends in one of them is tried again."""

THREADS: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=WORKERS)
RETRIED_AFTER = [5.0, 30.0]  # seconds; somebody may be waiting to hear that the disk is full


def _unfit_place(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Tell whether a failure may pass by itself: a full or missing disk, a database that is away."""
    fault = state.result(raise_on_failure=False)
    return isinstance(fault, PlaceError)


def _counted(call: Callable[[], progress.StepOutcome]) -> Callable[[], progress.StepOutcome]:
    """Return a step that says in its task's log what it has counted."""

    def logged() -> progress.StepOutcome:
        result = guarded(call)()
        counts = ", ".join(f"{name} {count:,}" for name, count in result.counts().items())
        get_run_logger().info(counts or "done")
        return result

    return logged


def _as_task(step: progress.Step) -> Task[[], progress.StepOutcome]:
    retried = step.stages[-1] in [stage.name for stage in RETRIED]
    return Task(
        _counted(step.call),
        name=step.stage,
        task_run_name=step.name,  # names the participant: of each tag the server would be asked for a slot
        cache_policy=NO_CACHE,
        retries=2 if retried else 0,
        retry_delay_seconds=RETRIED_AFTER,
        retry_condition_fn=_unfit_place,
        **OPTIONS,
    )


def _run_step(step: progress.Step) -> progress.StepOutcome:
    """Do one step as a task; a commit to the ledger waits for its turn where the limit is registered."""
    turn = concurrency(ONE_AT_A_TIME, strict=False) if _commits(step) else contextlib.nullcontext()
    with turn, _untagged():
        return _as_task(step)()


def _untagged() -> TagsContext:
    """Return a context whose tasks have no tags: those of the run are enough."""
    return TagsContext(current_tags=set())


def _map_steps() -> pipeline.RunWave:
    """Return a way to do a wave whose steps are mapped over the workers of the flow's task runner."""
    alone = pipeline.side_by_side(_run_step)

    def run_wave(wave: Sequence[progress.Step]) -> Sequence[tuple[progress.StepOutcome, float]]:
        if len(wave) == 1:
            return alone(wave)
        began, listener = time.monotonic(), progress.current_listener()
        for step in wave:
            listener.begin(step)
        with _untagged():
            futures = [_as_task(step).submit() for step in wave]
        done = []
        try:
            for step, future in zip(wave, futures, strict=True):
                result = future.result()
                took = round(time.monotonic() - began, 3)
                listener.end(step, took, result)
                done.append((result, took))
        except BaseException:
            wait(begun(futures))  # what has begun ends first: nobody writes to a work folder that is cleared
            raise
        return done

    return run_wave


def begun(futures: Sequence[PrefectFuture[Any]]) -> list[PrefectFuture[Any]]:
    """Take back the steps that nobody has begun, and return the others: a run that is asked to end ends soon."""
    left = []
    for future in futures:
        wrapped = getattr(future, "wrapped_future", None)
        client = getattr(wrapped, "client", None)  # of Dask, which may not be installed
        taken_back = False
        if isinstance(wrapped, Future):
            taken_back = wrapped.cancel()
        elif wrapped is not None and client is not None:
            at_work = {key for keys in client.processing().values() for key in keys}
            taken_back = not wrapped.done() and wrapped.key not in at_work
            if taken_back:
                wrapped.cancel()
        if not taken_back:
            left.append(future)
    return left


def _commits(step: progress.Step) -> bool:
    return step.stage == pipeline.RING_FENCE.name


@flow(
    name="data-cut",
    flow_run_name=run_name,
    task_runner=THREADS,
    validate_parameters=True,
    on_failure=[told_by_hook],
    on_crashed=[settle, told_by_hook],
    on_cancellation=[settle, told_by_hook],
    **OPTIONS,
)
def data_cut(
    cut_file: CutFile, kind: Kind = "release", workers: Workers = "", ignore_disk: IgnoreDisk = False
) -> Published:
    """Turn the backups that ``cut_file`` names into a validated, pseudonymised, signed pack.

    A run that was killed is run again: it goes on where it was and ends in the same pack.
    """
    run_id = str(runtime.flow_run.id)
    with without_values():
        cut = load_cut(cut_file).model.cut.id
        with told_to_server(run_id, cut):
            if workers:
                done = _on_dask(workers, str(cut_file), kind, ignore_disk)
            else:
                done = pipeline.run(str(cut_file), kind, run_wave=_map_steps(), ignore_disk=ignore_disk)
        refuse_recall()
        _artifacts(done)
        if kind == "release":
            emit_event(RELEASED, resource=resource(cut), payload={"cut": cut})
        complete_if_cancelling(run_id)
    return done


def run_flow(
    cut_file: Path,
    *,
    kind: progress.Kind = "release",
    listener: progress.ProgressListener = progress.NULL_LISTENER,
    workers: str = "",
    ignore_disk: bool = False,
) -> Published:
    """Run the job as a flow in this process; same arguments and result as :func:`flows.pipeline.run_plain`.

    A server has to answer: :func:`flows.orchestration.server.connected`.

    Raises:
        DataCutError: as the stages raise it.
    """
    named = tags("datacut", job_tag(load_cut(cut_file).model.cut.id))
    with without_values(), progress.listening(listener), named:
        return data_cut(cut_file.resolve(), kind=kind, workers=workers, ignore_disk=ignore_disk)


def _on_dask(workers: str, cut_file: str, kind: progress.Kind, ignore_disk: bool) -> Published:
    """Run the job with the steps of each wave spread over Dask workers: a cluster's address, or a number of processes.

    Raises:
        PlaceError: the extra is not installed. ConfigurationError: neither an address nor a number.
    """
    require("prefect_dask")
    from prefect_dask.task_runners import DaskTaskRunner

    if workers.isdigit():
        settings: JsonObject = {
            "n_workers": int(workers),
            "threads_per_worker": 1,
            "processes": True,
            "dashboard_address": None,
            "security": True,  # certificates made for this run: whoever may speak to a worker runs code as us
        }
        runner: TaskRunner[Any] = DaskTaskRunner(cluster_kwargs=settings)
    elif "://" in workers:
        runner = DaskTaskRunner(address=workers)
    else:
        raise ConfigurationError("is neither a number of processes nor an address", where="workers")

    @flow(name="data-cut-on-dask", task_runner=runner, validate_parameters=False, **OPTIONS)
    def spread() -> Published:
        return pipeline.run(cut_file, kind, run_wave=_map_steps(), ignore_disk=ignore_disk)

    with _untagged():  # the run around it is the one that is watched
        return spread()


def _artifacts(done: Published) -> None:
    rows = [
        {
            "participant": row.participant,
            "extract": row.extract,
            "rows in": row.rows_in,
            "released": row.released,
            "excluded": row.excluded,
        }
        for row in done.accounting
    ]
    create_table_artifact(table=rows, key="row-accounting", description="Rows in = released + excluded.")
    screen = first_screen(Path(done.pack))
    create_markdown_artifact(markdown=screen, key="report", description=f"First screen of {Path(done.pack).name}")


@flow(
    name="ring-fence",
    flow_run_name=run_name,
    validate_parameters=True,
    on_failure=[told_by_hook],
    on_crashed=[told_by_hook],
    on_cancellation=[told_by_hook],
    **OPTIONS,
)
def ring_fence(cut_file: CutFile, reason: Why = "scheduled top-up") -> dict[str, int | str]:
    """Allocate what the plan lacks, for old and new test cases, and commit it; what stands is not touched."""
    from flows.ringfence.operations import Actor, open_ring_fence

    with without_values():
        with concurrency(ONE_AT_A_TIME, strict=False), open_ring_fence(cut_file) as fence:
            done = fence.top_up(Actor.named("prefect", reason))
        short = [row for row in done.fulfilment.to_dicts() if row["short"]]
        get_run_logger().info("allocated %s, short %s", f"{done.allocations.height:,}", f"{len(short):,}")
        if short:
            names = ("test_case", "participant", "wanted", "allocated", "short")
            create_table_artifact(table=[{n: row[n] for n in names} for row in short], key="shortages")
    return {"allocated": done.allocations.height, "short": len(short), "ledger_head": done.ledger_head}


@flow(
    name="return",
    flow_run_name=run_name,
    validate_parameters=True,
    on_failure=[told_by_hook],
    on_crashed=[told_by_hook],
    on_cancellation=[told_by_hook],
    **OPTIONS,
)
def check_return_packs(cut_file: CutFile) -> dict[str, int]:
    """Verify every return pack as its recipient will, and list those that are ready to send."""
    with without_values():
        ready = check_returns(cut_file)
        get_run_logger().info("%s return packs are ready", len(ready))
        create_table_artifact(
            table=list(map(asdict, ready)), key="return-packs", description="Verified, ready to send."
        )
    return {"packs": len(ready)}
