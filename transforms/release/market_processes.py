"""Market processes over ring-fenced metering points: each step's messages, and who holds what after it.

Pure. A record goes through a process as a row goes through columns: what a step sets holds for its message and for all
later steps. A step that cannot be made ends the chain of its metering point, unless the steps are independent.

Source: Q74 (programme-wide expected results), Q34, Q104 (one connection provider an interface and DIP id).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

import polars as pl
import polars_hash  # noqa: F401 - registers the ``chash`` namespace

from contracts.conditions import sql
from contracts.errors import ContractError
from contracts.messages.model import Event, MessageTables, MessageValues
from contracts.processes.model import Party, Process, ProcessStep
from transforms.release.dip_messages import MessageComposer
from transforms.release.settlement_day import REACTIVE, half_hours, kwh, midnight, periods

PRINCIPAL, SUBSIDIARY, PRIMARY, SECONDARY = "PRINCIPAL", "SUBSIDIARY", "PRIMARY", "SECONDARY"
GIVEN = ("test_case", "mpan_core", "role")
PASSED_OVER = "passed over: "
MARK = "mark"  # of a test case, metering point and process


@dataclass(frozen=True, slots=True)
class MessageDefaults:
    """What a batch of messages has in common.

    Attributes:
        sent: the sender's time of the first step; a later one follows by a minute each. No clock is read.
        action: the day from which what a process changes is to hold.
        settlement: the settlement day, a UTC day, whose consumption is sent.
        scenario: appointment scenario (DI-800) where the process does not say.
        environment: environment tag; empty for that of ``values.yaml``.
        providers: (interface, DIP id) -> DIP id of its connection provider (Q104, Q107).
    """

    sent: datetime
    action: date
    settlement: date
    scenario: str = "CSP"
    environment: str = ""
    providers: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of a process for a set of metering points.

    Columns of ``rows``: ``test_case``, ``mpan_core``, ``role``, ``sender_role``, ``sender_dip_id``, ``recipients``
    (a list of DIP ids), ``message`` (JSON, null where none is made), ``reason``.
    ``record``: the same rows as the step leaves them.
    """

    process: Process
    step: ProcessStep
    rows: pl.DataFrame
    record: pl.DataFrame


