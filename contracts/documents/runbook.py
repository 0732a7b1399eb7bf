"""The runbook: each exit code, what it means, what to do. ``python -m contracts.documents.runbook`` prints the page."""

from __future__ import annotations

import sys

from contracts import errors

# Codes that are no error of ours.
OTHERS = {
    0: ("done", "Nothing."),
    130: ("stopped with Ctrl-C", "Run the same command again; it goes on where it was."),
    141: ("the reader closed the pipe", "Nothing: whoever read the output had enough."),
}


def exit_codes() -> dict[int, tuple[str, str]]:
    """Return what each exit code means and what to do, by code."""
    ours: list[type[errors.DataCutError]] = [errors.DataCutError, *errors.DataCutError.__subclasses__()]
    return dict(sorted({**OTHERS, **{one.exit_code: (one.means, one.runbook) for one in ours}}.items()))


def runbook() -> str:
    """Return the page."""
    head = "# Runbook\n\nEach exit code, what it means, what to do. Made from the error classes by `make docs`.\n\n"
    table = "| code | means | what to do |\n|---|---|---|\n"
    return head + table + "".join(f"| {code} | {means} | {do} |\n" for code, (means, do) in exit_codes().items())


if __name__ == "__main__":
    sys.stdout.write(runbook())
