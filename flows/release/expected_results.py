"""The expected result (Q74): per ring-fenced metering point one flat record of what every party should hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import polars as pl

from flows.augment.participant_tables import load_mapping
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.parallel import map_parallel
from flows.cut.partitions import ALL, EXTRACT, JUDGED, ORDER, frames
from flows.release.augmented import AT_ONCE, CONFIDENCE, augmented, own_points, rows_of
from flows.release.table_files import CsvLines, CsvTable, ParquetTable
from transforms.augment.decision_tables import provenance
from transforms.augment.manufacture import Manufacturer
from transforms.pseudonymise.mpan import Keys, order_key
from transforms.pseudonymise.pseudonymiser import treat

EXPECTED = "expected"
SERIAL = "meter_serial_number"
PROVIDER, OWN_PROVIDER = "meter_asset_provider_mpid", "own_provider"  # the meter operator's, the registration's
METER_FACTS = ("make_and_model", PROVIDER)
DIGITS = "number_of_digits"
DIP_ROLES = {"supplier": "SUP", "distributor": "LDSO", "registration_service": "REGS"}
STATED, MANUFACTURED = "stated", "manufactured"
SINGLE = "expected_alone"  # room of the records before it is known who else is in the market
OTHERS = ("supplier", "metering_service", "data_service")  # parties that a process may change


def build_expected(known: Context, allocations: pl.DataFrame) -> None:
    """Write room ``expected``: a record per allocated metering point, whoever holds it.

    Columns out: ``_order``, the registration's released columns, the settlement meter with make, asset provider and
    displayed digits, ``bm_unit_id``, each item with its ``<item>_from``, ``linked_mpan_confidence``; MPID and DIP id of
    supplier, distributor, registration service and central parties (``mds``, ``lss``, ``ees``, ``dcc``, ``mdr``), each
    with ``<party>_dip_id_source`` (``stated`` or ``manufactured``); and in ``other_<party>_mpid`` and ``_dip_id`` the
    next supplier of the cut, and the next metering and data service in the same role, null where there is none.
    """
    chosen = allocations.select(order_key().alias(ORDER)).drop_nulls().unique().lazy()
    workspace, there = known.workspace, []
    for number in range(workspace.partitions):
        frame = augmented(known, number)
        if frame is not None:
            mine = frame.join(chosen, on=ORDER, how="semi", maintain_order="left")
            workspace.write(_records(known, number, mine), SINGLE, ALL, EXTRACT, number)
            there.append(number)
    others = {party: _next_party(known, there, party) for party in OTHERS}
    for number in there:
        frame = workspace.scan(SINGLE, ALL, EXTRACT, number)
        if frame is not None:
            for following in others.values():
                keys = [c for c in following.columns if not c.startswith("other_")]
                frame = frame.join(following.lazy(), on=keys, how="left", maintain_order="left")
            workspace.write(frame.collect(), EXPECTED, ALL, EXTRACT, number)
            workspace.discard(SINGLE, number)


def _next_party(known: Context, numbers: Sequence[int], party: str) -> pl.DataFrame:
    """Return, for each MPID in a role, the next one of the cut in that role, the first after the last.

    Where the cut has nobody else in a role, mapping tables and standing data say who there is.

    Columns out: ``<party>_mpid``, for a service ``<party>_role``, and ``other_<party>_mpid`` and ``_dip_id``.
    """
    keys = [f"{party}_mpid"] if party == "supplier" else [f"{party}_role", f"{party}_mpid"]
    columns = [*keys, f"{party}_dip_id"]
    parts = [
        frame.select(columns) for n in numbers if (frame := known.workspace.scan(SINGLE, ALL, EXTRACT, n)) is not None
    ]
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys([*keys, f"other_{party}_mpid", f"other_{party}_dip_id"], pl.String))
    seen = pl.concat(parts).drop_nulls().unique().collect()
    roles = seen[keys[0]].unique() if len(keys) > 1 else pl.Series(["SUP"])
    alone = [role for role in roles if _mpids(seen, keys, role) < 2]
    known_ids = load_mapping(known.job).tables["dip_ids"].filter(pl.col("role").is_in(alone))
    more = known_ids.select(
        *([pl.col("role").alias(keys[0])] if len(keys) > 1 else []), pl.col("mpid").alias(keys[-1]),
        pl.col("dip_id").alias(columns[-1]),
    )  # fmt: skip
    found = pl.concat([seen, more]).unique().sort(columns).unique(keys, keep="first", maintain_order=True)
    names = (keys[-1], columns[-1])
    whole = pl.lit(0) if len(keys) == 1 else pl.col(keys[0])
    following = [pl.col(c).shift(-1).fill_null(pl.col(c).first()).over(whole).alias(f"other_{c}") for c in names]
    done = found.select(*keys, *following)
    same = pl.col(f"other_{keys[-1]}") == pl.col(keys[-1])
    return done.with_columns(pl.when(~same).then(pl.col(f"other_{c}")).alias(f"other_{c}") for c in names)


def _records(known: Context, number: int, frame: pl.LazyFrame) -> pl.DataFrame:
    columns = frame.collect_schema().names()
    every = known.tables.items
    names = [name for item in every if item.held_by for name in (item.item, f"{item.item}_from")]
    names += [f"{item.item}_source" for item in every if item.held_by and item.item.endswith("service_dip_id")]
    items = [e for e in provenance(every, columns) if e.meta.output_name() in names]
    kept = ("distributor_id", "distributor_mpid", "meter_type", "meter_install_date", SERIAL)
    record = frame.select(ORDER, *(c for c in kept if c not in names), *items, CONFIDENCE).collect()
    record = _registered(known, number, record).join(record, on=ORDER, how="right", maintain_order="right")
    for extract, keys, facts in (
        ("metering", [ORDER, SERIAL], METER_FACTS),
        ("register", [ORDER, SERIAL], (DIGITS,)),
        ("bmu_mapping", [ORDER], ("bm_unit_id",)),
    ):
        record = record.join(
            _facts(known, extract, number, record, keys, facts), on=keys, how="left", maintain_order="left"
        )
    provider = pl.coalesce(PROVIDER, OWN_PROVIDER).alias(PROVIDER)
    return _with_dip_ids(known, record.with_columns(provider).drop(OWN_PROVIDER))


def _registered(known: Context, number: int, record: pl.DataFrame) -> pl.DataFrame:
    """Return the registration's columns that the items do not replace; its asset provider as ``own_provider``."""
    contract = known.contracts[EXTRACT]
    stated = {s.column for i in known.tables.items for s in i.stated if s.extract == EXTRACT}
    dates = {s.date for i in known.tables.items for s in i.stated if s.extract == EXTRACT}
    kept = [c.name for c in contract.released if c.name not in {*record.columns, *stated, *dates}]
    parts = frames(known.workspace, JUDGED, known.extracts, EXTRACT, number)
    mine = pl.concat(parts).join(record.lazy().select(ORDER), on=ORDER, how="semi").select(ORDER, *kept)
    done = treat(mine, contract, known.pseudonymiser).unique(ORDER, keep="first", maintain_order=True).collect()
    if PROVIDER not in done.columns:
        return done.with_columns(pl.lit(None, pl.String).alias(OWN_PROVIDER))
    return done.rename({PROVIDER: OWN_PROVIDER})


