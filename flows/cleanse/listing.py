"""The file: where it is, what the terminal says of it, and how it is written.

With what ``restore`` writes it is the one exception to the rule that raw identifiers are never written: it is readable
by its owner alone, in no pack, and the SI's job does not write it.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import polars as pl

from contracts.errors import DataCutError
from flows.cut.config import Job, load_cut
from flows.cut.workspace import disk
from flows.files import whole
from flows.intake.files import CLEANSE

HEADER = (
    "participant", "extract", "file", "row", "mpan_core", "column", "heading", "rule", "reason", "effect", "broken_by",
    "rule_id", "own_value", "other", "other_value",
)  # fmt: skip
# What a spreadsheet takes for the start of a formula, after spaces and line feeds (CWE-1236; OWASP, CSV injection).
FORMULA = "^[ \\n]*[=+\\-@\\t\\r\uff1d\uff0b\uff0d\uff20]"


def cleanse_file(job: Job) -> Path:
    """Return where the list of a cut is written: beside its work folder."""
    return job.path(job.model.work) / CLEANSE


@dataclass(slots=True)
class Cleansed:
    """What a list holds: its path, and how many lines."""

    path: Path
    lines: int = 0

    def line(self) -> str:
        """Return what the terminal says of it."""
        if not self.lines:
            return f"{shown(self.path)}: no row of the backup breaks a rule"
        faults = "fault" if self.lines == 1 else "faults"
        return (
            f"{shown(self.path)}: {self.lines:,} {faults} by row and real MPAN. It is for you alone: no pack holds it; "
            "do not send it, and delete it when you are done"
        )


def announcement(cut_file: Path) -> str:
    """Return what the terminal says of the list that a run wrote, however the run ended; empty if it wrote none."""
    try:
        path = cleanse_file(load_cut(cut_file))
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            lines = sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b"")) - 1
    except (DataCutError, OSError):  # why the run ended is said by itself
        return ""
    return Cleansed(path, lines).line()


def shown(path: Path) -> str:
    """Return a path as a person reads it: below the current folder, or whole."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class CleanseList:
    """The file, mode 0600, whole or absent; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.found = Cleansed(path)
        self._open = contextlib.ExitStack()
        self._file: IO[bytes] = io.BytesIO()

    def __enter__(self) -> Self:
        path = self.found.path
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            growing = self._open.enter_context(whole(path))
            growing.unlink(missing_ok=True)
            handle = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = self._open.enter_context(os.fdopen(handle, "wb"))
            self._file.write((",".join(HEADER) + "\n").encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk(self.found.path):
            self._open.__exit__(kind, fault, trace)

    def add(self, lines: pl.DataFrame) -> None:
        """Write lines with the columns of ``HEADER``; no cell is a formula to a spreadsheet."""
        texts = [name for name in HEADER if name != "row"]
        plain = [
            pl.when(pl.col(name).str.contains(FORMULA)).then("'" + pl.col(name)).otherwise(pl.col(name)).alias(name)
            for name in texts
        ]
        empty = [pl.lit(None, pl.String).alias(name) for name in HEADER if name not in lines.columns]
        lines = lines.with_columns(empty)
        with disk(self.found.path):
            lines.select(HEADER).with_columns(plain).write_csv(self._file, include_header=False)
        self.found.lines += lines.height
