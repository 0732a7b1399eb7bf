"""``datacut key``: the life of a cut key, from its making to the certificate of its destruction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import pseudonym
from flows.cli.help import WholeSentences
from flows.cli.options import CutId, IdentityFile, KeyPath, PassphraseFile

Out = Annotated[Path, typer.Option(help="New file to write.", show_default=False)]
SealWith = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="Protect the key with the passphrase in this one-line file, mode 0600.",
        show_default=False,
    ),
]
SealAnew = Annotated[
    Path | None,
    typer.Option("--new-passphrase-file", help="One-line file with the new passphrase.", show_default=False),
]
Prompt = Annotated[bool, typer.Option("--prompt", help="Ask for a passphrase to protect the key with.")]
key_app = typer.Typer(
    cls=WholeSentences, no_args_is_help=True, help="Make, protect, hand over, split and destroy cut keys."
)


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.add_typer(key_app, name="key")
    pseudonym.register(app)


def _explain(*lines: str) -> None:
    """Say on standard error what was printed and what to do next; standard output stays one value for a script."""
    for line in lines:
        typer.echo(line, err=True)


def _sealing(file: Path | None, prompt: bool) -> str | None:
    from flows.keys.passphrase import ask_new, passphrase_of

    if file is not None:
        return passphrase_of(file)
    return ask_new() if prompt else None


@key_app.command("new")
def new(cut: CutId, out: Out, passphrase_file: SealWith = None, prompt: Prompt = False) -> None:
    """Make a random cut key that only you can read, and print its fingerprint."""
    from flows.keys.cut_key import new_key

    typer.echo(new_key(out, cut, _sealing(passphrase_file, prompt)))
    _explain(
        f"That is the fingerprint of the key of cut {cut}, now in {out} (mode 0600).",
        "Next: set cut.key in cut.yaml to that file. Keep a copy elsewhere (datacut key split). Encrypt it for each",
        "participant (datacut key wrap), and send the fingerprint by another channel.",
    )


@key_app.command("signing")
def signing(
    out: Out,
    public: Annotated[
        Path | None,
        typer.Option(help="File for the public key.  [default: beside the private one, as .pub]", show_default=False),
    ] = None,
    passphrase_file: SealWith = None,
    prompt: Prompt = False,
) -> None:
    """Make an Ed25519 key pair to sign packs with, and print the key id."""
    from flows.keys.signing_key import new_signing_key

    half = public or out.with_suffix(".pub")
    phrase = _sealing(passphrase_file, prompt)
    typer.echo(new_signing_key(out, half, passphrase=phrase.encode() if phrase else None).keyid)
    _explain(
        f"That is the key id. Private key: {out} (mode 0600). Public key: {half}.",
        "Next: set release.signing_key in cut.yaml to the private key. Give the public key to everyone who verifies:",
        f"datacut verify PACK --public-key {half}",
    )


@key_app.command("fingerprint")
def fingerprint(
    key: KeyPath, cut: CutId, passphrase_file: PassphraseFile = None, identity: IdentityFile = None
) -> None:
    """Print the 16 hex digits that identify a key without revealing it."""
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
    """Write a copy of a key under a new passphrase; the old file stays.

    Asks for the passphrase unless --new-passphrase-file gives it.
    """
    from flows.keys.cut_key import keep_key, read_cut_key
    from flows.keys.passphrase import Unlock

    held = read_cut_key(key, cut, unlock=Unlock(passphrase_file, identity))
    typer.echo(keep_key(out, held, cut, _sealing(new_passphrase_file, prompt=True)))


@key_app.command("identity")
def identity_command(out: Out) -> None:
    """Make an age identity to receive keys with, and print its public recipient."""
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
    to: Annotated[list[str], typer.Option(help="age1... or a file of recipients; repeatable.", show_default=False)],
    out: Out,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Encrypt a key to a participant's age recipient, and print its fingerprint.

    Send the file and the fingerprint by different channels.
    """
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
        str,
        typer.Option(
            "--fingerprint", help="The key's fingerprint, as you got it by another channel.", show_default=False
        ),
    ],
    out: Out,
    identity: IdentityFile = None,
    passphrase_file: SealWith = None,
    prompt: Prompt = False,
) -> None:
    """Decrypt a key that was wrapped for your identity; fails unless the fingerprint matches."""
    from flows.keys.cut_key import keep_key, read_cut_key
    from flows.keys.passphrase import Unlock

    held = read_cut_key(key, cut, expected, Unlock(None, identity))
    typer.echo(keep_key(out, held, cut, _sealing(passphrase_file, prompt)))


@key_app.command("split")
def split(
    *,
    key: KeyPath,
    cut: CutId,
    shares: Annotated[int, typer.Option(help="Number of shares, one per custodian.", show_default=False)],
    threshold: Annotated[int, typer.Option(help="How many shares are needed to rebuild the key.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the share files; created if missing.", show_default=False)],
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Split a key into shares for custodians, and print the file names."""
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
    """Rebuild a key from its shares, and print its fingerprint."""
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
    by: Annotated[str, typer.Option(help="Who destroys it, for the certificate.", show_default=False)],
    signing_key: Annotated[Path, typer.Option(help="Ed25519 key that signs the certificate.", show_default=False)],
    certificate: Annotated[Path, typer.Option(help="New file for the certificate.", show_default=False)],
    revoked: Annotated[
        Path | None, typer.Option(help="File of revoked fingerprints to append to.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Overwrite and delete a key file or share, and write a signed certificate.

    If it is stopped, run it again: it goes on where it was.
    """
    from flows.keys import destruction
    from flows.keys.cut_key import held_fingerprint
    from flows.keys.passphrase import Unlock
    from flows.keys.signing_key import load_signer

    signer = load_signer(signing_key)
    done = destruction.destroy(
        key,
        cut=cut,
        fingerprint=lambda: held_fingerprint(key, cut, Unlock(passphrase_file, identity)),
        by=by,
        signer=signer,
        certificate=certificate,
        revoked=revoked,
    )
    typer.echo(f"destroyed {done.fingerprint}")


@key_app.command("certificate")
def certificate_command(
    certificate: Annotated[Path, typer.Argument(help="Certificate of destruction.", show_default=False)],
    public_key: Annotated[Path, typer.Option(help="Public key of the signer.", show_default=False)],
) -> None:
    """Check a certificate of destruction and print what it says."""
    from flows.keys.destruction import verify_certificate
    from flows.keys.signing_key import load_public

    found = verify_certificate(certificate, load_public(public_key))
    typer.echo(f"key {found.fingerprint} of cut {found.cut}: {found.file} destroyed by {found.by} at {found.at}")
