"""The flows as Prefect sees them: importable by name, with typed parameters, tags and artifacts.

A worker imports this module by its name, so nothing has to be copied to it. Parameters, results and states hold paths,
ids and counts; results are not persisted and nothing is cached, so the orchestrator's database never holds a row, an
identifier or a key.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from prefect import Flow, Task, flow, get_run_logger, runtime, tags
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.concurrency.sync import concurrency
from prefect.events import emit_event
from prefect.futures import wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from contracts.errors import ConfigurationError, DataCutError, PlaceError
from contracts.json_types import JsonObject
from flows import pipeline
from flows.cut import progress
from flows.cut.boundary import is_failure, keep_panics_quiet
from flows.cut.config import load_cut
from flows.cut.faults import failure_of
from flows.cut.installed import require
from flows.cut.parallel import WORKERS
from flows.delivery.pages import board_markdown
from flows.orchestration import inbox
from flows.release.check_returns import check_returns
from flows.release.published import Published


class FlowOptions(TypedDict):
    """What every flow and task has: nothing that passes through one is stored."""

    persist_result: bool
    log_prints: bool


OPTIONS: FlowOptions = {"persist_result": False, "log_prints": False}
ONE_AT_A_TIME = "datacut-ring-fence"  # global concurrency limit: one commit to the ledger at a time
NOTIFY = "DATACUT_NOTIFY_BLOCK"  # a notification block, as type/name, that is told of failures
COMPLETE, ARRIVED, RELEASED = "datacut.inputs.complete", "datacut.input.arrived", "datacut.release.published"
RETRIED = (pipeline.PSEUDONYMISE, pipeline.QUALITY, pipeline.ALIGN, pipeline.AUGMENT)
"""Stages that only read and write the work folder: a step that ends in one of them is tried again."""

THREADS: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=WORKERS)
RETRIED_AFTER = [5.0, 30.0]  # seconds; somebody may be waiting to hear that the disk is full

CutFile = Annotated[
    Path, Field(title="cut.yaml", description="Path of the cut's configuration, as the worker sees it.")
]
Kind = Annotated[
    Literal["release", "submission"],
    Field(title="Kind", description="release: the whole job; submission: a participant's own stages."),
]
Workers = Annotated[
    str,
    Field(
        title="Dask workers", description="A number of processes, or a cluster's address; empty: this process alone."
    ),
]


def _run_name() -> str:
    """Name a run by what it makes, of which cut, of whom."""
    parameters = runtime.flow_run.parameters
    with contextlib.suppress(DataCutError, KeyError, TypeError):
        model = load_cut(Path(parameters["cut_file"])).model
        who = [p.mpid for p in model.participants]
        named = ", ".join(who[:4]) + (f" and {len(who) - 4} more" if len(who) > 4 else "")
        return f"{parameters.get('kind', runtime.flow_run.flow_name)} {model.cut.id} of {named}"
    return str(runtime.flow_run.flow_name)


def _unfit_place(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Tell whether a failure may pass by itself: a full or missing disk, a database that is away."""
    fault = state.result(raise_on_failure=False)
    return isinstance(fault, PlaceError)


def _notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the notification block that is configured; the message of a typed error holds no value."""
    block = os.environ.get(NOTIFY)
    if not block:
        return
    from prefect.blocks.core import Block

    fault = state.result(raise_on_failure=False)
    line = fault.line() if isinstance(fault, DataCutError) else "a defect in datacut; see the worker's log"
    Block.load(block).notify(subject=f"{flow.name}: {flow_run.name} failed", body=line)  # type: ignore[union-attr]


def _without_values(call: Callable[[], progress.StepOutcome]) -> Callable[[], progress.StepOutcome]:
    """Let no foreign exception reach the orchestrator, which keeps texts and tracebacks: they may quote data."""

    def guarded() -> progress.StepOutcome:
        keep_panics_quiet()  # a worker's process too
        try:
            return call()
        except DataCutError:
            raise
        except BaseException as fault:
            if not is_failure(fault):
                raise
            failure = failure_of(fault)
        raise failure

    return guarded


def _as_task(step: progress.Step) -> Task[[], progress.StepOutcome]:
    retried = step.stages[-1] in [stage.name for stage in RETRIED]
    return Task(
        _without_values(step.call),
        name=step.stage,
        task_run_name=step.name,
        tags=[step.participant] if step.participant else [],
        cache_policy=NO_CACHE,
        retries=2 if retried else 0,
        retry_delay_seconds=RETRIED_AFTER,
        retry_condition_fn=_unfit_place,
        **OPTIONS,
    )


def _run_step(step: progress.Step) -> progress.StepOutcome:
    """Do one step as a task; a commit to the ledger waits for its turn where the limit is registered."""
    turn = concurrency(ONE_AT_A_TIME, strict=False) if _commits(step) else contextlib.nullcontext()
    with turn:
        return _as_task(step)()


def _map_steps() -> pipeline.RunWave:
    """Return a way to do a wave whose steps are mapped over the workers of the flow's task runner."""
    alone = pipeline.side_by_side(_run_step)

    def run_wave(wave: Sequence[progress.Step]) -> Sequence[tuple[progress.StepOutcome, float]]:
        if len(wave) == 1:
            return alone(wave)
        began, listener = time.monotonic(), progress.current_listener()
        for step in wave:
            listener.begin(step)
        futures = [_as_task(step).submit() for step in wave]
        done = []
        try:
            for step, future in zip(wave, futures, strict=True):
                result = future.result()
                took = round(time.monotonic() - began, 3)
                listener.end(step, took, result)
                done.append((result, took))
        finally:
            wait(futures)  # where one fails the others end too: nobody writes to a work folder that is cleared
        return done

    return run_wave


