"""Rows of a pack in the form in which a participant writes its backup: CSV with its delimiter and names, or DTC."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow.parquet as pq

from contracts.errors import EvidenceError
from contracts.model import Contract
from flows.cut.config import Cut
from flows.cut.workspace import disk
from flows.intake.source import DELIMITERS
from transforms.release.source_form import DtcText, SourceForm, as_text, dtc_header, dtc_trailer

BATCH = 131_072
Suffixed = Callable[[str], Path]


def write_form(source: Path, contract: Contract, how: SourceForm, place: Suffixed, cut: Cut, mpid: str) -> Path | None:
    """Write the rows of a Parquet file as the participant's own kind of file; None where that is Parquet itself.

    Args:
        place: suffix -> where to write.

    Raises:
        EvidenceError: a value cannot be written in that form. PlaceError: the disk is unfit.
    """
    if how.form == "dtc":
        path = place("usr")
        with disk(path), open(path, "wb") as file:
            _dtc(file, source, contract, how, cut, mpid)
        return path
    if how.form in ("csv", "database"):
        path = place("tsv" if how.delimiter == "tab" else "csv")
        with disk(path), open(path, "wb") as file:
            _delimited(file, source, how)
        return path
    return None


def rows_of(source: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of a Parquet file in pieces."""
    for batch in pq.ParquetFile(source).iter_batches(batch_size=BATCH):
        yield pl.DataFrame(batch)


def _delimited(file: IO[bytes], source: Path, how: SourceForm) -> None:
    first = True
    for frame in rows_of(source):
        file.write(delimited(as_text(frame, how).rename(dict(how.names)), how, header=first))
        first = False
    if first:
        empty = pl.DataFrame(schema=dict.fromkeys((how.names.get(c, c) for c in how.order), pl.String))
        file.write(delimited(empty, how, header=True))


def delimited(frame: pl.DataFrame, how: SourceForm, *, header: bool) -> bytes:
    """Return rows of text as delimited bytes in the participant's character set.

    Raises:
        EvidenceError: the character set has no such character.
    """
    text = frame.write_csv(include_header=header, separator=DELIMITERS[how.delimiter or "comma"])
    try:
        return text.encode(how.encoding)
    except UnicodeEncodeError:
        raise EvidenceError(f"a value cannot be written in {how.encoding}", where="return") from None


def _dtc(file: IO[bytes], source: Path, contract: Contract, how: SourceForm, cut: Cut, mpid: str) -> None:
    layouts = [layout for layout in contract.dtc_layouts if how.flow.startswith(layout.flow)]
    if not layouts:
        raise EvidenceError("its flow has no layout in the contract", where=f"{mpid}/{contract.extract}")
    mark = hashlib.sha256(f"{cut.id}/{mpid}/{contract.extract}".encode()).digest()
    file_id, stamp = f"{int.from_bytes(mark[:5], 'big') % 10**10:010d}", f"{cut.date:%Y%m%d}000000"
    file.write(dtc_header(file_id, how.flow, ("Z", "SITD"), ("Z", mpid), stamp))
    text, count = DtcText(layouts), 0
    for frame in rows_of(source):
        records, written = text.records(as_text(frame, how))
        file.write("".join(records.to_list()).encode("ascii"))
        count += written
    file.write(dtc_trailer(file_id, count, stamp))
