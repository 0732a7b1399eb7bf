"""The deployments of a cut: what a server runs on a schedule, on an event, or when somebody asks.

One list serves ``datacut serve`` (everything on one machine) and ``datacut deploy`` (registered with a server, run by
its workers); ``prefect.yaml`` says the same to ``prefect deploy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.errors import PlaceError
from flows.cut.config import load_cut
from flows.cut.faults import failure_of

HEARTBEAT = 30  # seconds between two signs of life of a run
STUCK_AFTER = 120  # minutes without the end of a step
LOOK_EVERY = 300  # seconds between two looks into the inbox


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Attributes:
        name: how it is called, beside its flow's name.
        flow: function of the module.
        parameters: beside ``cut_file``.
        cron: schedule in UTC; empty where none.
        every: seconds between two runs; 0 where none.
        after: event that starts it; its payload names the cut.
        at_once: how many of its runs may run at once.
        module: of ``flows.orchestration``, where the flow is.
        waits: a run that finds as many at work waits for its turn; otherwise it is cancelled, as a look that comes when
            one is under way.
    """

    name: str
    flow: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cron: str = ""
    every: int = 0
    after: str = ""
    at_once: int = 1
    module: str = "flows"
    waits: bool = True

    @property
    def entrypoint(self) -> str:
        """Where a worker imports the flow from."""
        return f"flows.orchestration.{self.module}.{self.flow}"


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
    Deployment(
        "inbox",
        "watch_inbox",
        "Looks for backups and submission packs that arrive.",
        every=LOOK_EVERY,
        module="watch",
        waits=False,
    ),
)


def build(cut_file: Path, *, schedules: bool = True, look_every: int = LOOK_EVERY, pool: str = "") -> list[Any]:
    """Return the deployments of a cut as Prefect's runner knows them.

    Args:
        schedules: with schedules, or started only when asked or on an event.
        look_every: seconds between two looks into the inbox.
        pool: work pool whose workers run them; empty where this process does.

    Raises:
        ConfigurationError: the cut's configuration is wrong.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Cron, Interval
    from prefect.types.entrypoint import EntrypointType

    job = load_cut(cut_file)
    cut, made = job.model.cut.id, []
    for one in DEPLOYMENTS:
        if one.flow == "ring_fence" and job.model.ring_fence is None:
            continue
        schedule = Cron(one.cron, timezone="UTC") if one.cron else None
        schedule = Interval(timedelta(seconds=look_every)) if one.every else schedule
        resource: dict[str, str | list[str]] = {"prefect.resource.id": f"datacut.cut.{cut}"}
        trigger = DeploymentEventTrigger(expect={one.after}, match=resource, enabled=True) if one.after else None
        strategy = ConcurrencyLimitStrategy.ENQUEUE if one.waits else ConcurrencyLimitStrategy.CANCEL_NEW
        made.append(
            getattr(import_module(f"flows.orchestration.{one.module}"), one.flow).to_deployment(
                name=f"{one.name}-{cut}",
                description=one.description,
                parameters={"cut_file": str(cut_file.resolve()), **one.parameters},
                schedule=schedule if schedules else None,
                triggers=[trigger] if trigger else None,
                tags=["datacut", f"cut:{cut}" if one.waits else f"inbox:{cut}"],
                concurrency_limit=ConcurrencyLimitConfig(limit=one.at_once, collision_strategy=strategy),
                entrypoint_type=EntrypointType.MODULE_PATH,
                job_variables={"env": environment(one)} if pool else None,
            )
        )
    return made


def environment(deployment: Deployment) -> dict[str, str]:
    """Return Prefect's settings for the processes of a deployment's runs."""
    told = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT)}
    return told if deployment.waits else {**told, "PREFECT_LOGGING_LEVEL": "WARNING"}  # hundreds of looks a day


def _as_it_stands(client: Any, deployment: Any) -> None:
    """Keep a deployment paused, and its schedules inactive, that somebody has paused on the server."""
    from prefect.exceptions import ObjectNotFound

    try:
        there = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
    except ObjectNotFound:
        return
    deployment.paused = there.paused
    if there.schedules and not any(schedule.active for schedule in there.schedules):
        for schedule in deployment.schedules or ():
            schedule.active = False


@dataclass(frozen=True, slots=True)
class Registered:
    """What was registered: deployments, as ``flow/deployment``, those of them that stay paused, and alerts."""

    deployments: tuple[str, ...]
    paused: tuple[str, ...]
    alerts: tuple[str, ...]


def register(
    cut_file: Path,
    pool: str,
    *,
    schedules: bool = True,
    look_every: int = LOOK_EVERY,
    notify: str = "",
    stuck_after: int = STUCK_AFTER,
) -> Registered:
    """Register the deployments of a cut, and what the server watches of it, with the configured server.

    Args:
        pool: work pool; made if need be.
        notify: notification block that is told of what ends badly, as type/name.
        stuck_after: minutes without the end of a step after which a run counts as stuck.

    Raises:
        PlaceError: the server cannot be reached or refuses. ConfigurationError: there is no such block.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException

    from flows.orchestration.alerts import register_alerts
    from flows.orchestration.flows import ONE_AT_A_TIME

    names, paused = [], []
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
            alerts = register_alerts(load_cut(cut_file).model.cut.id, notify=notify, pool=pool, stuck_after=stuck_after)
            for deployment in build(cut_file, schedules=schedules, look_every=look_every, pool=pool):
                _as_it_stands(client, deployment)
                deployment.apply(work_pool_name=pool)
                names.append(f"{deployment.flow_name}/{deployment.name}")
                inactive = deployment.schedules and not any(s.active for s in deployment.schedules)
                paused += names[-1:] if deployment.paused or inactive else []
    except ObjectAlreadyExists:
        raise PlaceError("the server changed in the meantime", where=pool, remedy="run datacut deploy again") from None
    except (httpx.HTTPError, PrefectException, RuntimeError) as fault:
        if isinstance(told := failure_of(fault), PlaceError):
            raise told from None
        raise PlaceError(
            f"the Prefect server refused or cannot be reached ({type(fault).__name__})",
            where="PREFECT_API_URL",
            remedy="start one with prefect server start, or use datacut serve",
        ) from None
    return Registered(tuple(names), tuple(paused), tuple(alerts))
