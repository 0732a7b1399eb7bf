"""ESTIMATE: what a run of a cut is going to take, from the sizes of its inputs and from measured rates."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException

from contracts.errors import PlaceError
from contracts.rates import Expected, Rates, expected, rates
from flows.cut.config import ExtractConfig, Job, Participant
from flows.cut.context import partitions, work_folder
from flows.cut.parallel import WORKERS
from flows.cut.progress import Kind

TEXT = (".csv", ".tsv", ".txt", ".psv", ".dat")
DTC = (".usr", ".uff", ".dtc", ".flw")
HEAD = 2_000  # lines of a file that its length of a line is taken from
IGNORED = "run with --ignore-disk"


@dataclass(frozen=True, slots=True)
class SourceSize:
    """What one extract of a participant will take: files and bytes on disk, and how many rows they may hold."""

    participant: str
    extract: str
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take, and what there is.

    Attributes:
        sources: inputs that are there. unknown: inputs whose size nobody can tell before: databases, or not there yet.
        expected: time, disk and memory. partitions: parts that the cut is worked in. tasks: steps of the run.
        disks: places and the bytes that they need and have free; one file system is counted once.
        memory: MiB that are available now; nothing where the system does not say.
    """

    kind: Kind
    sources: tuple[SourceSize, ...]
    unknown: tuple[str, ...]
    expected: Expected
    partitions: int
    tasks: int
    disks: tuple[tuple[str, int, int], ...]
    memory: int | None

    @property
    def short(self) -> list[tuple[str, int, int]]:
        """Disks that cannot hold the run."""
        return [(place, need, free) for place, need, free in self.disks if need > free]


def estimate(job: Job, kind: Kind, cores: int = WORKERS) -> Estimate:
    """Return what a run of a cut is expected to take; files are looked at, a few lines of each are counted.

    Raises:
        ContractError: the rates are wrong.
    """
    known, sources, unknown = rates(), list[SourceSize](), list[str]()
    for participant in job.model.participants:
        for extract in dict.fromkeys(entry.contract for entry in participant.extracts):
            size = _size(job, participant, extract, known)
            if size is None:
                unknown.append(f"{participant.mpid}/{extract}")
            else:
                sources.append(size)
    found = expected(known, kind, sum(source.rows for source in sources), cores)
    parts = partitions(job)
    senders = len({p.mpid for p in job.model.participants if p.extracts})
    tasks = _tasks(len(sources) + len(unknown), min(parts, 16), -(-senders // 5), kind)
    return Estimate(
        kind=kind,
        sources=tuple(sources),
        unknown=tuple(unknown),
        expected=found,
        partitions=parts,
        tasks=tasks,
        disks=_disks(job, found, 1 + known.margin),
        memory=_available(),
    )


def _tasks(sources: int, parts: int, groups: int, kind: Kind) -> int:
    """Return how many steps a run takes (``flows.pipeline``): of sources, of partitions, of groups of participants."""
    if kind == "submission":
        return 6 + 3 * sources + parts
    return 14 + 3 * sources + 4 * parts + 4 * groups


def require_disk(job: Job, kind: Kind) -> None:
    """Refuse a run that the disk cannot hold, before it is begun.

    Raises:
        PlaceError: it cannot, with what it has and what it needs.
    """
    for place, need, free in estimate(job, kind).short:
        raise PlaceError(
            f"has {_gb(free)} free, and the run needs about {_gb(need)}",
            where=place,
            remedy=f"free some, set work: or release.folder to another disk, or {IGNORED}; see datacut plan",
        )


def _size(job: Job, participant: Participant, extract: str, known: Rates) -> SourceSize | None:
    files = rows = size = 0
    for entry in job.entries(participant, extract):
        if entry.source.url is not None:
            return None
        places = _places(job, participant, entry)
        if not places:
            return None
        for path in places:
            length = path.stat().st_size
            files, size, rows = files + 1, size + length, rows + _rows(path, length, extract, known)
    return SourceSize(participant.mpid, extract, files, size, rows)


def _places(job: Job, participant: Participant, entry: ExtractConfig) -> list[Path]:
    named = job.files(participant, entry)
    return [f for place in named for f in ([place] if place.is_file() else sorted(place.rglob("*"))) if f.is_file()]


def _rows(path: Path, length: int, extract: str, known: Rates) -> int:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            return int(pq.read_metadata(path).num_rows)
        except (ArrowException, OSError):  # intake says what it is
            return 0
    if suffix in TEXT:
        with path.open("rb") as file:
            lines = [len(line) for line in islice(file, HEAD)]
        return round(length / (sum(lines) / len(lines))) if lines else 0
    flow = suffix in DTC
    sizes = known.flow_row_bytes if flow else known.text_row_bytes
    a_row = sizes.get(extract, min(sizes.values()))  # rather too many rows than too few
    return round(length / (a_row if flow else a_row * known.packed))


def _disks(job: Job, found: Expected, more: float) -> tuple[tuple[str, int, int], ...]:
    """Return what each file system needs and has; what an earlier run has left there counts as free."""
    work, packs = work_folder(job), job.path(job.model.release.folder)
    disks: dict[int, tuple[str, int, int]] = {}
    for place, need in ((work, found.work), (packs, found.packs)):
        standing = next(folder for folder in (place, *place.parents) if folder.exists())
        device = standing.stat().st_dev
        name, already, free = disks.get(device, (str(place), 0, shutil.disk_usage(standing).free))
        kept = sum(f.stat().st_size for f in work.rglob("*") if f.is_file()) if place == work else 0
        disks[device] = (name, already + round(need * more), free + kept)
    return tuple(disks.values())


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return None


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