def _facts(
    known: Context, extract: str, number: int, record: pl.DataFrame, keys: list[str], facts: Sequence[str]
) -> pl.DataFrame:
    """Return columns of another extract by key, the first row of each; empty where nobody sent it."""
    contract = known.contracts[extract]
    parts = frames(known.workspace, JUDGED, known.extracts, extract, number)
    if not parts:
        kinds = {ORDER: pl.UInt64, DIGITS: pl.Int32}
        return pl.DataFrame(schema={name: kinds.get(name, pl.String) for name in (*keys, *facts)})
    mine = pl.concat(parts).join(record.lazy().select(ORDER), on=ORDER, how="semi").select(*keys, *facts)
    done = treat(mine, contract, known.pseudonymiser).collect()
    missing = [pl.lit(None, pl.String).alias(name) for name in facts if name not in done.columns]
    return (
        done.with_columns(missing).sort(*keys, *facts, nulls_last=True).unique(keys, keep="first", maintain_order=True)
    )


def _mpids(seen: pl.DataFrame, keys: Sequence[str], role: str) -> int:
    rows = seen.filter(pl.col(keys[0]) == role) if len(keys) > 1 else seen
    return rows[keys[-1]].n_unique()


def _with_dip_ids(known: Context, record: pl.DataFrame) -> pl.DataFrame:
    """Add the parties that messages name: MPID, DIP id by mapping table or standing data, else by default; which."""
    given = load_mapping(known.job).tables["dip_ids"]
    maker = Manufacturer(known.keys, known.services.prefixes)
    record = record.with_columns(pl.col("distributor_mpid").alias("registration_service_mpid"))
    for party, role in DIP_ROLES.items():
        mpid, dip_id = f"{party}_mpid", f"{party}_dip_id"
        roles = pl.Series([role], dtype=pl.String).new_from_index(0, record.height)
        default = maker.dip_ids("default", record[mpid], roles)
        stated = given.filter(pl.col("role") == role).select(pl.col("mpid").alias(mpid), "dip_id")
        both = record.with_columns(default).join(stated, on=mpid, how="left", maintain_order="left")
        made_up = pl.when(pl.col("default").is_not_null()).then(pl.lit(MANUFACTURED))
        source = pl.when(pl.col("dip_id").is_not_null()).then(pl.lit(STATED)).otherwise(made_up)
        record = both.with_columns(
            pl.coalesce("dip_id", "default").alias(dip_id), source.alias(f"{dip_id}_source")
        ).drop("dip_id", "default")
    central = [_central(role, given, known) for role in known.services.central]
    kinds = [f"{party}_dip_id_source" for party in ("metering_service", "data_service")]
    own = [pl.col(kind).cast(pl.String).replace({"derived": STATED}) for kind in kinds]  # derived: from a table
    return record.with_columns(*own, *(column for columns in central for column in columns))


