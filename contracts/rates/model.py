"""What a run costs, as frozen values, and the sum of it. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log


@dataclass(frozen=True, slots=True)
class StageRate:
    """CPU seconds of a stage: of every run, and of a million rows read."""

    every_run: float
    million_rows: float


@dataclass(frozen=True, slots=True)
class KindRates:
    """What one kind of run costs.

    Attributes:
        stages: by name, in their order.
        work, packs: bytes that work folder and packs hold at their fullest, a row read.
        memory: rows read and MiB resident at the peak, the fewest first; between them along a line of logarithms.
    """

    stages: Mapping[str, StageRate]
    work: float
    packs: float
    memory: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """The whole of ``rates.yaml``.

    Attributes:
        measured: where, when, of which revision and sizes.
        cores_used: how many cores a run keeps busy at most, on average.
        margin: share of the expected disk that has to be free besides.
        text_row_bytes, flow_row_bytes: bytes of a row by extract, where rows cannot be counted.
        packed: what packing leaves of them.
    """

    measured: str
    cores_used: float
    margin: float
    text_row_bytes: Mapping[str, float]
    flow_row_bytes: Mapping[str, float]
    packed: float
    kinds: Mapping[str, KindRates]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run is expected to take.

    Attributes:
        stages: name and CPU seconds. seconds: of the clock. work, packs: bytes. memory: MiB.
    """

    stages: tuple[tuple[str, float], ...]
    seconds: float
    work: int
    packs: int
    memory: int


def expected(rates: Rates, kind: str, rows: int, cores: int) -> Expected:
    """Return what a run over so many rows is expected to take on so many cores."""
    of_kind, millions = rates.kinds[kind], rows / 1e6
    stages = tuple((name, rate.every_run + rate.million_rows * millions) for name, rate in of_kind.stages.items())
    seconds = sum(spent for _, spent in stages) / min(float(cores), rates.cores_used)
    work, packs = (round(rows * bytes_a_row) for bytes_a_row in (of_kind.work, of_kind.packs))
    return Expected(stages, seconds, work, packs, _between(of_kind.memory, rows))


def _between(points: Sequence[tuple[int, int]], rows: int) -> int:
    """Return the memory of so many rows; below the first point as there, beyond the last as the last two grow."""
    if rows <= points[0][0]:
        return points[0][1]
    at = next((n for n in range(1, len(points)) if rows <= points[n][0]), len(points) - 1)
    (less, low), (more, high) = points[at - 1], points[at]
    power = log(high / low) / log(more / less)
    return int(low * (rows / less) ** power)
