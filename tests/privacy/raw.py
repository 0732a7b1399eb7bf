"""Every raw identifier of a sample, read from its files by means of its own, and a search for them in bytes."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Raw:
    """Raw values by kind, as they stand in the backups."""

    mpan: set[str] = field(default_factory=set)
    serial: set[str] = field(default_factory=set)
    esme: set[str] = field(default_factory=set)
    uprn: set[str] = field(default_factory=set)
    address: set[tuple[str, str]] = field(default_factory=set)  # house line, postcode

    def values(self) -> set[bytes]:
        """Return every single value that no output may hold."""
        return {v.encode() for v in self.mpan | self.serial | self.esme | self.uprn}


def _tables(folder: Path) -> Iterator[list[dict[str, str]]]:
    import polars as pl

    def rows(data: bytes, separator: str, encoding: str = "utf-8") -> list[dict[str, str]]:
        text = data.decode(encoding).lstrip("\ufeff")
        frame = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
        return [{k.lower().replace(" ", "_"): v for k, v in row.items() if v} for row in frame.to_dicts()]

    yield rows((folder / "EELC/registration.csv").read_bytes(), ",")
    yield rows((folder / "YELG/registration.csv").read_bytes(), "|", "cp1252")
    frame = pl.read_parquet(folder / "IPNL/registration.parquet").cast(pl.String)
    yield [{k.lower(): v for k, v in row.items() if v} for row in frame.to_dicts()]
    yield rows(gzip.decompress((folder / "SUPA/portfolio.csv.gz").read_bytes()), ",")
    yield rows((folder / "SUPB/portfolio.tsv").read_bytes(), "\t")
    with zipfile.ZipFile(folder / "SUPC/portfolio.zip") as archive:
        yield rows(archive.read("portfolio.csv"), ",")
    for name in ("MOPB/metering.csv", "MOPB/register.csv", "elexon/bmu_mapping.csv"):
        yield rows((folder / name).read_bytes(), ",")


MPAN_FIELD = {"288": 1, "01A": 1, "ZIN": 3, "026": 1, "101": 1}  # group of a flow -> where its MPAN stands


def raw_identifiers(folder: Path) -> Raw:
    """Return the raw identifiers of a sample folder."""
    raw = Raw()
    for table in _tables(folder):
        for row in table:
            raw.mpan.update(row[k] for k in ("mpan_core", "related_mpan") if k in row)
            raw.serial.update(row[k] for k in ("meter_serial_number",) if k in row)
            raw.esme.update(row[k] for k in ("esme_id",) if k in row)
            raw.uprn.update(row[k] for k in ("uprn",) if k in row)
            lines = [row[k] for k in (f"address_line_{n}" for n in range(1, 10)) if len(row.get(k, "")) >= 8]
            raw.address.update((line, row["postcode"]) for line in lines if "postcode" in row)
    for name in ("MOPA/D0150.usr", "MOPA/D0268.usr", "DCOL/D0019.usr", "DCOL/D0010.usr", "DCOL/D0036.usr"):
        for line in (folder / name).read_text().splitlines():
            cells = line.split("|")
            if cells[0] in MPAN_FIELD:
                raw.mpan.add(cells[MPAN_FIELD[cells[0]]])
            elif cells[0] in ("290", "03A", "028") and cells[1]:
                raw.serial.add(cells[1])
    raw.serial = {s for s in raw.serial if len(s) >= 6}  # shorter ones stand in every other number
    return raw


def survivors(raw: Raw, files: Iterable[Path]) -> list[tuple[Path, str]]:
    """Return (file, kind) for every raw value that stands in a file's bytes or, unpacked, in a Parquet file's cells."""
    import polars as pl

    values = raw.values()
    sought = [text.decode("latin-1") for text in values | {line.encode() for line, _ in raw.address}]
    found = []
    for path in files:
        texts = [path.read_bytes(), path.name.encode()]
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            texts.append(frame.cast(pl.String, strict=False).write_csv().encode() if frame.width else b"")
            if {"postcode", "address_line_1"} <= set(frame.columns):
                cells = frame.select(
                    pl.concat_str("address_line_1", "address_line_5", separator=" "), "postcode"
                ).rows()
                found += [(path, "address") for pair in raw.address & set(cells)]
        whole = b"\n".join(texts)
        if not any_of(sought, whole):
            continue
        found += [(path, "value") for value in values if value in whole]
        found += [(path, "address") for line, code in raw.address if line.encode() in whole and code.encode() in whole]
    return found


def any_of(sought: list[str], whole: bytes) -> bool:
    """Tell whether one of many texts is in a file: all of them are looked for in one pass."""
    import polars as pl

    return bool(pl.Series([whole.decode("latin-1")]).str.contains_any(sought).any())
