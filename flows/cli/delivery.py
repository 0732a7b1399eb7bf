"""``datacut request``, ``status``: who is asked for what, and who has sent it; ``seal``, ``open``, ``receipt``: how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import ConfigurationError, PlaceError
from contracts.json_types import JsonObject
from contracts.strict import none_of
from flows.cli.byte_bar import byte_bar
from flows.cli.run import AsJson, CutPath

if TYPE_CHECKING:
    from flows.delivery.unseal import Opened

SealedFile = Annotated[Path, typer.Argument(help="File that datacut seal wrote.", show_default=False)]
SigningKey = Annotated[
    Path | None, typer.Option("--signing-key", help="Your Ed25519 key, mode 0600.", show_default=False)
]


NAMES = 8  # files that one line names


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("request")(request_command)
    app.command("status")(status_command)
    app.command("seal")(seal_command)
    app.command("open")(open_command)
    app.command("receipt")(receipt_command)


def request_command(
    cut: CutPath,
    *,
    participant: Annotated[list[str] | None, typer.Option(help="MPID; repeatable.  [default: all]")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the requests.")] = Path("requests"),
    as_json: AsJson = False,
) -> None:
    """Write what each participant is asked to deliver: extracts, columns, what happens to each, and what must agree.

    Made from the contracts, the policy and CUT.yaml, as a page that prints, as Markdown and as JSON, with a digest.
    Columns that were agreed with a participant are `agreed:` of its extract; without it all of the contract is asked.
    """
    from flows.cut.config import load_cut
    from flows.cut.workspace import disk
    from flows.delivery.pages import request_markdown, request_page
    from flows.delivery.request import data_requests, json_of, names
    from flows.files import whole

    requests = data_requests(load_cut(cut))
    known = [request.participant for request in requests]
    if strangers := sorted(set(participant or ()) - set(known)):
        raise ConfigurationError(none_of(strangers[0], known, "participant"), where="--participant")
    chosen = [request for request in requests if not participant or request.participant in participant]
    for request in chosen:
        texts = (request_page(request), request_markdown(request), json_of(request))
        for name, data in zip(names(request.participant), texts, strict=True):
            with disk(out):
                out.mkdir(parents=True, exist_ok=True)
                with whole(out / name) as growing:
                    growing.write_bytes(data)
    if as_json:
        typer.echo(json.dumps({request.participant: request.digest for request in chosen}, indent=2))
        return
    for request in chosen:
        typer.echo(f"{request.participant}  {out / names(request.participant)[0]}  sha256:{request.digest}")


def status_command(
    cut: CutPath,
    *,
    page: Annotated[Path | None, typer.Option(help="HTML page to write as well.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each input that a cut waits for whether it is expected, arrived, checked, accepted, refused or late.

    Opens no backup. Checked: datacut check could read it; read: so could a run, which published nothing; accepted: a
    run published what it made of it. An input that changed since is a new arrival. Ends with what is to be chased. A
    late participant may be left out by name in CUT.yaml.
    """
    from datetime import UTC, datetime

    from flows.cut.config import load_cut
    from flows.cut.workspace import disk
    from flows.delivery.board import board, lines
    from flows.delivery.pages import board_page
    from flows.files import whole

    found = board(load_cut(cut), datetime.now(UTC).date())
    if page is not None:
        with disk(page), whole(page) as growing:
            growing.write_bytes(board_page(found))
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("Participant", "Extract", "State", "Due", "Rows", "Detail"):
        table.add_column(heading, justify="right" if heading == "Rows" else "left")
    for line in lines(found.deliveries):
        table.add_row(*line)
    Console().print(table)
    typer.echo(f"\n{found.headline()}")
    if found.chase:
        who = sorted({delivery.participant for delivery in found.chase})
        typer.echo(f"To chase: {', '.join(who)}")


