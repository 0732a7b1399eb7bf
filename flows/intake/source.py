"""What is to be read and how much of it is tolerated: source specification and limits. No file is touched here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from contracts.errors import ConfigurationError

if TYPE_CHECKING:
    import polars as pl

MIB = 1 << 20
FORMS = ("auto", "csv", "parquet", "dtc", "database")
WIDE = ("utf-16", "utf-16-le", "utf-16-be")
ENCODINGS = ("auto", "utf-8", "cp1252", *WIDE)
QUOTES = ("double", "none", "backslash")
DELIMITERS = {"comma": ",", "tab": "\t", "pipe": "|"}
DATABASE_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class SourceSpec:
    """One physical source of a participant's backup: a file, or a table or query of a database.

    Attributes:
        name: label that errors carry (``<participant>/<extract>``); never data.
        path: the file; this, ``paths`` or ``url``.
        paths: files, folders and globs, in any number; :func:`flows.intake.files.expand` makes a specification of each.
        file: what its owner calls the file: its path below the backup folder.
        url: ``postgresql://...``; kept out of ``repr``, since it may hold a password.
        query: name of a table, or one ``SELECT``; kept out of ``repr``, since it may hold an identifier.
        form: ``auto``, ``csv``, ``parquet``, ``dtc`` or ``database``.
        encoding: ``auto``, ``utf-8``, ``cp1252``, or ``utf-16`` with its byte order marked or named.
        delimiter: ``auto``, ``comma``, ``tab`` or ``pipe``.
        quote: ``double`` (RFC 4180), ``none``: quotation marks are text, or ``backslash``: it escapes what follows it.
        member: member of a zip archive, when it holds several.
        dates: contract column, or ``*`` for all -> how its dates are written: see ``transforms.dates``.
        nulls: words for null in this source, beside those that are known.
        root: backup folder; the file, links resolved, must lie inside it. Without it the file may not be a link.
        columns: contract column -> its heading in this source.
        harmless: headings that only sound like a person's.
        cut_date: the day it was taken, where ``cut.yaml`` states it.
        agreed: the columns that its sender agreed to send; ``None`` for all of the contract.
        identities: age identities that open a sealed backup; kept out of ``repr``.
        own: places of the cut itself, such as keys and packs, that are no backup in a folder of backups.
        successors: MPID -> who has its appointments on the cut date (Q99).
        as_of: the cut date: of flows that list what held when, the state on this day is read; without it the last one.
    """

    name: str
    path: Path | None = None
    paths: tuple[Path, ...] = ()
    file: str = ""
    url: str | None = field(default=None, repr=False)
    query: str | None = field(default=None, repr=False)
    form: str = "auto"
    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = "double"
    member: str | None = None
    dates: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    nulls: tuple[str, ...] = ()
    root: Path | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    harmless: tuple[str, ...] = ()
    cut_date: date | None = None
    as_of: date | None = None
    agreed: tuple[str, ...] | None = None
    successors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    identities: tuple[object, ...] = field(default=(), repr=False)
    own: frozenset[Path] = frozenset()

    def check(self) -> None:
        """Refuse a specification that contradicts itself.

        Raises:
            ConfigurationError: neither or both of file and database, or a word that is not in its list.
        """
        for label, word, words in (
            ("form", self.form, FORMS),
            ("encoding", self.encoding, ENCODINGS),
            ("delimiter", self.delimiter, ("auto", *DELIMITERS)),
            ("quote", self.quote, QUOTES),
        ):
            if word not in words:
                raise ConfigurationError(
                    f"unknown {label}", where=self.name, remedy=f"choose one of {', '.join(words)}"
                )
        if [self.path is None, not self.paths, self.url is None].count(False) != 1:
            raise ConfigurationError("a source is either a file or a database", where=self.name)
        if self.url is not None:
            self._check_database(self.url)
        elif self.form == "database":
            raise ConfigurationError("a database source needs a url", where=self.name)

    def _check_database(self, url: str) -> None:
        if self.form not in ("auto", "database"):
            raise ConfigurationError("a url is read in the form database only", where=self.name)
        if not url.startswith(DATABASE_SCHEMES):
            raise ConfigurationError("only postgresql:// urls can be read", where=self.name)
        if not (self.query or "").strip():
            raise ConfigurationError("a database source needs a table or a SELECT", where=self.name)


@dataclass(frozen=True)
class Limits:
    """What a source may ask of the machine before it is refused.

    Attributes:
        max_field_bytes: one cell, as UTF-8.
        max_line_bytes: one record, with the line breaks inside its quoted cells.
        max_columns: columns of a header, a schema or a query.
        max_ratio: decoded bytes for each byte on disk, judged once the output is no longer small.
        max_members: members of an archive.
        max_bytes: decoded bytes in total; ``None`` for no limit.
        max_rows: rows in total; ``None`` for no limit.
        block_bytes: source text that makes one batch, about.
    """

    max_field_bytes: int = 4096
    max_line_bytes: int = 65536
    max_columns: int = 512
    max_ratio: int = 200
    max_members: int = 500_000
    max_bytes: int | None = None
    max_rows: int | None = None
    block_bytes: int = 32 * MIB


class FirstRows:
    """No more than the first rows of each file, for whoever wants to look at a source and not to take it.

    A file that is cut is let go of where it is cut: nothing is judged of it that only its end shows.

    Attributes:
        most: rows of a source, spread over its files; ``None`` for all of them.
        files: how many files they are spread over.
        cut: whether some file holds more rows than were given.
        cut_now: whether the file that was read last does.
        rows, text: rows given so far, and their size as delimited text in bytes, about.
    """

    LEAST = 1_000  # rows of a file, however many files there are

    def __init__(self, most: int | None = None, files: int = 1) -> None:
        self.most, self.files, self.cut, self.cut_now = most, max(files, 1), False, False
        self.rows = self.text = 0

    def of(self, batches: Iterator[pl.DataFrame], files: int = 1) -> Iterator[pl.DataFrame]:
        """Give the first rows of batches that were read from so many of the files."""
        self.cut_now = False
        if self.most is None:
            yield from batches
            return
        left = max(self.LEAST, self.most * files // self.files)
        for batch in batches:
            if left <= 0 or batch.height > left:
                self.cut = self.cut_now = True
            if left > 0:
                some = batch.head(left)
                self.rows += some.height
                self.text += _delimited_size(some)
                yield some
                left -= batch.height
            if self.cut_now:
                return


def _delimited_size(batch: pl.DataFrame) -> int:
    """Return how many bytes rows of text take with a delimiter after each cell."""
    import polars as pl

    cells = sum(column.str.len_bytes().sum() or 0 for column in batch.get_columns() if column.dtype == pl.String)
    return int(cells) + batch.height * batch.width


TOLD_DIGITS, KEPT_DIGITS = 5, 8  # digits of a name that a message repeats, and that its sender's evidence keeps
# What tells of nobody: flow and version, a day with or without its time, zeros before a number.
_INNOCENT = re.compile(
    r"(?<![A-Z0-9])D0\d{3}(?:00\d(?!\d))?"
    r"|(?<!\d)(?:19|20)\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T -]?(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?(?!\d)"
)
_ZEROS = re.compile(r"(?<!\d)0+")
_POSTCODE = re.compile(r"(?<![A-Z])[A-Z]{1,2}\d[A-Z\d]?[ .-]?\d[A-Z]{2}(?![A-Z])")


def telling(name: str, digits: int = KEPT_DIGITS) -> bool:
    """Tell whether the name of a file may hold an identifier: many digits besides flow and day, or a postcode."""
    text = name.upper().replace("_", " ")
    left = _ZEROS.sub(" ", _INNOCENT.sub(" ", text))
    return sum(c.isdigit() for c in left) > digits or bool(_POSTCODE.search(left))


def safe_name(name: str, digits: int = TOLD_DIGITS) -> str:
    """Return the name of a file as it may be shown: digits hidden where they may identify somebody."""
    printable = "".join(c for c in name if c.isprintable())
    return re.sub("[0-9]", "#", printable) if telling(printable, digits) else printable