class ProcessRun:
    """Runs processes for a set of records.

    Args:
        records: expected records of the metering points and of those associated with them, each once.
        tables, values, parties: as the contracts say.
    """

    def __init__(
        self,
        records: pl.DataFrame,
        tables: MessageTables,
        values: MessageValues,
        parties: Mapping[str, Party],
        terms: MessageDefaults,
    ) -> None:
        self._records, self._tables, self._values, self._parties, self._terms = records, tables, values, parties, terms
        self._composer = MessageComposer(tables, values, {})
        self._providers = pl.DataFrame(
            [(i, d, p) for (i, d), p in sorted(terms.providers.items())],
            schema=dict.fromkeys(("interface", "sender_dip_id", "connection_provider"), pl.String),
            orient="row",
        )

    def steps(
        self,
        given: pl.DataFrame,
        processes: Sequence[Process],
        wanted: Sequence[str] = (),
        *,
        text: bool = True,
        cases: Mapping[str, Collection[str]] | None = None,
    ) -> Iterator[StepResult]:
        """Yield each step of each process for the metering points given, step after step.

        Args:
            given: ``test_case``, ``mpan_core``, ``role``; every metering point is in the records.
            wanted: interfaces whose messages are composed; empty for all. Steps of others change the record too.
            text: whether messages are wanted, or only why there is none.
            cases: process -> test cases whose metering points go through it; all go through every one where not given.

        Raises:
            ContractError: a process or value reads a column that is not there.
        """
        mine = self._records.join(given.select("mpan_core").unique(), on="mpan_core", how="semi", maintain_order="left")
        composer = self._composer.of(self._children(mine))
        base = given.select(GIVEN).join(self._with_day(mine), on="mpan_core", how="left", maintain_order="left")
        common, marked = self._contexts()
        base = self._worked_out(base, common)
        for process in processes:
            compose = partial(composer.compose, text=text)
            through = base if cases is None else base.filter(pl.col("test_case").is_in(list(cases[process.id])))
            yield from self._run(process, self._context(through, process, marked), compose, wanted)

    def _with_day(self, mine: pl.DataFrame) -> pl.DataFrame:
        terms = self._terms
        total = pl.Series("settlement_wh", half_hours(mine, terms.settlement).sum(axis=1), dtype=pl.Int64)
        return mine.with_columns(total).with_columns(
            kwh(pl.col("settlement_wh")).alias("settlement_kwh"),
            pl.lit(midnight(terms.settlement)).alias("settlement_day"),
            pl.lit(terms.settlement).alias("settlement_date"),
            pl.lit(terms.action).alias("action_date"),
            pl.lit(terms.action - timedelta(days=1)).alias("day_before"),
            pl.lit(terms.scenario).alias("scenario"),
            pl.lit(terms.environment or self._values.environment).alias("environment"),
        )

    def _children(self, mine: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Return what the entries of lists are: exports of an import or its import, secondaries, settlement periods."""
        chosen = mine.select(pl.col("mpan_core").alias("_of"), "association_role", "linked_mpan", "related_role")
        others = self._records.sort("mpan_core")
        exports = others.filter(association_role=SUBSIDIARY).with_columns(pl.col("linked_mpan").alias("_of"))
        imports = chosen.filter(association_role=SUBSIDIARY).select("_of", pl.col("linked_mpan").alias("mpan_core"))
        secondaries = others.filter(related_role=SECONDARY).with_columns(pl.col("related_mpan").alias("_of"))
        alone = others.filter(related_role=SECONDARY).with_columns(pl.col("mpan_core").alias("_of"))
        linked = [
            exports.join(chosen.filter(association_role=PRINCIPAL).select("_of"), on="_of", how="semi"),
            others.join(imports, on="mpan_core", how="inner", maintain_order="left").select(exports.columns),
        ]
        related = [
            secondaries.join(chosen.filter(related_role=PRIMARY).select("_of"), on="_of", how="semi"),
            alone.join(chosen.filter(related_role=SECONDARY).select("_of"), on="_of", how="semi"),
        ]
        day = self._terms.settlement
        return {
            "linked": pl.concat(linked),
            "related": pl.concat(related),
            "period": periods(mine, day),
            "reactive_period": periods(mine, day, part=REACTIVE),
        }

    def _contexts(self) -> tuple[list[str], list[str]]:
        """Return the names that ``context`` works out: what is the same in every process, and what reads its mark."""
        marked: list[str] = []
        read = {MARK}
        for name, text in self._values.context.items():
            mine = set(sql(text).meta.root_names())
            if name in read or {MARK, *marked} & mine:
                marked.append(name)
                read |= mine
        return [name for name in self._values.context if name not in marked], marked

    def _worked_out(self, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        """Return a frame with some names of ``context``; those that read none of the others at once."""
        at_once: dict[str, str] = {}
        for name in names:
            text = self._values.context[name]
            if at_once.keys() & set(sql(text).meta.root_names()):
                frame, at_once = _changed(frame, at_once, "values.yaml"), {}
            at_once[name] = text
        return _changed(frame, at_once, "values.yaml")

    def _context(self, base: pl.DataFrame, process: Process, marked: Sequence[str]) -> pl.DataFrame:
        """Return the records as a process begins: with its mark, and what ``context`` works out of that."""
        mark = pl.concat_str("test_case", "mpan_core", pl.lit(process.id), separator="\n")
        frame = base.with_columns(mark.chash.sha2_256().str.slice(0, 32).alias(MARK))  # type: ignore[attr-defined]
        return self._worked_out(frame, marked)

    def _run(
        self, process: Process, frame: pl.DataFrame, compose: Callable[..., pl.DataFrame], wanted: Sequence[str]
    ) -> Iterator[StepResult]:
        frame = frame.with_columns(self._why_not(process, frame).alias("_reason"))
        for step in process.steps:
            for changes in step.changes:
                frame = _changed(frame, changes, process.id)
            told = self._step(process, step, frame)
            if not wanted or step.interface in wanted:
                event = self._tables.events.get((step.interface, step.event))
                if event is None:
                    why = f"version {self._tables.version} has no {step.interface} [{step.event}]"
                    told = told.with_columns(pl.coalesce("reason", pl.lit(why)).alias("reason"))
                else:
                    told = _composed(compose, told, event, step.without)
            rows = told.select(
                *GIVEN, "sender_role", "sender_dip_id", "recipients",
                pl.when(pl.col("reason").is_null()).then("message").alias("message"), "reason",
            )  # fmt: skip
            yield StepResult(process, step, rows, frame.drop("_reason"))
            if not process.independent:
                broken = pl.lit(rows["reason"])
                stops = broken.is_not_null() & ~broken.str.starts_with(PASSED_OVER) & pl.col("_reason").is_null()
                after = pl.concat_str(pl.lit(f"step {step.number} is not made: "), broken)
                frame = frame.with_columns(pl.when(stops).then(after).otherwise("_reason").alias("_reason"))

    def _why_not(self, process: Process, frame: pl.DataFrame) -> pl.Expr:
        causes = [pl.when(_sql(r.when, frame, process.id)).then(pl.lit(r.why)) for r in process.refuses]
        for column in process.needs:
            if column not in frame.columns:
                raise ContractError(f"needs {column}, which no record has", where=process.id)
            causes.append(pl.when(pl.col(column).is_null()).then(pl.lit(f"{column} is not held")))
        return pl.coalesce([*causes, pl.lit(None, pl.String)])

    def _step(self, process: Process, step: ProcessStep, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with sender, recipients and reference of a step, and why it is not made."""
        sender = self._parties[step.sender]
        event = self._tables.events.get((step.interface, step.event))
        moment = (self._terms.sent + timedelta(minutes=step.number - 1)).isoformat(timespec="seconds")
        recipients = pl.concat_list([self._parties[name].dip_id for name in step.receivers]).list.drop_nulls()
        frame = frame.with_columns(
            pl.col(sender.dip_id).alias("sender_dip_id"),
            _sql(sender.role, frame, sender.name).alias("sender_role"),
            recipients.list.unique(maintain_order=True).alias("recipients"),
            pl.lit(step.interface).alias("interface"),
            pl.lit(f"[{step.event}]").alias("event_code"),
            pl.lit(event.version if event else self._tables.version).alias("schema_version"),
            pl.lit(moment).alias("timestamp"),
        )
        reference = pl.concat_str(
            pl.lit(f"S-{step.interface}-"), "sender_dip_id", pl.lit("-"), "sender_role",
            pl.lit(f"-{self._terms.sent:%Y%m%d}-"), pl.col("mark").str.slice(0, 16), pl.lit(f"{step.number:02d}"),
        )  # fmt: skip
        keys = ["interface", "sender_dip_id"]
        provider = frame.select(keys).join(self._providers, on=keys, how="left", maintain_order="left")
        frame = frame.with_columns(reference.alias("reference"), provider["connection_provider"])
        return frame.with_columns(self._step_reason(process, step, frame), pl.lit(None, pl.String).alias("message"))

    def _step_reason(self, process: Process, step: ProcessStep, frame: pl.DataFrame) -> pl.Expr:
        sender = self._parties[step.sender]
        event = self._tables.events.get((step.interface, step.event))
        causes: list[pl.Expr] = [pl.col("_reason")]
        if step.unless is not None:
            passed = pl.lit(f"{PASSED_OVER}{step.unless.why}")
            causes.append(pl.when(_sql(step.unless.when, frame, process.id)).then(passed))
        causes.append(pl.when(pl.col(sender.dip_id).is_null()).then(pl.lit(f"{sender.dip_id} is not held")))
        if event is not None and event.senders:
            words = pl.concat_str(pl.col("sender_role"), pl.lit(f" does not send {step.interface}"))
            causes.append(pl.when(~pl.col("sender_role").is_in(event.senders)).then(words))
        nobody = pl.lit(f"{self._parties[step.receivers[0]].dip_id} is not held")
        causes.append(pl.when(pl.col("recipients").list.len() == 0).then(nobody))
        return pl.coalesce(causes).alias("reason")


def _composed(
    compose: Callable[..., pl.DataFrame], told: pl.DataFrame, event: Event, without: Sequence[str]
) -> pl.DataFrame:
    """Fill ``message`` and ``reason`` of the rows that have no reason yet."""
    todo = told["reason"].is_null().arg_true()
    if not todo.len():
        return told
    made = compose(told, event, without, rows=None if todo.len() == told.height else todo)
    if todo.len() < told.height:
        place = pl.Series("_row", [None], dtype=pl.UInt32).new_from_index(0, told.height)
        place = place.scatter(todo, pl.int_range(todo.len(), dtype=pl.UInt32, eager=True))
        made = made.select(pl.all().gather(place))
    return told.with_columns(made["message"], pl.coalesce("reason", made["reason"]).alias("reason"))


def _sql(text: str, frame: pl.DataFrame, where: str) -> pl.Expr:
    expression = sql(text)
    if lacking := sorted(set(expression.meta.root_names()) - set(frame.columns)):
        raise ContractError(f"reads {', '.join(lacking)}, which no record has", where=where)
    return expression


def _changed(frame: pl.DataFrame, changes: Mapping[str, str], where: str) -> pl.DataFrame:
    """Return the records with columns set, all from what stood there before; a text that is only null is text."""
    done = frame.with_columns(_sql(text, frame, where).alias(name) for name, text in changes.items())
    untyped = [name for name in changes if done[name].dtype == pl.Null]
    if not untyped:
        return done
    kinds = {name: frame[name].dtype if name in frame.columns else pl.String() for name in untyped}
    return done.with_columns(pl.col(name).cast(kinds[name]) for name in untyped)
