"""Finds associations over all partitions: exports first, then what could answer them, then one resolution.

Only metering points that are exports, are near one, or are named by another are held at once; what tells them apart
(serial, address, property) is held as 64-bit digests, so memory follows the exports and not the market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from contracts.augmentation import stated_column
from flows.augment.inputs import PREMISES, REGISTRATION, AugmentationInputs, excluded, load_inputs, registered
from flows.cut.partitions import JUDGED, ORDER, frames
from transforms.augment import associations
from transforms.augment.decision_tables import decide, incoherent, needed, reads, undecided
from transforms.pseudonymise.mpan import order_key
from transforms.release.leak_candidates import PseudonymIndex

OWN_SERIAL = "own_serial"  # of the meter that the registration holds, where no meter operator holds one
KEYS = ("serial", "premises", "uprn")
DIRECTION = "energy_direction"
NO_POINTS = {"point": pl.UInt64}


def _digest(columns: Sequence[str], name: str) -> pl.Expr:
    """Return one number for equal values of columns, null where one is missing.

    An address without a postcode is no evidence: strangers meet in house and street alone, of which there are half a
    million, and a link between strangers is worse than none. The ring-fence joins them, in ``ringfence.population``.
    """
    whole = pl.concat_str([pl.col(c).cast(pl.String) for c in columns], separator="\n")
    return pl.when(whole.is_not_null()).then(whole.hash()).alias(name)  # a hash of nothing is a number like any other


def _slim(inputs: AugmentationInputs, number: int) -> pl.DataFrame | None:
    """Return what tells candidates of one partition apart: a row per metering point and meter serial.

    Serials are the meter operator's, else the one that the registration holds.
    """
    lazy = registered(inputs, number)
    if lazy is None:
        return None
    columns = lazy.collect_schema().names()
    named = [order_key(c).alias(n) for n, c in (("stated", "linked_mpan"), ("related", "related_mpan")) if c in columns]
    points = lazy.select(
        pl.col(ORDER).alias("point"),
        _digest(inputs.rules.site, "site"),
        _digest(PREMISES, "premises"),
        _digest(["uprn"], "uprn"),
        _digest(["meter_serial_number"], OWN_SERIAL),
        *named,
    )
    meters = frames(inputs.workspace, JUDGED, inputs.extracts, "metering", number)
    if not meters:
        return points.rename({OWN_SERIAL: "serial"}).collect()
    serials = pl.concat(
        m.select(pl.col(ORDER).alias("point"), _digest(["meter_serial_number"], "serial")) for m in meters
    )
    both = points.join(serials.drop_nulls().unique(), on="point", how="left").collect()
    return both.with_columns(pl.coalesce("serial", OWN_SERIAL).alias("serial")).drop(OWN_SERIAL)


def _named_by_suppliers(inputs: AugmentationInputs, number: int) -> pl.DataFrame:
    """Return what suppliers state about links: ``point``, ``stated_by_supplier``."""
    parts = []
    for frame in frames(inputs.workspace, JUDGED, inputs.extracts, "portfolio", number):
        if "linked_mpan" in frame.collect_schema().names():
            said = frame.filter(pl.col("linked_mpan").is_not_null())
            parts.append(said.select(pl.col(ORDER).alias("point"), order_key("linked_mpan").alias("by_supplier")))
    if not parts:
        return pl.DataFrame(schema={"point": pl.UInt64, "by_supplier": pl.UInt64})
    return pl.concat(parts).unique("point", keep="first", maintain_order=True).collect()


def _exports(inputs: AugmentationInputs, number: int) -> pl.DataFrame:
    """Return the points of one partition that are exports, by the tables' own direction."""
    items = needed(inputs.tables.items, [DIRECTION])
    lazy = registered(inputs, number)
    if lazy is None:
        return pl.DataFrame(schema=NO_POINTS)
    name = stated_column(REGISTRATION, DIRECTION)
    slim = lazy.select(ORDER, "llfc_direction", pl.col(DIRECTION).alias(name)).collect()
    read = set().union(*(reads(item) for item in items)) - {"llfc_direction", "measured_direction"}
    if read or slim["llfc_direction"].null_count():  # the direction is not plain from the registration alone
        slim = load_inputs(inputs, number, slim, items)
    else:
        slim = slim.with_columns(pl.lit(None, pl.String).alias("measured_direction"))
    decided = decide(slim, items, inputs.lookups, inputs.maker)
    return decided.filter(pl.col(DIRECTION) == "E").select(pl.col(ORDER).alias("point")).unique()


