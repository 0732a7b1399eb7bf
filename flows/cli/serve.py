"""``datacut serve`` and ``deploy``: the flows on a schedule, on one machine or by a server's workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ConfigurationError

CutPath = Annotated[Path, typer.Argument(metavar="CUT.yaml", help="The cut to serve.", show_default=False)]
LookEvery = Annotated[int, typer.Option(help="Seconds between checks of the inbox.", min=5)]
Schedules = Annotated[bool, typer.Option(help="Use the schedules; otherwise runs start on request or on an event.")]


Notify = Annotated[
    str,
    typer.Option(
        help="Notification block on the server that is told of what ends badly, as type/name.",
        envvar="DATACUT_NOTIFY_BLOCK",
        show_default=False,
        show_envvar=False,
    ),
]
StuckAfter = Annotated[int, typer.Option(help="Minutes without the end of a step until a run counts as stuck.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("serve")(serve_command)
    app.command("deploy")(deploy_command)


def serve_command(
    cut: CutPath,
    schedules: Schedules = True,
    look_every: LookEvery = 300,
    notify: Notify = "",
    stuck_after: StuckAfter = 120,
    port: Annotated[int, typer.Option(help="Loopback port of the server it starts.")] = 4200,
) -> None:
    """Run a cut on a schedule and when files arrive, until stopped.

    Starts its own Prefect server with its web pages, on loopback and behind a new token each time, unless
    PREFECT_API_URL names a server.
    """
    from flows.cut.config import load_cut
    from flows.cut.installed import require
    from flows.orchestration import server

    require("prefect")
    job = load_cut(cut)
    if server.configured():
        _serve(cut, schedules, look_every, notify, stuck_after)
        return
    home = job.path(job.model.work) / "prefect"
    with server.own_server(home, port=port, pages=True) as pages:
        typer.echo(f"Prefect: {pages} (the token is in {home / server.TOKEN_FILE})")
        _serve(cut, schedules, look_every, notify, stuck_after)


def _serve(cut: Path, schedules: bool, look_every: int, notify: str, stuck_after: int) -> None:
    from prefect import serve

    from flows.cut.config import load_cut
    from flows.orchestration.alerts import register_alerts
    from flows.orchestration.deployments import HEARTBEAT, build

    register_alerts(load_cut(cut).model.cut.id, notify=notify, stuck_after=stuck_after)
    _say_who_hears(notify)
    os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(HEARTBEAT)  # of the processes of its runs
    deployments = build(cut, schedules=schedules, look_every=look_every)
    for deployment in deployments:
        typer.echo(f"Serving {deployment.flow_name}/{deployment.name}")
    serve(*deployments, print_starting_message=False)


def deploy_command(
    cut: CutPath,
    pool: Annotated[str, typer.Option(help="Work pool; created as a process pool if missing.")] = "datacut",
    schedules: Schedules = True,
    look_every: LookEvery = 300,
    notify: Notify = "",
    stuck_after: StuckAfter = 120,
) -> None:
    """Register a cut with your Prefect server, for the workers of a pool to run."""
    from flows.cut.installed import require
    from flows.orchestration import server
    from flows.orchestration.deployments import register

    require("prefect")
    if not server.configured():
        raise ConfigurationError(
            "no Prefect server is configured",
            where="PREFECT_API_URL",
            remedy="set it, or use datacut serve, which starts its own",
        )
    done = register(cut, pool, schedules=schedules, look_every=look_every, notify=notify, stuck_after=stuck_after)
    for name in done.deployments:
        typer.echo(f"Registered {name}" + (" (paused, as it was)" if name in done.paused else ""))
    for name in done.alerts:
        typer.echo(f"Watched: {name}")
    _say_who_hears(notify)
    typer.echo(f"Start a worker where the backups are: prefect worker start --pool {pool}")


def _say_who_hears(notify: str) -> None:
    if notify:
        typer.echo(f"Told of what ends badly, is stuck or late: {notify}")
    else:
        typer.echo("Nobody is told of what ends badly, is stuck or late: name a notification block with --notify.")
