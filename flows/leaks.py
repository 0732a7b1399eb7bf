"""The leak scan: after writing, every file of a pack is searched for every raw identifier of the inputs (DQ32, Q67).

It reads back what was written, names, columns, metadata and texts included, and knows a raw value by its pseudonym
(``transforms.leaks``). A hit is told by its place, never by its value, and ends the run.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contracts.errors import ResidueError
from contracts.load import load_all
from contracts.vocabulary import Field
from flows.quality import JUDGED, Held
from flows.workspace import Workspace
from transforms import leaks
from transforms.pseudonymise import Pseudonymiser

BATCH = 262_144
BLOCK, CSV_BLOCK = 1 << 20, 32 << 20
OVERLAP = 128  # characters of a text that are searched again with the next block
SHOWN_PLACES = 5
# Columns whose values look like identifiers of these fields because they are their pseudonyms.
PSEUDONYMS = {"meter_serial_number": Field.METER_SERIAL, "uprn": Field.UPRN}
# Columns of keyed random texts: among millions of them some share a word with some short serial number by chance.
KEYED = ("token", "css_registration_id")
KINDS = tuple(leaks.CANDIDATES)
SMALLEST_MPAN = 10**12
FEW = 4  # bytes a cell, uncompressed, below which a column is read as its distinct values
ADDRESSED = ("postcode", *(f"address_line_{n}" for n in range(1, 10)))


@dataclass(slots=True)
class Findings:
    """What was searched and found.

    Attributes:
        files, bytes, cells: how much was read; a cell is a value of a table or a line of a text.
        searched: candidates looked up, by field.
        confirmed: raw identifiers found, by field.
        places: where the first of them stand, in words without a value.
    """

    files: int = 0
    bytes: int = 0
    cells: int = 0
    searched: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)

    def hit(self, kind: str, where: str, count: int) -> None:
        """Note raw identifiers at a place."""
        self.confirmed[kind] += count
        if len(self.places) < SHOWN_PLACES:
            self.places.append(f"{kind} in {where}")


class Scanner:
    """Searches files for the raw identifiers of one cut.

    Args:
        workspace: where the pseudonyms of every judged row lie.
        held: all extracts of all participants.
        pseudonymiser: turns what stands in an output into what it would be called if it were raw.
    """

    def __init__(self, workspace: Workspace, held: Sequence[Held], pseudonymiser: Pseudonymiser) -> None:
        self._pseudonymiser = pseudonymiser
        self._sought = {kind: _sought(workspace, held, kind) for kind in leaks.CANDIDATES}
        self._clean: set[tuple[str, int, int]] = set()
        self.findings = Findings()

    @property
    def identifiers(self) -> int:
        """How many raw identifiers are sought."""
        return sum(int(sought.keys.size) for sought in self._sought.values())

    def folder(self, root: Path) -> None:
        """Search every file below a folder."""
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            name = path.relative_to(root).as_posix()
            self.findings.files += 1
            self.findings.bytes += path.stat().st_size
            self.texts(pl.Series([name]), f"the name of file {self.findings.files}", addresses=False)
            if path.suffix == ".parquet":
                self._parquet(path, name)
            elif path.suffix == ".csv":
                self._csv(path, name)
            else:
                self._text_file(path, name)

    def document(self, document: object, where: str) -> None:
        """Search every text of a JSON document, keys included."""
        self.texts(pl.Series(list(_strings(document)), dtype=pl.String), where, addresses=False)

    def texts(self, texts: pl.Series, where: str, *, kinds: Sequence[Field] = KINDS, addresses: bool = True) -> None:
        """Search texts.

        Args:
            kinds: fields whose raw values to look for.
            addresses: postcodes may stand here.
        """
        clean = leaks.plain(texts.drop_nulls())
        self.findings.cells += clean.len()
        for kind in kinds:
            self._confirm(kind, leaks.CANDIDATES[kind](clean), where)
        if not addresses and (count := int(clean.str.contains(leaks.POSTCODE_SHAPE).sum())):
            self.findings.hit("postcode", where, count)

    def _confirm(self, kind: Field, candidates: pl.DataFrame, where: str) -> None:
        if candidates.is_empty():
            return
        again = self._pseudonymiser.values(kind, candidates["value"])
        present = again.is_not_null()
        hits = self._sought[kind].holds(_keys(kind, again.filter(present)))
        self.findings.searched[kind.value] += candidates.height
        if hits.any():
            first = int(candidates.filter(present)["row"].to_numpy()[hits][0])
            self.findings.hit(kind.value, f"{where}, row {first + 1}", int(hits.sum()))

    def _parquet(self, path: Path, name: str) -> None:
        file = pq.ParquetFile(path)
        self.texts(pl.Series(list(_metadata(file))), f"{name}, names, metadata and statistics")
        few = [c for c, size in _cell_sizes(file).items() if size < FEW]
        file = pq.ParquetFile(path, read_dictionary=few)
        wanted = [f.name for f in file.schema_arrow if _textual(f.type) or _wide(f.type)]
        self._batches(file.iter_batches(batch_size=BATCH, columns=wanted), name)

    def _csv(self, path: Path, name: str) -> None:
        """Search a table that was written as CSV, column by column."""
        with path.open(encoding="utf-8") as stream:
            header = next(csv.reader(stream), [])
        self.texts(pl.Series(header, dtype=pl.String), f"{name}, header", addresses=False)
        if not header:
            return
        as_text = pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string()))
        whole_lines = pa_csv.ParseOptions(newlines_in_values=True)
        blocks = pa_csv.ReadOptions(block_size=CSV_BLOCK)
        reader = pa_csv.open_csv(path, read_options=blocks, convert_options=as_text, parse_options=whole_lines)
        self._batches(reader, name)

    def _batches(self, batches: Iterable[pa.RecordBatch], name: str) -> None:
        at = 0
        for batch in batches:
            for column, array in zip(batch.schema.names, batch.columns, strict=True):
                where = f"{name}, column {column}, rows from {at + 1}"
                if pa.types.is_dictionary(array.type):
                    self._few(column, array.dictionary, where)
                else:
                    self._column(pl.Series(column, array), where)
            self.findings.cells += batch.num_rows * batch.num_columns
            at += batch.num_rows

    def _few(self, column: str, values: pa.Array, where: str) -> None:
        """Search the distinct values of a column, unless the same ones were searched before."""
        distinct = pl.Series(column, values.cast(pa.large_string()))
        mark = (column, distinct.len(), int(distinct.hash(seed=1).sum() or 0))
        if mark not in self._clean:
            before = self.findings.confirmed.total()
            self._column(distinct, where)
            if self.findings.confirmed.total() == before:
                self._clean.add(mark)

    def _column(self, values: pl.Series, where: str) -> None:
        kinds = _sought_in(values.name)
        if values.dtype != pl.String:  # a number can be an MPAN; shorter ones are numbers like any other
            if (values.abs().max() or 0) < SMALLEST_MPAN:
                return
            values, kinds = values.cast(pl.String).str.replace(r"\.0+$", ""), (Field.MPAN,)
        texts = values.drop_nulls()
        if (texts.str.len_bytes().max() or 0) < leaks.SHORTEST_SERIAL:
            return
        bare = texts.str.contains(leaks.BARE_MPAN)
        if bare.any():  # a column of MPANs can hold nothing else where one stands
            self._confirm(Field.MPAN, leaks.mpan_candidates(texts.filter(bare)), where)
            texts = texts.filter(~bare)
        widths = texts.str.len_bytes()
        for kind in kinds:
            long = widths >= leaks.SHORTEST[kind]
            if long.any():
                some = leaks.plain(texts if long.all() else texts.filter(long))
                self._confirm(kind, leaks.CANDIDATES[kind](some), where)

    def _text_file(self, path: Path, name: str) -> None:
        for number, lines in enumerate(_blocks(path)):
            self.texts(pl.Series(lines, dtype=pl.String), f"{name}, block {number + 1}", addresses=False)


def _sought_in(column: str) -> tuple[Field, ...]:
    if column in KEYED:
        return (Field.MPAN,)
    return tuple(kind for kind in KINDS if kind is not PSEUDONYMS.get(column))


def _strings(node: object) -> Iterator[str]:
    match node:
        case str():
            yield node
        case dict():
            for key, value in node.items():
                yield from (*_strings(key), *_strings(value))
        case list() | tuple():
            for value in node:
                yield from _strings(value)


def _keys(kind: Field, values: pl.Series) -> leaks.Keys:
    return leaks.mpan_keys(values) if kind is Field.MPAN else leaks.text_keys(values)


def _sought(workspace: Workspace, held: Sequence[Held], kind: Field) -> leaks.Sought:
    """Collect the keys of every pseudonym of a field, in any extract."""
    parts = []
    for h in held:
        names = [c.name for c in load_all()[h.extract].released if c.treatment.field is kind]
        for number in range(workspace.partitions if names else 0):
            frame = workspace.scan(JUDGED, h.participant, h.extract, number)
            if frame is not None:
                values = frame.select(names).collect()
                parts += [_keys(kind, values[name].drop_nulls()) for name in names]
    return leaks.Sought.of(_joined(parts))


def _joined(parts: list[leaks.Keys]) -> leaks.Keys:
    import numpy as np

    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def _textual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _wide(kind: pa.DataType) -> bool:
    """Tell whether a column of numbers could carry an MPAN."""
    return bool(
        pa.types.is_int64(kind) or pa.types.is_uint64(kind) or pa.types.is_decimal(kind) or pa.types.is_float64(kind)
    )


def _cell_sizes(file: pq.ParquetFile) -> dict[str, float]:
    """Return the bytes of a cell of each text column, as the footer says; a hint for speed and nothing else."""
    sizes: Counter[str] = Counter()
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            sizes[column.path_in_schema] += column.total_uncompressed_size
    text = {f.name for f in file.schema_arrow if _textual(f.type)}
    return {name: size / max(1, file.metadata.num_rows) for name, size in sizes.items() if name in text}


def _metadata(file: pq.ParquetFile) -> Iterator[str]:
    """Yield every text of a Parquet file that is no value: names, key-value metadata, statistics of text columns."""
    yield from file.schema_arrow.names
    for key, value in (file.schema_arrow.metadata or {}).items():
        yield f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}"
    yield file.metadata.created_by or ""
    for group in range(file.metadata.num_row_groups):
        for column in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(column)
            known = chunk.statistics
            if known is not None and known.has_min_max and chunk.path_in_schema not in (*PSEUDONYMS, *ADDRESSED):
                yield from (str(known.min), str(known.max))


def _blocks(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a text file, in blocks; a line longer than a block comes in overlapping pieces."""
    held = ""
    with path.open("rb") as stream:
        while chunk := stream.read(BLOCK):
            text = held + chunk.decode("utf-8", "replace")
            lines = text.split("\n")
            held = lines.pop()
            if lines:
                yield lines
            if len(held) > BLOCK:
                yield [held]
                held = held[-OVERLAP:]
    if held:
        yield [held]


def evidence(scanner: Scanner) -> dict[str, Any]:
    """Return the scan's section of the evidence."""
    found = scanner.findings
    kinds = sorted({*found.searched, *found.confirmed, *(kind.value for kind in leaks.CANDIDATES)})
    return {
        "files": found.files,
        "bytes": found.bytes,
        "identifiers": scanner.identifiers,
        "confirmed": found.confirmed.total(),
        "classes": {k: {"candidates": found.searched[k], "confirmed": found.confirmed[k]} for k in kinds},
    }


def refuse(scanner: Scanner) -> None:
    """End the run if a raw identifier survived.

    Raises:
        ResidueError: names the places of the first ones, never a value.
    """
    found = scanner.findings
    if found.confirmed:
        raise ResidueError(
            f"{found.confirmed.total()} raw identifiers survived: {'; '.join(found.places)}",
            where="leak scan",
            remedy="nothing was published; see whether a column of the backup holds what it should not",
        )
