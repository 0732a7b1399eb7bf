"""``datacut approve`` and ``datacut lineage``: a pack's second signature, and its run as catalogue events."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import PlaceError

PackPath = Annotated[Path, typer.Argument(help="Folder of the pack.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("approve")(approve_command)
    app.command("lineage")(lineage_command)


def approve_command(
    pack: PackPath,
    key: Annotated[Path, typer.Option(help="Your private signing key.", show_default=False)],
    public_key: Annotated[
        list[Path], typer.Option(help="The operator's public key, as you got it from them.", show_default=False)
    ],
    ask_passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for the key's passphrase.")] = False,
) -> None:
    """Add your signature to a pack as its approver, once you have read its report.

    Verifies the pack against the operator's key first. Needs no data key and no network; changes only the signature
    file.
    """
    from flows.keys.signing_key import load_public, load_signer
    from flows.pack.approve import approve_pack
    from flows.pack.verify import VerificationPolicy

    phrase = typer.prompt("Passphrase", hide_input=True).encode() if ask_passphrase else None
    signer = load_signer(key, passphrase=phrase)
    operators = [load_public(path) for path in public_key]
    found = approve_pack(pack, signer, operators, VerificationPolicy(today=datetime.now(UTC).date()))
    typer.echo(f"Approved: {pack.name} is signed by keys {', '.join(found.signed_by)} and {signer.keyid}")


def lineage_command(
    pack: PackPath,
    out: Annotated[Path, typer.Option(help="New file, one event per line.", show_default=False)],
) -> None:
    """Write OpenLineage events of a pack to a file, for a data catalogue.

    Opens no connection.
    """
    from flows.cut.installed import require
    from flows.pack.bag import pack_reference
    from flows.pack.previous import read_evidence

    require("openlineage")
    from flows.report.openlineage import event_lines, events

    found = events(read_evidence(pack), pack_reference(pack).tagmanifest_sha256)
    try:
        with open(out, "xb") as file:
            file.write(event_lines(found))
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror}", where=out.name) from None
    typer.echo(f"{len(found)} events in {out}")
