"""``datacut messages``, ``datacut expected``: DIP payloads for ring-fenced metering points, what they bring about."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import EvidenceError

if TYPE_CHECKING:
    import polars as pl

    from flows.messages.write import MessageCounts
    from flows.pack.held_files import StillPack

CASE_HELP = "Test case; repeatable.  [default: all of phase CIT]"
Pack = Annotated[Path, typer.Argument(help="Folder of a release or return pack.", show_default=False)]
PublicKeys = Annotated[list[Path] | None, typer.Option(help="Verify the pack against this key first; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("messages")(messages_command)
    app.command("expected")(expected_command)


def messages_command(  # noqa: PLR0913 - the options of a command
    pack: Pack,
    *,
    out: Annotated[Path, typer.Option(help="New folder for the messages.", show_default=False)],
    test_case: Annotated[list[str] | None, typer.Option(help=CASE_HELP, show_default=False)] = None,
    process: Annotated[
        list[str] | None, typer.Option(help="Process such as change_of_supplier; repeatable.  [default: all]")
    ] = None,
    interface: Annotated[
        list[str] | None, typer.Option(help="Interface such as IF-031; repeatable.  [default: all]")
    ] = None,
    sent: Annotated[
        datetime | None, typer.Option(help="Local time of the first message.  [default: 09:00 on the cut date]")
    ] = None,
    action: Annotated[
        datetime | None, typer.Option(help="Day from which a change holds.  [default: the day of --sent]")
    ] = None,
    settlement: Annotated[
        datetime | None, typer.Option(help="Settlement day, a UTC day, in IF-021.  [default: the cut date]")
    ] = None,
    scenario: Annotated[str, typer.Option(help="Appointment scenario where a process has none.")] = "CSP",
    environment: Annotated[str, typer.Option(help="Environment tag.  [default: from values.yaml]")] = "",
    schema_version: Annotated[
        str, typer.Option(help="Table of blocks and events: 011, or 009 as far as it is known.  [default: 011]")
    ] = "",
    connection_providers: Annotated[
        Path | None, typer.Option(help="CSV of interface, dip_id, connection_provider.", show_default=False)
    ] = None,
    validate_with: Annotated[
        Path | None, typer.Option(help="Published API or JSON Schema to judge the messages with.", show_default=False)
    ] = None,
    public_key: PublicKeys = None,
    as_json: AsJson = False,
) -> None:
    """Write DIP messages for ring-fenced metering points, one file per test case, process and step.

    Every message is as published, or is not made. manifest.csv lists test case, pseudonym and payload, and why a
    message was left out.
    """
    from flows.messages.providers import read_providers
    from flows.messages.published_schema import PublishedSchema
    from flows.messages.write import MessageSelection, tables_of, write_messages
    from flows.pack.previous import read_evidence
    from transforms.release.market_processes import MessageDefaults

    asked = MessageSelection(tuple(test_case or ()), tuple(interface or ()), tuple(process or ()), schema_version)
    interfaces = tables_of(asked).interfaces()
    schema = PublishedSchema(validate_with) if validate_with else None
    providers = read_providers(connection_providers, interfaces) if connection_providers else {}
    still = _hold(pack, public_key)
    cut = datetime.fromisoformat(read_evidence(pack).cut.date)
    moment = _local(sent or cut.replace(hour=9))
    terms = MessageDefaults(
        sent=moment,
        action=(action or moment).date(),
        settlement=(settlement or cut).date(),
        scenario=scenario,
        environment=environment,
        providers=providers,
    )
    _tell(write_messages(pack, out, asked, terms, schema, read=still.require), out, as_json=as_json)


def _hold(pack: Path, public_key: list[Path] | None) -> StillPack:
    """Verify a pack; return what tells whether it is still the one that was verified."""
    from flows.keys.signing_key import load_public
    from flows.pack.held_files import StillPack
    from flows.pack.verify import VerificationPolicy, hold_together, verify_pack

    still = StillPack(pack)
    if public_key:
        verify_pack(pack, [load_public(path) for path in public_key], VerificationPolicy())
    else:
        hold_together(pack)
    return still


def _local(moment: datetime) -> datetime:
    from zoneinfo import ZoneInfo

    from transforms.release.message_forms import LOCAL

    return moment.replace(tzinfo=ZoneInfo(LOCAL))


def _tell(done: MessageCounts, out: Path, *, as_json: bool) -> None:
    """Print what was written, and leave with an error where a schema finds fault with it.

    Raises:
        EvidenceError: messages break the schema that the user brought.
    """
    from dataclasses import asdict

    facts = {**asdict(done), "out": str(out)}
    verdict = done.validated
    if verdict is not None and verdict["broken"]:
        shown = "; ".join(f"{f['event']} {f['fault']} ({f['messages']:,})" for f in verdict["faults"][:5])
        fault = EvidenceError(
            f"{verdict['broken']:,} of {done.messages:,} messages break it: {shown}", where=verdict["schema"]
        )
        fault.document = facts
        raise fault
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"{done.messages:,} messages of {len(done.events):,} events for {len(done.test_cases):,} test cases in "
        f"{done.files:,} files; {done.left_out:,} not made, {done.passed_over:,} passed over: reasons in manifest.csv"
    )
    if verdict is not None:
        typer.echo(f"All of them are as {verdict['schema']} says.")
    typer.echo(f"Messages: {out}")


def expected_command(
    pack: Pack,
    *,
    mpan: Annotated[str, typer.Option(help="Pseudonym of one metering point.", show_default=False)] = "",
    test_case: Annotated[str, typer.Option(help="Test case.", show_default=False)] = "",
    process: Annotated[
        list[str] | None, typer.Option(help="Process, in this order; repeatable.  [default: all of the test case]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New CSV file instead of the terminal.", show_default=False)] = None,
    public_key: PublicKeys = None,
    as_json: AsJson = False,
) -> None:
    """Print what is expected of a metering point or test case, step by step: who sends what, who holds what then."""
    from flows.messages.expected import expected_steps, told, write_steps

    still = _hold(pack, public_key)
    steps = expected_steps(pack, mpan=mpan, test_case=test_case, processes=tuple(process or ()))
    still.require()
    if out is not None:
        write_steps(steps, out)
        typer.echo(f"{steps.height:,} rows: {out}")
    elif as_json:
        typer.echo(json.dumps({"steps": _plain(steps)}, indent=2))
    else:
        typer.echo("\n".join(told(steps)))


def _plain(steps: pl.DataFrame) -> list[dict[str, object]]:
    return steps.to_dicts()
