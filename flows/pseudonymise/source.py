"""The first stages for one source: intake, conform, pseudonymise, in one streaming pass over its batches.

Raw identifiers live in the batch at hand and nowhere else.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl

from contracts.errors import IntakeError, RefusedError
from contracts.model import Contract
from contracts.vocabulary import Effect, Stage
from flows.cut.config import Extract, Job, Participant
from flows.cut.parallel import WORKERS, map_ordered
from flows.cut.partitions import STAGED, PartitionWriter
from flows.cut.progress import Progress, silent
from flows.cut.workspace import Workspace
from flows.intake import SourceSpec, open_source
from transforms.column_map import ColumnMap, map_columns
from transforms.conform import bad, conform, normalise_mpans
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import OWN_IDENTIFIER, Pseudonymiser, pseudonymise
from transforms.quality.rules import any_broken, fault_masks
from transforms.release.leak_candidates import ANY_POSTCODE, own_row
from transforms.release.source_form import Written, written_dates

INPUT_FIELD = "input-digest"
DIGITS_OF_A_DATE = 8
NAME_SHOWN = 100  # characters of a source's column name that the evidence keeps


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What became of one source: counts and a keyed digest, safe to keep and to show."""

    participant: str
    role: str
    extract: str
    file: str
    form: str
    bytes: int
    rows: int
    hmac_sha256: str
    cut_date: str | None  # what the source, or cut.yaml of it, stated; None where nothing did
    dropped_columns: int
    columns: dict[str, str]  # contract column -> what the source calls it
    written: dict[str, object]  # how the source is written, so that what goes back has its form


def check_cut_date(stated: str | None, cut_date: date, *, where: str) -> None:
    """Refuse a source cut on another day (DQ25, Q74).

    Raises:
        RefusedError: the source states another cut date.
    """
    if stated is None:
        return
    text = stated.replace("-", "").replace("/", "")
    if text != cut_date.strftime("%Y%m%d"):
        raise RefusedError(
            "states another cut date than the cut (DQ25)", where=where, remedy=f"send the backup of {cut_date}"
        )


def anonymise_source(
    job: Job,
    participant: Participant,
    extract: Extract,
    *,
    keys: FieldKeys,
    pseudonymiser: Pseudonymiser,
    workspace: Workspace,
    contract: Contract,
    progress: Progress = silent,
) -> SourceFacts:
    """Read one source and write its pseudonymised partitions.

    Args:
        contract: the extract's contract under the policy in force.

    Columns out (room ``staged``): the contract's released columns, ``_token``, ``_faults`` (intake rules), ``_order``.

    Raises:
        IntakeError, RefusedError: the source cannot be read, or is refused at a gate.
        PlaceError: the work folder cannot be written.
    """
    spec = job.source(participant, extract)
    cut = job.model.cut
    digest = hmac.new(keys.field(INPUT_FIELD).material(), digestmod="sha256")
    stated = extract.source.cut_date
    check_cut_date(stated.isoformat() if stated else None, cut.date, where=spec.name)
    writer = PartitionWriter(workspace, STAGED, participant.mpid, extract.contract)
    rows = 0
    with open_source(spec, layout=contract.dtc_layouts or None, digest=digest) as reader:
        # a DTC header tells when the file was made, maybe after midnight: what cut.yaml says of it goes before
        said = stated.isoformat() if stated and reader.form == "dtc" else reader.stated_cut_date
        check_cut_date(said, cut.date, where=spec.name)
        columns = map_columns(contract, reader.header, where=spec.name)
        dates: dict[str, str] = {}
        hide = partial(_hidden, contract=contract, columns=columns, pseudonymiser=pseudonymiser, spec=spec)
        for batch, seen in map_ordered(hide, reader.batches(), WORKERS // job.sources):
            dates = {**seen, **dates}
            writer.add(batch)
            rows += batch.height
            progress(spec.name, rows)
        names = {name: physical.strip()[:NAME_SHOWN] for physical, name in columns.names.items()}
        dropped, size, form = reader.dropped_columns + len(columns.dropped), reader.size, reader.form
        order = tuple(columns.names.values())
        how = Written(form, reader.delimiter or "", reader.encoding, reader.flow, order, names, dates)
    writer.close()
    return SourceFacts(
        participant=participant.mpid,
        role=participant.role,
        extract=extract.contract,
        file=_told_name(spec.path.name, extract.contract) if spec.path else "database",
        form=form,
        bytes=size,
        rows=rows,
        hmac_sha256=digest.hexdigest(),
        cut_date=stated.isoformat() if stated else cut.date.isoformat() if said else None,  # no other date passes
        dropped_columns=dropped,
        columns=names,
        written=how.facts(),
    )


def _told_name(name: str, extract: str) -> str:
    """Return what the evidence calls a file: its name, unless digits or a postcode in it may identify somebody."""
    words = name.upper().replace("_", " ")
    telling = sum(c.isdigit() for c in words) > DIGITS_OF_A_DATE or re.search(ANY_POSTCODE, words)
    return f"{extract}{Path(name).suffix}" if telling else name


def _hidden(
    batch: pl.DataFrame, contract: Contract, columns: ColumnMap, pseudonymiser: Pseudonymiser, spec: SourceSpec
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return a batch under pseudonyms, and how its dates were written."""
    return anonymise_batch(batch, contract, columns, pseudonymiser, spec), written_dates(batch, contract, columns)


def anonymise_batch(
    batch: pl.DataFrame, contract: Contract, columns: ColumnMap, pseudonymiser: Pseudonymiser, spec: SourceSpec
) -> pl.DataFrame:
    """Turn one batch of raw text into pseudonymised rows with the verdicts of the intake rules.

    Raises:
        IntakeError: the batch cannot be processed; what went wrong is told without a value.
        RefusedError: a rule that rejects the whole file is broken.
    """
    try:
        raw = normalise_mpans(conform(batch.lazy(), contract, columns).collect(), contract)
        named = pseudonymise(raw, contract, pseudonymiser)
        repeated = own_row(raw, named, contract)
        own = named[bad(OWN_IDENTIFIER)]
        for column in repeated.get_columns():
            own = own | column
        marks = named.select(pl.col("^_bad_.*$")).with_columns(own.alias(bad(OWN_IDENTIFIER)))
        judged = raw.drop(marks.columns, strict=False).hstack(marks)
        masks = judged.select(fault_masks(contract, contract.rules_at(Stage.INTAKE)))
    except pl.exceptions.PolarsError as fault:
        what = f"a batch could not be processed ({type(fault).__name__})"
        raise IntakeError(what, where=spec.name, remedy="please report it") from None
    if masks.select(any_broken(contract, Effect.REJECT).any()).item():
        raise RefusedError(
            "a rule that rejects the whole file is broken", where=spec.name, remedy="see datacut contracts doc"
        )
    # what is told to be an identifier stops here, and is not written to the work folder either
    blank = [named[column.name].set(column, None) for column in repeated.get_columns() if column.any()]
    return named.with_columns(blank).drop(marks.columns, strict=False).hstack(masks)


def facts_of(source: SourceFacts) -> dict[str, object]:
    """Return the facts as plain values."""
    return asdict(source)