def _commits(step: progress.Step) -> bool:
    return step.stage == pipeline.RING_FENCE.name


@contextlib.contextmanager
def _labelled(cut_file: Path) -> Iterator[None]:
    model = load_cut(cut_file).model
    with tags(f"cut:{model.cut.id}"):
        yield


@flow(
    name="data-cut",
    flow_run_name=_run_name,
    task_runner=THREADS,
    validate_parameters=True,
    on_failure=[_notify],
    **OPTIONS,
)
def data_cut(cut_file: CutFile, kind: Kind = "release", workers: Workers = "") -> Published:
    """Turn the backups that ``cut_file`` names into a validated, pseudonymised, signed pack.

    A run that was killed is run again: it goes on where it was and ends in the same pack.
    """
    with _labelled(cut_file):
        if workers:
            done = _on_dask(workers, str(cut_file), kind)
        else:
            done = pipeline.run(str(cut_file), kind, run_wave=_map_steps())
    _artifacts(done)
    if kind == "release":
        cut = load_cut(cut_file).model.cut.id
        emit_event(RELEASED, resource={"prefect.resource.id": f"datacut.cut.{cut}"}, payload={"cut": cut})
    return done


def run_flow(
    cut_file: Path,
    *,
    kind: progress.Kind = "release",
    listener: progress.ProgressListener = progress.NULL_LISTENER,
    workers: str = "",
) -> Published:
    """Run the job as a flow in this process; same arguments and result as :func:`flows.pipeline.run_plain`.

    A server has to answer: :func:`flows.orchestration.server.connected`.

    Raises:
        DataCutError: as the stages raise it.
    """
    with progress.listening(listener):
        return data_cut(cut_file.resolve(), kind=kind, workers=workers)


def _on_dask(workers: str, cut_file: str, kind: progress.Kind) -> Published:
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
        return pipeline.run(cut_file, kind, run_wave=_map_steps())

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
    link = Path(done.report).absolute().as_uri()
    create_link_artifact(link=link, link_text="report", key="report", description=f"Pack: {Path(done.pack).name}")


@flow(name="ring-fence", flow_run_name=_run_name, validate_parameters=True, on_failure=[_notify], **OPTIONS)
def ring_fence(
    cut_file: CutFile,
    reason: Annotated[str, Field(title="Why", description="Goes into the ledger.", min_length=3)] = "scheduled top-up",
) -> dict[str, int | str]:
    """Allocate what the plan lacks, for old and new test cases, and commit it; what stands is not touched."""
    from flows.ringfence.operations import Actor, open_ring_fence

    with _labelled(cut_file), concurrency(ONE_AT_A_TIME, strict=False), open_ring_fence(cut_file) as fence:
        done = fence.top_up(Actor.named("prefect", reason))
    short = [row for row in done.fulfilment.to_dicts() if row["short"]]
    if short:
        names = ("test_case", "participant", "wanted", "allocated", "short")
        create_table_artifact(table=[{n: row[n] for n in names} for row in short], key="shortages")
    return {"allocated": done.allocations.height, "short": len(short), "ledger_head": done.ledger_head}


@flow(name="inbox", validate_parameters=True, on_failure=[_notify], **OPTIONS)
def watch_inbox(cut_file: CutFile) -> dict[str, int | bool]:
    """Look whether every backup and submission pack that the cut waits for has arrived, and say so once.

    Emits ``datacut.input.arrived`` for each new one, and ``datacut.inputs.complete`` when none is missing any more; a
    deployment of ``data-cut`` is triggered by that event.
    """
    look = inbox.look(cut_file)
    create_markdown_artifact(markdown=board_markdown(look.board), key="deliveries", description=look.board.headline())
    resource = {"prefect.resource.id": f"datacut.cut.{look.cut}"}
    for name in look.arrived:
        emit_event(ARRIVED, resource={**resource, "prefect.resource.name": name}, payload={"input": name})
    if look.complete:
        emit_event(COMPLETE, resource=resource, payload={"cut_file": str(cut_file)})
        get_run_logger().info("every input has arrived")
    return {"arrived": len(look.arrived), "missing": len(look.missing), "complete": look.complete}


@flow(name="return", flow_run_name=_run_name, validate_parameters=True, on_failure=[_notify], **OPTIONS)
def check_return_packs(cut_file: CutFile) -> dict[str, int]:
    """Verify every return pack as its recipient will, and list those that are ready to send."""
    with _labelled(cut_file):
        ready = check_returns(cut_file)
    create_table_artifact(table=list(map(asdict, ready)), key="return-packs", description="Verified, ready to send.")
    return {"packs": len(ready)}
