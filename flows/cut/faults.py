"""FAULTS: what a foreign exception is: of the machine (memory, threads, files, network, a server), or a defect.

Its text is never repeated: it may quote data. What is looked at of it are the system's own numbers and fixed words of
libraries; their types are told by name, so that none is loaded to say that it failed.
"""

from __future__ import annotations

import errno
import os
import re

from contracts.errors import DataCutError, PlaceError
from flows.cut.installed import left_out

AGAIN = "run the same command again; it goes on where it was"
OUT_OF_MEMORY = "close other programs, or use a machine with more"
_NUMBER = re.compile(r"(?:os error|errno:?|\[Errno) (\d+)", re.IGNORECASE)
_NO_THREAD = re.compile(r"can't start new thread|ThreadPoolBuildError|spawn thread|Resource temporarily unavailable")
_NO_MEMORY = re.compile(r"memory allocation|out of memory|malloc of size|cannot allocate memory", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|[Dd]isk quota exceeded|database or disk is full")

# number of the system -> what happened, what to do
_FILES = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or ask for more"),
    errno.EROFS: ("the disk is read-only", "mount it to be written, or choose another place"),
    errno.EACCES: ("permission is denied", "let the user who runs it read and write there"),
    errno.EPERM: ("permission is denied", "let the user who runs it read and write there"),
    errno.EMFILE: ("too many files are open", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: ("too many files are open on this machine", "raise fs.file-max, or stop other programs"),
    errno.EIO: ("the disk fails", "look at the system's log; put the work folder on another disk"),
    errno.ENOMEM: ("out of memory", OUT_OF_MEMORY),
    errno.EAGAIN: ("no more threads or processes can be started", "raise the limit: ulimit -u, pids of the container"),
}
_NETWORK = {
    errno.ECONNREFUSED: "nothing answers there",
    errno.ECONNRESET: "the connection was cut",
    errno.ECONNABORTED: "the connection was cut",
    errno.EPIPE: "the connection was cut",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "the machine cannot be reached",
    errno.ENETUNREACH: "there is no network",
    errno.EADDRINUSE: "the port is taken",
    errno.EADDRNOTAVAIL: "the address is not of this machine",
}
_REFUSED, _UNWELL = (401, 403), 500  # HTTP


def error_number(fault: BaseException) -> int | None:
    """Return the system's number of a fault, which libraries say in its text alone; none if it has none."""
    if isinstance(fault, OSError) and fault.errno:
        return fault.errno
    told = _NUMBER.search(str(fault))
    if told:
        return int(told[1])
    return errno.ENOSPC if _FULL.search(str(fault)) else None


def failure_of(fault: BaseException) -> DataCutError:
    """Return what to say of an exception: never its text, unless it is ours."""
    if isinstance(fault, DataCutError):
        return fault
    if isinstance(fault, ModuleNotFoundError):
        return left_out(fault) or DataCutError.defect(fault)
    return _of_memory(fault) or _of_a_server(fault) or _of_the_system(fault) or DataCutError.defect(fault)


def _of_memory(fault: BaseException) -> PlaceError | None:
    if isinstance(fault, MemoryError) or (not isinstance(fault, OSError) and _NO_MEMORY.search(str(fault))):
        return PlaceError("out of memory", remedy=OUT_OF_MEMORY)
    threads = isinstance(fault, RuntimeError | BlockingIOError) or _is(fault, "PanicException", "ComputeError")
    if threads and _NO_THREAD.search(str(fault)):
        what, remedy = _FILES[errno.EAGAIN]
        return PlaceError(what, remedy=remedy)
    if _is(fault, "KilledWorker", "BrokenProcessPool", "BrokenThreadPool"):
        return PlaceError(
            "a worker process died, most often for lack of memory", remedy=f"use fewer workers, or more memory; {AGAIN}"
        )
    return None


def _of_a_server(fault: BaseException) -> PlaceError | None:
    code = getattr(getattr(fault, "response", None), "status_code", None)
    if isinstance(code, int) and _is(fault, "HTTPStatusError"):
        if code in _REFUSED:
            remedy = "set PREFECT_API_AUTH_STRING as on the server"
            return PlaceError(f"the Prefect server refuses us ({code})", where="PREFECT_API_URL", remedy=remedy)
        what = "is out of order" if code >= _UNWELL else "does not take what it is told"
        remedy = f"look at its log; then {AGAIN}" if code >= _UNWELL else "is it Prefect 3.8, as here?"
        return PlaceError(f"the Prefect server {what} ({code})", where="PREFECT_API_URL", remedy=remedy)
    if _is(fault, "HTTPError", "TransportError") and "httpx" in _modules(fault):
        return PlaceError(
            f"the Prefect server went away ({type(fault).__name__})",
            where="PREFECT_API_URL",
            remedy=f"start it; then {AGAIN}",
        )
    if _is(fault, "OperationalError", "InterfaceError") and {"sqlalchemy", "psycopg", "sqlite3"} & _modules(fault):
        full = error_number(fault) == errno.ENOSPC
        what = "the disk of a database is full" if full else "a database is away or refuses"
        return PlaceError(what, remedy=f"check disk and server; then {AGAIN}")
    return None


def _of_the_system(fault: BaseException) -> PlaceError | None:
    if not isinstance(fault, OSError) and not _is(fault, "ComputeError", "PanicException", "ArrowException"):
        return None
    if _is(fault, "gaierror", "herror"):
        return PlaceError("the name of a server cannot be resolved", remedy="check the address, DNS and proxy")
    if _is(fault, "SSLError", "SSLCertVerificationError"):
        return PlaceError("a server's certificate does not hold", remedy="check address, clock and certificates")
    number = error_number(fault)
    if number is None and isinstance(fault, ConnectionError):  # a library's own, without the system's number
        number = errno.ECONNRESET
    if number is None:
        return PlaceError("no answer in time", remedy=AGAIN) if isinstance(fault, TimeoutError) else None
    at = DataCutError.defect(fault).what.rpartition(" at ")[2]
    if number in _NETWORK:
        return PlaceError(f"the network failed: {_NETWORK[number]}, at {at}", remedy=f"check server and way; {AGAIN}")
    what, remedy = _FILES.get(number, (f"the system refused access: {os.strerror(number)}", "check the disk"))
    return PlaceError(f"{what}, at {at}", remedy=f"{remedy}; then {AGAIN}")


def _is(fault: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(fault).__mro__)


def _modules(fault: BaseException) -> set[str]:
    return {kind.__module__.partition(".")[0] for kind in type(fault).__mro__}