def _central(role: str, given: pl.DataFrame, known: Context) -> list[pl.Expr]:
    """Return MPID, DIP id and its source of a central party: as stated where one MPID alone has the role."""
    stated = given.filter(pl.col("role") == role).select("mpid", "dip_id").rows()
    own = known.services.central[role]
    mpid, dip_id = stated[0] if len(stated) == 1 else (own.mpid, own.dip_id)
    name, source = role.lower(), STATED if len(stated) == 1 else MANUFACTURED
    values = {f"{name}_mpid": mpid, f"{name}_dip_id": dip_id, f"{name}_dip_id_source": source}
    return [pl.lit(value).alias(column) for column, value in values.items()]


def release_expected(
    known: Context, participants: Sequence[Participant], place: Callable[[str], Path]
) -> dict[str, int]:
    """Write ``data/<participant>/expected.parquet`` and ``.csv`` of each for its own metering points.

    Records are read and written as text once for every ``AT_ONCE`` participants.

    Returns:
        MPID -> how many rows.
    """
    rows: dict[str, int] = {}
    for begin in range(0, len(participants), AT_ONCE):
        with ExitStack() as stack:
            shares = [_ExpectedShare(known, p, place, stack) for p in participants[begin : begin + AT_ONCE]]
            for number in range(known.workspace.partitions):
                lazy = known.workspace.scan(EXPECTED, ALL, EXTRACT, number)
                if lazy is not None:
                    frame = lazy.collect()
                    keys, record = frame[ORDER].to_numpy(), frame.drop(ORDER)
                    lines = CsvLines(record)
                    map_parallel(
                        partial(_ExpectedShare.add, number=number, keys=keys, record=record, lines=lines), shares
                    )
        rows |= {share.mpid: share.parquet.rows for share in shares}
    return rows


class _ExpectedShare:
    """What one participant gets of the records: those of its own metering points."""

    def __init__(
        self, known: Context, participant: Participant, place: Callable[[str], Path], stack: ExitStack
    ) -> None:
        self.mpid, self._known, self._participant = participant.mpid, known, participant
        paths = [place(f"data/{participant.mpid}/{EXPECTED}.{form}") for form in ("parquet", "csv")]
        self.parquet = stack.enter_context(ParquetTable(paths[0]))
        self._text = stack.enter_context(CsvTable(paths[1]))

    def add(self, number: int, keys: Keys, record: pl.DataFrame, lines: CsvLines) -> None:
        """Take its own of the records of a partition."""
        own = own_points(self._known, self._participant, number)
        if own is not None:
            mine = rows_of(keys, own.collect()[ORDER].to_numpy())
            self.parquet.add(record[mine])
            self._text.add(lines, mine)
