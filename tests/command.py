"""The console command from its own entry point, in this process: what it prints, and the code it ends with."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from functools import cache
from unittest import mock

from flows.cli import main

BUILT = cache(main.build)


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


def datacut(*arguments: object) -> Done:
    """Run ``datacut`` with arguments; two parts of ``main`` are for processes of their own and are left out.

    Mounting the subcommands a second time would mount them twice, and what forbids core dumps would forbid them to
    every test that comes after.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(main, "build", BUILT))
        stack.enter_context(mock.patch.object(main, "guard_memory", return_value=True))
        stack.enter_context(mock.patch.object(sys, "argv", ["datacut", *map(str, arguments)]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            main.main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