def _facts(inputs: AugmentationInputs, number: int, chosen: pl.DataFrame) -> pl.DataFrame:
    """Return what resolution needs of chosen metering points, with all items decided as if nothing linked them."""
    points = chosen.select(pl.col("point").alias(ORDER)).unique()
    frame = decided_alone(inputs, load_inputs(inputs, number, points))
    out = excluded(inputs, number).with_columns(pl.lit(value=True).alias("out"))
    carried = [c for c in inputs.rules.carried if c not in ("supplier_mpid", "supplier_effective_from")]
    return (
        frame.with_columns((undecided(inputs.tables.items) | incoherent(inputs.tables.coherence)).alias("unfit"))
        .join(out, on=ORDER, how="left", maintain_order="left")
        .select(
            pl.col(ORDER).alias("point"),
            "mpan_core",
            pl.col(DIRECTION).alias("direction"),
            (pl.col("metered_indicator") == "true").fill_null(value=False).alias("metered"),
            (pl.col("out").fill_null(value=False) | pl.col("unfit")).alias("out"),
            *dict.fromkeys((*inputs.rules.same, "profile_class", "supplier_mpid", "supplier_effective_from", *carried)),
        )
        .unique("point", keep="first", maintain_order=True)
    )


def unknown(inputs: AugmentationInputs) -> Mapping[str, pl.DataType | type[pl.DataType]]:
    """Return the columns that associations bring, with their types."""
    names = ("link_mpan", "link_rule", "link_role", "link_grade", "relation_mpan", "relation_role")
    types: dict[str, pl.DataType | type[pl.DataType]] = dict.fromkeys(names, pl.String)
    types |= {f"partner_{c}": pl.Date if c.endswith("_from") else pl.String for c in inputs.rules.carried}
    return types


def decided_alone(inputs: AugmentationInputs, frame: pl.DataFrame) -> pl.DataFrame:
    """Decide all items of metering points before anything is known of their associations."""
    frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in unknown(inputs).items())
    return decide(frame, inputs.tables.items, inputs.lookups, inputs.maker)


def candidates(inputs: AugmentationInputs) -> pl.DataFrame:
    """Return every metering point that may be in an association, as ``transforms.augment.associations`` wants them."""
    partitions = range(inputs.workspace.partitions)
    wanted = {name: [pl.Series(name, [], dtype=pl.UInt64)] for name in (*KEYS, "point")}
    for number in partitions:
        exports = _exports(inputs, number)
        wanted["point"].append(exports["point"])
        slim = _with_statements(inputs, number)
        if slim is None:
            continue
        mine = slim.join(exports, on="point", how="semi")
        for key in KEYS:
            wanted[key].append(mine[key].drop_nulls().unique())
        for named in ("stated", "related"):
            both = slim.filter(pl.col(named).is_not_null())
            wanted["point"] += [both["point"], both[named]]
    # looked up in place: a join would build a table of all exports of the market for each partition anew
    indexes = {name: PseudonymIndex.of(pl.concat(parts).to_numpy()) for name, parts in wanted.items()}
    found = [part for n in partitions if (part := _near(inputs, n, indexes)) is not None]
    return pl.concat(found) if found else pl.DataFrame(schema=NO_POINTS)


def _with_statements(inputs: AugmentationInputs, number: int) -> pl.DataFrame | None:
    slim = _slim(inputs, number)
    if slim is None:
        return None
    for name in ("stated", "related"):
        if name not in slim.columns:
            slim = slim.with_columns(pl.lit(None, pl.UInt64).alias(name))
    said = _named_by_suppliers(inputs, number)
    if said.is_empty():
        return slim
    return (
        slim.join(said, on="point", how="left").with_columns(pl.coalesce("stated", "by_supplier")).drop("by_supplier")
    )


