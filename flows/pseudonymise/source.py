"""The first stages for one source: intake, conform, pseudonymise, in one streaming pass over its batches.

Raw identifiers live in the batch at hand and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

import polars as pl

from contracts.causes import causes
from contracts.errors import IntakeError, RefusedError, ResidueError
from contracts.evidence_inputs import SourceFile
from contracts.model import Contract
from contracts.vocabulary import Effect, RuleStage
from flows.cut.config import ExtractConfig, Job, Participant
from flows.cut.parallel import WORKERS, map_ordered
from flows.cut.partitions import ROW, STAGED, PartitionWriter
from flows.cut.progress import Progress, silent
from flows.cut.records import SignCounts, SourceFacts
from flows.cut.workspace import Workspace
from flows.intake import FirstRows, SourceFiles, SourceSpec, key_digest
from flows.intake.half_hours import day_headings
from flows.intake.joined import FileRead, FilesReader
from flows.intake.raw_digests import DigestTaker, Taken
from flows.intake.source import KEPT_DIGITS, safe_name, telling
from transforms.column_map import ColumnMap, map_columns, only_agreed, shown
from transforms.conform import bad, conform, normalise_mpans
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import OWN_IDENTIFIER, Pseudonymiser, pseudonymise
from transforms.quality.blame import blamed_bits
from transforms.quality.causes import Signs, added, signs
from transforms.quality.rules import any_broken, fault_masks
from transforms.release.leak_candidates import own_row, unchanged
from transforms.release.source_form import SourceForm, written_dates
from transforms.source_notes import SourceNotes, judge_batch, judge_whole, notes_of
from transforms.succession import carried_over

INPUT_FIELD = "input-digest"
NAME_SHOWN = 100  # characters of a source's column name that the evidence keeps


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
            "is cut on another date than the cut (DQ25)",
            where=where,
            remedy=f"send the backup of {cut_date}; if only the files were made on another day, state its `cut_date`",
        )


def pseudonymise_source(  # noqa: PLR0913 - what a cut is, and what is wanted of it
    job: Job,
    participant: Participant,
    extract: ExtractConfig,
    *,
    keys: FieldKeys,
    pseudonymiser: Pseudonymiser,
    workspace: Workspace,
    contract: Contract,
    progress: Progress = silent,
    first: FirstRows | None = None,
    taker: DigestTaker | None = None,
) -> SourceFacts:
    """Read one source and write its pseudonymised partitions.

    Args:
        contract: the extract's contract under the policy in force.
        first: of a source that is only looked at, what is wanted of it; there is no digest of its files then.
        taker: takes digests of the raw identifiers for the leak scan, from the batches as they were read.

    Columns out (room ``staged``): the contract's released columns, ``_token``, ``_faults`` (intake rules), ``_blamed``
    (the columns that they are about), ``_order``, ``_row``.

    Raises:
        IntakeError, RefusedError: the source cannot be read, or is refused at a gate.
        PlaceError: the work folder cannot be written.
    """
    cut = job.model.cut
    specs = [job.source(participant, entry) for entry in job.entries(participant, extract.contract)]
    for spec in specs:
        stated = spec.cut_date.isoformat() if spec.cut_date else None
        check_cut_date(stated, cut.date, where=spec.name)
    digest = None if first else key_digest(keys.field(INPUT_FIELD).material())
    first = first or FirstRows()
    files = SourceFiles(specs, layouts=contract.dtc_layouts, contract=contract, new_digest=digest, first=first)
    writer = PartitionWriter(workspace, STAGED, participant.mpid, extract.contract)
    found, label = _Found(), specs[0].name if len(specs) == 1 else f"{participant.mpid}/{extract.contract}"
    with closing(files.readers()) as readers:  # its threads end with it, also after a fault
        for reader in readers:
            where = reader.label
            said = _stated(reader)
            check_cut_date(said, cut.date, where=where)
            columns = source_columns(contract, reader)
            hide = partial(
                _hidden, contract=contract, columns=columns, pseudonymiser=pseudonymiser, spec=reader.spec, taker=taker
            )
            notes = SourceNotes()
            rows = first.of(reader.batches(), len(reader.numbers))
            for batch, seen, met, failed, taken in map_ordered(hide, rows, WORKERS // job.sources):
                if taker and taken:
                    taker.add(taken)
                found.dates = {**seen, **found.dates}
                notes.add(met)
                found.signs = added(found.signs, failed)
                writer.add(numbered(batch, found.rows))
                found.rows += batch.height
                progress(label, found.rows)
            judge_whole(notes, columns, where=where)
            found.notes.add(notes)
            found.add(reader, columns, dated=said is not None)
    writer.close()
    if taker:
        taker.close()
    workspace.record(SignCounts(counts=found.signs), participant.mpid, extract.contract)
    return _facts(job, participant, specs, files, found, contract)


def _facts(
    job: Job,
    participant: Participant,
    specs: list[SourceSpec],
    files: SourceFiles,
    found: _Found,
    contract: Contract,
) -> SourceFacts:
    """Return what is recorded of a source that was read."""
    several = len(files.files) > 1 or files.files[0].spec.file != specs[0].file
    return SourceFacts(
        participant=participant.mpid,
        role=participant.role,
        extract=contract.extract,
        file=f"{len(files.files)} files" if several else _redacted_name(files.files[0].spec, contract.extract),
        form=found.form,
        bytes=sum(file.bytes for file in files.files),
        rows=found.rows,
        hmac_sha256=files.digest(),
        cut_date=job.model.cut.date.isoformat() if found.dated else None,  # no other date passes
        dropped_columns=found.fields + len(found.dropped),
        columns=found.names,
        source_form=found.source_form(contract).evidence(),
        files=tuple(_file_facts(file) for file in files.files) if several else (),
        passed_over=found.passed_over(files),
        dropped=tuple(found.dropped),
        missing=found.missing(contract, specs[0].agreed),
        agreed=specs[0].agreed,
        not_agreed=tuple(sorted(found.not_agreed)),
        aliases=found.aliases,
        remarks=tuple(found.remarks),
        null_words=dict(sorted(found.notes.nulls.items())),
        rounded=dict(sorted(found.notes.rounded.items())),
        unread_dates=found.notes.unread_dates,
    )


def numbered(batch: pl.DataFrame, before: int) -> pl.DataFrame:
    """Return a batch with the place of each row in its source, from 0, as ``_row``."""
    return batch.with_columns(pl.int_range(before, before + batch.height, dtype=pl.UInt64, eager=True).alias(ROW))


def source_columns(contract: Contract, reader: FilesReader) -> ColumnMap:
    """Return how the headings of some files of a source map to its contract.

    Raises:
        RefusedError, IntakeError, ConfigurationError: as :func:`map_columns`.
    """
    spec = reader.spec
    headings = (*reader.header, *reader.untyped)
    if reader.reshaped:
        whole = map_columns(contract, headings, where=reader.label)
        return only_agreed(replace(whole, nulls=spec.nulls), spec.agreed)
    own, assumed = day_headings(contract, reader.header, spec)
    columns = map_columns(contract, headings, where=reader.label, own=own, harmless=spec.harmless, assumed=assumed)
    for heading, what in reader.untyped.items():
        if heading in columns.names:
            raise IntakeError(
                f"column {headings.index(heading) + 1} ({columns.names[heading]}) {what}",
                where=reader.label,
                remedy="give texts, numbers, dates, times and flags for the columns of the contract",
            )
    return only_agreed(replace(columns, dates=spec.dates, nulls=spec.nulls), spec.agreed)


def _stated(reader: FilesReader) -> str | None:
    """Return the day on which a source says it was taken.

    A DTC header tells when the file was made, maybe after midnight: what ``cut.yaml`` says of it goes before.
    """
    declared = reader.spec.cut_date
    if declared is not None and reader.form == "dtc":
        return declared.isoformat()
    return reader.stated_cut_date or (declared.isoformat() if declared else None)


@dataclass(slots=True)
class _Found:
    """What the files of a source have in common, added up reader by reader.

    Attributes:
        names: contract column -> what the source calls it; of several names the first that was read.
        fields: fields of DTC files that no layout names.
        dropped: headings that no contract names.
    """

    rows: int = 0
    fields: int = 0
    dated: bool = False
    form: str = ""
    first: FilesReader | None = None
    flows: set[str] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)  # records of flows from which nothing is taken
    forms: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, None] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    signs: Signs = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    not_agreed: set[str] = field(default_factory=set)
    notes: SourceNotes = field(default_factory=SourceNotes)

    def add(self, reader: FilesReader, columns: ColumnMap, *, dated: bool) -> None:
        """Take in a reader that has been read to its end."""
        self.first = self.first or reader
        self.form = self.form or reader.form
        self.forms.add(reader.form)
        self.flows.add(reader.flow)
        self.groups.update({f"group {g.rstrip('?')} of {reader.flow}": n for g, n in reader.skipped_groups.items()})
        self.fields = max(self.fields, reader.dropped_columns)  # the same fields, file after file
        self.dated = self.dated or dated
        for heading, name in columns.names.items():
            self.names.setdefault(name, heading.strip()[:NAME_SHOWN])
            self.aliases.setdefault(name, columns.aliases.get(name, name))
        self.dropped |= {told_heading(heading): None for heading in (*columns.dropped, *reader.surplus)}
        said = [f"{name} {value}, which the source does not say" for name, value in columns.constants.items()]
        self.remarks |= dict.fromkeys((*reader.remarks, *said))
        self.constants |= dict(columns.constants)
        self.not_agreed |= set(columns.not_agreed)

    def passed_over(self, files: SourceFiles) -> tuple[str, ...]:
        """Return what is not read: files beside the backup, groups that no layout names, what cannot be joined."""
        names = [safe_name(name, KEPT_DIGITS) for name in files.skipped]
        groups = [f"{group}: {count} records" for group, count in sorted(self.groups.items())]
        return (*names, *groups, *files.not_joined)

    def missing(self, contract: Contract, agreed: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the columns of the contract that no file carries, of those that were agreed."""
        wanted = (c.name for c in contract.columns if agreed is None or c.name in agreed)
        return tuple(name for name in wanted if name not in {*self.names, *self.constants})

    def source_form(self, contract: Contract) -> SourceForm:
        """Return how the source is written: as its first file is; as a table where its files are of several kinds.

        A flow that completes others goes back in their form.
        """
        first = self.first
        assert first is not None  # noqa: S101 - a source has at least one file
        completing = {layout.label for layout in contract.dtc_layouts if layout.completes}
        flows = self.flows - completing or self.flows
        alike = len(self.forms) == 1 and len(flows) == 1
        form = first.form if alike else "csv"
        flow = min(flows) if alike else ""
        order = tuple(self.names)
        quote = first.spec.quote
        return SourceForm(form, first.delimiter or "", first.encoding, flow, order, self.names, self.dates, quote)


