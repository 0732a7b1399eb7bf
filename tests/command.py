"""The console command from its own entry point, in this process: what it prints, and the code it ends with."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from flows.cli import main


@dataclass(frozen=True)
class Done:
    """Exit code and everything that was said."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines in which the command says why it ended."""
        return [line for line in self.err.splitlines() if line.startswith("datacut: ")]


BUILT = cache(main.build)  # mounting the subcommands again would mount them twice


@cache
def _command() -> Any:
    """Return the command with its subcommands; reading the annotations of all of them takes 0.1 s."""
    return typer.main.get_command(BUILT())


def datacut(*arguments: object, cwd: Path | None = None, stdin: str | None = None, **environment: str) -> Done:
    """Run ``datacut`` with arguments; three parts of ``main`` are for processes of their own and are left out.

    The subcommands are mounted once for all tests, and what forbids core dumps, and keeps the texts of panics, would
    do so for every test that comes after.

    Args:
        cwd: the folder in which the user is.
        stdin: what comes in, where it matters; there is no terminal.
        environment: variables beside those of this process.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        if cwd:
            stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(mock.patch.object(main, "build", return_value=_command()))
        stack.enter_context(mock.patch.object(main, "guard_memory", return_value=True))
        stack.enter_context(mock.patch.object(main, "keep_panics_quiet"))
        stack.enter_context(mock.patch.object(sys, "argv", ["datacut", *map(str, arguments)]))
        if stdin is not None:
            given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
            stack.enter_context(mock.patch.object(sys, "stdin", given))
        stack.enter_context(mock.patch.dict(os.environ, environment))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            main.main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


LIGHT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))  # None: not to be found
from flows.cli.main import main
sys.exit(main())
"""


def datacut_process(
    *arguments: object, before: tuple[str, ...] = (), without: Sequence[str] = (), **environment: str
) -> Done:
    """Run ``datacut`` in a process of its own, as under Prefect, which reads once where its server is.

    Args:
        before: a command that runs the command.
        without: libraries whose import fails as if they were not installed.
        environment: variables beside those of this process.
    """
    light = [sys.executable, "-c", LIGHT, ",".join(without)]
    own = light if without else [str(Path(sys.executable).with_name("datacut"))]
    command = [*before, *own, *map(str, arguments)]
    named = {**os.environ, "COLUMNS": "160", **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=named)
    return Done(done.returncode, done.stdout, done.stderr)
