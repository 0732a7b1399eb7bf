"""ALERTS: what the server itself watches of a cut: somebody hears of a run whose process, worker or machine is gone.

They are Prefect's automations: one that ends runs without a sign of life, and, where a notification block is named,
those that tell it. Each state is told once: of a run that is cancelled or crashed ten seconds later, unless it turns
out to have published (:mod:`flows.orchestration.settled`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from contracts.errors import ConfigurationError
from flows.orchestration import notices
from flows.orchestration.deployments import HEARTBEAT, STUCK_AFTER
from flows.orchestration.notices import alert_name, of_cut
from flows.orchestration.options import LATE, OVERDUE, STEP_DONE, inbox_tag, job_tag

LOST_AFTER = timedelta(seconds=3 * HEARTBEAT + 10)
SETTLED = timedelta(seconds=10)  # the shortest that Prefect takes
ONCE_A_DAY = timedelta(days=1)
ENDED = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")}
BEAT = "prefect.flow-run.heartbeat"


def register_alerts(cut: str, *, notify: str = "", pool: str = "", stuck_after: int = STUCK_AFTER) -> list[str]:
    """Register what the server watches of a cut; what is there under the same name is changed.

    Args:
        notify: notification block that is told, as type/name; nobody is told without.
        pool: work pool whose workers run the cut; empty where this process does.
        stuck_after: minutes without the end of a step after which a run counts as stuck.

    Returns:
        The names of the alerts.

    Raises:
        ConfigurationError: there is no such block.
    """
    with get_client(sync_client=True) as client:
        block = _block(client, notify) if notify else None
        found = [_lost(cut)]
        if block is not None:
            found += _told(cut, block, stuck_after)
            found += [_pool(client, pool, block)] if pool else []
        for alert in found:
            known = client.read_automations_by_name(alert.name)
            if known:
                facts = alert.model_dump(exclude={"owner_resource"})  # the server takes no owner, and what is set alone
                whole = AutomationCore.model_validate({**facts, "enabled": known[0].enabled})
                client.update_automation(known[0].id, whole)
            else:
                client.create_automation(alert)
    return [alert.name for alert in found]


def _block(client: SyncPrefectClient, named: str) -> UUID:
    kind, _, name = named.partition("/")
    try:
        return client.read_block_document_by_name(name=name, block_type_slug=kind).id
    except ObjectNotFound:
        raise ConfigurationError(
            "is not a notification block on the server",
            where="--notify",
            remedy="make it there, and name it as type/name, such as custom-webhook/ops",
        ) from None


def _of_runs(
    *tags: str, expect: set[str], after: set[str] | None = None, within: timedelta | None = None, each: bool = True
) -> EventTrigger:
    """Return what watches runs with these tags: that an event comes, or, after some, that none comes in time."""
    return EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={
            "prefect.resource.id": [f"prefect.tag.{tag}" for tag in tags],
            "prefect.resource.role": "tag",
        },
        for_each={"prefect.resource.id"} if each else set(),
        after=after or set(),
        expect=expect,
        posture=Posture.Proactive if after else Posture.Reactive,
        within=within or timedelta(0),
    )


def _lost(cut: str) -> AutomationCore:
    return AutomationCore(
        name=alert_name(cut, "without a sign of life"),
        description="Ends a run whose process, worker or machine is gone.",
        trigger=_of_runs(
            job_tag(cut),
            inbox_tag(cut),
            after={"prefect.flow-run.Running", BEAT},
            expect={BEAT, *ENDED},
            within=LOST_AFTER,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=notices.NO_SIGN, force=False)],
    )


def _told(cut: str, block: UUID, stuck_after: int) -> Iterator[AutomationCore]:
    job = job_tag(cut)
    failed = _of_runs(job, expect={"prefect.flow-run.Failed", "prefect.flow-run.TimedOut"})
    yield _telling(cut, notices.FAILED, failed, block, notices.SUBJECT, notices.BODY)
    gone = _of_runs(
        job,
        after={"prefect.flow-run.Crashed", "prefect.flow-run.Cancelled"},
        expect={"prefect.flow-run.Completed"},
        within=SETTLED,
    )
    yield _telling(cut, notices.GONE, gone, block, notices.SUBJECT, notices.BODY)
    minutes = timedelta(minutes=stuck_after)
    stuck = _of_runs(job, after={"prefect.flow-run.Running", STEP_DONE}, expect={STEP_DONE, *ENDED}, within=minutes)
    body = of_cut(notices.STUCK_BODY, cut, minutes=stuck_after)
    yield _telling(cut, "stuck", stuck, block, notices.STUCK_SUBJECT, body)
    late = _of_runs(job, expect={"prefect.flow-run.Late"})
    yield _telling(cut, "late", late, block, notices.LATE_SUBJECT, notices.LATE_BODY)
    bad = {f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "TimedOut")}
    looks = _of_runs(inbox_tag(cut), expect=bad, within=ONCE_A_DAY, each=False)  # it fails again every few minutes
    yield _telling(cut, "inbox", looks, block, notices.INBOX_SUBJECT, notices.BODY)
    inputs = EventTrigger(match={"prefect.resource.id": f"datacut.cut.{cut}"}, expect={LATE, OVERDUE})
    yield _telling(cut, "late inputs, no release", inputs, block, notices.EVENT_SUBJECT, notices.EVENT_BODY)


def _telling(cut: str, what: str, trigger: EventTrigger, block: UUID, subject: str, body: str) -> AutomationCore:
    message = SendNotification(block_document_id=block, subject=of_cut(subject, cut), body=of_cut(body, cut))
    return AutomationCore(name=alert_name(cut, what), trigger=trigger, actions=[message])


def _pool(client: SyncPrefectClient, pool: str, block: UUID) -> AutomationCore:
    subject, body = (text.replace("<pool>", pool) for text in (notices.POOL_SUBJECT, notices.POOL_BODY))
    return AutomationCore(
        name=f"datacut pool {pool}: no worker",
        trigger=EventTrigger(
            match={"prefect.resource.id": f"prefect.work-pool.{client.read_work_pool(pool).id}"},
            expect={"prefect.work-pool.not-ready"},
        ),
        actions=[SendNotification(block_document_id=block, subject=subject, body=body)],
    )