def told_heading(heading: str) -> str:
    """Return a heading as the evidence keeps it for its sender."""
    return shown(heading).strip('"')


def _file_facts(file: FileRead) -> SourceFile:
    """Return what the evidence says of one file among several, for its sender alone."""
    name = safe_name(file.spec.file or "database", KEPT_DIGITS)
    return SourceFile(name=name, bytes=file.bytes, rows=file.rows, hmac_sha256=file.hmac_sha256)


def _redacted_name(spec: SourceSpec, extract: str) -> str:
    """Return what the evidence calls a file: its name, unless digits or a postcode in it may identify somebody."""
    if spec.path is None:
        return "database"
    return f"{extract}{spec.path.suffix}" if telling(spec.path.name) else spec.path.name


def _hidden(
    batch: pl.DataFrame,
    contract: Contract,
    columns: ColumnMap,
    pseudonymiser: Pseudonymiser,
    spec: SourceSpec,
    taker: DigestTaker | None,
) -> tuple[pl.DataFrame, dict[str, str], SourceNotes, Signs, Taken | None]:
    """Return a batch under pseudonyms, how its dates are written, what was met, signs, digests."""
    raw = taker.before(batch, contract, columns) if taker else None
    done, notes = _anonymised(batch, contract, columns, pseudonymiser, spec)
    taken = taker.after(raw, done[contract.key[0]]) if taker and raw else None
    failed = signs(batch, done, contract, columns, causes())
    return done, written_dates(batch, contract, columns), notes, failed, taken


