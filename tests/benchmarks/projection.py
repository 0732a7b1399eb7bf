"""What figures of several sizes say about others: growth as a power, and what more cores or a cluster would give.

All of it is calculated. A stage that used more than one core has, by Amdahl's law, a share that cores divide and a rest
that they do not; both follow from its seconds and CPU seconds on a machine with a known number of cores. A cluster
spreads the steps of a wave, the longest first; what waves of one step take is the serial share.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.watched import table

CORES = (4, 8, 16, 32)
WORKERS = (4, 8, 16)
MOST_LOAD = 0.5  # of the cores, before a run: more, and nothing is calculated


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of log y over log x by least squares; not a number for fewer than two points."""
    if len(points) < 2:
        return math.nan
    xs, ys = [math.log(x) for x, _ in points], [math.log(max(y, 1e-3)) for _, y in points]
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def divided_share(seconds: float, cpu_seconds: float, cores: int) -> float:
    """Return the share of a stage's work that cores divide: ``seconds = cpu * (1 - share + share / cores)``."""
    if cores < 2 or cpu_seconds <= 0:
        return 0.0
    return min(1.0, max(0.0, (1 - seconds / cpu_seconds) * cores / (cores - 1)))


def on_cores(facts: dict[str, Any], measured: int, cores: int) -> float:
    """Return a stage's seconds on a machine with more cores; what waits for the disk stays as it is."""
    share = divided_share(facts["seconds"], facts["cpu_seconds"], measured)
    used = (1 - share + share / measured) * facts["cpu_seconds"]
    waits = max(0.0, facts["seconds"] - used)
    return waits + (1 - share + share / cores) * facts["cpu_seconds"]


def waves_of(steps: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Return the seconds of steps by wave: a step belongs to those before it unless they had all ended when it began.

    Args:
        steps: begin and end of each, in seconds; two at least were worked on at once.
    """
    waves: list[list[float]] = []
    until = -math.inf
    for begin, end in sorted(steps):
        if begin >= until:
            waves.append([])
        waves[-1].append(round(end - begin, 3))
        until = max(until, end)
    return waves


def on_workers(waves: Sequence[Sequence[float]], workers: int) -> float:
    """Return the seconds of all waves where so many workers take the steps of each, the longest first."""
    total = 0.0
    for wave in waves:
        busy = [0.0] * min(workers, len(wave))
        for seconds in sorted(wave, reverse=True):
            busy[busy.index(min(busy))] += seconds
        total += max(busy, default=0.0)
    return total


def serial_share(waves: Sequence[Sequence[float]]) -> float:
    """Return the share of all steps' seconds that waves of one step take."""
    return sum(wave[0] for wave in waves if len(wave) == 1) / sum(sum(wave) for wave in waves)


def serial_fraction(speed_up: float, workers: int) -> float:
    """Return the serial fraction that a measured speed-up tells of, by Karp and Flatt."""
    return (1 / speed_up - 1 / workers) / (1 - 1 / workers)


def projection(found: dict[str, Any], measured: int, *, markdown: bool) -> str:
    """Return a table of calculated seconds of the whole job of one size, on more cores and on a cluster.

    Where other work kept the cores busy, what a stage could not use looks like what it was not given: then it says so.
    """
    if found["load_before"] > measured * MOST_LOAD:
        return (
            f"Other machines: not calculated, since other work kept the cores busy (load {found['load_before']} before "
            f"the run of {found['mpans']:,})."
        )
    by_stage = found["stages"]
    rows: list[tuple[str, str, str]] = []
    for cores in CORES:
        seconds = sum(on_cores(facts, measured, cores) for facts in by_stage.values())
        rows.append((f"{cores} cores", f"{seconds:,.1f}", f"{found['seconds'] / seconds:.2f}"))
    alone = on_workers(found["waves"], 1)
    for workers in WORKERS:
        seconds = on_workers(found["waves"], workers)
        rows.append((f"{workers} workers of one core, against one", f"{seconds:,.1f}", f"{alone / seconds:.2f}"))
    rows.append(("serial share by task times", "", f"{serial_share(found['waves']):.0%}"))
    names = (f"calculated for {found['mpans']:,} metering points", "seconds", "times faster")
    return table(names, rows, markdown=markdown)
