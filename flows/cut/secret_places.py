"""SECRET PLACES: where a secret comes from when it lies in no file: a program's output, or the orchestrator's store.

Neither passes through an argument, a parameter, a variable of the environment or a log: a program's output is read
through a pipe, its standard error is thrown away, and a block of Prefect's is read when it is needed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from pydantic import Field

from contracts.errors import KeyMaterialError
from contracts.strict import Strict
from flows.cut.installed import require
from flows.keys.secret_files import MAX_SECRET_FILE, read_private, shown

ANSWERED_WITHIN = 60  # seconds, for a program that asks a vault


class SecretCommand(Strict):
    """A program that prints a secret, and its arguments; run without a shell in the folder of ``cut.yaml``."""

    command: tuple[str, ...] = Field(min_length=1)


class SecretBlock(Strict):
    """A secret in the orchestrator's store: the name of a Prefect ``Secret`` block."""

    secret_block: str = Field(min_length=1)


SecretPlace = Path | SecretCommand | SecretBlock


def place_name(place: SecretPlace) -> str:
    """Return what messages call a place: a file by its path, a program by its name, a block by its own."""
    if isinstance(place, SecretCommand):
        return f"the command {Path(place.command[0]).name}"
    return f"the block {place.secret_block}" if isinstance(place, SecretBlock) else shown(place)


def read_secret(place: SecretPlace, folder: Path) -> bytes:
    """Return a secret.

    Args:
        folder: that of ``cut.yaml``: relative paths begin there, and a program runs in it.

    Raises:
        KeyMaterialError: the file is unfit, the program failed or printed nothing, there is no such block.
        PlaceError: a block is named and Prefect is not installed.
    """
    if isinstance(place, SecretCommand):
        found = _printed(place, folder)
    elif isinstance(place, SecretBlock):
        found = _kept(place)
    else:
        return read_private(folder / place)
    if not found.strip() or len(found) > MAX_SECRET_FILE:
        raise KeyMaterialError("gives nothing, or more than a key can be", where=place_name(place))
    return found


def _printed(place: SecretCommand, folder: Path) -> bytes:
    done, fault, remedy = None, "", ""  # raised outside of what caught it: a timeout holds what was printed so far
    try:
        done = subprocess.run(
            place.command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=ANSWERED_WITHIN,
        )
    except subprocess.TimeoutExpired:
        fault = f"gave nothing within {ANSWERED_WITHIN} s"
    except OSError as refusal:
        fault, remedy = "cannot be run", refusal.strerror or ""
    if done is not None and done.returncode:
        fault, remedy = f"ended with code {done.returncode}", "run it by hand to see what it says"
    if done is None or fault:
        raise KeyMaterialError(fault, where=place_name(place), remedy=remedy)
    return done.stdout


def _kept(place: SecretBlock) -> bytes:
    require("prefect")
    from prefect.blocks.system import Secret

    try:
        found = Secret.load(place.secret_block)
    except ValueError:
        remedy = "make it on the server whose worker runs this, as a block of type Secret"
        raise KeyMaterialError("is not there", where=place_name(place), remedy=remedy) from None
    value = found.get()  # type: ignore[union-attr]
    return value.encode() if isinstance(value, str) else b""
