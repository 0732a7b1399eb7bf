"""Makes a sample: chunk by chunk into a folder beside the one asked for, which is renamed when it is whole.

While one chunk is made, the one before is written, so two are in memory at most, whatever the size asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ConfigurationError, PlaceError
from flows.files import whole_folder
from flows.sample import dtc
from flows.sample.chunk import Chunk, SampleTally, compose
from flows.sample.companion_files import write_beside
from flows.sample.layout import EXTRACTS, sinks
from flows.sample.market_data import write_market_data, write_standing_data
from flows.sample.request import SampleRequest
from flows.sample.writers import Sink

# flow file -> its id, flow and version, sender, receiver, and what stands between the header and the metering points
FLOWS: dict[str, tuple[str, str, tuple[str, str], tuple[str, str], bytes]] = {
    "MOPA/D0150.usr": ("0000000001", "D0150002", ("M", "MOPA"), ("D", "DCOL"), b""),
    "DCOL/D0019.usr": ("0000000002", "D0019001", ("D", "DCOL"), ("B", "DAGG"), b"ZPI|1|\n"),
    "MOPA/D0268.usr": ("0000000003", "D0268002", ("M", "MOPA"), ("C", "DCOL"), b""),
    "DCOL/D0010.usr": ("0000000004", "D0010002", ("D", "DCOL"), ("X", "SUPA"), b""),
    "DCOL/D0036.usr": ("0000000005", "D0036001", ("C", "DCOL"), ("A", "DAGG"), b""),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What was made: metering points with a planted defect, data rows per extract, bytes of all files."""

    mpans: int
    planted: int
    rows: dict[str, int]
    bytes: int


def generate(request: SampleRequest, out: Path, progress: Callable[[int], None] = lambda _: None) -> Summary:
    """Write a sample into the new folder ``out``.

    Args:
        progress: told how many metering points have been written.

    Raises:
        ConfigurationError: ``out`` holds something already.
        PlaceError: the folder cannot be written; nothing of it is left.
    """
    with _new_folder(out) as folder:
        tally = SampleTally()
        files = sinks(folder)
        try:
            _begin(files)
            with ThreadPoolExecutor(1) as writer:
                _run(request, files, tally, writer, progress)
            _end(files, tally)
        finally:
            for sink in files.values():
                sink.close()
        write_market_data(folder / "elexon" / "mdd")
        write_standing_data(folder / "elexon" / "isd")
        rows = {e.name: tally.rows(e) for e in EXTRACTS}
        write_beside(request, folder, rows, tally.planted)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Summary(request.mpans, tally.planted, rows, size)


def _run(
    request: SampleRequest,
    files: dict[str, Sink],
    tally: SampleTally,
    writer: ThreadPoolExecutor,
    progress: Callable[[int], None],
) -> None:
    pending: Future[None] | None = None
    for number in range(request.chunks):
        chunk = compose(request, number, tally)
        if pending is not None:
            pending.result()
            progress(number * request.chunk)
        pending = writer.submit(_write, files, chunk)
    if pending is not None:
        pending.result()
    progress(request.mpans)


def _write(files: dict[str, Sink], chunk: Chunk) -> None:
    while chunk.parts:  # each part is let go once it is written
        path, part = chunk.parts.pop(0)
        files[path].add(part)


def _begin(files: dict[str, Sink]) -> None:
    for path, (file_id, flow, sender, receiver, before) in FLOWS.items():
        files[path].add(dtc.header(file_id, flow, sender, receiver) + before)


def _end(files: dict[str, Sink], tally: SampleTally) -> None:
    for path, (file_id, *_, before) in FLOWS.items():
        files[path].add(dtc.trailer(file_id, tally.groups.get(path, 0) + before.count(b"\n")))


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Give a working folder beside ``out`` that becomes ``out`` at the end, or disappears."""
    try:
        with whole_folder(out, empty=True) as working:
            yield working
    except FileExistsError:
        raise ConfigurationError("already exists", where=str(out), remedy="choose a new folder") from None
    except OSError as fault:
        raise PlaceError("the sample cannot be written", where=str(out), remedy=fault.strerror or "") from None
