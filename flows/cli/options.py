"""Options that every command with a cut key shares: they name files; no option takes a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KeyPath = Annotated[Path, typer.Option("--key", help="Cut key file, mode 0600.", show_default=False)]
CutId = Annotated[str, typer.Option("--cut", help="Id of the data cut.", show_default=False)]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File of one line, mode 0600, with the key's passphrase; else DATACUT_PASSPHRASE_FILE, else a prompt.",
        show_default=False,
    ),
]
IdentityFile = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        help="age identity file, mode 0600, of a wrapped key; else DATACUT_IDENTITY_FILE.",
        show_default=False,
    ),
]
