"""How fast scheme 1 is, field by field, column in and column out, on one core: python -m tests.benchmarks.scheme_speed

Prints the best of five runs as million values a CPU second (engine threads set to one), and a control that is nothing
of ours: SHA-256 of a buffer, in gigabytes a second, since a busy or slower machine slows both.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.sample import SampleRequest, generate
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import WEIGHTS
from transforms.pseudonymise.premises_key import premises_key
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

BATCH = 131_072
ROWS = 2_000_000
KEYS = FieldKeys(bytes(range(32)), "benchmark")


def mpans(count: int, distributors: range) -> pl.Series:
    """Return valid MPAN cores, distributors mixed at random."""
    rng = np.random.default_rng(1)
    twelve = rng.choice(list(distributors), count) * 10**10 + rng.integers(0, 10**10, count)
    total = sum(w * (twelve // 10 ** (11 - place) % 10) for place, w in enumerate(WEIGHTS))
    return pl.Series(twelve * 10 + total % 11 % 10).cast(pl.String)


def told(label: str, rows: int, work: Callable[[], object], goal: float | None = None) -> None:
    """Print the best rate of five runs."""
    best = 9e9
    for _ in range(5):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    wanted = f"  goal {goal:.0f}" if goal else ""
    print(f"{label:44s} {rows / best / 1e6:7.2f} million a CPU second{wanted}", flush=True)


def sample(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a registration with real-looking addresses, and its meters."""
    generate(SampleRequest(300_000, 7, 0.02), folder / "sample")
    options = {"infer_schema": False}
    registration = pl.read_csv(
        folder / "sample/YELG/registration.csv", separator="|", encoding="cp1252", n_rows=BATCH, **options
    )
    metering = pl.read_csv(folder / "sample/MOPB/metering.csv", n_rows=BATCH, **options)
    return (frame.rename(str.lower).rechunk() for frame in (registration, metering))


def main() -> None:
    """Measure and print."""
    pseudonymiser = Pseudonymiser(KEYS, lists=scheme_lists())
    buffer = bytes(1 << 26)
    begun = time.process_time()
    hashlib.sha256(buffer).digest()
    print(f"control: SHA-256 {len(buffer) / (time.process_time() - begun) / 1e9:.2f} GB a CPU second")
    for label, distributors, goal in (("one distributor", range(10, 11), 10), ("14 mixed", range(10, 24), 6)):
        values = mpans(ROWS, distributors)
        told(
            f"MPAN, {label}, one column of 2 million", ROWS, lambda v=values: pseudonymiser.values(Field.MPAN, v), goal
        )
        part = values.head(BATCH)
        told(f"MPAN, {label}, batch of 131,072", BATCH, lambda v=part: pseudonymiser.values(Field.MPAN, v), goal)
    with tempfile.TemporaryDirectory() as folder:
        registration, metering = sample(Path(folder))
    for field, column in (
        (Field.UPRN, registration["uprn"]),
        (Field.METER_SERIAL, metering[next(c for c in metering.columns if "serial" in c)]),
        (Field.ESME_ID, metering[next(c for c in metering.columns if "esme" in c)].drop_nulls()),
    ):
        told(field.value, column.len(), lambda f=field, v=column: pseudonymiser.values(f, v))
    told("address, whole", registration.height, lambda: pseudonymiser.addresses(registration))
    told("  premises key", registration.height, lambda: premises_key(registration, scheme_lists()))
    words = premises_key(registration, scheme_lists()).drop_nulls()
    print(f"  different premises: {words.n_unique() / words.len():.1%} of rows")
    told("  HMAC-SHA-256 of each row", words.len(), lambda: hmac_sha256(KEYS.field("address"), words))
    told("  HMAC-SHA-256 of different ones, joined back", words.len(), lambda: _once(words))


def _once(words: pl.Series) -> object:
    different = words.unique()
    digests = hmac_sha256(KEYS.field("address"), different)
    index = pl.DataFrame({"w": different, "i": np.arange(different.len())})
    return digests[words.to_frame("w").join(index, on="w", how="left", maintain_order="left")["i"].to_numpy()]


if __name__ == "__main__":
    main()
