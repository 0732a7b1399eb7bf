"""What is asked for: how many metering points, from which seed, with which rate of defects."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import ConfigurationError
from flows.sample.geography import Geography

CHUNK = 200_000  # metering points made at a time: memory follows this, not the size asked for
MOST_MPANS = 90_000_000  # beyond it the ranges of serial numbers and premises would repeat
MOST_DEFECTS = 0.25


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A sample to be made. Its bytes depend on these values alone, but for keys of its own.

    Attributes:
        mpans: number of metering points.
        seed: any integer from 0.
        defects: fraction of metering points with a planted defect.
        chunk: metering points made at a time; another value gives another sample.
        published_keys: its keys follow from the seed, and everybody has them; otherwise they are drawn at random.

    Raises:
        ConfigurationError: a value is out of range.
    """

    mpans: int
    seed: int
    defects: float = 0.02
    chunk: int = CHUNK
    published_keys: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.mpans <= MOST_MPANS:
            raise ConfigurationError(f"cannot be {self.mpans}", where="--mpans", remedy=f"give 1 to {MOST_MPANS}")
        if self.seed < 0:
            raise ConfigurationError(f"cannot be {self.seed}", where="--seed", remedy="give 0 or more")
        if not 0 <= self.defects <= MOST_DEFECTS:
            raise ConfigurationError(
                f"cannot be {self.defects:g}", where="--defects", remedy=f"give a fraction from 0 to {MOST_DEFECTS:g}"
            )

    @property
    def chunks(self) -> int:
        return -(-self.mpans // self.chunk)

    @property
    def salt(self) -> int:
        """Seed of the permutations, spread out so that neighbouring seeds share nothing."""
        return self.seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF

    @property
    def geography(self) -> Geography:
        return Geography(self.mpans)
