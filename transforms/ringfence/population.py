"""The population as arrays in MPAN order: identity, links, conformity, direction, coded attributes.

Everything after this module is computed on arrays sorted by MPAN, so the order of the rows that came in cannot reach
a result.

Columns in:
    mpan: text or integer, unique - the (pseudonymised) MPAN core
    linked_mpan, related_mpan: text or integer, may be null - metering points that share its fate (either may be absent)
    conforming: boolean, or ``true``/``false`` or 1/0 - missing counts as not conforming
    direction: text - IMPORT or EXPORT (I and E will do)
    anything else: attributes
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import ConfigurationError, IntakeError
from contracts.ringfence.model import HAS_LINK, Criterion
from transforms.ringfence.encoding import Coding, Test, attribute_text, code_attribute, tests_by_attribute


def population_digest(population: Population) -> str:
    """Return the SHA-256, in hex, of identities, links, conformity, direction and coded attributes in MPAN order."""
    digest = hashlib.sha256()

    def add(name: str, array: NDArray[np.generic]) -> None:
        digest.update(f"{name} {array.dtype.str} {len(array)}\n".encode())
        digest.update(np.ascontiguousarray(array).data)

    add("mpan", population.ids)
    if population.names.listed is not None:
        digest.update("\n".join(population.names.listed.to_list()).encode())
    digest.update(f"width {population.names.width}\n".encode())
    add("conforming", population.conforming)
    add("direction", population.direction)
    for number, (rows, targets) in enumerate((*population.links, *population.linked)):
        add(f"link {number} from", rows)
        add(f"link {number} to", targets)
    for coding in population.codings:
        add(f"attribute {coding.attribute}", population.codes[coding.attribute])
        digest.update("\n".join([*coding.values.to_list(), ""]).encode())
    return digest.hexdigest()


LINKS = ("linked_mpan", "related_mpan")
RESERVED = ("mpan", "conforming", *LINKS)
IMPORT, EXPORT, UNSTATED = 0, 1, 2
COVERAGE_VALUES = 64
"""An attribute with more distinct values than this is no measure of how representative a choice is."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Names:
    """MPANs as integers and back: either fixed-width digits, or places in a sorted list."""

    width: int
    listed: pl.Series | None = None

    def text(self, ids: Ints) -> pl.Series:
        """Return the MPANs of ``ids`` as text."""
        if self.listed is not None:
            return self.listed.gather(pl.Series(ids))
        return pl.Series("mpan", ids).cast(pl.String).str.zfill(self.width)

    def ids(self, text: pl.Series) -> Ints:
        """Return the integers of MPANs given as text; -1 where the population cannot know the MPAN."""
        if self.listed is None:
            proper = text.str.contains(f"^[0-9]{{{self.width}}}$")
            numbers = text.set(~proper.fill_null(False), None).cast(pl.Int64)
            return numbers.fill_null(-1).to_numpy()
        places = pl.DataFrame({"mpan": self.listed}).with_row_index("at")
        found = pl.DataFrame({"mpan": text}).join(places, on="mpan", how="left", maintain_order="left")
        return found["at"].cast(pl.Int64).fill_null(-1).to_numpy()


@dataclass(frozen=True)
class Population:
    """Metering points in MPAN order.

    Attributes:
        ids: sorted; ``names`` turns them back into text.
        conforming: whether the MPAN met the required standard.
        direction: IMPORT, EXPORT or UNSTATED.
        links: for each link, the row and the id it points at (which may be absent from the population).
        linked: for each keep-together column, rows and the smallest row with the same value.
        codings: coded attributes, sorted by name; ``codes[attribute]`` holds one code for each row.
        coverage: attributes fit to compare an allocation with the population.
    """

    ids: Ints
    names: Names
    conforming: NDArray[np.bool_]
    direction: NDArray[np.uint8]
    links: tuple[tuple[Ints, Ints], ...]
    linked: tuple[tuple[Ints, Ints], ...]
    codings: tuple[Coding, ...]
    codes: dict[str, NDArray[np.unsignedinteger]]
    coverage: tuple[str, ...]


