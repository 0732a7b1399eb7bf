"""The leak scan: after writing, every file of a pack is searched for every raw identifier of the inputs (DQ32, Q67).

It looks up what stands in a file in digests that intake took of the sources before anything else touched them
(``transforms.leak_scan``). It reads back what was written, names, columns, metadata and texts included. A hit is told
by its place, never by its value. Hits of short identifiers that chance explains are shown beside the number that chance
gives; more than that ends the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl

from contracts.errors import ResidueError
from flows.cut.parallel import map_parallel
from flows.leak_scan.findings import LeakFindings
from flows.leak_scan.read_back import Block, Rows, pieces, text_block
from flows.leak_scan.table import search_rows
from flows.leak_scan.text_tables import TextTable, search_lines
from transforms.leak_scan.candidates import Windows, windows
from transforms.leak_scan.cells import Seen
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digests, Kind
from transforms.leak_scan.known import Hits, Known
from transforms.leak_scan.spellings import DEEPEST, rewritten

ROOT = Path(__file__).parents[2]
SAID = ("contracts/**/*.yaml", "flows/report/**/*.*", "flows/release/*.py")  # what evidence and report are written from
TEXTS = frozenset({".py", ".yaml", ".j2", ".js", ".css"})
POSTCODE_SHAPE = r"(?i)\b[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][ABD-HJLNP-UW-Z]{2}\b"
LEAST_LINE_BITS, MOST_LINE_BITS = 16, 23  # of the table of lines: 1 MiB to 128
TABLES = frozenset({".csv", ".tsv", ".psv", ".usr", ".txt", ".dtc"})


@cache
def product_words() -> Digests:
    """Return the hashes of words of contracts and report that the scan could take for a meter serial (DQ32)."""
    files = [path for said in SAID for path in sorted(ROOT.glob(said)) if path.suffix in TEXTS]
    text = b"\n".join(path.read_bytes() for path in files)
    return np.unique(_plain_hashes(text))


def _plain_hashes(text: bytes) -> Digests:
    words = {word for word in _words(text) if any(c in b"0123456789" for c in word)}
    return np.array([hash(word) & 0xFFFFFFFFFFFFFFFF for word in words], np.uint64)


def _words(text: bytes) -> Iterator[bytes]:
    condensed = Condensed(np.frombuffer(text, np.uint8))
    data = condensed.data.tobytes()
    found = condensed.words
    for start, length in zip(found.start.tolist(), found.length.tolist(), strict=True):
        yield data[start : start + length]


@dataclass(frozen=True, slots=True)
class How:
    """How files are searched.

    Attributes:
        document: the product's own words stand there beside what it found: evidence, report, names, metadata. No
            postcode may stand there at all.
    """

    document: bool = False


class Scanner:
    """Searches files for the raw identifiers of one cut.

    Args:
        known: digests of the raw identifiers.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._seen: set[tuple[int, ...]] = set()
        self.clean = Seen()
        held = len(known.sets.get(Kind.MPAN, ()))
        self.lines = Seen(min(MOST_LINE_BITS, max(LEAST_LINE_BITS, held.bit_length() + 4)))
        self.findings = LeakFindings()
        self._adding = Lock()

    @property
    def identifiers(self) -> dict[str, int]:
        """How many raw identifiers are looked for, by kind."""
        return {kind.word: len(held) for kind, held in self._known.sets.items()}

    def folder(self, root: Path, *, counts: bool = False) -> None:
        """Search every file below a folder, as many at once as there are cores; what was searched before is left out.

        Args:
            counts: its files are the product's own documents, as a report's are.
        """
        files = sorted(p for p in root.rglob("*") if p.is_file() and not self.has_seen(p))
        how = How(document=counts)

        def one(path: Path) -> LeakFindings:
            return self.file(path, path.relative_to(root).as_posix(), how)

        for found in map_parallel(one, files):
            with self._adding:
                self.findings.add(found)

    def document(self, document: object, where: str) -> None:
        """Search every text and number of a JSON document, keys included."""
        texts = "\n".join(_strings(document))
        self.block(text_block(texts, where), self.findings, How(document=True))

    def file(self, path: Path, name: str, how: How = How()) -> LeakFindings:
        """Search one file and its name; the same bytes under another name are searched once."""
        found = LeakFindings(files=1, bytes=path.stat().st_size)
        self.block(text_block(name, f"the name {_safe(name)}"), found, How(document=True))
        mark = _state(path)
        with self._adding:
            if mark in self._seen:
                return found
        inside = self._inside(path, name, how, exact=False)
        if inside.leaks:  # with all that chance explains
            inside = self._inside(path, name, how, exact=True)
        found.add(inside)
        with self._adding:
            self._seen.add(mark)
        return found

    def _inside(self, path: Path, name: str, how: How, *, exact: bool) -> LeakFindings:
        """Search what a file holds."""
        found = LeakFindings(exact=exact)
        tabular = path.suffix in TABLES and not how.document
        document = how.document or path.suffix not in TABLES | {".parquet"}
        table = None
        for piece in pieces(path, name, lines=tabular):
            if isinstance(piece, Rows):
                found.cells += piece.batch.num_rows * piece.batch.num_columns
                search_rows(self, piece, found)
            elif tabular:
                table = table or TextTable.of(piece.data)
                search_lines(self, piece, table, found)
            else:
                self.block(piece, found, How(document=document or piece.words))
        return found

    def has_seen(self, path: Path) -> bool:
        """Tell whether a file was searched, under this name or another, and is as it was then."""
        return _state(path) in self._seen

    def vouch(self, paths: Iterable[Path], found: LeakFindings) -> None:
        """Take over files whose bytes were searched elsewhere, and what was found; the caller has compared digests."""
        with self._adding:
            self.findings.add(found)
            self._seen.update(map(_state, paths))

    @property
    def plain(self) -> How:
        """How tables are searched."""
        return How()

    def otherwise(self, data: bytes, where: str, found: LeakFindings) -> None:
        """Search what some texts say once ways of writing are undone, and not the texts themselves."""
        raw = np.frombuffer(data, np.uint8)
        for name, reading in rewritten(raw, Condensed(raw)):
            self.block(Block(np.frombuffer(reading, np.uint8), where), found, How(), form=name, depth=1)

    def block(self, block: Block, found: LeakFindings, how: How, *, form: str = "", depth: int = 0) -> None:
        """Search some bytes, and what they say once ways of writing are undone."""
        if how.document and not depth:
            self._postcodes(block, found)
        text = Condensed(block.data)
        for some in windows(text):
            self.note(text, some, block, found, how, form=form)
        if depth < DEEPEST:
            for name, data in rewritten(block.data, text, binary=block.binary):
                again = Block(np.frombuffer(data, np.uint8), block.where, block.line, binary=block.binary)
                self.block(again, found, how, form=form or name, depth=depth + 1)

    def note(
        self, text: Condensed, some: Windows, block: Block, found: LeakFindings, how: How, *, form: str = ""
    ) -> None:
        """Look up windows of a block of bytes."""
        hits = self._known.search(text, some)
        if not hits.count:
            found.note(hits, block.where, "", form=f"{form}, {hits.form}" if form else "")
            return
        some = self._known.once(text, some)
        hits = self._known.search(text, some)
        if how.document and some.kind is Kind.METER_SERIAL:
            hits = _not_ours(hits, text, some)
        if some.kind is Kind.POSTCODE and not block.binary:
            hits = replace(hits, expected=0.0)  # in prose stands no postcode but a leaked one
        first = _line(block, text, hits) if hits.count and not form and not block.binary else ""
        found.note(hits, block.where, first, form=f"{form}, {hits.form}" if form else "")

    def _postcodes(self, block: Block, found: LeakFindings) -> None:
        shown = 0
        if _has_inward_part(block.data):  # few texts have, and they are many and short
            shown = pl.Series([block.data.tobytes().decode("utf-8", "replace")]).str.count_matches(POSTCODE_SHAPE)[0]
        each = np.arange(shown, dtype=np.uint64)
        hits = Hits(Kind.POSTCODE, "in a document", each, each.astype(np.int64), np.ones(shown, np.bool_), 0.0)
        found.note(hits, block.where, "")

    @property
    def known(self) -> Known:
        """What is looked for."""
        return self._known