def seal_command(
    backups: Annotated[
        list[Path], typer.Argument(metavar="BACKUP...", help="Files or folders of a raw backup.", show_default=False)
    ],
    *,
    to: Annotated[
        list[str],
        typer.Option(help="Recipient (age1...), or a file of recipients; repeatable.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Sealed file to write.", show_default=False)],
    cut: Annotated[str, typer.Option(help="Id of the cut that it is for.")] = "",
    participant: Annotated[str, typer.Option(help="Your MPID.")] = "",
    signing_key: SigningKey = None,
    as_json: AsJson = False,
) -> None:
    """Pack a raw backup so that its recipient alone can read it.

    For cuts that are anonymised after receipt. Writes one age file in a stream: names, sizes and digests of the files
    are inside, nothing of them is readable outside, and no unencrypted copy is written. Sign it, so that the recipient
    knows that it is yours.
    """
    from flows.delivery.seal import seal
    from flows.keys.signing_key import load_signer
    from flows.report.formatting import plural

    signer = load_signer(signing_key) if signing_key else None
    with byte_bar("sealing") as seen:
        done = seal(backups, out, to=to, cut=cut, participant=participant, signer=signer, progress=seen)
    files = done.manifest.files
    if as_json:
        facts = {"sealed": str(out), "sha256": done.sha256, "files": [file.model_dump() for file in files]}
        more = {"left_out": list(done.left_out), "signed": signer is not None}
        typer.echo(json.dumps({**facts, **more}, indent=2))
        return
    typer.echo(f"Sealed {plural(len(files), 'file')}, {sum(file.bytes for file in files):,} bytes, in {out}")
    typer.echo(f"sha256:{done.sha256}")
    if done.left_out:
        rest = f" and {len(done.left_out) - NAMES} more" if len(done.left_out) > NAMES else ""
        typer.echo(f"Left out: {', '.join(done.left_out[:NAMES])}{rest}", err=True)
    if signer is None:
        typer.echo("Not signed: the recipient cannot tell whose it is. --signing-key signs it.", err=True)
    typer.echo("Next: send it, and give the recipient the digest by another channel; ask for a receipt.", err=True)


def open_command(
    sealed: SealedFile,
    *,
    identity: Annotated[Path, typer.Option(help="Your age identity, mode 0600.", show_default=False)],
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key of the sender, who must have signed it; repeatable.", show_default=False),
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option(help="Receipt to write for the sender; needs --signing-key.", show_default=False)
    ] = None,
    signing_key: SigningKey = None,
    as_json: AsJson = False,
) -> None:
    """See what a sealed backup holds and that it is whole, without writing any of it down.

    A run reads it in place: name it as the path of a source, and the identity as cut.seal_identity_file in cut.yaml.

    Exit codes: 0 whole; 11 no sealed backup, changed or cut off; 13 not sealed for you; 18 not what its sender listed
    or signed.
    """
    from flows.delivery.unseal import receipt as receipt_of
    from flows.delivery.unseal import unseal
    from flows.keys.age_files import identities_of
    from flows.keys.secret_files import read_private
    from flows.keys.signing_key import load_public, load_signer
    from flows.report.formatting import plural

    if (receipt is None) != (signing_key is None):
        raise ConfigurationError("--receipt and --signing-key go together")
    keys = [load_public(path) for path in public_key or ()]
    signer = load_signer(signing_key) if signing_key else None
    with byte_bar("reading") as seen:
        found = unseal(sealed, identities_of(read_private(identity)), keys, progress=seen)
    if receipt is not None and signer is not None:
        _write(receipt, receipt_of(found, signer))
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
        return
    for file in found.manifest.files:
        typer.echo(f"{file.bytes:>16,}  {file.name}")
    manifest = found.manifest
    by, cut = manifest.participant and f" by {manifest.participant}", manifest.cut and f" for cut {manifest.cut}"
    typer.echo(
        f"Whole: {plural(len(manifest.files), 'file')}, {found.bytes:,} bytes, sealed on {manifest.day}{by}{cut}"
    )
    typer.echo(f"sha256:{found.sealed_sha256}")
    signed = f"signed by key {', '.join(found.signed_by)}" if found.signed_by else "who sealed it was not checked"
    typer.echo(signed + ("" if found.signed_by else ": --public-key asks for the sender's signature"))
    if receipt is not None:
        typer.echo(f"Receipt: {receipt}")


def receipt_command(
    receipt: Annotated[Path, typer.Argument(help="Receipt that you were sent.", show_default=False)],
    *,
    sealed: Annotated[Path, typer.Option(help="The sealed file that you sent.", show_default=False)],
    public_key: Annotated[Path, typer.Option(help="Public key of the recipient.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Check the receipt for a sealed backup that you sent.

    Exit codes: 0 it is for this very file; 18 it is not, or somebody else signed it.
    """
    from flows.delivery.unseal import check_receipt
    from flows.keys.signing_key import load_public
    from flows.report.formatting import plural

    try:
        data = receipt.read_bytes()
    except OSError:
        raise ConfigurationError("cannot be read", where=str(receipt), remedy="name a receipt") from None
    found = check_receipt(data, load_public(public_key), sealed, where=receipt.name)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    signed = "with your signature" if found.signed_by_sender else "your signature was not looked for"
    typer.echo(f"Received on {found.day}: {plural(found.files, 'file')}, {found.bytes:,} bytes, {signed}")


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        raise ConfigurationError("is there already", where=str(path), remedy="choose another name") from None
    except OSError as fault:
        raise PlaceError("cannot be written", where=str(path), remedy=fault.strerror or "check the disk") from None


def _document(found: Opened) -> JsonObject:
    return {
        **found.manifest.model_dump(),
        "sealed_sha256": found.sealed_sha256,
        "manifest_sha256": found.manifest_sha256,
        "signed_by": list(found.signed_by),
    }
