"""The expected result by step (Q74): what each message of a process brings about, and what settlement adds up to.

``data/<participant>/expected/steps.parquet`` has a row an item and step for each of a participant's own allocated
metering points: who sends what to whom, and which item who holds afterwards. ``settlement.csv`` has the totals of its
fenced sets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from contracts.messages import message_tables, message_values
from contracts.processes import market_processes
from contracts.processes.model import Party, Process, Processes
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.partitions import ALL, EXTRACT, ORDER
from flows.cut.workspace import disk
from flows.messages.pack_records import CASE, EXPECTED, SETTLEMENT, STEPS
from flows.messages.write import AT_ONCE, chunks
from flows.release.augmented import own_points, rows_of
from flows.release.table_files import ParquetTable
from transforms.pseudonymise.mpan import order_key
from transforms.release.market_processes import MessageDefaults, ProcessRun, StepResult
from transforms.release.message_forms import LOCAL
from transforms.release.settlement_day import half_hours

SENT = time(9)  # local time of the first step, on the cut date
GROUPS = (
    "phase", "stage", "test_case", "gsp_group_id", "measurement_class", "market_segment", "bm_unit_id",
    "measurement_quantity", "settlement_date",
)  # fmt: skip


def default_terms(cut_date: date) -> MessageDefaults:
    """Return what messages have in common unless somebody asks for other: all is on the cut date."""
    sent = datetime.combine(cut_date, SENT, ZoneInfo(LOCAL))
    return MessageDefaults(sent=sent, action=cut_date, settlement=cut_date)


def release_steps(
    known: Context,
    allocations: pl.DataFrame,
    of_case: Mapping[str, Sequence[str]],
    place: Callable[[str], Path],
) -> None:
    """Write ``expected/steps.parquet`` and ``expected/settlement.csv`` of every participant.

    Args:
        allocations: as the ring-fence gave them.
        of_case: test case -> processes that the plan names for it; without an entry every process that applies.

    Raises:
        ContractError: a process reads what no record has.
    """
    processes, records = market_processes(), _records(known)
    terms = default_terms(known.job.model.cut.date)
    run = ProcessRun(records, message_tables(), message_values(), processes.parties, terms)
    given = allocations.select(CASE).unique().join(records.select("mpan_core"), on="mpan_core", how="semi").sort(CASE)
    chosen = {
        str(case): [processes.processes[name] for name in of_case.get(str(case), processes.processes)]
        for case in given["test_case"].unique().sort()
    }
    mine = {participant.mpid: _own(known, participant) for participant in known.job.model.participants}
    for mpid, own in mine.items():
        with disk(place(f"data/{mpid}/{EXPECTED}/{SETTLEMENT}.csv")):
            totals(records, allocations.join(own, on="mpan_core", how="semi"), terms).write_csv(
                place(f"data/{mpid}/{EXPECTED}/{SETTLEMENT}.csv")
            )
    points = {mpid: own.select(order_key()).to_series().sort().to_numpy() for mpid, own in mine.items()}
    with ExitStack() as stack:
        files = {
            mpid: stack.enter_context(ParquetTable(place(f"data/{mpid}/{EXPECTED}/{STEPS}.parquet"))) for mpid in mine
        }
        for several in _batches(chunks(given, chosen)):
            rows = _all_steps(run, several, processes)
            keys = rows.select(order_key()).to_series().to_numpy()
            for mpid, file in files.items():
                file.add(rows[rows_of(keys, points[mpid])])


Chunk = tuple[pl.DataFrame, Sequence[Process]]  # whole test cases that go through the same processes


def _batches(parts: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Yield chunks by the thousand metering points: a step costs the same for one as for many."""
    held: list[Chunk] = []
    for part in parts:
        held.append(part)
        if sum(rows.height for rows, _ in held) >= AT_ONCE:
            yield held
            held = []
    if held:
        yield held


def _all_steps(run: ProcessRun, several: Sequence[Chunk], processes: Processes) -> pl.DataFrame:
    """Return the rows of chunks, each process run once for all that go through it, in the order of one by one."""
    cases = defaultdict[str, set[str]](set)
    places = []
    for number, (rows, through) in enumerate(several):
        for case in rows["test_case"].unique():
            for position, process in enumerate(through):
                cases[process.id].add(case)
                places.append((case, process.id, number, position))
    order = pl.DataFrame(places, schema=["test_case", "process", "_chunk", "_position"], orient="row")
    given, through = pl.concat(rows for rows, _ in several), [processes.processes[name] for name in cases]
    found = [step_rows(result, processes) for result in run.steps(given, through, text=False, cases=cases)]
    if not found:
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))
    placed = pl.concat(found).join(order, on=["test_case", "process"], how="left", maintain_order="left")
    return placed.sort("_chunk", "_position", maintain_order=True).select(COLUMNS)


