"""``datacut serve`` and ``deploy``: the flows on a schedule, on one machine or by a server's workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ConfigurationError

CutPath = Annotated[Path, typer.Argument(metavar="CUT.yaml", help="The cut to serve.", show_default=False)]
LookEvery = Annotated[int, typer.Option(help="Seconds between two looks into the inbox.", min=5)]
Schedules = Annotated[bool, typer.Option(help="With schedules; without, runs start when asked or on an event.")]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("serve")(serve_command)
    app.command("deploy")(deploy_command)


def serve_command(
    cut: CutPath,
    schedules: Schedules = True,
    look_every: LookEvery = 60,
    port: Annotated[int, typer.Option(help="Port of the server on loopback, where none is configured.")] = 4200,
) -> None:
    """Serve a cut's flows from this machine until stopped: schedules, inbox, whole job, ring-fence.

    Where none is configured it brings a Prefect server of its own, with its user interface, on loopback alone and
    behind a token that is made anew each time.
    """
    from flows.cut.config import load_cut
    from flows.cut.installed import require
    from flows.orchestration import server

    require("prefect")
    job = load_cut(cut)
    if server.configured():
        _serve(cut, schedules, look_every)
        return
    home = job.path(job.model.work) / "prefect"
    with server.own_server(home, port=port, pages=True) as pages:
        typer.echo(f"Prefect: {pages} (it asks for what stands in {home / server.TOKEN_FILE})")
        _serve(cut, schedules, look_every)


def _serve(cut: Path, schedules: bool, look_every: int) -> None:
    from prefect import serve

    from flows.orchestration.deployments import build

    deployments = build(cut, schedules=schedules, look_every=look_every)
    for deployment in deployments:
        typer.echo(f"Serving {deployment.flow_name}/{deployment.name}")
    serve(*deployments, print_starting_message=False)


def deploy_command(
    cut: CutPath,
    pool: Annotated[str, typer.Option(help="Work pool; made as a process pool where it is missing.")] = "datacut",
    schedules: Schedules = True,
    look_every: LookEvery = 60,
) -> None:
    """Register a cut's deployments with the Prefect server that is configured, to be run by the workers of a pool."""
    from flows.cut.installed import require
    from flows.orchestration import server
    from flows.orchestration.deployments import register

    require("prefect")
    if not server.configured():
        raise ConfigurationError(
            "no Prefect server is configured",
            where="PREFECT_API_URL",
            remedy="set it, or use datacut serve, which brings its own",
        )
    for name in register(cut, pool, schedules=schedules, look_every=look_every):
        typer.echo(f"Registered {name}")
    typer.echo(f"Start a worker where the backups are: prefect worker start --pool {pool}")
