"""What decision tables read of a metering point, gathered from all extracts of one partition.

One row per metering point, in canonical order: the registration's columns, its settlement meter, its annual volumes,
and what participants state about MHHS-only items. Joins are by ``_order``, the metering point as an integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contracts.augmentation import Associations, Item, Tables, stated_column
from contracts.model import Contract
from flows.augment.participant_tables import MappingTables
from flows.cut.partitions import COMPANION, JUDGED, ORDER, STAGES, ParticipantExtract, frames, read_exclusions
from flows.cut.workspace import Workspace
from flows.intake.market_domain_data import Reference
from transforms.augment import volumes as annual
from transforms.augment.manufacture import Manufacturer
from transforms.augment.settlement_meter import settlement_meter
from transforms.augment.timeswitch import timeswitch_attributes
from transforms.pseudonymise.mpan import order_key

REGISTRATION, AUGMENT = "registration", "augment"
PREMISES = ("address_line_1", "address_line_5", "postcode")  # what tells pseudonym addresses apart
METER_TYPE = "meter_type"
METER = ("meter_serial_number", METER_TYPE, "meter_install_date")
ALWAYS = frozenset({"mpan_core", "related_mpan", "uprn", "supplier_effective_from", *PREMISES})
# what a ring-fence plan may ask for beside the items
ATTRIBUTES = (
    "gsp_group_id",
    "supplier_mpid",
    "data_collector_mpid",
    "meter_operator_mpid",
    "profile_class",
    "measurement_class",
    "energisation_status",
    "domestic_premises_indicator",
    "dcc_service_flag",
)


@dataclass(frozen=True, slots=True, repr=False)
class AugmentationInputs:
    """Everything that augmentation needs beside the rows."""

    workspace: Workspace
    extracts: Sequence[ParticipantExtract]
    tables: Tables
    rules: Associations
    mapping: MappingTables
    maker: Manufacturer
    reference: Reference

    @property
    def lookups(self) -> Mapping[str, pl.DataFrame]:
        """The mapping tables by name."""
        return self.mapping.tables


def registered(inputs: AugmentationInputs, number: int) -> pl.LazyFrame | None:
    """Return the registrations of a partition, of metering points with a pseudonym, with who sent them."""
    parts = []
    for source in inputs.extracts:
        if source.extract == REGISTRATION:
            frame = inputs.workspace.scan(JUDGED, source.participant, REGISTRATION, number)
            if frame is not None:
                parts.append(frame.with_columns(pl.lit(source.participant).alias("sender")))
    return pl.concat(parts).filter(pl.col(ORDER).is_not_null()) if parts else None


def excluded(inputs: AugmentationInputs, number: int) -> pl.DataFrame:
    """Return ``_order`` of every metering point that earlier stages exclude for its own faults."""
    stages = [stage for stage in STAGES if stage not in (AUGMENT, COMPANION)]  # whatever a killed run left behind
    return read_exclusions(inputs.workspace, number, stages).select(order_key().alias(ORDER)).drop_nulls()


def _read(inputs: AugmentationInputs, extract: str, number: int, chosen: pl.LazyFrame) -> pl.LazyFrame | None:
    parts = frames(inputs.workspace, JUDGED, inputs.extracts, extract, number)
    return pl.concat(parts).join(chosen, on=ORDER, how="semi") if parts else None


def meters(inputs: AugmentationInputs, number: int, chosen: pl.LazyFrame) -> pl.DataFrame | None:
    """Return the settlement meter of each chosen metering point, None where no meters are held.

    Columns out: ``_order``, ``meter_serial_number``, ``meter_install_date``, ``meter_segments``, and as stated by the
    meter operator ``meter_type`` and ``esme_id``.
    """
    lazy = _read(inputs, "metering", number, chosen)
    if lazy is None:
        return None
    held = lazy.select(ORDER, *METER, pl.col("esme_id").alias(stated_column("metering", "esme_id"))).collect()
    chosen_meters = settlement_meter(held.lazy(), inputs.tables, key=ORDER)
    return chosen_meters.rename({METER_TYPE: stated_column("metering", METER_TYPE)}).collect()


def volumes(inputs: AugmentationInputs, number: int, chosen: pl.LazyFrame) -> pl.DataFrame | None:
    """Return ``_order`` and annual volumes in kWh over all regimes, null where none is held.

    ``eac`` sums of each regime the advance, else the estimate; ``aa`` is that sum where every regime has an advance.
    """
    lazy = _read(inputs, "annual_consumption", number, chosen)
    if lazy is None:
        return None
    return annual.volumes(lazy, ORDER).collect()


def measured(inputs: AugmentationInputs, number: int, chosen: pl.LazyFrame) -> pl.DataFrame | None:
    """Return ``_order`` and the direction that active registers measure, null where they measure both."""
    lazy = _read(inputs, "register", number, chosen)
    if lazy is None:
        return None
    has = {way: (pl.col("measurement_quantity") == quantity).any() for way, quantity in (("I", "AI"), ("E", "AE"))}
    one = pl.when(has["I"] & ~has["E"]).then(pl.lit("I")).when(has["E"] & ~has["I"]).then(pl.lit("E"))
    return lazy.select(ORDER, "measurement_quantity").group_by(ORDER).agg(one.alias("measured_direction")).collect()


def stated_by_suppliers(
    inputs: AugmentationInputs, number: int, chosen: pl.LazyFrame, items: Sequence[Item]
) -> pl.DataFrame | None:
    """Return what registered suppliers state in their portfolios; None where nobody states anything.

    Columns out: ``_order``, ``supplier_mpid``, ``stated.portfolio.<column>``. A statement counts where its sender is
    the registered supplier.
    """
    columns = _stated(inputs.workspace.contracts, items, "portfolio")
    parts = []
    for source in inputs.extracts:
        frame = (
            inputs.workspace.scan(JUDGED, source.participant, "portfolio", number)
            if source.extract == "portfolio"
            else None
        )
        if frame is None or not columns:
            continue
        said = frame.select(ORDER, *columns).filter(pl.any_horizontal(pl.col(c).is_not_null() for c in columns))
        parts.append(said.with_columns(pl.lit(source.participant).alias("supplier_mpid")))
    if not parts:
        return None
    whole = pl.concat(parts).join(chosen, on=ORDER, how="semi").collect()
    if whole.is_empty():
        return None
    return whole.unique([ORDER, "supplier_mpid"], keep="first", maintain_order=True).rename(
        {c: stated_column("portfolio", c) for c in columns}
    )


def _stated(contracts: Mapping[str, Contract], items: Iterable[Item], extract: str) -> list[str]:
    """Return the columns of an extract in which some item, or its date, is stated, in contract order."""
    names = {n for i in items for s in i.stated if s.extract == extract for n in (s.column, s.date) if n}
    contract = contracts.get(extract)
    return [c.name for c in contract.columns if c.name in names] if contract else []


def load_inputs(
    inputs: AugmentationInputs, number: int, chosen: pl.DataFrame, items: Sequence[Item] | None = None
) -> pl.DataFrame:
    """Return the chosen metering points of a partition with everything that decision tables read.

    Args:
        chosen: ``_order`` of the metering points wanted.
    """
    items = items if items is not None else inputs.tables.items
    lazy = registered(inputs, number)
    if lazy is None:
        return pl.DataFrame(schema={ORDER: pl.UInt64})
    stated = {
        stated_column(REGISTRATION, c): pl.col(c) for c in _stated(inputs.workspace.contracts, items, REGISTRATION)
    }
    chosen_lazy = chosen.lazy().select(ORDER)
    frame = lazy.join(chosen_lazy, on=ORDER, how="semi").select(*_kept(inputs), **stated).collect()
    frame = frame.drop([name for name in stated if frame[name].null_count() == frame.height])
    frame = _with_distributor(frame, inputs)
    frame = _with_timeswitch(frame, inputs)
    meter = dict.fromkeys(("meter_serial_number",), pl.String) | {
        "meter_install_date": pl.Date,
        "meter_segments": pl.Int64,
    }
    unclear = frame["llfc_direction"].null_count() > 0
    joined: list[tuple[pl.DataFrame | None, Mapping[str, pl.DataType | type[pl.DataType]]]] = [
        (meters(inputs, number, chosen_lazy), meter),
        (volumes(inputs, number, chosen_lazy), dict.fromkeys(("eac", "aa"), pl.Decimal(16, 1))),
        (measured(inputs, number, chosen_lazy) if unclear else None, {"measured_direction": pl.String}),
    ]
    for other, missing in joined:
        if other is None:
            frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in missing.items())
        else:
            frame = frame.join(other, on=ORDER, how="left", maintain_order="left")
    frame = _with_registered_meter(frame, inputs.tables)
    said = stated_by_suppliers(inputs, number, chosen_lazy, items)
    if said is not None:
        frame = frame.join(said, on=[ORDER, "supplier_mpid"], how="left", maintain_order="left")
    return frame.sort(ORDER)


def _with_registered_meter(frame: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Take the distributor's own meter where no meter operator holds one; consumes ``registered.<column>``.

    Its type is a statement of the registration, weaker than the meter operator's (``items.yaml``).
    """
    stated = stated_column(REGISTRATION, METER_TYPE)
    unmetered = pl.col("meter_serial_number").is_null()
    speaks: pl.Expr = pl.lit(0, pl.Int64)
    if stated in frame.columns:
        speaks = pl.col(stated).is_in(list(tables.segments)).fill_null(value=False).cast(pl.Int64)
    taken = [
        pl.when(unmetered).then(pl.col(_registered(c))).otherwise(pl.col(c)).alias(c) for c in METER if c != METER_TYPE
    ]
    done = frame.with_columns(pl.col("meter_segments").fill_null(speaks), *taken)
    return done.drop(_registered(c) for c in METER if c != METER_TYPE)


