"""The deployments of a cut: what a server runs on a schedule, on an event, or when somebody asks.

One list serves ``datacut serve`` (everything on one machine) and ``datacut deploy`` (registered with a server, run by
its workers); ``prefect.yaml`` says the same to ``prefect deploy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.errors import PlaceError
from flows.cut.config import load_cut

POOL = "datacut"
LOOK_EVERY = 60  # seconds between two looks into the inbox


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Attributes:
        name: how it is called, beside its flow's name.
        flow: function of ``flows.orchestration.flows``.
        parameters: beside ``cut_file``.
        cron: schedule in UTC; empty where none.
        every: seconds between two runs; 0 where none.
        after: event that starts it; its payload names the cut.
        at_once: how many of its runs may run at once.
    """

    name: str
    flow: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cron: str = ""
    every: int = 0
    after: str = ""
    at_once: int = 1


DEPLOYMENTS = (
    Deployment(
        "whole-job",
        "data_cut",
        "The whole job: release pack. Starts by itself when every input has arrived.",
        MappingProxyType({"kind": "release"}),
        after="datacut.inputs.complete",
    ),
    Deployment(
        "participant-intake",
        "data_cut",
        "A participant's own stages: submission pack.",
        MappingProxyType({"kind": "submission"}),
        at_once=4,
    ),
    Deployment("ring-fence", "ring_fence", "Tops up what the plan lacks, on working days.", cron="0 6 * * 1-5"),
    Deployment(
        "return",
        "check_return_packs",
        "Verifies every return pack and lists what is ready. Starts by itself when a release is published.",
        after="datacut.release.published",
    ),
    Deployment("inbox", "watch_inbox", "Looks for backups and submission packs that arrive.", every=LOOK_EVERY),
)


def build(cut_file: Path, *, schedules: bool = True, look_every: int = LOOK_EVERY) -> list[Any]:
    """Return the deployments of a cut as Prefect's runner knows them.

    Args:
        schedules: with schedules, or started only when asked or on an event.
        look_every: seconds between two looks into the inbox.

    Raises:
        ConfigurationError: the cut's configuration is wrong.
    """
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Cron, Interval
    from prefect.types.entrypoint import EntrypointType

    from flows.orchestration import flows as prefect_flows

    job = load_cut(cut_file)
    made = []
    for one in DEPLOYMENTS:
        if one.flow == "ring_fence" and job.model.ring_fence is None:
            continue
        schedule = Cron(one.cron, timezone="UTC") if one.cron else None
        schedule = Interval(timedelta(seconds=look_every)) if one.every else schedule
        resource: dict[str, str | list[str]] = {"prefect.resource.id": f"datacut.cut.{job.model.cut.id}"}
        trigger = DeploymentEventTrigger(expect={one.after}, match=resource, enabled=True) if one.after else None
        made.append(
            getattr(prefect_flows, one.flow).to_deployment(
                name=f"{one.name}-{job.model.cut.id}",
                description=one.description,
                parameters={"cut_file": str(cut_file.resolve()), **one.parameters},
                schedule=schedule if schedules else None,
                triggers=[trigger] if trigger else None,
                tags=["datacut", f"cut:{job.model.cut.id}"],
                concurrency_limit=one.at_once,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return made


def register(cut_file: Path, pool: str, *, schedules: bool = True, look_every: int = LOOK_EVERY) -> list[str]:
    """Register the deployments of a cut with the configured server, for the workers of a pool.

    Returns:
        Their names, as ``flow/deployment``.

    Raises:
        PlaceError: the server cannot be reached or refuses.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException

    from flows.orchestration.flows import ONE_AT_A_TIME

    names = []
    try:
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(pool)
            except ObjectNotFound:
                client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
            try:
                client.read_global_concurrency_limit_by_name(ONE_AT_A_TIME)
            except ObjectNotFound:
                limit = GlobalConcurrencyLimitCreate(name=ONE_AT_A_TIME, limit=1)
                client.create_global_concurrency_limit(limit)
        for deployment in build(cut_file, schedules=schedules, look_every=look_every):
            deployment.apply(work_pool_name=pool)
            names.append(f"{deployment.flow_name}/{deployment.name}")
    except ObjectAlreadyExists:
        raise PlaceError("the server changed in the meantime", where=pool, remedy="run datacut deploy again") from None
    except (httpx.HTTPError, PrefectException, RuntimeError) as fault:
        raise PlaceError(
            f"the Prefect server refused or cannot be reached ({type(fault).__name__})",
            where="PREFECT_API_URL",
            remedy="start one with prefect server start, or use datacut serve",
        ) from None
    return names