def pseudonymise_batch(
    batch: pl.DataFrame, contract: Contract, columns: ColumnMap, pseudonymiser: Pseudonymiser, spec: SourceSpec
) -> pl.DataFrame:
    """Turn one batch of raw text into pseudonymised rows with the verdicts of the intake rules.

    Raises:
        IntakeError: the batch cannot be processed; what went wrong is told without a value.
        RefusedError: breaks a rule that rejects the whole file.
    """
    return _anonymised(batch, contract, columns, pseudonymiser, spec)[0]


def _require_changed(found: dict[str, int], spec: SourceSpec) -> None:
    if found:
        name, count = next(iter(found.items()))
        raise ResidueError(
            f"{count} values came out as they went in",
            where=f"{spec.name}, column {name}",
            remedy="nothing was published; the pseudonymise stage of this process is not to be trusted",
        )


def _anonymised(
    batch: pl.DataFrame, contract: Contract, columns: ColumnMap, pseudonymiser: Pseudonymiser, spec: SourceSpec
) -> tuple[pl.DataFrame, SourceNotes]:
    """Return a batch under pseudonyms, and what was met on the way."""
    try:
        raw = normalise_mpans(conform(batch.lazy(), contract, columns).collect(), contract)
        raw = carried_over(raw, contract, spec.successors)
        notes = notes_of(raw, contract)
        judge_batch(notes, columns, where=spec.name)
        raw = raw.drop(pl.selectors.starts_with("_reading_", "_nulls_", "_rounded_"))
        named = pseudonymise(raw, contract, pseudonymiser)
        _require_changed(unchanged(raw, named, contract), spec)
        repeated = own_row(raw, named, contract)
        own = named[bad(OWN_IDENTIFIER)]
        for column in repeated.get_columns():
            own = own | column
        marks = named.select(pl.col("^_bad_.*$")).with_columns(own.alias(bad(OWN_IDENTIFIER)))
        judged = raw.drop(marks.columns, strict=False).hstack(marks)
        rules = contract.rules_at(RuleStage.INTAKE)
        masks = judged.select(fault_masks(contract, rules))
        about = blamed_bits(judged, repeated, contract, rules)
    except pl.exceptions.PolarsError as fault:
        what = f"a batch could not be processed ({type(fault).__name__})"
        raise IntakeError(what, where=spec.name, remedy="please report it") from None
    if masks.select(any_broken(contract, Effect.REJECT).any()).item():
        raise RefusedError(
            "breaks a rule that rejects the whole file", where=spec.name, remedy="see datacut contracts doc"
        )
    # what is told to be an identifier stops here, and is not written to the work folder either
    blank = [named[column.name].set(column, None) for column in repeated.get_columns() if column.any()]
    return named.with_columns(blank).drop(marks.columns, strict=False).hstack(masks).with_columns(about), notes