def _near(inputs: AugmentationInputs, number: int, indexes: Mapping[str, PseudonymIndex]) -> pl.DataFrame | None:
    """Return the candidates of one partition: whoever shares a key with an export, or is named."""
    slim = _with_statements(inputs, number)
    if slim is None:
        return None
    given = {name: slim[name].is_not_null().to_numpy() for name in indexes}
    hits = [given[name] & keys.contains(slim[name].fill_null(0).to_numpy()) for name, keys in indexes.items()]
    near = slim.filter(pl.Series(np.any(hits, axis=0))).select("point").unique()
    if near.is_empty():
        return None
    return slim.join(near, on="point", how="semi").join(_facts(inputs, number, near), on="point", how="inner")


@dataclass(frozen=True, slots=True)
class Resolved:
    """All associations of a cut.

    Attributes:
        read: per metering point in one, what decision tables read: ``_order``, ``link_mpan``, ``link_rule``,
            ``link_role``, ``link_grade``, ``relation_mpan``, ``relation_role``, ``partner_<carried>``.
        unsound: ``_order`` of the metering points of related groups that contradict themselves.
        together: ``mpan_core`` and ``other`` that stand or fall together, excluded ones too.
        outcomes: as ``transforms.augment.associations.OUTCOMES``.
    """

    read: pl.DataFrame
    unsound: pl.DataFrame
    together: pl.DataFrame
    outcomes: pl.DataFrame


def resolve(inputs: AugmentationInputs) -> Resolved:
    """Find all associations."""
    found = candidates(inputs)
    if found.is_empty():
        nobody = pl.DataFrame(schema={ORDER: pl.UInt64})
        empty = nobody.with_columns(pl.lit(None, kind).alias(n) for n, kind in unknown(inputs).items())
        nothing = pl.DataFrame(schema=dict.fromkeys(("mpan_core", "other"), pl.String))
        return Resolved(empty, nobody, nothing, pl.DataFrame(schema=associations.OUTCOMES))
    groups = associations.related(found, inputs.rules.primary)
    unsound = groups.filter(~pl.col("sound")).select("point")
    lost = pl.col("point").is_in(unsound["point"].implode())
    found = found.with_columns((pl.col("out") | lost).alias("out"))
    done = associations.links(found, groups, inputs.rules)
    return Resolved(
        read=_read_by_tables(inputs, found, done.links, groups),
        unsound=unsound.rename({"point": ORDER}),
        together=_together(found, done.together),
        outcomes=done.outcomes,
    )


def _together(found: pl.DataFrame, linked: pl.DataFrame) -> pl.DataFrame:
    """Return who stands or falls with whom: related metering points, and both ends of the surest links."""
    related = found.select("point", pl.col("related").alias("partner")).drop_nulls()
    names = found.select("point", "mpan_core").unique("point", keep="first", maintain_order=True)
    pairs = pl.concat([related, linked]).unique(maintain_order=True)
    other = names.rename({"point": "partner", "mpan_core": "other"})
    return pairs.join(names, on="point").join(other, on="partner").select("mpan_core", "other")


def _read_by_tables(
    inputs: AugmentationInputs, found: pl.DataFrame, links: pl.DataFrame, groups: pl.DataFrame
) -> pl.DataFrame:
    facts = found.unique("point", keep="first", maintain_order=True)
    names = facts.select(pl.col("point").alias("partner"), pl.col("mpan_core").alias("partner_mpan"))
    linked = links.join(names, on="partner", how="left").select(
        "point",
        pl.col("partner").alias("link_partner"),
        pl.col("partner_mpan").alias("link_mpan"),
        pl.col("rule").alias("link_rule"),
        pl.col("role").alias("link_role"),
        pl.col("grade").alias("link_grade"),
    )
    related = (
        groups.filter(pl.col("sound"))
        .join(names, on="partner", how="left")
        .select(
            "point",
            pl.when(pl.col("role") == associations.SECONDARY).then(pl.col("partner")).alias("primary"),
            pl.col("partner_mpan").alias("relation_mpan"),
            pl.col("role").alias("relation_role"),
        )
    )
    other = facts.select(
        pl.col("point").alias("partner"), *(pl.col(c).alias(f"partner_{c}") for c in inputs.rules.carried)
    )
    return (
        linked.join(related, on="point", how="full", coalesce=True)
        .with_columns(pl.coalesce("primary", "link_partner").alias("partner"))
        .join(other, on="partner", how="left")
        .drop("partner", "primary", "link_partner")
        .rename({"point": ORDER})
        .sort(ORDER)
    )
