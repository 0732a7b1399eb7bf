"""BOUNDARY: what no library may carry out of a process: the text of a panic, which may quote a value.

A panic of a library written in Rust is a ``BaseException`` and no ``Exception``; and before it is raised, its text has
gone to the process's standard error by the library's own hand. Both are stopped here.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time

ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a process or a stream by itself; anything else is a failure, whatever it derives from."""
_PANIC = re.compile(rb"thread '[^']*'(?: \(\d+\))? panicked at ")
_LAST_LINE = b"note: run with `RUST_BACKTRACE"
_MESSAGE = 1.0  # seconds in which the lines of a panic's text follow each other
_STANDARD_ERROR = 2
_done = threading.Lock()


def is_failure(fault: BaseException) -> bool:
    """Tell whether something that was raised is a failure, as a panic is, and no end."""
    return not isinstance(fault, ENDS) and type(fault).__name__ not in ("CancelledError", "TerminationSignal")


def keep_panics_quiet() -> None:
    """Let no text of a panic reach this process's standard error, for good; what Python says goes there as before.

    Standard error becomes a pipe that a thread empties: all lines pass but those of a panic.
    """
    if not _done.acquire(blocking=False):
        return
    try:
        real, (outlet, inlet) = os.dup(_STANDARD_ERROR), os.pipe()
        own = isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr.fileno() == _STANDARD_ERROR
    except OSError:  # there is no standard error to say anything on
        return
    if own:
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr.flush()
        sys.stderr = open(os.dup(real), "w", encoding=encoding, errors=errors, buffering=1)  # noqa: SIM115
    os.dup2(inlet, _STANDARD_ERROR)
    os.close(inlet)
    threading.Thread(target=_pass_on, args=(outlet, real), name="standard error", daemon=True).start()


def _pass_on(outlet: int, real: int) -> None:
    until = 0.0
    with open(outlet, "rb", buffering=0) as stream:
        held = b""
        while some := stream.read(65_536):
            *lines, held = (held + some).split(b"\n")
            for line in lines:
                if _PANIC.match(line):
                    until = time.monotonic() + _MESSAGE
                elif line.startswith(_LAST_LINE):
                    until = 0.0
                elif time.monotonic() >= until:
                    os.write(real, line + b"\n")
