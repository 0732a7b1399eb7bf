"""Any flow of a catalogue, masked: files in, the same files under pseudonyms out, memory bounded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from contracts.dtc import parse_catalogue
from contracts.dtc.policy import parse_policy
from contracts.errors import ConfigurationError, IntakeError, RefusedError
from contracts.vocabulary import Field
from flows.dtc.files import FlowFile, Output, Piece, find_files, new_folder, pieces, renamer
from flows.dtc.manifest import RESERVED, MaskedFile, Report, write_manifest
from flows.intake.source import MIB
from flows.keys.signing_key import Signer
from transforms.dtc import control
from transforms.dtc.mask import Masked, mask
from transforms.dtc.nesting import Run
from transforms.dtc.plan import Plan, make_plan
from transforms.dtc.records import Ints, Lines, Marks, split
from transforms.dtc.splice import Edits, splice
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

BLOCK = 4 * MIB  # text that is masked at a time; small files share a block
_CONTROL = np.array([*control.HEADERS, control.TRAILER], dtype=np.int32)
_CLASSIFY = "add it to a copy of the policy (--policy), or give --blank-unknown"


@dataclass(frozen=True)
class Rules:
    """Catalogue and policy as tables, and the SHA-256 of the texts that they were read from."""

    plan: Plan
    catalogue_sha256: str
    policy_sha256: str

    @classmethod
    def read(cls, catalogue: str, policy: str, *, catalogue_name: str, policy_name: str) -> Rules:
        """Return the rules of two texts.

        Raises:
            ContractError: one of them is not of its form.
        """
        plan = make_plan(parse_catalogue(catalogue, where=catalogue_name), parse_policy(policy, where=policy_name))
        digests = (hashlib.sha256(text.encode()).hexdigest() for text in (catalogue, policy))
        return cls(plan, *digests)


@dataclass(frozen=True)
class Request:
    """What is to be masked, and how.

    Attributes:
        inputs: files and folders.
        out: new folder.
        rules: catalogue and policy.
        blank_unknown: blank what neither catalogue nor policy knows, instead of refusing the file.
        test_flag: what a header gets that is not marked as a test.
        fingerprint: of the cut key.
        signer: who signs the manifest; ``None`` leaves it unsigned.
        require_test_flag: refuse a file whose header, ZHD, has no place for a test flag.
    """

    inputs: list[Path]
    out: Path
    rules: Rules
    blank_unknown: bool
    test_flag: str
    fingerprint: str
    signer: Signer | None
    require_test_flag: bool = False


@dataclass
class _State:
    """One file so far: the flow that is open and where in it, the lines before this block, what was written."""

    file: FlowFile
    header: control.Header | None = None
    flow: int = 0
    records: int = 0
    nested: Run = field(default_factory=lambda: Run(0, 0))
    lines: int = 0
    found: MaskedFile = field(init=False)
    output: Output | None = None

    def __post_init__(self) -> None:
        self.found = MaskedFile(self.file.name)


def mask_flows(request: Request, pseudonymiser: Pseudonymiser) -> Report:
    """Mask files and write them with a manifest; nothing is written unless everything can be.

    Raises:
        ConfigurationError: inputs or output contradict each other.
        IntakeError: a file is not a flow of the catalogue.
        RefusedError: a file holds what the policy or the catalogue does not know.
        PlaceError: a file cannot be read or written.
    """
    rename = renamer(lambda cores: pseudonymiser.values(Field.MPAN, pl.Series(cores, dtype=pl.String)).to_list())
    files = find_files(request.inputs, request.out, rename)
    if taken := [file.name for file in files if file.name in RESERVED]:
        raise ConfigurationError("is a name that the output needs itself", where=taken[0], remedy="rename the file")
    with new_folder(request.out) as folder:
        run = _Run(request, request.rules.plan, pseudonymiser, folder)
        for batch in _batches(files):
            run.batch(files, batch)
        report = run.report()
        report.cut, report.fingerprint = pseudonymiser.cut_id, request.fingerprint
        report.catalogue_sha256 = request.rules.catalogue_sha256
        report.policy_sha256 = request.rules.policy_sha256
        report.blank_unknown = request.blank_unknown
        report.signed_by = write_manifest(folder, report, request.signer)
    return report


def _batches(files: list[FlowFile]) -> Iterator[list[Piece]]:
    """Put pieces together to blocks: thousands of small files cost as much as one of their size."""
    batch: list[Piece] = []
    held = 0
    for number, file in enumerate(files):
        for piece in pieces(number, file, BLOCK):
            batch.append(piece)
            held += len(piece.text)
            if held >= BLOCK:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch


class _Run:
    def __init__(self, request: Request, plan: Plan, pseudonymiser: Pseudonymiser, folder: Path) -> None:
        self._request, self._plan, self._pseudonymiser, self._folder = request, plan, pseudonymiser, folder
        self._numbers = {flow.key: number for number, flow in enumerate(plan.flows)}
        self._unclassified: dict[int, str] = {}
        self._open: dict[int, _State] = {}
        self._done: list[MaskedFile] = []
        cells = plan.limits.size
        self._masked, self._uncovered, self._blanked, self._moved = (np.zeros(cells, dtype=np.int64) for _ in range(4))
        self._blanked_records: Counter[tuple[int, int]] = Counter()

    def batch(self, files: list[FlowFile], batch: list[Piece]) -> None:
        """Mask one block and write it."""
        lines = split(b"".join(piece.text for piece in batch))
        offsets = np.cumsum([0, *(len(piece.text) for piece in batch)])
        edges = np.searchsorted(lines.starts, offsets)
        states = [self._open.setdefault(piece.file, _State(files[piece.file])) for piece in batch]
        layout = _Layout(lines)
        for piece, state, start, stop in zip(batch, states, edges[:-1], edges[1:], strict=True):
            self._structure(layout, piece, state, int(start), int(stop))
        masked = mask(
            lines,
            layout.flows,
            layout.records,
            layout.runs,
            self._plan,
            self._pseudonymiser,
            blank_unknown=self._request.blank_unknown,
        )
        if masked.refusal is not None:
            at = int(np.searchsorted(edges, masked.refusal.line, side="right")) - 1
            where = _place(states[at], masked.refusal.line - int(edges[at]))
            raise RefusedError(masked.refusal.what, where=where, remedy=masked.refusal.remedy or _CLASSIFY)
        for state, run in zip(layout.unfinished, masked.after, strict=True):
            state.nested = run
        self._count(masked)
        out, moved = splice(lines.data, [*masked.edits, layout.edits()])
        longer = moved.texts.str.len_bytes().to_numpy().astype(np.int64) - (moved.ends - moved.starts)
        grown = np.concatenate([[0], np.cumsum(longer)])
        ends = offsets + grown[np.searchsorted(moved.starts, offsets)]
        for piece, state, start, stop, used in zip(batch, states, ends[:-1], ends[1:], np.diff(edges), strict=True):
            self._write(piece, state, out[start : stop - piece.unended])
            state.lines += int(used)

    def _structure(self, layout: _Layout, piece: Piece, state: _State, start: int, stop: int) -> None:
        """Go from header to trailer through one piece's lines; say which flow each record is of."""
        at = start
        for line in layout.control(start, stop):
            self._records(layout, state, at, line, start)
            where = _place(state, line - start)
            if layout.lines.codes[line] == control.TRAILER:
                self._end(layout, state, line, where)
            else:
                self._begin(layout, state, line, where)
            at = line + 1
        self._records(layout, state, at, stop, start, unfinished=state.header is not None)
        if piece.last and state.header is not None:
            raise IntakeError("ends without its ZPT trailer record", where=state.file.name, remedy=control.RESEND)
        if piece.last and not state.found.flows:
            raise IntakeError("holds no flow: there is no ZHV or ZHD record", where=state.file.name)

    def _records(
        self, layout: _Layout, state: _State, start: int, stop: int, base: int, *, unfinished: bool = False
    ) -> None:
        if (odd := layout.first_odd(start, stop)) is not None:
            what = "is not a record: a group id, fields separated by |, and a final |"
            raise IntakeError(what, where=_place(state, odd - base), remedy=control.RESEND)
        count = layout.count(start, stop)
        if count and state.header is None:
            line = start + int(np.argmax(layout.records[start:stop]))
            raise IntakeError("is outside header and trailer", where=_place(state, line - base))
        layout.flows[start:stop] = state.flow
        if count or unfinished:
            layout.runs.append(replace(state.nested, start=start, stop=stop, unfinished=unfinished))
            layout.unfinished += [state] if unfinished else []
        state.records += count
        state.found.records += count

    def _begin(self, layout: _Layout, state: _State, line: int, where: str) -> None:
        if state.header is not None:
            raise IntakeError(
                "starts a flow before the trailer of the previous one", where=where, remedy=control.RESEND
            )
        header, changes = control.read_header(layout.lines, line, test_flag=self._request.test_flag, where=where)
        key = (header.flow, header.version)
        label = header.flow + header.version
        if key not in self._numbers:
            raise IntakeError(f"holds {label}, which is not in the catalogue", where=where)
        self._judge_policy(self._numbers[key], where)
        if header.form == b"ZHD" and self._request.require_test_flag:
            what = "begins with ZHD, a header that cannot be marked as a test"
            raise RefusedError(what, where=where, remedy="leave out --require-test-flag to mask it all the same")
        state.header, state.flow, state.records, state.nested = header, self._numbers[key], 0, Run(0, 0)
        state.found.flows[label] += 1
        state.found.without_test_flag += header.form == b"ZHD"
        layout.changes.extend(changes)

    def _end(self, layout: _Layout, state: _State, line: int, where: str) -> None:
        if state.header is None:
            raise IntakeError("is a trailer without a header", where=where, remedy=control.RESEND)
        layout.changes.extend(control.judge_trailer(layout.lines, line, state.header, state.records, where=where))
        state.header = None

    def _judge_policy(self, flow: int, where: str) -> None:
        """Refuse a flow that has items of no kind, unless they are to be blanked."""
        if flow not in self._unclassified:
            names = {p.item.item: p.item.name for p in self._plan.unclassified(flow)}
            self._unclassified[flow] = ", ".join(f"{item} {name}" for item, name in sorted(names.items()))
        if self._unclassified[flow] and not self._request.blank_unknown:
            what = f"the policy does not classify {self._unclassified[flow]} of {self._plan.flows[flow].label}"
            raise RefusedError(what, where=where, remedy=_CLASSIFY)

    def _count(self, masked: Masked) -> None:
        self._masked += masked.masked
        self._uncovered += masked.uncovered
        self._blanked += masked.blanked
        self._moved += masked.moved
        self._blanked_records.update(masked.blanked_records)

    def _write(self, piece: Piece, state: _State, text: bytes) -> None:
        if state.output is None:
            state.output = Output(self._folder / state.file.name, gzipped=piece.gzipped)
        state.output.write(piece.prefix + text)
        if piece.last:
            state.found.size, state.found.sha256 = state.output.close()
            self._done.append(state.found)
            del self._open[piece.file]

    def report(self) -> Report:
        """Return what was done with which item."""
        plan = self._plan
        report = Report(self._done)
        for cell in np.flatnonzero(self._masked):
            place = plan.places[int(cell)]
            kind = place.kind.value if place.kind else ""
            report.masked[place.item.item, place.item.name, kind] += int(self._masked[cell])
        for cell in np.flatnonzero(self._uncovered):
            place = plan.places[int(cell)]
            report.uncovered[place.item.item, place.item.name] += int(self._uncovered[cell])
        for cell in np.flatnonzero(self._blanked):
            found = plan.places.get(int(cell))
            key = int(plan.keys[int(cell) // plan.width])
            label = found.label if found else f"{_group(plan, *divmod(key, 1 << 24))} beyond its layout"
            report.blanked[label] += int(self._blanked[cell])
        for cell in np.flatnonzero(self._moved):
            label = f"{plan.places[int(cell)].label}: record shorter or longer than its layout"
            report.blanked[label] += int(self._moved[cell])
        for (flow, code), count in self._blanked_records.items():
            report.blanked[f"{_group(plan, flow, code)}, whole records"] += count
        return report


def _group(plan: Plan, flow: int, code: int) -> str:
    name = code.to_bytes(3, "big").rstrip(b"\0").decode("ascii")
    return f"{plan.flows[flow].label} group {name}"


def _place(state: _State, line: int) -> str:
    return f"{state.file.name}: line {state.lines + line + 1}"


class _Layout:
    """Lines of a block and what is found out of them: the flow of each, control records, changes of these."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        is_control = np.isin(lines.codes, _CONTROL)
        self.records: Marks = (lines.codes > 0) & ~is_control
        self.flows: Ints = np.zeros(lines.count, dtype=np.int32)
        self.changes: list[control.Change] = []
        self.runs: list[Run] = []
        self.unfinished: list[_State] = []  # files whose last run goes on in the next block
        self._control = np.flatnonzero(is_control)
        self._odd = np.flatnonzero(lines.codes == 0)
        self._before = np.concatenate([[0], np.cumsum(self.records)])

    def control(self, start: int, stop: int) -> Iterable[int]:
        """Return the header and trailer lines of a range."""
        first, last = np.searchsorted(self._control, [start, stop])
        return (int(line) for line in self._control[first:last])

    def count(self, start: int, stop: int) -> int:
        """Return how many records a range has."""
        return int(self._before[stop] - self._before[start])

    def first_odd(self, start: int, stop: int) -> int | None:
        """Return the first line of a range that is neither blank nor a record."""
        at = int(np.searchsorted(self._odd, start))
        return int(self._odd[at]) if at < self._odd.size and self._odd[at] < stop else None

    def edits(self) -> Edits:
        """Return the changes of headers and trailers."""
        starts, ends, texts = zip(*self.changes, strict=True) if self.changes else ((), (), ())
        return Edits(np.array(starts, np.int32), np.array(ends, np.int32), pl.Series("", texts, dtype=pl.String))
