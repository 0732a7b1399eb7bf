"""``datacut verify``: says in plain words whether a pack is whole, unchanged and signed, or what is not."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.errors import ConfigurationError, DataCutError
from flows.keys.signing_key import load_public
from flows.pack.bag import shown
from flows.pack.checks import Progress
from flows.pack.verify import PackFaultError, Verification, VerificationPolicy, verify_pack

NOT_CHECKED = (
    "whether the data is right: a signature says who vouches for it",
    "whose the given public keys are: get them from their owners",
)


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("verify")(verify_command)


def verify_command(  # noqa: PLR0917 - options, each by name
    pack: Annotated[Path, typer.Argument(help="Folder of the pack.", show_default=False)],
    public_key: Annotated[
        list[Path], typer.Option(help="Public key to believe; once for each key.", show_default=False)
    ],
    require: Annotated[
        int | None, typer.Option(min=1, help="How many of the keys must have signed.  [default: all]")
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="A pack that this one was made from; checks the link and that pack's files."),
    ] = None,
    cut: Annotated[str, typer.Option(help="The cut that the pack must belong to.")] = "",
    ledger: Annotated[str, typer.Option(help="URL of the ring-fence ledger; checks it against the pack.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")] = False,
) -> None:
    """Check structure, digests and signatures of a pack. Needs no data key and no network.

    Looks at names and kinds of all files; the Ed25519 signatures; the SHA-256 of every file; the evidence against
    what was signed, its schema and itself; cut, payload size and expiry; and the packs it was made from.

    Exit code 0: nothing was changed since the keys' owners signed. 18: the pack does not hold; the line names
    the file. 13: a public key cannot be read. 2: there is no such folder, or more signatures
    are required than keys were given.
    """
    keys = [load_public(path) for path in public_key]
    if not os.path.lexists(pack):
        raise ConfigurationError("is not there", where=shown(pack.name), remedy="name the folder of a pack")
    terms = VerificationPolicy(require, tuple(previous or ()), cut, datetime.now(UTC).date())
    try:
        with _progress() as seen:
            found = verify_pack(pack, keys, terms, seen=seen)
        if ledger:
            _check_ledger(found, ledger)
    except PackFaultError as fault:
        _print(fault.verification, as_json=as_json)
        raise
    except DataCutError as fault:
        if as_json:
            typer.echo(json.dumps({"pack": pack.name, "verified": False, "error": fault.line()}))
        raise
    _print(found, as_json=as_json)


def _check_ledger(found: Verification, url: str) -> None:
    """Add the check of the ring-fence ledger to what was found."""
    from flows.ringfence.ledger_check import check_ledger

    found.checks.append(check_ledger(found, url))
    if found.faults:
        raise PackFaultError(found)


def _print(found: Verification, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
        return
    for check in found.checks:
        mark = "FAIL" if check.faults else "ok"
        words = "" if check.faults else check.words.replace("; ", f"\n{'':18}")
        typer.echo(f"{mark:>4}  {check.name:<12}{words}".rstrip())
        for fault in check.faults:
            typer.echo(f"      {shown(fault.file)}: {fault.what}")
    if not found.faults and found.evidence is not None:
        for words in NOT_CHECKED:
            typer.echo(f" not  checked     {words}")
        kind, cut = found.evidence["kind"], shown(found.evidence["cut"]["id"])
        typer.echo(f"Verified: {shown(found.pack)}, a {kind} pack of cut {cut}, is whole and unchanged since")
        typer.echo(f"key {' and key '.join(found.signed_by)} signed tag manifest sha256:{found.tagmanifest_sha256}")


def _document(found: Verification) -> dict[str, Any]:
    evidence = found.evidence or {}
    return {
        "pack": found.pack,
        "verified": not found.faults,
        "kind": evidence.get("kind"),
        "cut": evidence.get("cut"),
        "tagmanifest_sha256": found.tagmanifest_sha256 or None,
        "signed_by": list(found.signed_by),
        "checks": [{"check": check.name, "holds": not check.faults, "words": check.words} for check in found.checks],
        "not_checked": list(NOT_CHECKED),
        "faults": [{"file": fault.file, "what": fault.what} for fault in found.faults],
    }


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show bytes read on a terminal; elsewhere a verification is silent until it ends."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("reading the pack"),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda count: bar.advance(task, count)
