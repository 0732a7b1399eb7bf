"""Load files: rows of a backup picked out and written as they came, so that the participant's own loader takes them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.augmentation import Item, Outcome, tables
from contracts.model import Contract
from flows.intake import SourceSpec
from flows.intake.detect import open_bytes
from flows.release.return_files import delimited
from transforms.column_map import ColumnMap
from transforms.conform import DATE_FORMATS
from transforms.pseudonymise.mpan import normalise, order_key
from transforms.release.source_form import TEST_FLAG, SourceForm

if TYPE_CHECKING:
    from flows.restore.backup import RestoredExtract

NAMES = ("linked_mpan", "related_mpan", "esme_id")  # they name other metering points and meters: not by pseudonym


class Filler:
    """Fills columns of one extract.

    Args:
        values: ``point`` and the augmented columns, one row per metering point.
        columns: physical column -> augmented column.
    """

    def __init__(self, values: pl.DataFrame, columns: Mapping[str, str]) -> None:
        self._values, self._columns = values, columns

    @classmethod
    def of(cls, extract: RestoredExtract, columns: ColumnMap) -> Self:
        """Find the columns to fill, and read what to fill them with."""
        sources = {c: a for item in tables().items if _adds(item) for c, a in _stated_in(item, extract.name).items()}
        path = Path(extract.pack) / f"data/{extract.participant}/augmented.parquet"
        held = set(pq.read_schema(path).names) if path.is_file() else set()
        wanted = {p: sources[c] for p, c in columns.names.items() if sources.get(c) in held}
        if not wanted:
            return cls(pl.DataFrame(), {})
        dates = extract.how.dates
        formats = {sources[c]: fmt for c, fmt in dates.items() if c in sources}
        read = pl.read_parquet(path, columns=["mpan_core", *dict.fromkeys(wanted.values())])
        kinds = read.schema
        texts = [
            pl.col(n).dt.strftime(formats.get(n, DATE_FORMATS[0])) if kinds[n] == pl.Date else pl.col(n).cast(pl.String)
            for n in dict.fromkeys(wanted.values())
        ]
        return cls(read.select(order_key().alias("point"), *texts), wanted)

    def filled(self, batch: pl.DataFrame, points: NDArray[np.uint64]) -> pl.DataFrame:
        """Return a batch of the backup with its empty MHHS-only cells filled."""
        if not self._columns:
            return batch
        found = pl.DataFrame({"point": points}).join(self._values, on="point", how="left", maintain_order="left")
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

Flags = NDArray[np.bool_]
BLOCK = 8 << 20
LIVE = "OPER"
TEST_FLAG_PLACE = 11  # in the ZHV record


class LoadFile:
    """The load file of one extract, in the form of the backup; use as a context manager.

    CSV rows are written as they are met. Parquet and DTC files are read once more at the end and filtered: their types,
    and the records that no contract names, stay as they were.
    """

    def __init__(self, name: str, how: SourceForm, spec: SourceSpec, contract: Contract, folder: Path) -> None:
        self._how, self._spec, self._contract = how, spec, contract
        suffix = {"parquet": "parquet", "dtc": "usr"}.get(how.form, "tsv" if how.delimiter == "tab" else "csv")
        self._path = folder / f"{name}.{suffix}"
        self._file: IO[bytes] | None = None
        self._kept: list[Flags] = []
        self._mpans: set[str] = set()
        self.files = [self._path.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        elif kind is None and self._how.form in ("csv", "database"):
            self._header_alone()
        if kind is None and self._how.form == "parquet":
            self._parquet()
        if kind is None and self._how.form == "dtc":
            write_dtc(self._path, self._spec, self._contract, self._how, self._mpans)

    def add(self, batch: pl.DataFrame, back: Flags) -> None:
        """Take the rows of a batch of the backup that came back."""
        if self._how.form == "parquet":
            self._kept.append(back)
        elif self._how.form == "dtc":
            self._mpans.update(normalise(batch["mpan_core"].filter(pl.Series(back)).str.strip_chars()).unique())
        else:
            first = self._file is None
            if self._file is None:
                self._file = open(self._path, "wb")  # noqa: SIM115 - closed by the context
            self._file.write(delimited(batch.filter(pl.Series(back)), self._how, header=first))

    def _header_alone(self) -> None:
        """Write the load file of a backup without a row."""
        names = [self._how.names.get(c, c) for c in self._how.order]
        empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        self._path.write_bytes(delimited(empty, self._how, header=True))

    def _parquet(self) -> None:
        if self._spec.path is None:
            return
        kept = np.concatenate([*self._kept, np.empty(0, np.bool_)])
        file, at = pq.ParquetFile(self._spec.path), 0
        with pq.ParquetWriter(self._path, file.schema_arrow, compression="zstd") as writer:
            for batch in file.iter_batches():
                rows = pa.array(kept[at : at + batch.num_rows])
                writer.write_batch(batch.filter(rows))
                at += batch.num_rows


class ExcludedList:
    """Rows of a backup that do not come back, each with its reasons, as CSV; use as a context manager."""

    HEADER = ("row", "mpan_core", "first_cause", "reasons")

    def __init__(self, path: Path) -> None:
        self._path = path
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
        self, own: _Batch, rest: Flags, gone: pl.DataFrame, hidden: pl.Series, before: int, reasons: Counter[str]
    ) -> None:
        """Take the rows of a batch that do not come back; count them by their first cause."""
        at = np.flatnonzero(rest)
        if not at.size:
            return
        raw = own.physical("mpan_core")
        rows = pl.DataFrame(
            {
                "row": at + before + 1,
                "mpan_core": raw[at] if raw is not None else [None] * at.size,
                "point": pl.Series(own.points[at]).set(pl.Series(~own.valid[at]), None),
                "token": own.named["_token"][at],
                "hidden": hidden[at],
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
        self._write(why.select(self.HEADER))

    def _write(self, rows: pl.DataFrame) -> None:
        if self._file is None:
            self._file = open(self._path, "w", encoding="utf-8", newline="")  # noqa: SIM115 - closed by the context
            csv.writer(self._file, lineterminator="\n").writerow(self.HEADER)
            self.files.append(self._path.name)
        self._file.write(rows.write_csv(include_header=False))


def write_dtc(path: Path, spec: SourceSpec, contract: Contract, how: SourceForm, mpans: set[str]) -> None:
    """Write the records of a DTC file that hang from some MPANs, with a trailer that counts them.

    Records above the MPAN's group stay, and those before the first, which are about the file; the test flag is never
    ``OPER``.
    """
    layout = next(layout for layout in contract.dtc_layouts if how.flow.startswith(layout.flow))
    group, place = layout.fields["mpan_core"]
    above = set()
    step = layout.parents.get(group)
    while step is not None:
        above.add(step)
        step = layout.parents.get(step)
    wanted = pl.Series(sorted(mpans), dtype=pl.String)
    keep, count = True, 0
    with open(path, "wb") as file:
        for lines in _lines(spec):
            ids = lines.str.slice(0, 3)
            mpan = normalise(lines.str.split("|").list.get(place, null_on_oob=True).str.strip_chars())
            mine = mpan.is_in(wanted.implode()).fill_null(value=False)
            turn = mine.set(ids != group, None).forward_fill().fill_null(value=keep)  # before the first: kept
            keep = bool(turn[-1])
            chosen = (turn | ids.is_in(list(above))) & ~ids.is_in(["ZHV", "ZPT"])
            for head in lines.filter(ids == "ZHV"):
                file.write(_flagged(head))
            count += int(chosen.sum())
            file.write("".join(f"{line}\n" for line in lines.filter(chosen)).encode(how.encoding))
            for tail in lines.filter(ids == "ZPT"):
                fields = tail.split("|")
                file.write(("|".join([*fields[:2], str(count), *fields[3:]]) + "\n").encode(how.encoding))


def _flagged(head: str) -> bytes:
    fields = head.split("|")
    fields = [*fields[:-1], *[""] * (TEST_FLAG_PLACE + 1 - len(fields[:-1])), ""]
    if fields[TEST_FLAG_PLACE].strip().upper() in ("", LIVE):
        fields[TEST_FLAG_PLACE] = TEST_FLAG
    return ("|".join(fields) + "\n").encode("ascii", "replace")


def _lines(spec: SourceSpec) -> Iterator[pl.Series]:
    """Yield the lines of a text file in blocks, without their ends."""
    held = b""
    with open_bytes(spec) as read:
        while chunk := read(BLOCK):
            whole, _, held = (held + chunk).rpartition(b"\n")
            if whole:
                yield _text(whole)
    if held.strip():
        yield _text(held)


def _text(data: bytes) -> pl.Series:
    text = data.decode("utf-8-sig", "surrogateescape") if data.isascii() else _decoded(data)
    return pl.Series("line", text.replace("\r\n", "\n").split("\n"), dtype=pl.String)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
