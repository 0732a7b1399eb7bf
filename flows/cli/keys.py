"""``datacut key``: the life of a cut key, from its making to the certificate of its destruction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import pseudonym
from flows.cli.options import CutId, IdentityFile, KeyPath, PassphraseFile

Out = Annotated[Path, typer.Option(help="File to write; must not exist.", show_default=False)]
SealWith = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="Seal the key under the one line of this file, mode 0600.", show_default=False
    ),
]
SealAnew = Annotated[
    Path | None,
    typer.Option("--new-passphrase-file", help="Seal it under the one line of this file.", show_default=False),
]
Prompt = Annotated[bool, typer.Option("--prompt", help="Seal it under a passphrase asked for at the terminal.")]
key_app = typer.Typer(no_args_is_help=True, help="Make, protect, hand over, split and destroy cut keys.")


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.add_typer(key_app, name="key")
    pseudonym.register(app)


def _sealing(file: Path | None, prompt: bool) -> str | None:
    from flows.keys.passphrase import ask_new, passphrase_of

    if file is not None:
        return passphrase_of(file)
    return ask_new() if prompt else None


@key_app.command("new")
def new(cut: CutId, out: Out, passphrase_file: SealWith = None, prompt: Prompt = False) -> None:
    """Make a random cut key, readable by its owner alone, and print its fingerprint."""
    from flows.keys.cut_key import new_key

    typer.echo(new_key(out, cut, _sealing(passphrase_file, prompt)))


@key_app.command("signing")
def signing(
    out: Out,
    public: Annotated[
        Path | None, typer.Option(help="Where the public half goes.  [default: beside it, as .pub]", show_default=False)
    ] = None,
) -> None:
    """Make an Ed25519 key to sign packs with, and its public half for those who verify; print the key's id."""
    from flows.keys.signing_key import new_signing_key

    typer.echo(new_signing_key(out, public or out.with_suffix(".pub")).keyid)


@key_app.command("fingerprint")
def fingerprint(
    key: KeyPath, cut: CutId, passphrase_file: PassphraseFile = None, identity: IdentityFile = None
) -> None:
    """Print the 16 hex digits that identify a key for a cut and reveal nothing of it."""
    from flows.keys.cut_key import read_key
    from flows.keys.passphrase import Unlock

    typer.echo(read_key(key, cut, unlock=Unlock(passphrase_file, identity)).fingerprint())


@key_app.command("protect")
def protect(
    *,
    key: KeyPath,
    cut: CutId,
    out: Out,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
    new_passphrase_file: SealAnew = None,
) -> None:
    """Write a key once more under a new passphrase, asked for unless a file names it; the old file stays."""
    from flows.keys.cut_key import keep_key, read_cut_key
    from flows.keys.passphrase import Unlock

    held = read_cut_key(key, cut, unlock=Unlock(passphrase_file, identity))
    typer.echo(keep_key(out, held, cut, _sealing(new_passphrase_file, prompt=True)))


@key_app.command("identity")
def identity_command(out: Out) -> None:
    """Make an age identity to receive wrapped keys with, and print its public recipient."""
    from flows.keys.age_files import new_identity
    from flows.keys.secret_files import write_new

    secret, recipient = new_identity()
    write_new(out, secret)
    typer.echo(recipient)


