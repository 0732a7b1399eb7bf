"""What the flows share: parameters as Prefect's form shows them, tags, names of runs, faults that quote no data.

Loaded by every flow, so that it loads little.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypedDict, TypeVar

from prefect import runtime
from pydantic import Field

from contracts.errors import DataCutError
from flows.cut.boundary import is_failure, keep_panics_quiet
from flows.cut.config import load_cut
from flows.cut.faults import failure_of


class FlowOptions(TypedDict):
    """What every flow and task has: nothing that passes through one is stored."""

    persist_result: bool
    log_prints: bool


OPTIONS: FlowOptions = {"persist_result": False, "log_prints": False}
COMPLETE, ARRIVED, RELEASED = "datacut.inputs.complete", "datacut.input.arrived", "datacut.release.published"
LATE, OVERDUE = "datacut.inputs.late", "datacut.release.overdue"
STEP_DONE = "datacut.step.done"  # of a flow run: a step has ended

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
IgnoreDisk = Annotated[
    bool, Field(title="Ignore the disk", description="Begin even where the disk cannot hold what is expected.")
]
Why = Annotated[str, Field(title="Why", description="Goes into the ledger.", min_length=3)]
Result = TypeVar("Result")


def job_tag(cut: str) -> str:
    """Return the tag of a cut's runs, by which its alerts know them."""
    return f"cut:{cut}"


def inbox_tag(cut: str) -> str:
    """Return the tag of a cut's looks into the inbox: who looks at runs of the cut does not want to see hundreds."""
    return f"inbox:{cut}"


def resource(cut: str) -> dict[str, str]:
    """Return what the events of a cut are of."""
    return {"prefect.resource.id": f"datacut.cut.{cut}"}


def run_name() -> str:
    """Name a run by what it makes, of which cut, of whom."""
    parameters = runtime.flow_run.parameters
    with contextlib.suppress(DataCutError, KeyError, TypeError):
        model = load_cut(Path(parameters["cut_file"])).model
        who = [p.mpid for p in model.participants]
        named = ", ".join(who[:4]) + (f" and {len(who) - 4} more" if len(who) > 4 else "")
        return f"{parameters.get('kind', runtime.flow_run.flow_name)} {model.cut.id} of {named}"
    return str(runtime.flow_run.flow_name)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Let no foreign exception reach the orchestrator, which keeps texts and tracebacks: they may quote data.

    Raises:
        DataCutError: in its place; of a defect its type and place.
    """
    keep_panics_quiet()  # a worker's process too
    try:
        yield
        return
    except DataCutError:
        raise
    except BaseException as fault:
        if not is_failure(fault):
            raise
        failure = failure_of(fault)
    raise failure from None


def guarded(call: Callable[[], Result]) -> Callable[[], Result]:
    """Return a call whose foreign exceptions are told as :func:`without_values` tells them.

    What is raised brings no other exception along, not even one that is not shown: a Dask worker sends the driver all
    that an exception holds.
    """

    def quiet() -> Result:
        try:
            with without_values():
                return call()
        except DataCutError as fault:
            failure = fault
        failure.__cause__ = failure.__context__ = None
        raise failure

    return quiet
