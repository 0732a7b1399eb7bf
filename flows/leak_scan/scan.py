"""The leak scan: after writing, every file of a pack is searched for every raw identifier of the inputs (DQ32, Q67).

It reads back what was written, names, columns, metadata and texts included, and knows a raw value by its pseudonym
(``transforms.release.leak_candidates``). A hit is told by its place, never by its value, and ends the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import ResidueError
from contracts.evidence_results import LeakScan, Searched
from contracts.vocabulary import Field, Form
from flows.cut.parallel import map_parallel
from flows.cut.partitions import ParticipantExtract
from flows.cut.workspace import Workspace
from flows.leak_scan.read_back import PieceKind, ScanPiece, pieces
from flows.pseudonymise.pseudonym_index import coincident, keys_of, pseudonym_index
from transforms.pseudonymise import mpan
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.release import leak_candidates

ROOT = Path(__file__).parents[1]
SAID = (
    "contracts/**/*.yaml",
    "flows/report/**/*.*",
    "flows/report/dpia.py",
)  # what evidence and report are written from
TEXTS = frozenset({".py", ".yaml", ".j2", ".js", ".css"})


@cache
def product_vocabulary() -> frozenset[str]:
    """Return the words of contracts and report that the leak scan would take for a meter serial number (DQ32)."""
    files = [path for said in SAID for path in sorted(ROOT.glob(said)) if path.suffix in TEXTS]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return frozenset(
        leak_candidates.serial_candidates(leak_candidates.plain(pl.Series("", lines, dtype=pl.String)))["value"]
    )


SHOWN_PLACES = 5
MOST_BY_CHANCE = 1_000  # hits of one piece that may be digits in keyed texts; a leak of more needs no second look
Rows = NDArray[np.int64]
KINDS = tuple(leak_candidates.CANDIDATES)
SMALLEST_MPAN = 10**12
# Serial numbers and UPRNs are short: among millions of raw ones some stand in any column of random digits by chance,
# under either name. Such columns are compared at intake, each row with its own raw value (leak_candidates.own_row).
PSEUDONYMS = ("meter_serial_number", "uprn")
KEYED = ("token", "css_registration_id")  # keyed random texts, as the ids of DIP participants are
DIP_ID = "_dip_id"
MEASURED = (Form.INTEGER, Form.DECIMAL, Form.DATE)
COUNT_DIGITS = 11  # in a document a number of up to so many digits is a count of rows or bytes


@dataclass(slots=True)
class LeakFindings:
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
        self.places.append(f"{kind} in {where}")

    def add(self, other: LeakFindings) -> None:
        """Add what was found elsewhere."""
        self.files, self.bytes, self.cells = (
            self.files + other.files, self.bytes + other.bytes, self.cells + other.cells
        )  # fmt: skip
        self.searched.update(other.searched)
        self.confirmed.update(other.confirmed)
        self.places = (self.places + other.places)[:SHOWN_PLACES]


@dataclass(frozen=True, slots=True)
class _How:
    """How files are searched; see :meth:`Scanner.folder`."""

    counts: bool = False
    forms: bool = False
    says: bool = False  # the product's own words stand here beside what it found

    def kinds(self, kinds: tuple[Field, ...]) -> tuple[Field, ...]:
        """Return which of the fields to look for."""
        return tuple(kind for kind in kinds if kind in (Field.MPAN, Field.ESME_ID)) if self.forms else kinds

    def candidates(self, kind: Field, texts: pl.Series) -> pl.DataFrame:
        """Return what could be an identifier; where documents count rows and bytes or say something, none of that."""
        found = leak_candidates.CANDIDATES[kind](texts)
        if self.says and kind is Field.METER_SERIAL:
            found = found.filter(~pl.col("value").is_in(list(product_vocabulary())))
        if not self.counts or kind not in (Field.UPRN, Field.METER_SERIAL):
            return found
        return found.filter(~pl.col("value").str.contains(f"^[0-9]{{1,{COUNT_DIGITS}}}$"))


class Scanner:
    """Searches files for the raw identifiers of one cut.

    Args:
        workspace: where the pseudonyms of every judged row lie.
        extracts: all extracts of all participants.
        pseudonymiser: turns what stands in an output into what it would be called if it were raw.
    """

    def __init__(
        self, workspace: Workspace, extracts: Sequence[ParticipantExtract], pseudonymiser: Pseudonymiser
    ) -> None:
        self._pseudonymiser = pseudonymiser
        columns = [c for contract in workspace.contracts.values() for c in contract.columns]
        self._measured = frozenset(c.name for c in columns if c.form in MEASURED)
        self._indexes = {kind: pseudonym_index(workspace, extracts, kind) for kind in leak_candidates.CANDIDATES}
        own = coincident(self._indexes[Field.MPAN], pseudonymiser)
        self._coincident = np.append(own, False)  # the last place stands for what is no pseudonym of the cut
        self._clean: set[tuple[str, int, int]] = set()
        self.findings = LeakFindings()
        self._adding = Lock()

    @property
    def identifiers(self) -> int:
        """How many raw identifiers are looked for."""
        return sum(int(index.keys.size) for index in self._indexes.values())

    def folder(self, root: Path, *, counts: bool = False, forms: bool = False) -> None:
        """Search every file below a folder, as many at once as there are cores.

        Args:
            counts: its tables hold counts and the product's own words, as a report's do.
            forms: its texts are load files under a participant's own names of columns, of rows that were searched as
                Parquet: MPANs and ESME ids are looked for again.
        """
        files = sorted(p for p in root.rglob("*") if p.is_file())
        how = _How(counts=counts, forms=forms, says=counts)
        for found in map_parallel(lambda path: self._file(path, path.relative_to(root).as_posix(), how), files):
            with self._adding:
                self.findings.add(found)

    def document(self, document: object, where: str) -> None:
        """Search every text of a JSON document, keys included."""
        texts = pl.Series("", list(_strings(document)), dtype=pl.String)
        self._piece(ScanPiece(PieceKind.TEXTS, texts, where, texts.len()), self.findings, _How(says=True))

    def _file(self, path: Path, name: str, how: _How) -> LeakFindings:
        found = LeakFindings(files=1, bytes=path.stat().st_size)
        self._piece(ScanPiece(PieceKind.TEXTS, pl.Series("", [name]), "the name of a file", 1), found, _How())
        how = replace(how, forms=how.forms and path.suffix != ".parquet")
        for piece in pieces(path, name):
            self._piece(piece, found, how)
        return found

    def _piece(self, piece: ScanPiece, found: LeakFindings, how: _How) -> None:
        found.cells += piece.cells
        if piece.kind is PieceKind.TEXTS:
            self._texts(piece, found, how)
        elif piece.kind is PieceKind.DISTINCT and how == _How():
            self._distinct(piece, found)
        else:
            self._column(piece, found, how)

    def _texts(self, piece: ScanPiece, found: LeakFindings, how: _How) -> None:
        texts = piece.values.drop_nulls()
        self._search(texts, how.kinds(KINDS), piece, found, how)
        if not how.forms and (
            count := int(leak_candidates.plain(texts).str.contains(leak_candidates.POSTCODE_SHAPE).sum())
        ):
            found.hit("postcode", piece.where, count)

    def _distinct(self, piece: ScanPiece, found: LeakFindings) -> None:
        """Search distinct values, unless the same ones of the same column were searched before."""
        values = piece.values
        mark = (values.name, values.len(), int(values.hash(seed=1).sum() or 0))
        if mark not in self._clean:
            before = found.confirmed.total()
            self._column(piece, found, _How())
            if found.confirmed.total() == before:
                self._clean.add(mark)

    def _column(self, piece: ScanPiece, found: LeakFindings, how: _How) -> None:
        values, kinds = piece.values, how.kinds(searched_fields(piece.values.name, self._measured))
        if values.dtype != pl.String:  # a number can be an MPAN; shorter ones are numbers like any other
            if not values.abs().ge(SMALLEST_MPAN).any():
                return
            values, kinds = values.cast(pl.String).str.replace(r"\.0+$", ""), (Field.MPAN,)
        texts = values.drop_nulls()
        if not texts.str.len_bytes().ge(leak_candidates.SHORTEST_SERIAL).any():
            return
        self._search(texts, kinds, piece, found, how)

    def _search(
        self, texts: pl.Series, kinds: tuple[Field, ...], piece: ScanPiece, found: LeakFindings, how: _How
    ) -> None:
        """Look in texts without nulls for the raw values of some fields, the MPAN among them."""
        sieved = leak_candidates.sieve(texts, kinds)
        if sieved.bare.any():
            self._bare(texts.filter(pl.Series(sieved.bare)), piece, found)
        for kind in kinds:
            some = texts.filter(pl.Series(sieved.able[kind]))
            if some.len():
                some = some if kind is Field.MPAN else leak_candidates.plain(some)
                candidates = how.candidates(kind, some)
                found.searched[kind.value] += candidates.height
                self._confirm(kind, some, self._raw_rows(kind, candidates), piece, found)

    def _bare(self, texts: pl.Series, piece: ScanPiece, found: LeakFindings) -> None:
        """Look for raw MPANs among texts of thirteen digits."""
        hits, valid = self._mpans(texts)
        found.searched[Field.MPAN.value] += int(valid.sum())
        if hits.any():
            found.hit(Field.MPAN.value, f"{piece.where}{_row(piece, texts[int(hits.argmax())])}", int(hits.sum()))

    def _confirm(self, kind: Field, texts: pl.Series, rows: Rows, piece: ScanPiece, found: LeakFindings) -> None:
        if kind is Field.MPAN and 0 < rows.size <= MOST_BY_CHANCE:
            rows = self._beside_keyed(texts, rows)
        if rows.size:
            found.hit(kind.value, f"{piece.where}{_row(piece, texts[int(rows.min())])}", rows.size)

    def _raw_rows(self, kind: Field, candidates: pl.DataFrame) -> Rows:
        """Return the rows of the candidates that are raw identifiers of the cut."""
        rows: Rows = candidates["row"].to_numpy()
        if candidates.is_empty():
            return rows
        if kind is Field.MPAN:
            return rows[self._mpans(candidates["value"])[0]]
        again = self._pseudonymiser.values(kind, candidates["value"])
        present = again.is_not_null()
        hits: Rows = rows[present.to_numpy()][self._indexes[kind].contains(keys_of(kind, again.filter(present)))]
        return hits

    def _mpans(self, values: pl.Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which values are raw MPANs of the cut, and which are valid MPAN cores at all.

        A pseudonym of the cut, which is what nearly every such value is, was looked up once and for all.
        """
        keys, valid = mpan.keys(values)
        known = self._indexes[Field.MPAN]
        positions = np.where(valid, known.positions(keys), -1)
        hits: NDArray[np.bool_] = self._coincident[positions]
        strange = np.flatnonzero(valid & (positions < 0))
        hits[strange] = known.contains(self._pseudonymiser.permuted(keys[strange]))
        return hits, valid

    def _beside_keyed(self, texts: pl.Series, rows: Rows) -> Rows:
        """Return the rows that hold an MPAN outside of what a key drew, where chance puts one now and then."""
        left = [leak_candidates.without_keyed(text) for text in texts.gather(rows)]
        again = self._raw_rows(Field.MPAN, leak_candidates.mpan_candidates(pl.Series("", left, dtype=pl.String)))
        return rows[np.unique(again)]