def _has_inward_part(data: Bytes) -> bool:
    """Tell whether a digit stands behind a space and before a letter, or what may be one outside ASCII."""
    at = np.flatnonzero(data[:-3] == ord(" ")) if data.size > 3 else np.zeros(0, np.intp)
    at = at[(data[at + 1] >= ord("0")) & (data[at + 1] <= ord("9"))]
    beside = data[at + 2]
    return bool((((beside | 32) >= ord("a")) & ((beside | 32) <= ord("z")) | (beside >= 128)).any())


def _not_ours(hits: Hits, text: Condensed, some: Windows) -> Hits:
    """Leave out hits that are a word of the product: a change proposal is called like some meter."""
    hit = hits.hit.copy()
    for at in np.flatnonzero(hit):
        start = int(hits.start[at])
        length = int(some.length[np.flatnonzero(some.start == start)[0]])
        word = text.data[start : start + length].tobytes()
        hit[at] = np.uint64(hash(word) & 0xFFFFFFFFFFFFFFFF) not in product_words()
    return replace(hits, hit=hit)


def _line(block: Block, text: Condensed, hits: Hits) -> str:
    at = int(text.positions[hits.start[int(hits.hit.argmax())]])
    breaks = int(np.count_nonzero(block.data[:at] == ord("\n")))
    return f", line {block.line + breaks + 1}"


def _state(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _safe(name: str) -> str:
    return "of a file" if any(c.isdigit() for c in name) else f"of {name}"


def _strings(node: object) -> Iterator[str]:
    match node:
        case str():
            yield node
        case bool() | None:
            return
        case int() | float():
            yield str(node)
        case dict():
            for key, value in node.items():
                yield from (*_strings(key), *_strings(value))
        case list() | tuple():
            for value in node:
                yield from _strings(value)


def refuse(scanner: Scanner) -> None:
    """End the run if a raw identifier survived, or more of them than chance explains.

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
