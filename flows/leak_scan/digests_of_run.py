"""Where a run keeps the digests of its raw identifiers, and the scanner that knows them all."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from weakref import WeakKeyDictionary

from flows.cut.context import Context, scan_key
from flows.cut.records import TreatedColumns
from flows.cut.workspace import Workspace
from flows.intake.raw_digests import ROOM
from flows.leak_scan.known import load_known
from flows.leak_scan.scan import Scanner

_SCANNERS: WeakKeyDictionary[Workspace, Scanner] = WeakKeyDictionary()  # of this process; gone with the run's context
_MAKING = Lock()


def digests_file(workspace: Workspace, participant: str, extract: str) -> Path:
    """Return the file of one source's digests."""
    return workspace.root / ROOM / f"{participant}-{extract}.npz"


def run_scanner(known: Context) -> Scanner:
    """Return a scanner for all raw identifiers that this run read.

    Of a submission pack no raw identifier is known here: its sender looked for them (:func:`unknown_sources`).

    Raises:
        ResidueError: digests of a source are missing.
    """
    own = [h for h in known.extracts if known.workspace.recorded(TreatedColumns, h.participant, h.extract) is None]
    files = [(h.extract, digests_file(known.workspace, h.participant, h.extract)) for h in own]
    return Scanner(load_known(scan_key(known), files))


def scanner_of_run(known: Context) -> Scanner:
    """Return the scanner of this process for a run: steps that search side by side search each text once.

    Raises:
        ResidueError: as :func:`run_scanner`.
    """
    with _MAKING:
        if known.workspace not in _SCANNERS:
            _SCANNERS[known.workspace] = run_scanner(known)
        return _SCANNERS[known.workspace]


def forget_scanner(known: Context) -> None:
    """Drop the scanner of this process: a search that failed has left lines behind that it knows and nobody noted."""
    with _MAKING:
        _SCANNERS.pop(known.workspace, None)


def unknown_sources(known: Context) -> list[str]:
    """Return the sources of which no raw identifier is known here: they came as submission packs."""
    packs = [h for h in known.extracts if known.workspace.recorded(TreatedColumns, h.participant, h.extract)]
    return [f"{h.participant}/{h.extract}" for h in packs]
