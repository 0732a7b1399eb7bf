"""How a command fails: one line on standard error, an exit code, and with ``--json`` one object on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from contracts.errors import ConfigurationError, DataCutError
from flows.cut import faults

INTERRUPTED = 130
READER_GONE = 141  # as a shell reports a program whose reader closed the pipe
UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # typer has no public name for it


def failure_of(fault: BaseException) -> DataCutError:
    """Return what to say of an exception: never its text, unless it is ours or about the command's own words."""
    return _usage(fault) if isinstance(fault, UsageError) else faults.failure_of(fault)


def _usage(fault: Any) -> ConfigurationError:
    command = fault.ctx.command_path if fault.ctx else "datacut"
    if hasattr(fault, "option_name") and hasattr(fault, "possibilities"):
        meant = " or ".join(sorted(fault.possibilities or ()))
        what = f"no such option: {fault.option_name}" + (f"; did you mean {meant}?" if meant else "")
    else:
        text = fault.format_message().strip().rstrip(".")
        what = text[:1].lower() + text[1:]
    return ConfigurationError(what, where=command.removeprefix("datacut").strip(), remedy=f"see {command} --help")


def fail(fault: BaseException, arguments: Sequence[str]) -> NoReturn:
    """Say what went wrong, and leave with the exit code of its class."""
    if type(fault).__name__ == "NoArgsIsHelpError":  # a group without a subcommand
        sys.stderr.write(f"{fault.format_message()}\n")  # type: ignore[attr-defined]
        sys.exit(2)
    failure = failure_of(fault)
    _leave(failure.line(), failure.exit_code, arguments, _facts(failure), failure.document)


def stop(arguments: Sequence[str]) -> NoReturn:
    """Leave after Ctrl-C."""
    facts = {"class": "Interrupted", "what": "stopped", "where": "", "remedy": "run the same command again"}
    _leave("stopped", INTERRUPTED, arguments, facts, None)


def reader_gone() -> NoReturn:
    """Leave quietly: whoever read standard output has had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(READER_GONE)


def _facts(failure: DataCutError) -> dict[str, str]:
    name = "Defect" if type(failure) is DataCutError else type(failure).__name__
    return {"class": name, "what": failure.what, "where": failure.where, "remedy": failure.remedy}


def _leave(line: str, code: int, arguments: Sequence[str], facts: dict[str, str], document: Any) -> NoReturn:
    sys.stderr.write(f"datacut: {line}\n")
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options:
        sys.stdout.write(json.dumps({**(document or {}), "error": {**facts, "exit_code": code}}, indent=2) + "\n")
        sys.stdout.flush()
    sys.exit(code)