def _row(piece: ScanPiece, text: str) -> str:
    """Say in which row of a piece a text stands; what was searched may have been picked out of it."""
    same = leak_candidates.plain(piece.values.cast(pl.String).fill_null("")) == leak_candidates.plain(pl.Series([text]))
    return f", row {same.arg_true()[0] + 1}" if same.any() else ""


def searched_fields(column: str, measured: Collection[str]) -> tuple[Field, ...]:
    """Return the fields whose raw values are looked for in a column of that name.

    Args:
        measured: columns that hold amounts or dates, which a CSV file spells like any digits.
    """
    if column in KEYED or column.endswith(DIP_ID) or column in measured:
        return (Field.MPAN,)
    return (Field.MPAN, Field.ESME_ID) if column in PSEUDONYMS else KINDS


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


def evidence(scanner: Scanner) -> LeakScan:
    """Return the scan's section of the evidence."""
    found = scanner.findings
    kinds = sorted({*found.searched, *found.confirmed, *(kind.value for kind in leak_candidates.CANDIDATES)})
    return LeakScan(
        files=found.files,
        bytes=found.bytes,
        identifiers=scanner.identifiers,
        confirmed=found.confirmed.total(),
        classes={k: Searched(candidates=found.searched[k], confirmed=found.confirmed[k]) for k in kinds},
    )


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
