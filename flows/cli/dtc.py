"""``datacut dtc``: masks any flow of the Data Transfer Catalogue; prints its policy; checks what was masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import ConfigurationError, ContractError
from contracts.vocabulary import PostcodePolicy
from flows.cli.help import WholeSentences
from flows.cli.options import CutId, IdentityFile, KeyPath, PassphraseFile

if TYPE_CHECKING:
    from flows.dtc.manifest import Report

dtc_app = typer.Typer(cls=WholeSentences, no_args_is_help=True, help="Pseudonymise DTC flow files without a cut.")


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    dtc_app.command("mask")(mask_command)
    dtc_app.command("policy")(policy_command)
    dtc_app.command("verify")(verify_command)
    app.add_typer(dtc_app, name="dtc")


def mask_command(  # noqa: PLR0913, PLR0917 - options, each by name
    inputs: Annotated[list[Path], typer.Argument(help="Flow files (gzip allowed) and folders.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="New folder for the masked files.", show_default=False)],
    key: KeyPath,
    cut: CutId,
    catalogue: Annotated[
        Path, typer.Option("--catalogue", help="DTC layouts as CSV, one line per field.", show_default=False)
    ],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="YAML file: how to treat each item.  [default: the shipped policy]")
    ] = None,
    blank_unknown: Annotated[
        bool,
        typer.Option(
            "--blank-unknown", help="Blank fields unknown to policy or catalogue instead of refusing the file."
        ),
    ] = False,
    test_flag: Annotated[str, typer.Option(help="Test flag for headers without one.")] = "TR01",
    require_test_flag: Annotated[
        bool, typer.Option("--require-test-flag", help="Refuse files with a ZHD header, which has no test flag.")
    ] = False,
    postcode: Annotated[
        PostcodePolicy, typer.Option(help="How much of a postcode to keep, as in the cut's policy.")
    ] = PostcodePolicy.OUTWARD,
    signing_key: Annotated[
        Path | None, typer.Option("--signing-key", help="Ed25519 key that signs the manifest.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Pseudonymise DTC flow files, with the same pseudonyms as in the cut.

    Fields that the policy keeps do not change by a byte. Writes all files or none. A ZHV header is marked as a test.
    ZHD has no test flag: its file is masked, and counted here and in the manifest; keep it away from live systems.

    In a record shorter or longer than its layout, a kept field that may hold a value to mask is blanked and counted; a
    mandatory one refuses the file, unless --blank-unknown.

    Exit codes: 0 written; 2 the output folder exists, or inputs clash; 10 the catalogue or policy is wrong; 11 a file
    is not a known flow; 12 an item is not in the policy, a record is out of place, or the trailer's count is wrong; 13
    key; 19 disk.
    """
    from contracts.dtc.policy import SHIPPED
    from contracts.scheme import scheme_lists
    from flows.cut.self_test import self_test
    from flows.dtc.mask import Request, Rules, mask_flows
    from flows.keys.cut_key import read_key
    from flows.keys.passphrase import Unlock
    from flows.keys.signing_key import load_signer
    from transforms.dtc.control import TEST_FLAG
    from transforms.pseudonymise.pseudonymiser import Pseudonymiser

    if not TEST_FLAG.fullmatch(test_flag):
        raise ConfigurationError("must be TR and two digits", where="--test-flag")
    chosen = policy or SHIPPED
    rules = Rules.read(_text(catalogue), _text(chosen), catalogue_name=catalogue.name, policy_name=chosen.name)
    self_test()
    keys = read_key(key, cut, unlock=Unlock(passphrase_file, identity))
    request = Request(
        inputs=inputs,
        out=out,
        rules=rules,
        blank_unknown=blank_unknown,
        test_flag=test_flag,
        fingerprint=keys.fingerprint(),
        signer=load_signer(signing_key) if signing_key else None,
        require_test_flag=require_test_flag,
    )
    _print(mask_flows(request, Pseudonymiser(keys, postcode, lists=scheme_lists())), out)


def policy_command() -> None:
    """Print the shipped policy; change a copy and pass it with --policy."""
    from contracts.dtc.policy import shipped_policy_text

    typer.echo(shipped_policy_text(), nl=False)


def verify_command(
    folder: Annotated[Path, typer.Argument(help="Folder written by datacut dtc mask.", show_default=False)],
    public_key: Annotated[Path, typer.Option(help="Public key to check against.", show_default=False)],
) -> None:
    """Check the signature of the manifest and the SHA-256 of every file. Exit code 18 if one fails."""
    from flows.dtc.manifest import verify_folder
    from flows.keys.signing_key import load_public

    manifest = verify_folder(folder, load_public(public_key))
    typer.echo(f"Verified: {len(manifest.files)} files of cut {manifest.cut.id} match their signature.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise ConfigurationError(f"cannot be read: {fault.strerror}", where=path.name) from None
    except UnicodeDecodeError:
        raise ContractError("is not UTF-8 text", where=path.name) from None


def _print(report: Report, out: Path) -> None:
    flows = sum(sum(file.flows.values()) for file in report.files)
    records = sum(file.records for file in report.files)
    typer.echo(f"Masked {len(report.files)} files, {flows} flows, {records} records: {out}")
    kinds: dict[str, int] = {}
    for (_, _, kind), count in report.masked.items():
        kinds[kind] = kinds.get(kind, 0) + count
    typer.echo(f"  replaced: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items())) or 'nothing'}")
    for (item, name), count in sorted(report.uncovered.items()):
        typer.echo(f"  no pseudonym: {count} of {item} {name}; empty now, or a constant where mandatory")
    for place, count in sorted(report.blanked.items()):
        typer.echo(f"  blanked: {count} of {place}")
    if untold := sum(file.without_test_flag for file in report.files):
        typer.echo(f"  no test flag: {untold} flows begin with ZHD, which has none")
    signed = f"signed by key {report.signed_by}" if report.signed_by else "not signed: give --signing-key"
    typer.echo(f"  the manifest is {signed}")
