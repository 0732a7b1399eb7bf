"""``datacut ringfence``: plan, commit, look at, top up, release and explain the allocation of metering points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import ConfigurationError
from contracts.ringfence.model import State
from flows.cli.help import WholeSentences

if TYPE_CHECKING:
    from polars import DataFrame

    from contracts.json_types import JsonObject
    from flows.ringfence.allocation import AllocationOutcome
    from flows.ringfence.operations import FenceStatus
    from flows.ringfence.summary import FenceReport
    from flows.ringfence.transitions import Selection


CutPath = Annotated[Path, typer.Argument(metavar="CUT.yaml", help="The cut.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")]
Why = Annotated[str, typer.Option(help="Reason, for the ledger.", show_default=False)]
By = Annotated[
    str | None, typer.Option(help="Who does it, for the ledger.  [default: your user name]", show_default=False)
]
Stage = Annotated[str, typer.Option(help="Only this stage.")]
TestCase = Annotated[str, typer.Option(help="Only this test case.")]
Participant = Annotated[str, typer.Option(help="Only test cases of this participant.")]
Involving = Annotated[str, typer.Option(help="Only metering points that this MPID supplies or serves.")]
Mpans = Annotated[list[str] | None, typer.Option("--mpan", help="Only the unit of this MPAN; repeatable.")]
InState = Annotated[str, typer.Option(help="Only this state.")]


def register(app: typer.Typer) -> None:
    """Add the group of subcommands to the console command."""
    group = typer.Typer(
        cls=WholeSentences, no_args_is_help=True, help="Allocate metering points to test cases, and manage the ledger."
    )
    for name, command in (
        ("init", init_command),
        ("plan", plan_command),
        ("commit", commit_command),
        ("status", status_command),
        ("top-up", top_up_command),
        ("issue", issue_command),
        ("consume", consume_command),
        ("release", release_command),
        ("explain", explain_command),
        ("verify", verify_command),
        ("backup", backup_command),
        ("restore", restore_command),
        ("migrate", migrate_command),
    ):
        group.command(name)(command)
    app.add_typer(group, name="ringfence")


def init_command(cut: CutPath, as_json: AsJson = False) -> None:
    """Make the ledger of a cut, once, and print its id.

    A first run makes it as well, where nothing says that the cut had one. Exit code 17 where there is or was one.
    """
    from flows.cut.config import load_cut
    from flows.ringfence.system_of_record import begin_ledger

    with begin_ledger(load_cut(cut)) as ledger:
        found = ledger.id
    if as_json:
        typer.echo(json.dumps({"ledger_id": found}))
        return
    typer.echo(found)
    typer.echo("That is the ledger's id. Next: set ring_fence.ledger_id to it; back it up after each change.", err=True)


def backup_command(
    cut: CutPath,
    out: Annotated[Path, typer.Option(help="New file for the backup.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Copy the ledger into one file while it may be in use, and check the copy. Any engine."""
    from flows.report.formatting import plural
    from flows.ringfence.copies import backup
    from flows.ringfence.operations import open_ring_fence

    with open_ring_fence(cut) as fence:
        count = backup(fence.ledger, out)
    said = (
        json.dumps({"backup": str(out), "changes": count}) if as_json else f"{out}: {plural(count, 'change')}, checked"
    )
    typer.echo(said)


