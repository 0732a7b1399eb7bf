"""``datacut verify``: says in plain words whether a pack is whole, unchanged and signed, or what is not."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ConfigurationError, DataCutError
from contracts.json_types import JsonObject
from flows.cli.byte_bar import byte_bar
from flows.keys.signing_key import load_public
from flows.pack.bag import shown
from flows.pack.verify import PackFaultError, Verification, VerificationPolicy, verify_pack

NOT_CHECKED = (
    "whether the data is right: a signature only says who vouches for it",
    "whose public keys these are: get them from their owners",
)


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("verify")(verify_command)


def verify_command(  # noqa: PLR0917 - options, each by name
    pack: Annotated[Path, typer.Argument(help="Folder of the pack.", show_default=False)],
    public_key: Annotated[list[Path], typer.Option(help="Public key of a signer; repeatable.", show_default=False)],
    require: Annotated[
        int | None, typer.Option(min=1, help="How many of these keys must have signed.  [default: all]")
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="A pack that this one was made from: check it too, and the link; repeatable."),
    ] = None,
    cut: Annotated[str, typer.Option(help="Id of the cut that the pack must belong to.")] = "",
    ledger: Annotated[str, typer.Option(help="URL of the ring-fence ledger to check against the pack.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Check the structure, digests and signatures of a pack.

    Needs no data key and no network. Checks the names of all files, the Ed25519 signatures, the SHA-256 of every
    file, the evidence, the expiry, and with --previous the packs it was made from.

    Exit codes: 0 unchanged since it was signed; 18 a check failed, and the line names the file; 13 a public key cannot
    be read; 2 no such folder, or --require asks for more keys than given.
    """
    keys = [load_public(path) for path in public_key]
    if not os.path.lexists(pack):
        raise ConfigurationError("there is no such folder", where=shown(str(pack)), remedy="name the folder of a pack")
    terms = VerificationPolicy(require, tuple(previous or ()), cut, datetime.now(UTC).date())
    try:
        with byte_bar("reading the pack") as seen:
            found = verify_pack(pack, keys, terms, seen=seen)
        if ledger:
            _check_ledger(found, ledger)
    except PackFaultError as fault:
        fault.document = _document(fault.verification)
        if not as_json:
            _print(fault.verification)
        raise
    except DataCutError as fault:
        fault.document = {"pack": pack.name, "verified": False}
        raise
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
    else:
        _print(found)


def _check_ledger(found: Verification, url: str) -> None:
    """Add the check of the ring-fence ledger to what was found."""
    from flows.ringfence.ledger_check import check_ledger

    found.checks.append(check_ledger(found, url))
    if found.faults:
        raise PackFaultError(found)


def _print(found: Verification) -> None:
    for check in found.checks:
        mark = "FAIL" if check.faults else "ok"
        words = "" if check.faults else check.words.replace("; ", f"\n{'':18}")
        typer.echo(f"{mark:>4}  {check.name:<12}{words}".rstrip())
        for fault in check.faults:
            typer.echo(f"      {shown(fault.file)}: {fault.what}")
    if not found.faults and found.evidence is not None:
        for words in NOT_CHECKED:
            typer.echo(f" not  checked     {words}")
        kind, cut = found.evidence.kind, shown(found.evidence.cut.id)
        typer.echo(f"Verified: {shown(found.pack)}, a {kind} pack of cut {cut}, is whole and unchanged since")
        typer.echo(f"key {' and key '.join(found.signed_by)} signed tag manifest sha256:{found.tagmanifest_sha256}")


def _document(found: Verification) -> JsonObject:
    evidence = found.evidence
    return {
        "pack": found.pack,
        "verified": not found.faults,
        "kind": evidence.kind if evidence else None,
        "cut": evidence.cut.model_dump(mode="json") if evidence else None,
        "tagmanifest_sha256": found.tagmanifest_sha256 or None,
        "signed_by": list(found.signed_by),
        "checks": [{"check": check.name, "holds": not check.faults, "words": check.words} for check in found.checks],
        "not_checked": list(NOT_CHECKED),
        "faults": [{"file": fault.file, "what": fault.what} for fault in found.faults],
    }