def read_population(
    population: pl.LazyFrame | pl.DataFrame,
    criteria: Sequence[tuple[Criterion, ...]],
    *,
    strata: Sequence[str] = (),
    keep_together: Sequence[str] = (),
) -> Population:
    """Turn a population frame into arrays in MPAN order.

    Args:
        population: see the module's columns.
        criteria: all criteria that will be asked, so that values can be judged once.
        strata: attributes to interleave by.
        keep_together: columns whose equal values make one unit.

    Raises:
        IntakeError: a needed column is missing, an MPAN is missing or comes twice.
        ConfigurationError: a criterion, stratum or keep-together column names no attribute of the population.
    """
    lazy = population.lazy()
    schema = lazy.collect_schema()
    columns = [name for name, kind in schema.items() if not kind.is_nested()]
    missing = [name for name in ("mpan", "conforming", "direction") if name not in columns]
    if missing:
        raise IntakeError(f"the population lacks {', '.join(missing)}", where="population")
    tests = tests_by_attribute(criteria)
    _check_names(columns, [*tests, *strata], keep_together)
    links = [name for name in LINKS if name in columns]
    facts = _facts(lazy, links, [name for name in columns if name not in (*RESERVED, *keep_together)])
    codings = _codings(lazy, tests, strata, facts)
    width = _fixed_width(facts, ["mpan", *links])
    frame = lazy.select(
        *[_identity(name, schema[name], width).alias(f"@{name}") for name in ("mpan", *links)],
        _conforming(lazy).alias("@conforming"),
        _direction().alias("@direction"),
        *[_digest(name).alias(f"@same:{name}") for name in keep_together],
        *[coding.expression(schema[coding.attribute]) for coding in codings],
    ).collect(engine="streaming")  # in any order: the arrays are sorted below
    names, keys = _names(frame, links, width)
    taken = {column.name: column for column in frame.get_columns()}
    del frame  # each column goes as soon as its array is there
    return _sorted_arrays(taken, names, keys, codings, keep_together)


def _check_names(columns: list[str], asked: Sequence[str], keep_together: Sequence[str]) -> None:
    known = set(columns) - set(RESERVED)
    unknown = sorted({name for name in asked if name not in known and name != HAS_LINK} | set(keep_together) - known)
    if unknown:
        listed = ", ".join(sorted(known))
        raise ConfigurationError(
            f"no such attribute in the population: {', '.join(unknown)}", remedy=f"it has {listed}", where="criteria"
        )


def _facts(lazy: pl.LazyFrame, links: Sequence[str], attributes: Sequence[str]) -> dict[str, int]:
    """Count what decides the coding: rows, widths of MPANs, distinct values of attributes (about)."""
    schema = lazy.collect_schema()
    text = {name: _text(name, schema[name]) for name in ("mpan", *links)}
    wanted = [pl.len().alias("rows"), text["mpan"].null_count().alias("unnamed")]
    for name, column in text.items():
        digits = column.str.contains("^[0-9]{1,18}$").all(ignore_nulls=True)
        wanted += [
            digits.cast(pl.Int64).alias(f"digits:{name}"),
            column.str.len_bytes().min().alias(f"least:{name}"),
            column.str.len_bytes().max().alias(f"most:{name}"),
        ]
    wanted += [pl.col(name).approx_n_unique().alias(f"distinct:{name}") for name in attributes]
    facts: dict[str, int] = lazy.select(wanted).collect(engine="streaming").row(0, named=True)
    if facts["unnamed"]:
        raise IntakeError(f"{facts['unnamed']} rows have no MPAN", where="population, column mpan")
    return facts


def _fixed_width(facts: dict[str, int], columns: Sequence[str]) -> int:
    """Return the common width of all MPANs if they are plain digits, else 0."""
    widths = {facts[f"{end}:{name}"] for end in ("least", "most") for name in columns} - {None}
    plain = all(facts[f"digits:{name}"] for name in columns)
    return widths.pop() if plain and len(widths) == 1 else 0


def _codings(
    lazy: pl.LazyFrame, tests: dict[str, list[Test]], strata: Sequence[str], facts: dict[str, int]
) -> tuple[Coding, ...]:
    few = [name[9:] for name, count in facts.items() if name.startswith("distinct:") and count <= COVERAGE_VALUES]
    wanted = sorted({*few, *strata, *tests} - {HAS_LINK})
    if not wanted:
        return ()
    return tuple(code_attribute(name, _distinct(lazy, name), tests.get(name, ())) for name in wanted)


def _distinct(lazy: pl.LazyFrame, name: str) -> pl.Series:
    """Return the distinct values of one attribute; all attributes in one pass would hold all their columns at once."""
    text = attribute_text(name, lazy.collect_schema()[name])
    return lazy.select(text.drop_nulls().unique().sort()).collect(engine="streaming").to_series()


