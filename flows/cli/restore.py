"""``datacut restore``: a participant's own records, and what was added to them, under its real MPANs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import RefusedError
from flows.cli.options import IdentityFile, KeyPath, PassphraseFile

if TYPE_CHECKING:
    from flows.restore.restore import Restored


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("restore")(restore_command)


def restore_command(
    pack: Annotated[Path, typer.Argument(help="Folder of the return pack.", show_default=False)],
    *,
    backup: Annotated[
        Path, typer.Option(help="Folder of the backup, or the cut.yaml used for it.", show_default=False)
    ],
    key: KeyPath,
    out: Annotated[Path, typer.Option(help="New folder for the load files.", show_default=False)],
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Verify the pack against this key first; repeatable.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Write load files under your real MPANs: your own records, and the MHHS-only items.

    Decrypts nothing: computes the pseudonyms of your backup again and matches them with the pack. Only you can read
    the files. Without --public-key, the signature is not checked. Records of the pack that do not match your backup
    are listed in unmatched-<extract>.csv, and the exit code is 12.
    """
    from flows.cut.self_test import self_test
    from flows.keys.cut_key import read_key
    from flows.keys.passphrase import Unlock
    from flows.keys.signing_key import load_public
    from flows.restore.restore import restore

    self_test()
    unlock = Unlock(passphrase_file, identity)
    found = restore(
        pack,
        backup,
        out,
        lambda cut, fingerprint: read_key(key, cut, fingerprint, unlock),
        [load_public(path) for path in public_key or []],
    )
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2, sort_keys=True))
    else:
        _print(found, out)
    if found.mismatches:
        remedy = "see unmatched-<extract>.csv; the load files follow your backup; ask the sender of the pack"
        raise RefusedError(f"{found.mismatches:,} records do not match the backup", where=pack.name, remedy=remedy)


def _print(found: Restored, out: Path) -> None:
    from flows.cleanse.listing import Cleansed
    from flows.intake.files import CLEANSE

    for entry in found.extracts:
        excluded = sum(entry.excluded.values())
        typer.echo(
            f"{entry.extract}: {entry.rows:,} rows in the backup, {entry.returned:,} returned, "
            f"{excluded:,} excluded, {entry.only_in_backup:,} not in the pack"
        )
        if entry.differing or entry.only_in_pack:
            typer.echo(
                f"  does not match the backup: {entry.differing:,} records differ, "
                f"{entry.only_in_pack:,} are only in the pack; see unmatched-{entry.extract}.csv"
            )
    typer.echo(f"Signature: {'verified' if found.verified else 'not checked (give --public-key)'}")
    typer.echo(f"Load files: {out}")
    typer.echo(Cleansed(out / CLEANSE, found.faults).line())
