"""What a run costs, as frozen values, and the sum of it. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

Measured = tuple[tuple[int, float], ...]
"""Rows read and what was measured at so many, the fewest first; two at least."""


@dataclass(frozen=True, slots=True)
class KindRates:
    """What one kind of run costs.

    Attributes:
        stages: CPU seconds by name, in their order.
        work, packs: megabytes that work folder and packs hold at their fullest.
        memory: MiB resident at the peak.
    """

    stages: Mapping[str, Measured]
    work: Measured
    packs: Measured
    memory: Measured


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
    of_kind = rates.kinds[kind]
    stages = tuple((name, _straight(measured, rows)) for name, measured in of_kind.stages.items())
    seconds = sum(spent for _, spent in stages) / min(float(cores), rates.cores_used)
    work, packs = (_bytes(measured, rows) for measured in (of_kind.work, of_kind.packs))
    return Expected(stages, seconds, work, packs, _by_logarithms(of_kind.memory, rows))


def _pair(measured: Measured, rows: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """Return the two sizes that a line for so many rows goes through."""
    at = next((n for n in range(1, len(measured)) if rows <= measured[n][0]), len(measured) - 1)
    return measured[at - 1], measured[at]


def _straight(measured: Measured, rows: int) -> float:
    (less, low), (more, high) = _pair(measured, rows)
    return max(0.0, low + (high - low) * (rows - less) / (more - less))


def _bytes(measured: Measured, rows: int) -> int:
    """Return bytes: below the fewest rows in proportion, so that no rows take none."""
    fewest, least = measured[0]
    megabytes = least * rows / fewest if rows < fewest else _straight(measured, rows)
    return int(megabytes * 1e6)


def _by_logarithms(measured: Measured, rows: int) -> int:
    """Return the memory of so many rows; below the fewest as there, beyond the most as the last two grow."""
    if rows <= measured[0][0]:
        return int(measured[0][1])
    (less, low), (more, high) = _pair(measured, rows)
    return int(low * (rows / less) ** (log(high / low) / log(more / less)))