def _digest(name: str) -> pl.Expr:
    """Return one number for equal values of a column, null for blank ones; chance keeps two strangers together at most.

    Among 30 million values two meet with probability 3e-5; their metering points are then one unit, which harms nobody.
    """
    text = pl.col(name).cast(pl.String)
    return pl.when(text != "").then(text.hash(seed=1))


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    """Return MPANs as text: whole numbers may come as floats where some are missing, and blank text is missing."""
    column = pl.col(name).cast(pl.Int64) if kind.is_float() else pl.col(name)
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _identity(name: str, kind: pl.DataType, width: int) -> pl.Expr:
    return _text(name, kind).cast(pl.Int64) if width else _text(name, kind)


def _conforming(lazy: pl.LazyFrame) -> pl.Expr:
    said = pl.col("conforming")
    if lazy.collect_schema()["conforming"] == pl.Boolean:
        return said.fill_null(False)
    return said.cast(pl.String).str.to_lowercase().is_in(["true", "t", "1", "1.0"]).fill_null(False)


def _direction() -> pl.Expr:
    first = pl.col("direction").cast(pl.String).str.strip_chars().str.slice(0, 1).str.to_uppercase()
    code = pl.when(first == "I").then(IMPORT).when(first == "E").then(EXPORT).otherwise(UNSTATED)
    return code.cast(pl.UInt8)


def _names(frame: pl.DataFrame, links: Sequence[str], width: int) -> tuple[Names, dict[str, pl.Series]]:
    """Return the naming and the integer columns of MPANs and links."""
    if width:
        return Names(width), {name: frame[f"@{name}"] for name in ("mpan", *links)}
    listed = pl.concat([frame[f"@{name}"].alias("mpan") for name in ("mpan", *links)])
    names = Names(0, listed.filter(listed.is_not_null() & (listed != "")).unique().sort())
    places = {name: pl.Series(name, names.ids(frame[f"@{name}"])) for name in ("mpan", *links)}
    return names, {name: column.set(column < 0, None) for name, column in places.items()}


def _sorted_arrays(
    columns: dict[str, pl.Series],
    names: Names,
    keys: dict[str, pl.Series],
    codings: tuple[Coding, ...],
    keep_together: Sequence[str],
) -> Population:
    for name in keys:
        columns.pop(f"@{name}", None)
    unsorted = keys["mpan"].to_numpy()
    order = np.argsort(unsorted, kind="stable")
    ids = unsorted[order]
    twice = int((ids[1:] == ids[:-1]).sum())
    if twice:
        raise IntakeError(f"{twice} MPANs are listed twice", where="population, column mpan", remedy="one row for each")
    place = np.empty(len(ids), dtype=np.int64)
    place[order] = np.arange(len(ids))
    links = tuple(_link(place, ids, keys.pop(name)) for name in LINKS if name in keys)
    linked = tuple(_same_value(place, columns.pop(f"@same:{name}")) for name in keep_together)
    few = tuple(c.attribute for c in codings if 1 < len(c.values) <= COVERAGE_VALUES)
    return Population(
        ids=ids,
        names=names,
        conforming=columns.pop("@conforming").to_numpy()[order],
        direction=columns.pop("@direction").to_numpy()[order],
        links=links,
        linked=linked,
        codings=codings,
        codes={coding.attribute: columns.pop(coding.attribute).to_numpy()[order] for coding in codings},
        coverage=few,
    )


def _link(place: Ints, ids: Ints, target: pl.Series) -> tuple[Ints, Ints]:
    """Return the rows (in MPAN order) that have a link, and the ids they point at."""
    has = target.is_not_null().to_numpy()
    rows, targets = place[has], target.drop_nulls().to_numpy().astype(np.int64)
    apart = ids[rows] != targets
    rows, targets = rows[apart], targets[apart]
    order = np.argsort(rows)
    return rows[order], targets[order]


def _same_value(place: Ints, value: pl.Series) -> tuple[Ints, Ints]:
    """Return rows that share their value with a smaller row, and that row."""
    rows, values = place[value.is_not_null().to_numpy()], value.drop_nulls().to_numpy()
    order = np.argsort(values)
    values, rows = values[order], rows[order]
    begins = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if values.size else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.append(begins, values.size))
    shared = np.repeat(sizes > 1, sizes)
    first = np.repeat(np.minimum.reduceat(rows, begins), sizes)[shared] if values.size else rows
    rows = rows[shared]
    apart = rows != first
    rows, first = rows[apart], first[apart]
    by_row = np.argsort(rows)
    return rows[by_row], first[by_row]