def restore_command(
    backup: Annotated[Path, typer.Argument(help="File that datacut ringfence backup wrote.", show_default=False)],
    cut: CutPath,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of a ledger that is gone, on any engine, and check it against what is known of it."""
    from functools import partial

    from flows.cut.config import load_cut
    from flows.report.formatting import plural
    from flows.ringfence.copies import restore
    from flows.ringfence.system_of_record import open_ledger, require_right

    job = load_cut(cut)
    count = restore(backup, job.ledger_url, fits=partial(require_right, job))
    open_ledger(job).close()
    typer.echo(json.dumps({"changes": count}) if as_json else f"Restored: {plural(count, 'change')}, checked")


def migrate_command(cut: CutPath, as_json: AsJson = False) -> None:
    """Bring a ledger of an earlier version of datacut to this one; its history stays as it is. Back it up first."""
    from flows.cut.config import load_cut
    from flows.ringfence.copies import migrate
    from flows.ringfence.schema import FORMAT

    had = migrate(load_cut(cut).ledger_url)
    words = f"Format {had} became {FORMAT}" if had != FORMAT else f"It has format {FORMAT} already"
    typer.echo(json.dumps({"from": had, "to": FORMAT}) if as_json else words)


def plan_command(  # noqa: PLR0913, PLR0917 - options, each by name
    cut: Annotated[Path | None, typer.Argument(metavar="[CUT.yaml]", help="The cut to plan for.")] = None,
    population: Annotated[Path | None, typer.Option(help="Without a cut: population, Parquet or CSV.")] = None,
    demands: Annotated[Path | None, typer.Option(help="Without a cut: demands, CSV or a YAML plan.")] = None,
    out: Annotated[Path | None, typer.Option(help="Without a cut: CSV file for the allocation.")] = None,
    round_: Annotated[int | None, typer.Option("--round", help="Without a cut: solve only this round.")] = None,
    frozen: Annotated[
        Path | None, typer.Option(help="Without a cut: earlier allocation, whose MPANs are taken.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Without a cut: key file.  [default: a public, documented key]")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Without a cut: YAML file with the policy.")] = None,
    coverage: Annotated[bool, typer.Option(help="Without a cut: measure how representative the choice is.")] = True,
    report: Annotated[Path | None, typer.Option(help="Also write the full report to this JSON file.")] = None,
    why: Why = "plan",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Work out who would get which metering points, without reserving any.

    For a cut: solves what its plan lacks on the population of the last run, and records the plan in the ledger.
    Without a cut (--population, --demands, --out): solves from files to a file, with no ledger.
    """
    if cut is not None and (population or demands or out):
        raise ConfigurationError("plan needs CUT.yaml, or --population, --demands and --out")
    if cut is not None:
        from flows.ringfence.operations import Actor, open_ring_fence

        with open_ring_fence(cut) as fence:
            planned = fence.plan(Actor.named(by, why))
            head = f"Plan {planned.batch} of cut {fence.cut}" + (" (unchanged)" if planned.replayed else "")
        _report(*_outcome(planned), head, as_json=as_json, report=report)
        return
    if population is None or demands is None or out is None:
        raise ConfigurationError("plan needs CUT.yaml, or --population, --demands and --out")
    from flows.ringfence.allocation import coverage_rows
    from flows.ringfence.standalone import AllocationOptions, allocate_files
    from flows.ringfence.summary import FenceReport

    done = allocate_files(AllocationOptions(population, demands, out, round_, frozen, key, policy, coverage))
    solved = done.allocation
    found = FenceReport(done.fulfilment, solved.shortages, coverage_rows(solved.coverage), solved.facts)
    head = f"{done.name}: {solved.rows.height:,} MPANs in {out}"
    _report(found, found.document(), head, as_json=as_json, report=report)


def commit_command(
    cut: CutPath,
    plan: Annotated[int | None, typer.Option(help="Number of the plan.  [default: the latest]")] = None,
    why: Why = "commit",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Reserve every MPAN of a plan, or none. A stale plan is refused (exit code 17)."""
    from flows.ringfence.operations import Actor, open_ring_fence

    with open_ring_fence(cut) as fence:
        done = fence.commit(Actor.named(by, why), plan)
    _receipt(done, as_json=as_json)


def top_up_command(
    cut: CutPath,
    why: Why = "top-up",
    by: By = None,
    report: Annotated[Path | None, typer.Option(help="Also write the full report to this JSON file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Allocate and commit what test cases still lack; existing reservations stay."""
    from flows.ringfence.operations import Actor, open_ring_fence

    with open_ring_fence(cut) as fence:
        done = fence.top_up(Actor.named(by, why))
    _report(*_outcome(done), f"Change {done.batch} of cut {fence.cut}", as_json=as_json, report=report)


def status_command(  # noqa: PLR0917 - options, each by name
    cut: CutPath,
    stage: Stage = "",
    test_case: TestCase = "",
    participant: Participant = "",
    involving: Involving = "",
    mpan: Mpans = None,
    state: InState = "",
    as_json: AsJson = False,
) -> None:
    """Show who holds what: totals, the MPANs of a test case, or the history of an MPAN."""
    from flows.ringfence.operations import open_ring_fence

    with open_ring_fence(cut) as fence:
        chosen = _selection(fence, stage, test_case, participant, involving, mpan, state)
        status = fence.status(chosen)
        listed = fence.listing(chosen) if test_case or mpan else None
        past = fence.history(mpan[0]) if mpan and len(mpan) == 1 else None
    if as_json:
        rows = {"metering_points": listed, "history": past}
        more = {name: [] if frame is None else frame.to_dicts() for name, frame in rows.items()}
        typer.echo(json.dumps(status.document() | more, indent=2))
        return
    _show_status(status, listed, past)


def issue_command(  # noqa: PLR0917 - options, each by name
    cut: CutPath,
    stage: Stage = "",
    test_case: TestCase = "",
    participant: Participant = "",
    mpan: Mpans = None,
    why: Why = "issue",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Record that committed MPANs were handed to participants."""
    _move(
        cut, (stage, test_case, participant, "", mpan, State.COMMITTED.value), State.ISSUED, (by, why), as_json=as_json
    )


def consume_command(  # noqa: PLR0917 - options, each by name
    cut: CutPath,
    stage: Stage = "",
    test_case: TestCase = "",
    participant: Participant = "",
    mpan: Mpans = None,
    why: Why = "test done",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Record that the tests of issued MPANs are done."""
    _move(
        cut, (stage, test_case, participant, "", mpan, State.ISSUED.value), State.CONSUMED, (by, why), as_json=as_json
    )


def release_command(  # noqa: PLR0913, PLR0917 - options, each by name
    cut: CutPath,
    why: Why,
    stage: Stage = "",
    test_case: TestCase = "",
    participant: Participant = "",
    involving: Involving = "",
    mpan: Mpans = None,
    state: InState = "",
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Never use them again.")] = False,
    keep_out: Annotated[bool, typer.Option("--keep-out", help="Do not return them to the pool.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Take back reservations: a participant withdraws, a test case is dropped, an MPAN is unfit.

    MPANs that were never issued, and those whose test allowed reuse, go back to the pool; others stay out of use.
    """
    if not any((stage, test_case, participant, involving, mpan, state)):
        raise ConfigurationError("say what to release: --participant, --involving, --test-case, --stage or --mpan")
    to = State.QUARANTINED if quarantine else State.RELEASED
    chosen = (stage, test_case, participant, involving, mpan, state)
    _move(cut, chosen, to, (by, why), as_json=as_json, pool=not keep_out)


def explain_command(
    cut: CutPath,
    test_case: TestCase = "",
    plan: Annotated[int | None, typer.Option(help="Plan to explain.  [default: the latest allocation]")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain every shortage: who competes, how many units would do, what to relax."""
    from flows.ringfence.operations import open_ring_fence

    with open_ring_fence(cut) as fence:
        found = fence.shortages(test_case, plan)
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in found], indent=2))
        return
    for entry in found:
        typer.echo(f"- {entry.text}")
    if not found:
        typer.echo("Nothing is short.")


def verify_command(
    cut: CutPath,
    head: Annotated[list[str] | None, typer.Option(help="Ledger head from a pack's evidence; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the ledger for tampering, against itself and heads noted elsewhere. Exit code 18 if it was changed."""
    from dataclasses import asdict

    from flows.report.formatting import plural
    from flows.ringfence.audit import verify_ledger
    from flows.ringfence.operations import open_ring_fence

    with open_ring_fence(cut) as fence:
        found = verify_ledger(fence.ledger, fence.cut, head or ())
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    changes, events = plural(found.batches, "change"), plural(found.events, "event")
    typer.echo(f"The ledger of cut {found.campaign} holds: {changes}, {events},")
    typer.echo(f"{plural(found.reservations, 'reservation')}, head {found.head}")


def _selection(  # noqa: PLR0917 - as the commands take them
    fence: Any, stage: str, test_case: str, participant: str, involving: str, mpan: list[str] | None, state: str
) -> Selection:
    from flows.ringfence.transitions import Selection

    mpans = frozenset(mpan) if mpan else None
    if involving:
        mpans = fence.involving(involving) if mpans is None else mpans & fence.involving(involving)
    return Selection(stage=stage, test_case=test_case, participant=participant, state=state, mpans=mpans)


def _move(
    cut: Path, chosen: tuple[Any, ...], to: Any, actor: tuple[str | None, str], *, as_json: bool, pool: bool = True
) -> None:
    from flows.ringfence.operations import Actor, open_ring_fence

    with open_ring_fence(cut) as fence:
        done = fence.move(Actor.named(*actor), _selection(fence, *chosen), to, pool=pool)
    _receipt(done, as_json=as_json)


def _receipt(done: Any, *, as_json: bool) -> None:
    if as_json:
        names = ("campaign", "number", "kind", "events", "sha256", "replayed")
        typer.echo(json.dumps({name: getattr(done, name) for name in names}, indent=2))
        return
    stood = ", as it stood already" if done.replayed else ""
    typer.echo(f"Change {done.number} of cut {done.campaign}: {done.kind}, {done.events:,} MPANs{stood}")
    typer.echo(f"Head of the ledger: {done.sha256}")


def _outcome(done: AllocationOutcome) -> tuple[FenceReport, JsonObject]:
    """Return the report of an allocation, and the same as JSON with the change in the ledger."""
    from flows.ringfence.summary import FenceReport

    found = FenceReport(done.fulfilment, done.shortages, done.coverage, done.facts)
    change: JsonObject = {"batch": done.batch, "replayed": done.replayed, "ledger_head": done.ledger_head}
    return found, found.document() | change


def _report(found: FenceReport, document: JsonObject, head: str, *, as_json: bool, report: Path | None) -> None:
    if report is not None:
        from flows.cut.workspace import disk

        with disk(report):
            report.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    from rich.console import Console

    from flows.ringfence.summary import show

    typer.echo(head)
    show(Console(), found)


def _show_status(status: FenceStatus, listed: DataFrame | None, past: DataFrame | None) -> None:
    from rich.console import Console

    from flows.ringfence.summary import rows_table

    console = Console()
    if listed is None:
        console.print(rows_table(f"Reservations of cut {status.cut}", status.states))
        console.print(rows_table("By test case", status.test_cases))
        names = ["number", "kind", "events", "actor", "at", "reason"]
        console.print(rows_table("Changes", status.changes.select(names)))
    else:
        console.print(rows_table("Metering points", listed))
    if past is not None:
        console.print(rows_table("History", past))
    typer.echo(f"Head of the ledger: {status.head}")
