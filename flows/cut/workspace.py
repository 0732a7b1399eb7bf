"""The work folder of a run: pseudonymised partitions on disk, never a raw identifier.

A partition is a range of the canonical row order (``mpan.order_key``). All extracts of all participants
share the ranges, so that everything about a metering point lies in partitions of one number, and memory is bounded
by a partition. Outputs do not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import polars as pl

from contracts.errors import PlaceError
from contracts.model import Contract
from flows.cut.faults import error_number
from flows.cut.records import Begun, Record, WrittenPieces
from flows.files import whole
from transforms.pseudonymise.mpan import order_key

BODIES = 10**10
ROWS_PER_PARTITION = 250_000
FLUSH_ROWS, LEAST_FLUSH = 32_768, 4_096  # rows that are written as one piece of a partition
HELD_ROWS = 1_500_000  # rows of one source that wait in memory for their pieces to fill
MARKER = ".datacut-work"
_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "is read-only"}
_FOOTER = "Invalid thrift: transport error"  # the column library, of a footer that could not be written
_NEARLY_FULL = 1 << 16  # bytes: what is left where a write of more was refused
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def disk(place: Path) -> Iterator[None]:
    """Turn faults of the disk into one clear line.

    Raises:
        PlaceError: any ``OSError`` inside, or a write of the column library that the system refused. What else that
            library complains about is a defect of the product, and goes on as it is.
    """
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as fault:
        number = error_number(fault) or _unsaid(fault, place)
        if number is None:
            raise
        what = _DISK.get(number, f"cannot be written ({os.strerror(number)})")
        remedy = "let the user who runs it write there" if number in _DENIED else "free the place and run again"
        raise PlaceError(what, where=str(place), remedy=remedy) from None


def _unsaid(fault: Exception, place: Path) -> int | None:
    """Return the system's number of a write whose fault has none: that of a Parquet footer, say, loses it."""
    if not isinstance(fault, OSError) and _FOOTER not in str(fault):
        return None
    with contextlib.suppress(OSError):
        if shutil.disk_usage(place.parent).free < _NEARLY_FULL:
            return errno.ENOSPC
    return errno.EIO


def second_name(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has none to give, or they lie apart, copy it.

    Raises:
        OSError: it cannot be copied either.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def partition_count(rows: int) -> int:
    """Return how many partitions hold about ``rows`` registration rows: a power of two."""
    count = 1
    while count * ROWS_PER_PARTITION < rows and count < 1024:
        count *= 2
    return count


def _partition(key: pl.Expr, partitions: int) -> pl.Expr:
    """Return the number of the partition that an order key falls into; the first where there is none."""
    width = BODIES // partitions + 1
    return ((key // 100) // width).fill_null(0).cast(pl.UInt16).alias("_part")


R = TypeVar("R", bound=Record)


class Workspace:
    """The work folder of one run.

    Args:
        root: the folder; made with mode 0700.
        partitions: number of ranges.
        contracts: of the extracts whose rows lie in it, under the policy of the cut: the only ones that its stages use.
    """

    def __init__(self, root: Path, partitions: int, contracts: Mapping[str, Contract]) -> None:
        self.root, self.partitions, self.contracts = root, partitions, contracts
        self._pieces: dict[tuple[str, ...], tuple[str, ...]] = {}
        with disk(root):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            (root / MARKER).touch()

    def folder(self, *parts: str) -> Path:
        """Return a folder below the root, made if need be."""
        path = self.root.joinpath(*parts)
        with disk(path):
            if not path.is_dir():
                path.mkdir(parents=True, exist_ok=True)
        return path

    def scan(self, room: str, participant: str, extract: str, number: int) -> pl.LazyFrame | None:
        """Return a partition as a lazy frame, or None where nothing was written.

        Raises:
            PlaceError: a piece that was written is gone.
        """
        start = f"{participant}/{extract}/{number:04d}-"
        files = sorted(self.root.joinpath(room, participant, extract).glob(f"{number:04d}-*.arrow"))
        there = {f"{participant}/{extract}/{path.name}" for path in files}
        for key in ((f"{number:04d}",), (participant, extract), ()):
            gone = [piece for piece in self._promised(room, *key) if piece.startswith(start) and piece not in there]
            if gone:
                raise PlaceError(
                    f"{len(gone)} files of a partition that was written are gone ({gone[0]})",
                    where=str(self.root / room),
                    remedy="see who removes files there, delete the work folder and run again",
                )
        return pl.scan_ipc(files) if files else None

    def promise(self, room: str, *key: str) -> None:
        """Note which pieces of a layer are written, so that one that goes missing is not taken for no rows.

        Args:
            key: the partition's number in four digits, participant and extract, or nothing for the whole layer.
        """
        below = "*/*/*.arrow" if not key else "/".join(key) + "/*.arrow" if len(key) > 1 else f"*/*/{key[0]}-*.arrow"
        folder = self.root / room
        pieces = sorted(path.relative_to(folder).as_posix() for path in folder.glob(below))
        self.record(WrittenPieces(pieces=tuple(pieces)), room, *key)
        self._pieces.pop((room, *key), None)

    def promised(self, room: str, *key: str) -> bool:
        """Tell whether pieces were noted under a key."""
        return (self.root / WrittenPieces.file_name(room, *key)).is_file()

    def _promised(self, *key: str) -> tuple[str, ...]:
        if key not in self._pieces:
            found = self.recorded(WrittenPieces, *key)
            if found is None:
                return ()
            self._pieces[key] = found.pieces
        return self._pieces[key]

    def partition_number(self) -> pl.Expr:
        """Return the partition that a row with ``mpan_core`` belongs to; the first where there is no pseudonym."""
        return _partition(order_key(), self.partitions)

    def write(self, frame: pl.DataFrame, room: str, participant: str, extract: str, number: int, part: int = 0) -> None:
        """Write one piece of a partition."""
        self.put(frame, self.folder(room, participant, extract) / f"{number:04d}-{part:06d}.arrow")

    def put(self, frame: pl.DataFrame, path: Path) -> None:
        """Write a frame, whole or not at all: what has its name is finished, whenever the process was killed."""
        with disk(path), whole(path) as growing:
            frame.write_ipc(growing, compression="lz4", compat_level=pl.CompatLevel.oldest())

    def discard(self, room: str, number: int) -> None:
        """Remove a partition of a room, of every participant and extract: what was made of it stands elsewhere."""
        for path in self.root.joinpath(room).glob(f"*/*/{number:04d}-*.arrow"):
            path.unlink(missing_ok=True)

    def record(self, record: Record, *key: str) -> None:
        """Write a record, whole or not at all; ``key`` tells several of a kind apart."""
        path = self.root / record.file_name(*key)
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as growing:
                growing.write_text(record.model_dump_json(), encoding="utf-8")

    def recorded(self, kind: type[R], *key: str) -> R | None:
        """Return a record, or None where it was not written."""
        path = self.root / kind.file_name(*key)
        return kind.model_validate_json(path.read_bytes()) if path.is_file() else None

    def remove(self) -> None:
        """Remove the folder, only one that carries our marker; that goes last: a removal may be cut short.

        What says whose work it is goes first: nobody goes on with a folder of which something is gone.
        """
        if (self.root / MARKER).is_file():
            with contextlib.suppress(OSError):
                (self.root / Begun.file_name()).unlink()
            for path in self.root.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != MARKER:
                    with contextlib.suppress(OSError):
                        path.unlink()
            shutil.rmtree(self.root, ignore_errors=True)
