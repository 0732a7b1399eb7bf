"""A command in a process of its own, watched while it works: seconds, CPU seconds, memory and disk of it and its like.

Memory and CPU time are those of the whole tree of processes, read from ``/proc`` ten times a second, so that they can
be told stage by stage; the kernel's own account of CPU time and of the first process' highest memory corrects what
falls between two readings. ``ru_maxrss`` is not used: it outlives ``exec``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN = 0.1
DISK_SHARE = 0.02  # of the time, at most, that looking at the disk may take
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
MIB = 2**20


@dataclass
class Reading:
    """What the tree had used at one moment: seconds since the epoch, CPU seconds, bytes resident."""

    at: float
    cpu: float
    rss: int


@dataclass
class Watched:
    """What a command used, and what it said."""

    code: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0  # bytes resident, all processes together
    disk: int = 0  # bytes allocated in the folder under watch at most
    out: str = ""
    err: str = ""
    readings: list[Reading] = field(default_factory=list)

    def cpu_at(self, moment: float) -> float:
        """Return the CPU seconds used up to a moment, in a straight line between readings."""
        before = Reading(self.readings[0].at, 0.0, 0) if self.readings else Reading(moment, 0.0, 0)
        for reading in self.readings:
            if reading.at >= moment:
                span = reading.at - before.at
                return before.cpu + (reading.cpu - before.cpu) * ((moment - before.at) / span if span else 1.0)
            before = reading
        return before.cpu

    def peak_between(self, begin: float, end: float) -> int:
        """Return the most bytes resident at any reading of a span."""
        return max((r.rss for r in self.readings if begin <= r.at <= end), default=0)


def watch(command: Sequence[str | Path], *, folder: Path | None = None, env: dict[str, str] | None = None) -> Watched:
    """Run a command to its end; ``folder`` is where disk is measured."""
    done = Watched()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(env or {})},  # compiled once, as when installed
    )
    began = time.monotonic()
    ended = threading.Event()
    watcher = threading.Thread(target=_read, args=(process.pid, folder, done, ended))
    said: dict[str, str] = {}
    readers = [
        threading.Thread(target=lambda n=name, s=stream: said.__setitem__(n, s.read()))
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    for thread in (watcher, *readers):
        thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    done.wall = time.monotonic() - began
    process.returncode = done.code = os.waitstatus_to_exitcode(status)
    ended.set()
    for thread in (watcher, *readers):
        thread.join()
    done.cpu = usage.ru_utime + usage.ru_stime
    done.out, done.err = said["out"], said["err"]
    return done


def _read(pid: int, folder: Path | None, done: Watched, ended: threading.Event) -> None:
    due = 0.0
    while not ended.is_set():
        cpu, rss = _tree(pid)
        if rss:
            done.readings.append(Reading(time.time(), cpu, rss))
            done.peak = max(done.peak, rss, _high_water(pid))
        began = time.monotonic()
        if folder and began >= due:
            done.disk = max(done.disk, allocated(folder))
            due = began + max(1.0, (time.monotonic() - began) / DISK_SHARE)
        ended.wait(SECONDS_BETWEEN)
    if folder:
        done.disk = max(done.disk, allocated(folder))


def _tree(pid: int) -> tuple[float, int]:
    """Return CPU seconds and resident bytes of a process and all below it that live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        cpu = sum(int(ticks) for ticks in stat[11:15]) / TICK  # own and of children that have ended
        rss = int(stat[21]) * PAGE
        below = " ".join(
            path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")
        ).split()
    except (OSError, IndexError):  # it ended just now
        return 0.0, 0
    for child in below:
        more, resident = _tree(int(child))
        cpu, rss = cpu + more, rss + resident
    return cpu, rss


def _high_water(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def allocated(folder: Path) -> int:
    """Return the bytes that files below a folder take on the disk, a file with several names once."""
    seen: set[int] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(place, name), follow_symlinks=False)
            except OSError:  # renamed or removed just now
                continue
            if stat.st_ino not in seen:
                seen.add(stat.st_ino)
                total += stat.st_blocks * 512
    return total


def load(seconds: float = 2.0) -> float:
    """Return how many cores are busy now: the average of minutes would tell of our own run before this one."""
    try:
        spans = []
        for pause in (seconds, 0.0):
            ticks = [int(n) for n in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
            spans.append((sum(ticks), ticks[3] + ticks[4]))  # all of them; idle and waiting for the disk
            time.sleep(pause)
    except OSError:
        return round(os.getloadavg()[0], 2)
    whole, idle = (after - before for before, after in zip(*spans, strict=True))
    return round((1 - idle / max(1, whole)) * (os.cpu_count() or 1), 2)


def machine() -> dict[str, object]:
    """Return what figures depend on: processor, cores, memory, versions, revision, and how busy the machine is."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    try:
        command = ["git", "describe", "--always", "--dirty"]
        revision = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = "unknown"
    return {
        "processor": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30, 1),
        "python": platform.python_version(),
        "polars": version("polars"),
        "revision": revision,
        "load_before": load(),
    }


def about(facts: dict[str, object]) -> str:
    """Return one line of Markdown about a machine."""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB; Python {facts['python']}, "
        f"Polars {facts['polars']}; revision {facts['revision']}; load before the run {facts['load_before']}."
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, markdown: bool) -> str:
    """Return a table, as Markdown or in aligned columns; the first column is text, the others numbers."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        lines.insert(1, "|---" + "|---:" * (len(headings) - 1) + "|")
        return "\n".join(lines)
    widths = [max(len(row[n]) for row in cells) for n in range(len(headings))]
    return "\n".join(
        "  ".join(c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    )