def _registered(column: str) -> str:
    return f"registered.{column}"


def _with_timeswitch(frame: pl.DataFrame, inputs: AugmentationInputs) -> pl.DataFrame:
    """Add what market domain data says of the timeswitch code (``mtc_...``), null where it is not at hand."""
    known = inputs.reference.tables
    names = ("meter_timeswitch_classes", "local_timeswitch_codes", "payment_types")
    return timeswitch_attributes(frame, *(known.get(name) for name in names))


def _kept(inputs: AugmentationInputs) -> list[pl.Expr]:
    """Return the registration's columns that conditions, associations or readers of the result need."""
    contract = inputs.workspace.contracts[REGISTRATION]
    read = {i.name for i in inputs.tables.inputs} | set(ATTRIBUTES) | ALWAYS | {*inputs.rules.site, *inputs.rules.same}
    derived = [d.name for d in contract.derived]
    own = [c.name for c in contract.staged if c.name in read - {*METER}]
    meter = [pl.col(c).alias(_registered(c)) for c in METER if c != METER_TYPE]
    return [*map(pl.col, own), *meter, *map(pl.col, (*derived, "cut_date", ORDER, "sender"))]


def _with_distributor(frame: pl.DataFrame, inputs: AugmentationInputs) -> pl.DataFrame:
    """Add ``distributor_mpid``: by market domain data, else by whoever sent the registration."""
    table = inputs.reference.tables.get("distributors")
    sender = pl.col("sender").alias("distributor_mpid")
    if table is None:
        return frame.with_columns(sender).drop("sender")
    known = table.unique("distributor_id", keep="first", maintain_order=True).select(
        "distributor_id", "distributor_mpid"
    )
    joined = frame.join(known, on="distributor_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("distributor_mpid", "sender").alias("distributor_mpid")).drop("sender")