def _records(known: Context) -> pl.DataFrame:
    frames = [known.workspace.scan(EXPECTED, ALL, EXTRACT, n) for n in range(known.workspace.partitions)]
    return pl.concat(f for f in frames if f is not None).drop(ORDER).collect().unique("mpan_core").sort("mpan_core")


def _own(known: Context, participant: Participant) -> pl.DataFrame:
    """Return the ``mpan_core`` of the allocated metering points that a participant sent itself."""
    parts = []
    for number in range(known.workspace.partitions):
        frame, own = known.workspace.scan(EXPECTED, ALL, EXTRACT, number), own_points(known, participant, number)
        if frame is not None and own is not None:
            parts.append(frame.join(own, on=ORDER, how="semi").select("mpan_core"))
    return pl.concat(parts).collect() if parts else pl.DataFrame(schema={"mpan_core": pl.String})


def step_rows(result: StepResult, processes: Processes) -> pl.DataFrame:
    """Return a row an item and step; a step that changes nothing, or is not made, is one row without an item.

    Columns out: ``CASE``, ``process``, ``step``, ``sender``, ``sender_dip_id``, ``interface``, ``event``,
    ``publication``, ``receivers`` (roles and DIP ids), ``receivers_assumed``, ``reason`` (why the step is not made),
    ``held_by`` (likewise), ``item``, ``value`` (as text, dates in ISO form).
    """
    step, parties = result.step, processes.parties
    text = {name: pl.lit(value) for name, value in _facts(result.process, result).items()}
    base = result.record.select(
        *CASE, *(c.alias(name) for name, c in text.items()),
        sender=pl.lit(result.rows["sender_role"]), sender_dip_id=pl.lit(result.rows["sender_dip_id"]),
        receivers=_named(step.receivers, parties), receivers_assumed=pl.lit(step.assumed),
        reason=pl.lit(result.rows["reason"]),
    )  # fmt: skip
    made = base["reason"].is_null()
    nobody = base.with_columns(
        held_by=pl.lit(None, pl.String), item=pl.lit(None, pl.String), value=pl.lit(None, pl.String)
    )
    if step.holds is None:
        return nobody.select(COLUMNS)
    held = result.record.select(_named(step.holds.by, parties).alias("held_by"), *(
        pl.col(item).cast(pl.String).alias(item) for item in step.holds.items
    ))  # fmt: skip
    several = [
        base.with_columns(held["held_by"], item=pl.lit(item), value=held[item]).filter(made)
        for item in step.holds.items
    ]
    return pl.concat([nobody.filter(~made).select(COLUMNS), *(rows.select(COLUMNS) for rows in several)])


COLUMNS = (
    *CASE, "process", "step", "sender", "sender_dip_id", "interface", "event", "publication", "receivers",
    "receivers_assumed", "reason", "held_by", "item", "value",
)  # fmt: skip


def _facts(process: Process, result: StepResult) -> dict[str, object]:
    step = result.step
    return {
        "process": process.id,
        "step": step.number,
        "interface": step.interface,
        "event": step.event,
        "publication": step.interface.replace("IF-", "PUB-"),
    }


def _named(names: Sequence[str], parties: Mapping[str, Party]) -> pl.Expr:
    """Return parties as text: role and DIP id of each that there is."""
    words = [pl.concat_str(pl.lit(f"{name} "), pl.col(parties[name].dip_id)) for name in names]
    return pl.concat_str(words, separator=", ", ignore_nulls=True)


def totals(records: pl.DataFrame, allocations: pl.DataFrame, terms: MessageDefaults) -> pl.DataFrame:
    """Return what settlement adds up to for fenced sets: by GSP group, class, BM unit and quantity, sorted.

    Columns out: ``GROUPS``, ``metering_points``, ``kwh`` of the settlement day as IF-021 sends it, and
    ``annual_kwh``, three decimals.
    """
    wh = pl.Series("_wh", half_hours(records, terms.settlement).sum(axis=1), dtype=pl.Int64)
    quantity = pl.col("energy_direction").replace_strict({"E": "AE", "I": "AI"}, default=None, return_dtype=pl.String)
    facts = records.with_columns(wh).select(
        "mpan_core", "gsp_group_id", "measurement_class", "market_segment", "bm_unit_id",
        measurement_quantity=quantity, settlement_date=pl.lit(terms.settlement), _wh="_wh",
        _year=pl.col("annual_consumption"),
    )  # fmt: skip
    sets = allocations.select("phase", "stage", "test_case", "mpan_core").unique()
    return (
        sets.join(facts, on="mpan_core", how="inner")
        .group_by(GROUPS)
        .agg(
            pl.len().alias("metering_points"),
            (pl.col("_wh").sum().cast(pl.Decimal(18, 3)) / 1000).cast(pl.Decimal(18, 3)).alias("kwh"),
            pl.col("_year").sum().cast(pl.Decimal(18, 3)).alias("annual_kwh"),
        )
        .sort(GROUPS, nulls_last=True)
    )
