"""The job as a Prefect flow: the same stages as ``flows.job``, each a task.

Parameters, results and states hold paths, ids and counts; results are not persisted and nothing is cached, so the
orchestrator's database never holds a row, an identifier or a key. Without a server of your own
(``PREFECT_API_URL``) a temporary one runs on loopback while the flow does, with its state in the work folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.errors import PlaceError
from flows import job, stages
from flows.anonymise import silent
from flows.config import load_cut
from flows.publish import publish

OPTIONS: dict[str, Any] = {"persist_result": False, "log_prints": False}


class _Ears:
    """Who listens to the flow that runs in this process; a flow's parameters cannot carry a function."""

    listen: job.Listener = staticmethod(job.nobody)
    progress: Any = staticmethod(silent)


def embedded_home(cut_file: Path) -> Path:
    """Give Prefect a private home beside the work folder, unless a server or a home is configured.

    Must run before Prefect is imported.

    Raises:
        PlaceError: the folder cannot be made.
    """
    job_ = load_cut(cut_file)
    home = job_.path(job_.model.work) / "prefect"
    if "PREFECT_API_URL" in os.environ or "PREFECT_HOME" in os.environ:
        return Path(os.environ.get("PREFECT_HOME", home))
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
    except OSError as fault:
        raise PlaceError("cannot be made", where=str(home), remedy=fault.strerror or "") from None
    os.environ["PREFECT_HOME"] = str(home)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "")
    return home


def build() -> Callable[..., dict[str, Any]]:
    """Import Prefect and return the flow."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    def stage_task(name: str, function: Callable[..., dict[str, Any]]) -> Any:
        return task(function, name=name, cache_policy=NO_CACHE, retries=0, **OPTIONS)

    prepare = stage_task("prepare", stages.prepare)
    anonymise = stage_task("anonymise", stages.anonymise)
    pack = stage_task("release", publish)

    @flow(name="data-cut", flow_run_name="data cut {kind}", validate_parameters=True, **OPTIONS)
    def data_cut(cut_file: str, kind: str = "release") -> dict[str, Any]:
        """Turn the backups that ``cut_file`` names into a validated, pseudonymised, signed pack.

        Args:
            cut_file: path of ``cut.yaml``.
            kind: ``release`` for the whole job, ``submission`` for the stages a participant runs.
        """
        seconds: list[dict[str, Any]] = []

        def timed(stage: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            began = time.monotonic()
            facts = call()
            took = round(time.monotonic() - began, 3)
            seconds.append({"stage": stage, "seconds": took})
            _Ears.listen(stage, took, facts)
            return facts

        plan = timed("prepare", lambda: prepare(cut_file))
        for mpid, extract in plan["sources"]:
            named = anonymise.with_options(task_run_name=f"anonymise {mpid}/{extract}", tags=[mpid])
            timed(f"anonymise {mpid}/{extract}", lambda t=named, m=mpid, e=extract: t(cut_file, m, e))
        for stage, function in job.KINDS[kind]:
            timed(stage, lambda s=stage, f=function: stage_task(s, f)(cut_file))
        done = timed("release", lambda: pack(cut_file, kind=kind, seconds=list(seconds)))
        stages.finish(cut_file)
        return done

    return data_cut


def run_flow(cut_file: Path, *, kind: str = "release", listen: job.Listener = job.nobody) -> dict[str, Any]:
    """Run the job under Prefect in this process; same arguments and result as :func:`flows.job.run_plain`."""
    embedded_home(cut_file)
    _Ears.listen = staticmethod(listen)
    return build()(str(cut_file.resolve()), kind=kind)
