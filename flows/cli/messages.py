"""``datacut messages``: DIP payloads for ring-fenced metering points, and the manifest that ties them to test cases."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.messages.write import MessageCounts

CASE_HELP = "Test case; repeatable.  [default: all of phase CIT]"


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("messages")(messages_command)


def messages_command(  # noqa: PLR0913 - the options of a command
    pack: Annotated[Path, typer.Argument(help="Folder of a release or return pack.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="New folder for the messages.", show_default=False)],
    test_case: Annotated[list[str] | None, typer.Option(help=CASE_HELP, show_default=False)] = None,
    interface: Annotated[
        list[str] | None, typer.Option(help="Interface such as IF-031; repeatable.  [default: all]")
    ] = None,
    sent: Annotated[
        datetime | None, typer.Option(help="Local time of sending.  [default: 09:00 on the cut date]")
    ] = None,
    action: Annotated[
        datetime | None, typer.Option(help="Effective date of the request.  [default: the day of --sent]")
    ] = None,
    settlement: Annotated[
        datetime | None, typer.Option(help="Settlement date in IF-021.  [default: the cut date]")
    ] = None,
    scenario: Annotated[str, typer.Option(help="Appointment scenario.")] = "CSP",
    environment: Annotated[str, typer.Option(help="Environment tag.  [default: from messages.yaml]")] = "",
    schema_version: Annotated[str, typer.Option(help="Schema version.  [default: from messages.yaml]")] = "",
    connection_provider: Annotated[str, typer.Option(help="DIP id of a connection provider.")] = "",
    spelling: Annotated[str, typer.Option(help="Spelling of keys: schema or catalogue.")] = "schema",
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Verify the pack against this key first; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Write DIP messages for ring-fenced metering points, one file per test case, interface and event.

    Every message is validated against the JSON schema first. manifest.csv lists test case, pseudonym and payload, and
    why a message was left out.
    """
    from flows.keys.signing_key import load_public
    from flows.messages.write import MessageSelection, write_messages
    from flows.pack.previous import read_evidence
    from flows.pack.verify import VerificationPolicy, hold_together, verify_pack
    from transforms.release.dip_messages import LOCAL, MessageDefaults

    if public_key:
        verify_pack(pack, [load_public(path) for path in public_key], VerificationPolicy())
    else:
        hold_together(pack)
    cut = datetime.fromisoformat(read_evidence(pack).cut.date)
    moment = (sent or cut.replace(hour=9)).replace(tzinfo=LOCAL)
    terms = MessageDefaults(
        sent=moment,
        action=(action or moment).date(),
        settlement=(settlement or cut).date(),
        scenario=scenario,
        environment=environment,
        version=schema_version,
        connection_provider=connection_provider,
    )
    done = write_messages(pack, out, MessageSelection(tuple(test_case or ()), tuple(interface or ()), spelling), terms)
    _tell(done, out, as_json=as_json)


def _tell(done: MessageCounts, out: Path, *, as_json: bool) -> None:
    """Print what was written."""
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps({**asdict(done), "out": str(out)}, indent=2))
    else:
        typer.echo(
            f"{done.messages:,} messages for {len(done.test_cases):,} test cases in {done.files:,} files; "
            f"{done.left_out:,} left out, with reasons in manifest.csv"
        )
        typer.echo(f"Messages: {out}")
