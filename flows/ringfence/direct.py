"""The allocator alone, from files to a file: no cut, no ledger, no key needed.

Population (Parquet or CSV): ``mpan, linked_mpan, conforming, direction`` and attributes. Demands: a CSV demand book or
a YAML plan. Out: CSV with ``round, test_case, role, unit, mpan``; ``unit`` is the lowest MPAN of the unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, IntakeError
from flows.keyring import read_key
from flows.ringfence.book import Book, check_attributes, read_book, read_policy
from flows.workspace import disk
from transforms.ringfence.allocate import Allocation, allocate
from transforms.ringfence.population import RESERVED

PUBLIC_KEY = hashlib.sha256(b"datacut ringfence: the public key of the direct mode").digest()
"""Orders equally eligible units where no key is given: fair, but anybody can predict it."""

COLUMNS = ("round", "test_case", "role", "unit", "mpan")
FIELD = "ring-fence"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the allocator is asked.

    Attributes:
        round: solve this round alone; None: all rounds in turn, each frozen before the next.
        frozen: a file whose column ``mpan`` lists what is issued already.
        key: a cut key file; None: the public key above.
        policy: a YAML file with the ``policy`` section of a plan.
    """

    population: Path
    demands: Path
    out: Path
    round: int | None = None
    frozen: Path | None = None
    key: Path | None = None
    policy: Path | None = None
    coverage: bool = True


def allocate_files(terms: Terms) -> tuple[Book, Allocation]:
    """Read, allocate, write ``terms.out``; return the book solved and the allocation.

    Raises:
        ConfigurationError, IntakeError, KeyMaterialError: an input is not what it should be.
        RingFenceError: the result did not pass its proof. PlaceError: the disk is unfit.
    """
    book = _book(terms)
    people = _scan(terms.population, "population")
    columns = _columns(people, terms.population)
    check_attributes(book, [name for name in columns if name not in RESERVED])
    taken = None
    if terms.frozen is not None:
        frozen = _scan(terms.frozen, "frozen allocation")
        if "mpan" not in _columns(frozen, terms.frozen):
            raise IntakeError("has no column mpan", where=str(terms.frozen))
        taken = frozen.select(pl.col("mpan").cast(pl.String)).collect().to_series()
    key = PUBLIC_KEY if terms.key is None else read_key(terms.key, "direct").field(FIELD).material()
    solved = allocate(people, book.demands, key, book.policy, taken=taken, with_coverage=terms.coverage)
    _write(terms.out, lambda aside: _sink(solved.rows.select(COLUMNS), aside, terms.out.suffix))
    return book, solved


def _book(terms: Terms) -> Book:
    book = read_book(terms.demands)
    policy = read_policy(terms.policy) if terms.policy else book.policy
    if terms.round is not None:
        wanted = tuple(demand for demand in book.demands if demand.round == terms.round)
        if not wanted:
            raise ConfigurationError(f"has no demand of round {terms.round}", where=book.name)
        book = replace(book, demands=wanted)
    return replace(book, policy=policy)


def _scan(path: Path, what: str) -> pl.LazyFrame:
    if not path.is_file():
        raise ConfigurationError(f"there is no such {what}", where=str(path))
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    return pl.scan_csv(path, infer_schema=False, encoding="utf8")


def _columns(frame: pl.LazyFrame, path: Path) -> list[str]:
    try:
        return frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError):
        raise IntakeError("is neither Parquet nor CSV", where=str(path)) from None


def _sink(rows: pl.DataFrame, aside: Path, suffix: str) -> None:
    if suffix == ".parquet":
        rows.write_parquet(aside)
    else:
        rows.write_csv(aside)


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file aside and rename it: whole or absent."""
    aside = path.with_name(f".{path.name}.new")
    with disk(path):
        try:
            write(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
