"""Load files: rows of a backup picked out and written as they came, so that the participant's own loader takes them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.augmentation import Item, Outcome, tables
from contracts.model import Contract
from flows.intake import FILE, SourceFiles
from flows.intake.joined import FileRead, FilesReader
from flows.release.return_files import delimited
from flows.restore.load_flows import write_flow
from transforms.column_map import ColumnMap
from transforms.dates import ISO, spelt
from transforms.pseudonymise.mpan import normalise, order_key

if TYPE_CHECKING:
    from flows.restore.backup import RestoredExtract

NAMES = ("linked_mpan", "related_mpan", "esme_id")  # they name other metering points and meters: not by pseudonym


class Filler:
    """Fills columns of one extract.

    Args:
        values: ``point`` and the augmented columns, one row per metering point.
        columns: physical column -> augmented column.
        formats: augmented column of dates -> how the backup writes them.
    """

    def __init__(self, values: pl.DataFrame, columns: Mapping[str, str], formats: Mapping[str, str]) -> None:
        self._values, self._columns, self._formats = values, columns, formats

    @classmethod
    def of(cls, extract: RestoredExtract, columns: ColumnMap) -> Self:
        """Find the columns to fill, and read what to fill them with."""
        sources = {c: a for item in tables().items if _adds(item) for c, a in _stated_in(item, extract.name).items()}
        path = Path(extract.pack) / f"data/{extract.participant}/augmented.parquet"
        held = set(pq.read_schema(path).names) if path.is_file() else set()
        wanted = {p: sources[c] for p, c in columns.names.items() if sources.get(c) in held}
        if not wanted:
            return cls(pl.DataFrame(), {}, {})
        dates = extract.how.dates
        formats = {sources[c]: fmt for c, fmt in dates.items() if c in sources}
        read = pl.read_parquet(path, columns=["mpan_core", *dict.fromkeys(wanted.values())])
        kinds = read.schema
        texts = [
            pl.col(n) if kinds[n] == pl.Date else pl.col(n).cast(pl.String) for n in dict.fromkeys(wanted.values())
        ]
        return cls(read.select(order_key().alias("point"), *texts), wanted, formats)

    def filled(self, batch: pl.DataFrame, points: NDArray[np.uint64], real: RealValues) -> pl.DataFrame:
        """Return a batch of the backup with its empty MHHS-only cells filled, own dates as they really are."""
        if not self._columns:
            return batch
        found = pl.DataFrame({"point": points}).join(self._values, on="point", how="left", maintain_order="left")
        for name in [n for n, kind in found.schema.items() if kind == pl.Date]:
            days = real.latest(points, found[name]).to_frame()
            found = found.with_columns(days.select(spelt(pl.col(name), self._formats.get(name, ISO)).alias(name)))
        return batch.with_columns(
            pl.coalesce(pl.when(pl.col(physical).str.strip_chars() != "").then(pl.col(physical)), found[name]).alias(
                physical
            )
            for physical, name in self._columns.items()
        )


def _adds(item: Item) -> bool:
    """Tell whether augmentation can give an item that nobody stated."""
    return item.item not in NAMES and any(r.outcome not in (Outcome.NONE, Outcome.UNDECIDED) for r in item.rows)


def _stated_in(item: Item, extract: str) -> dict[str, str]:
    """Return the columns of an extract that state an item or its date, with the augmented column of each."""
    found = {}
    for statement in item.stated:
        if statement.extract == extract:
            found[statement.column] = item.item
            if statement.date:
                found[statement.date] = f"{item.item}_from"
    return found


if TYPE_CHECKING:
    from flows.restore.backup import _Batch
    from flows.restore.real_values import RealValues

Flags = NDArray[np.bool_]
FORMS = {"parquet": "parquet", "dtc": "usr"}
PACKED = (".gz", ".tgz", ".zip")


@dataclass(slots=True)
class _Target:
    """One load file.

    Attributes:
        source: the file of the backup that it is made from.
        path: where it lies.
        returned: rows that came back.
        kept: which rows of a Parquet file came back, batch by batch.
        begun: whether its header is written.
        encoding: character set of the file.
    """

    source: FileRead
    path: Path
    returned: int = 0
    kept: list[Flags] = field(default_factory=list)
    begun: bool = False
    encoding: str = "utf-8"


class LoadFiles:
    """The load files of one extract, one for each file of the backup, in its form; use as a context manager.

    Rows of tables are written as they are met. Parquet and DTC files are read once more at the end and filtered: their
    types, and the records that no contract names, stay as they were. An extract of one file goes back as one that is
    called like the extract; of several, each has the place and name it had in the backup, below a folder of that name.
    """

    def __init__(self, extract: RestoredExtract, sources: SourceFiles, contract: Contract, folder: Path) -> None:
        self._extract, self._sources, self._contract, self._folder = extract, sources, contract, folder
        self._targets: dict[int, _Target] = {}
        self._mpans: set[str] = set()
        self._flows = False
        self.files: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._flows:
            self._write_flows()

    def add(self, reader: FilesReader, batch: pl.DataFrame, back: Flags) -> None:
        """Take the rows of a batch of the backup that came back."""
        if reader.form == "dtc":
            mine = batch.filter(pl.Series(back))
            self._mpans.update(normalise(mine["mpan_core"].str.strip_chars()).unique())
            for number, rows in mine[FILE].value_counts().iter_rows():
                self._target(number, reader).returned += rows
            return
        marked = batch.with_columns(pl.Series("\x1fback", back))
        for (number,), rows in marked.partition_by(FILE, maintain_order=True, as_dict=True).items():
            target, flags = self._target(int(number), reader), rows["\x1fback"]
            target.returned += int(flags.sum())
            if reader.form == "parquet":
                target.kept.append(flags.to_numpy())
            else:
                self._append(target, rows.filter(flags).select(reader.header), reader)

    def end(self, reader: FilesReader) -> None:
        """Finish the files of a reader that has been read to its end."""
        self._flows = self._flows or reader.form == "dtc"
        for number in reader.numbers:
            target = self._target(number, reader)
            if reader.form == "parquet":
                _filter_parquet(target)
            elif reader.form != "dtc" and not target.begun:
                self._append(target, pl.DataFrame(schema=dict.fromkeys(reader.header, pl.String)), reader)

    def counts(self) -> list[tuple[str, int, int]]:
        """Return of each file its name, its rows and how many of them came back."""
        targets = (self._targets.get(file.number) for file in self._sources.files)
        return [
            (file.spec.file, file.rows, target.returned if target else 0)
            for file, target in zip(self._sources.files, targets, strict=True)
        ]

    def _append(self, target: _Target, rows: pl.DataFrame, reader: FilesReader) -> None:
        how = replace(self._extract.how, form=reader.form, delimiter=reader.delimiter or "", encoding=reader.encoding)
        with open(target.path, "ab") as file:
            file.write(delimited(rows, how, header=not target.begun))
        target.begun = True

    def _target(self, number: int, reader: FilesReader) -> _Target:
        if number not in self._targets:
            source = self._sources.files[number]
            path = self._path(source, reader)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._targets[number] = _Target(source, path, encoding=reader.encoding)
            self.files.append(path.relative_to(self._folder).as_posix())
        return self._targets[number]

    def _path(self, source: FileRead, reader: FilesReader) -> Path:
        name = self._extract.name
        if not self._extract.several:
            table = "tsv" if reader.delimiter == "tab" else "csv"
            return self._folder / f"{name}.{FORMS.get(reader.form, table)}"
        place = PurePosixPath(source.spec.file or "database.csv")
        if place.suffix.casefold() in PACKED:  # what comes back is not packed again
            place = place.with_suffix("")
        return self._folder / name / place

    def _write_flows(self) -> None:
        """Write the DTC files by a second read of the backup."""
        for file, units in self._sources.again():
            target = self._targets.get(file.number)
            if target is None:
                continue
            with open(target.path, "wb") as out:
                for unit in units:
                    write_flow(out, unit, self._contract, self._mpans, target.encoding)


def _filter_parquet(target: _Target) -> None:
    if target.source.spec.path is None:
        return
    kept = np.concatenate([*target.kept, np.empty(0, np.bool_)])
    file, at = pq.ParquetFile(target.source.spec.path), 0
    with pq.ParquetWriter(target.path, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches():
            writer.write_batch(batch.filter(pa.array(kept[at : at + batch.num_rows])))
            at += batch.num_rows


class ExcludedList:
    """Rows of a backup that do not come back, each with its reasons, as CSV; use as a context manager."""

    HEADER = ("row", "mpan_core", "first_cause", "reasons", "why")

    def __init__(self, path: Path, sources: Sequence[FileRead], words: Mapping[str, str], *, several: bool) -> None:
        """Take what the codes of reasons mean, ``words``, beside where the list goes and what it is about."""
        self._path, self._sources, self._words = path, sources, words
        self._header = ("file", *self.HEADER) if several else self.HEADER
        self._before: Counter[int] = Counter()
        self._file: IO[str] | None = None
        self.files: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(
        self, own: _Batch, rest: Flags, gone: pl.DataFrame, hidden: pl.Series, reasons: Counter[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take the rows of a batch that do not come back; count them by their first cause.

        Returns:
            Of each row of the batch its ``file`` and ``row`` there; and of the rows whose reasons the pack tells ``at``
            (place in the batch) and ``reasons``.
        """
        files, numbers = self._rows(own.raw)
        at = np.flatnonzero(rest)
        places = pl.DataFrame([files.alias("file"), numbers.alias("row")])
        raw = own.physical("mpan_core")
        rows = pl.DataFrame(
            {
                "file": files[at],
                "row": numbers[at],
                "mpan_core": raw[at] if raw is not None else [None] * at.size,
                "point": pl.Series(own.points[at]).set(pl.Series(~own.valid[at]), None),
                "token": own.named["_token"][at],
                "hidden": hidden[at],
                "at": pl.Series(at, dtype=pl.UInt32),
            }
        )
        by_point = gone.drop_nulls("point").unique("point").select("point", "first_cause", "reasons")
        by_token = gone.drop_nulls("token").unique("token").select("token", "first_cause", "reasons")
        found = rows.join(by_point, on="point", how="left", maintain_order="left")
        for key in ("token", "hidden"):
            other = by_token.rename({"token": key})
            found = found.join(other, on=key, how="left", maintain_order="left", suffix="_other").with_columns(
                pl.coalesce(name, f"{name}_other").alias(name) for name in ("first_cause", "reasons")
            )
            found = found.drop("first_cause_other", "reasons_other")
        why = found.filter(pl.col("first_cause").is_not_null())
        reasons.update(dict(why["first_cause"].value_counts().rows()))
        if why.height:
            said = pl.col("first_cause").replace_strict(self._words, default="", return_dtype=pl.String)
            self._write(why.with_columns(said.alias("why")).select(self._header))
        return places, why.select("at", "reasons")

    def _rows(self, batch: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return of each row the name of its file and its number there, from 1."""
        counts = batch.select(FILE, pl.int_range(1, pl.len() + 1).over(FILE).alias("row"))
        numbers = batch[FILE].unique().to_list()
        before = counts[FILE].replace_strict({n: self._before[n] for n in numbers}, return_dtype=pl.Int64)
        names = {n: self._sources[n].spec.file for n in numbers}
        files = counts[FILE].replace_strict(names, return_dtype=pl.String)
        rows = counts["row"] + before
        self._before.update(dict(batch[FILE].value_counts().iter_rows()))
        return files, rows

    def _write(self, rows: pl.DataFrame) -> None:
        if self._file is None:
            self._file = open(self._path, "w", encoding="utf-8", newline="")  # noqa: SIM115 - closed by the context
            csv.writer(self._file, lineterminator="\n").writerow(self._header)
            self.files.append(self._path.name)
        self._file.write(rows.write_csv(include_header=False))
