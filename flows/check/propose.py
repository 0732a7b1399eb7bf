"""What files are likely to be: contract, form, dialect and columns of each, from its first rows.

Raw values are in memory alone; what leaves are headings, names of contracts, shares and file names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from contracts.codes import code_table
from contracts.errors import ConfigurationError, DataCutError, IntakeError, RefusedError
from contracts.headings import headings
from contracts.load import load_all
from contracts.model import Contract, plain
from contracts.vocabulary import Form
from flows.intake import Limits, Reader, SourceSpec, open_source
from flows.intake.detect import open_bytes
from flows.intake.files import CLEANSE, expand
from flows.intake.joined import flow_of
from flows.intake.source import safe_name
from transforms.column_map import map_columns, shown
from transforms.proposal import KNOWN, Contents, Match, Proposal, date_order, propose

LOOKED_AT = 5_000  # rows of a file
LEAST = 0.2  # score below which a contract is not proposed
ANOTHER = 0.25  # another contract whose score is that near is told
TRIED: tuple[dict[str, Any], ...] = (
    {}, {"quote": "none"}, {"quote": "backslash"}, {"encoding": "cp1252"}, {"delimiter": "pipe"},
    {"delimiter": "comma"}, {"delimiter": "tab"}, {"delimiter": "pipe", "quote": "none"},
)  # fmt: skip
FEW = Limits(block_bytes=1 << 20)


@dataclass(slots=True)
class ProposedSource:
    """One source: files that have the same headings, as what they are likely to be.

    Attributes:
        paths: of the files. dialect: what of it must be declared.
        contract: ``None`` where it is none that we know.
        flow: flow and version of DTC files.
        matches: headings by column. dropped, missing, refused: headings that nothing names, optional columns that are
            not there, headings that are not to be sent. harmless: headings that only sound like a person's.
        dates: column -> what ``dates:`` has to say.
        unsure: what a person has to decide, in words.
    """

    paths: list[Path]
    form: str
    delimiter: str = ""
    encoding: str = ""
    dialect: Mapping[str, str] = field(default_factory=dict)
    contract: Contract | None = None
    flow: str = ""
    matches: tuple[Match, ...] = ()
    dropped: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    refused: str = ""
    harmless: tuple[str, ...] = ()
    undecided: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    mpid: str = ""


@dataclass(slots=True)
class ProposedCut:
    """Sources, and files that cannot be read with the reason."""

    sources: list[ProposedSource] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


def look(paths: Sequence[Path], *, role: str = "", mpid: str = "") -> ProposedCut:
    """Look at files and folders.

    Raises:
        ConfigurationError: a path does not exist. IntakeError: nothing of it is a backup.
    """
    contracts = load_all()
    if role and role.upper() not in {contract.role for contract in contracts.values()}:
        known = ", ".join(sorted({contract.role for contract in contracts.values()}))
        raise ConfigurationError(f"there is no role {role!r}", remedy=f"choose one of {known}")
    found = ProposedCut()
    groups: dict[tuple[object, ...], ProposedSource] = {}
    samples: dict[tuple[object, ...], pl.DataFrame] = {}
    for path in _files(paths, found):
        try:
            _look_at(path, contracts, groups, samples)
        except DataCutError as fault:
            found.unread.append(fault.line())
    for key, source in groups.items():
        if source.contract is None and key in samples:
            _choose(source, samples[key], contracts, role.upper(), mpid)
        found.sources.append(source)
    if not found.sources:
        why = found.unread[0] if found.unread else "no file is there"
        raise IntakeError(f"nothing that can be read: {why}", remedy="name the files or the folder of your backup")
    return found


def _files(paths: Sequence[Path], found: ProposedCut) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigurationError("there is no such file or folder", where=safe_name(path.name))
        if path.is_dir():
            whole = path.absolute()
            specs, skipped = expand(SourceSpec(name=path.name or "backup", paths=(whole,), root=whole))
            files += [spec.path for spec in specs if spec.path is not None]
            found.beside += [safe_name(name) for name in skipped]
        elif path.name == CLEANSE:
            found.unread.append(f"{CLEANSE}: is the list of rows to put right, not a backup")
        else:
            files.append(path.absolute())
    return list(dict.fromkeys(files))


def _look_at(
    path: Path,
    contracts: Mapping[str, Contract],
    groups: dict[tuple[object, ...], ProposedSource],
    samples: dict[tuple[object, ...], pl.DataFrame],
) -> None:
    """Put one file with those that are like it."""
    spec = SourceSpec(name=safe_name(path.name), path=path, root=path.parent)
    if flow := _flow(spec):
        taking = [c for c in contracts.values() if any(layout.takes(flow) for layout in c.dtc_layouts)]
        if not taking:
            raise IntakeError(f"is the flow {flow[:8]}, from which no contract takes anything", where=spec.name)
        for contract in taking:
            source = groups.setdefault(("dtc", flow, contract.extract), ProposedSource([], "dtc", flow=flow[:8]))
            source.contract = contract
            source.paths.append(path)
        return
    reader, dialect, sample = _open(spec)
    key = (reader.form, reader.delimiter, tuple(map(plain, sample.columns)), tuple(dialect.items()))
    if key not in groups:
        groups[key] = ProposedSource([], reader.form, reader.delimiter or "", reader.encoding, dialect)
        samples[key] = sample
    groups[key].paths.append(path)


def _flow(spec: SourceSpec) -> str:
    """Return flow and version of a DTC user file; empty for anything else."""
    try:
        with open_bytes(spec) as read:
            start = read(512)
    except DataCutError:
        return ""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return flow_of(text) if text.startswith((b"ZHV|", b"ZHD|")) else ""


def _open(spec: SourceSpec) -> tuple[Reader, dict[str, str], pl.DataFrame]:
    """Open a table in the first dialect in which its first rows can be read.

    Raises:
        IntakeError, RefusedError: in none of them; what the plainest one says.
    """
    first: DataCutError | None = None
    for dialect in TRIED:
        try:
            with open_source(replace(spec, **dialect), limits=FEW) as reader:
                rows = next(iter(reader.batches()), None)
                header = reader.header
                if rows is None:
                    rows = pl.DataFrame(schema=dict.fromkeys(header, pl.String))
                if len(header) == 1 and "delimiter" in dialect:
                    continue
                return reader, dict(dialect), rows.head(LOOKED_AT)
        except (IntakeError, RefusedError) as fault:
            first = first or fault
    assert first is not None  # noqa: S101 - some dialect failed
    raise first


def _choose(
    source: ProposedSource, sample: pl.DataFrame, contracts: Mapping[str, Contract], role: str, mpid: str
) -> None:
    """Choose the contract that fits a table best, and say what is unsure."""
    likely, contents = headings().likely, Contents(sample)
    ranked = sorted(
        (propose(contract, contents, likely, own_mpid=mpid) for contract in contracts.values()),
        key=lambda p: -(p.score + (0.3 if role and contracts[p.contract].role == role else 0.0)),
    )
    best = ranked[0]
    if best.score < LEAST or not any(match.column == "mpan_core" for match in best.matches):
        source.unsure.append("no contract fits it: it has no column of MPANs, or none of the other columns is known")
        return
    contract = contracts[best.contract]
    source.contract = contract
    near = [p.contract for p in ranked[1:] if best.score - p.score < ANOTHER and not p.missing]
    if near:
        source.unsure.append(f"it could be {' or '.join(near)} as well")
    _fill(source, best, sample, contract)
    source.mpid = mpid or _guess_mpid(source, sample)


def _fill(source: ProposedSource, best: Proposal, sample: pl.DataFrame, contract: Contract) -> None:
    undecided = {plain(heading): names for heading, names in contract.undecided.items()}
    matches = []
    for match in best.matches:
        if match.sure != KNOWN and plain(match.heading) in undecided:
            source.undecided[match.column] = match.heading
            continue
        matches.append(match)
        if match.rival:
            source.unsure.append(f"{match.column}: {shown(match.heading)} or {shown(match.rival)}?")
        if match.agrees < 0.5:
            source.unsure.append(f"{match.column}: {100 * match.agrees:.0f}% of {shown(match.heading)} have its form")
    source.matches, source.lacking = tuple(matches), best.missing
    taken = {match.heading for match in matches}
    own = {match.column: match.heading for match in matches if match.sure != KNOWN}
    source.harmless, source.refused = _persons(contract, sample.columns, own)
    source.dropped = tuple(h for h in sample.columns if h not in taken and h not in source.undecided.values())
    held = {match.column for match in matches} | set(source.undecided)
    source.missing = tuple(c.name for c in contract.columns if not c.required and c.name not in held)
    for match in matches:
        if contract.column(match.column).form is Form.DATE:
            order = date_order(sample[match.heading], contract.spelling)
            if order == "?":
                source.unsure.append(f"{match.column}: its dates are neither all day first nor all month first")
            elif order:
                source.dates[match.column] = order
    if source.refused:
        source.unsure.append(source.refused)


def _persons(contract: Contract, header: Sequence[str], own: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return headings that only sound like a person's, and what is said of those that are not to be sent."""
    whole = replace(contract, columns=tuple(replace(column, required=False) for column in contract.columns))
    harmless: list[str] = []
    for heading in header:
        try:
            map_columns(whole, [heading], where="")
        except RefusedError:
            try:
                map_columns(whole, [heading], where="", harmless=[heading])
                harmless.append(heading)
            except RefusedError:
                pass
    try:
        map_columns(whole, header, where="", own=own, harmless=harmless)
    except (RefusedError, ConfigurationError) as fault:
        return tuple(harmless), f"{fault.what} ({fault.remedy})"
    return tuple(harmless), ""


def _guess_mpid(source: ProposedSource, sample: pl.DataFrame) -> str:
    """Return whose backup it is by its rows: the supplier, or the distributor of its MPANs; empty where they vary."""
    by = {match.column: match.heading for match in source.matches}
    if source.contract is None:
        return ""
    if source.contract.extract == "portfolio" and "supplier_mpid" in by:
        return _most(sample[by["supplier_mpid"]].str.strip_chars())
    if source.contract.extract == "registration" and "mpan_core" in by:
        _, rows = code_table("dno_gsp_groups")
        mpids = {row[0]: row[1] for row in rows}
        prefix = sample[by["mpan_core"]].str.strip_chars().str.slice(0, 2)
        return mpids.get(_most(prefix), "")
    return ""


def _most(texts: pl.Series) -> str:
    counts = texts.drop_nulls().value_counts(sort=True)
    if not counts.height or counts["count"][0] < 0.5 * float(counts["count"].sum()):
        return ""
    most = str(counts[texts.name][0])
    return most if len(most) <= 4 and most.isalnum() and most.isascii() else ""


def common_folder(paths: Sequence[Path]) -> Path:
    """Return the folder that holds all of some files."""
    return Path(os.path.commonpath([path.parent for path in paths]))
