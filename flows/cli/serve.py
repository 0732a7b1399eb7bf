"""``datacut serve`` and ``deploy``: the flows on a schedule, on one machine or by a server's workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

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

    Without PREFECT_API_URL it brings a Prefect server of its own, with its user interface, on loopback alone and
    behind a token that is made anew each time.
    """
    from flows.cut.config import load_cut
    from flows.orchestration import server

    job = load_cut(cut)
    own = None
    if "PREFECT_API_URL" not in os.environ:
        own = server.Api(job.path(job.model.work) / "prefect", brief=False, port=port)
    try:
        from flows.orchestration.deployments import build

        deployments = build(cut, schedules=schedules, look_every=look_every)
        if own is not None:
            own.ready()
            typer.echo(f"Prefect: {own.url.removesuffix('/api')} (it asks for what stands in {own.token_file})")
        for deployment in deployments:
            typer.echo(f"Serving {deployment.flow_name}/{deployment.name}")
        from prefect import serve

        serve(*deployments, print_starting_message=False)
    finally:
        if own is not None:
            own.stop()


def deploy_command(
    cut: CutPath,
    pool: Annotated[str, typer.Option(help="Work pool; made as a process pool where it is missing.")] = "datacut",
    schedules: Schedules = True,
    look_every: LookEvery = 60,
) -> None:
    """Register a cut's deployments with the server of PREFECT_API_URL, to be run by the workers of a pool."""
    from flows.orchestration.deployments import needs_server, register

    needs_server(os.environ.get("PREFECT_API_URL"))
    for name in register(cut, pool, schedules=schedules, look_every=look_every):
        typer.echo(f"Registered {name}")
    typer.echo(f"Start a worker where the backups are: prefect worker start --pool {pool}")