@key_app.command("wrap")
def wrap(
    *,
    key: KeyPath,
    cut: CutId,
    to: Annotated[
        list[str], typer.Option(help="age1... or a file of recipients; may be repeated.", show_default=False)
    ],
    out: Out,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Wrap a key for a participant in the age format, and print its fingerprint, to be told by another channel."""
    from flows.keys.age_files import recipients_of
    from flows.keys.age_files import wrap as wrapped_for
    from flows.keys.cut_key import plain_line, read_cut_key
    from flows.keys.passphrase import Unlock
    from flows.keys.secret_files import write_new
    from transforms.pseudonymise.keys import FieldKeys

    recipients = [recipient for argument in to for recipient in recipients_of(argument)]
    held = read_cut_key(key, cut, unlock=Unlock(passphrase_file, identity))
    write_new(out, wrapped_for(plain_line(held), recipients))
    typer.echo(FieldKeys(held, cut).fingerprint())


@key_app.command("unwrap")
def unwrap(
    *,
    key: KeyPath,
    cut: CutId,
    expected: Annotated[
        str, typer.Option("--fingerprint", help="The key's fingerprint, told by another channel.", show_default=False)
    ],
    out: Out,
    identity: IdentityFile = None,
    passphrase_file: SealWith = None,
    prompt: Prompt = False,
) -> None:
    """Unwrap a key that was wrapped for an identity; refused unless it is the key of that fingerprint."""
    from flows.keys.cut_key import keep_key, read_cut_key
    from flows.keys.passphrase import Unlock

    held = read_cut_key(key, cut, expected, Unlock(None, identity))
    typer.echo(keep_key(out, held, cut, _sealing(passphrase_file, prompt)))


@key_app.command("split")
def split(
    *,
    key: KeyPath,
    cut: CutId,
    shares: Annotated[int, typer.Option(help="How many custodians get one share each.", show_default=False)],
    threshold: Annotated[int, typer.Option(help="How many shares give the key back.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the share files; made when missing.", show_default=False)],
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Split a key between custodians, k of n, and print the share files."""
    from flows.keys import shares as sharing
    from flows.keys.cut_key import read_cut_key
    from flows.keys.passphrase import Unlock
    from flows.keys.secret_files import new_folder, write_new

    held = read_cut_key(key, cut, unlock=Unlock(passphrase_file, identity))
    parts = sharing.split(held, cut, threshold, shares)
    new_folder(out)
    for share in parts:
        path = out / f"{cut}-share-{share.number}-of-{share.count}"
        write_new(path, share.to_bytes())
        typer.echo(str(path))


@key_app.command("combine")
def combine(
    shares: Annotated[list[Path], typer.Argument(help="Share files, as many as the threshold.", show_default=False)],
    cut: CutId,
    out: Out,
    passphrase_file: SealWith = None,
    prompt: Prompt = False,
) -> None:
    """Put a key together from its shares, and print its fingerprint."""
    from flows.keys import shares as sharing
    from flows.keys.cut_key import keep_key
    from flows.keys.secret_files import read_private, shown

    read = [sharing.parse(read_private(path), where=shown(path)) for path in shares]
    typer.echo(keep_key(out, sharing.combine(read, cut), cut, _sealing(passphrase_file, prompt)))


@key_app.command("destroy")
def destroy(
    *,
    key: KeyPath,
    cut: CutId,
    by: Annotated[str, typer.Option(help="Who destroys it, as the certificate shall say.", show_default=False)],
    signing_key: Annotated[Path, typer.Option(help="Ed25519 key that signs the certificate.", show_default=False)],
    certificate: Annotated[Path, typer.Option(help="Certificate to write; must not exist.", show_default=False)],
    revoked: Annotated[
        Path | None, typer.Option(help="List of revoked fingerprints to add it to.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Overwrite and remove a key file or a share, and leave a signed certificate of it."""
    from flows.keys import destruction
    from flows.keys.cut_key import held_fingerprint
    from flows.keys.passphrase import Unlock
    from flows.keys.signing_key import load_signer

    signer = load_signer(signing_key)
    found = held_fingerprint(key, cut, Unlock(passphrase_file, identity))
    destruction.destroy(key, cut=cut, fingerprint=found, by=by, signer=signer, certificate=certificate)
    if revoked is not None:
        destruction.revoke(revoked, found, f"destroyed, cut {cut}")
    typer.echo(f"destroyed {found}")


@key_app.command("certificate")
def certificate_command(
    certificate: Annotated[Path, typer.Argument(help="Certificate of destruction.", show_default=False)],
    public_key: Annotated[Path, typer.Option(help="Public half of the key that signed it.", show_default=False)],
) -> None:
    """Check a certificate of destruction and say what it attests."""
    from flows.keys.destruction import verify_certificate
    from flows.keys.signing_key import load_public

    told = verify_certificate(certificate, load_public(public_key))
    typer.echo(f"key {told.fingerprint} of cut {told.cut}: {told.file} destroyed by {told.by} at {told.at}")
