"""Options that every command with a cut key shares: they name files; no option takes a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KeyPath = Annotated[Path, typer.Option("--key", help="Cut key file, mode 0600.", show_default=False)]
CutId = Annotated[str, typer.Option("--cut", help="Id of the cut.", show_default=False)]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="One-line file with the key's passphrase, mode 0600.  [default: DATACUT_PASSPHRASE_FILE, else a prompt]",
        show_default=False,
    ),
]
IdentityFile = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        help="age identity that opens a wrapped key, mode 0600.  [default: DATACUT_IDENTITY_FILE]",
        show_default=False,
    ),
]
