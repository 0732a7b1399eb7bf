"""A proposal as a ``CUT.yaml`` with comments; what a person has to decide is marked UNSURE."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from flows.check.propose import ProposedCut, ProposedSource
from transforms.column_map import shown
from transforms.proposal import KNOWN, Match

UNSURE = "# UNSURE:"
LISTED = 20  # files that are named one by one
NAMES = 10  # headings that one comment names


def cut_yaml(
    found: ProposedCut, folder: Path, *, cut_id: str, day: date | None, today: date, key: str, role: str, mpid: str
) -> str:
    """Return the text of ``CUT.yaml`` for a folder in which it will lie.

    Args:
        day: the cut date; ``None`` where nobody said, then it is today's and marked.
    """
    doubt = [] if cut_id else ["the id that the programme announced for this cut"]
    lines = [
        "# Proposed by datacut init from the first rows of the files. Look at every line marked UNSURE, then run",
        "#   datacut check CUT.yaml      what would be read and excluded; writes no pack",
        "#   datacut anonymise CUT.yaml  the submission pack",
        "# Paths are relative to this file.",
        "",
        "cut:",
        _line(f"  id: {json.dumps(cut_id or f'CUT-{(day or today):%Y-%m-%d}')}", doubt),
        _line(f"  date: {day or today}", [] if day else ["the day of the cut; today's is put here"]),
        _line(f"  key: {json.dumps(key)}", ["where the cut key is, from its custodian; mode 0600"]),
        "  # fingerprint: 0123456789abcdef  # as announced; datacut key fingerprint prints that of your key",
        "",
        "# reference:",
        "#   market_domain_data: mdd  # a folder of Market Domain Data, if you have it: codes are then held against it",
        "",
        "participants:",
    ]
    for (who, what, sure), sources in _participants(found.sources, role, mpid).items():
        lines.append(_line(f"  - mpid: {who}", [] if sure else ["your MPID"]))
        lines.append(_line(f"    role: {what}", [] if role else ["your role, from what the files are"]))
        lines.append("    extracts:")
        for source in sources:
            lines += _source(source, folder)
    for source in found.sources:
        if source.contract is None:
            lines += ["", f"# Left out: {_names(source.paths, folder)}: {'; '.join(source.unsure)}"]
    for line in found.unread:
        lines += ["", f"# Cannot be read: {line}"]
    lines += [
        "",
        "release:",
        "  folder: out",
        _line('  signing_key: "signing.pem"', ["your signing key; datacut key signing --out signing.pem makes one"]),
    ]
    return "\n".join(lines) + "\n"


def _participants(
    sources: Sequence[ProposedSource], role: str, mpid: str
) -> dict[tuple[str, str, bool], list[ProposedSource]]:
    found: dict[tuple[str, str, bool], list[ProposedSource]] = {}
    for source in sources:
        if source.contract is not None:
            what = role.upper() or source.contract.role
            guessed = next((s.mpid for s in sources if s.contract and s.mpid and (role or s.contract.role == what)), "")
            found.setdefault((mpid or guessed or "MPID", what, bool(mpid)), []).append(source)
    return found


def _source(source: ProposedSource, folder: Path) -> list[str]:
    contract = source.contract
    assert contract is not None  # noqa: S101 - those without are left out
    how = ", ".join(filter(None, [source.flow or source.form, source.delimiter, source.encoding]))
    lines = ["", f"      # {_told(source)}: {how}"]
    doubts = [doubt for doubt in source.unsure if doubt]
    lines.append(_line(f"      - contract: {contract.extract}", [d for d in doubts if d.startswith("it could be")]))
    lines.append("        source:")
    lines.append(f"          path: {_paths(source.paths, folder)}")
    lines += [f"          {name}: {value}" for name, value in source.dialect.items()]
    own = [match for match in source.matches if match.sure != KNOWN]
    if own or source.undecided:
        lines.append("          columns:" if own else "          # columns:")
        lines += [_column(match) for match in own]
        for name, heading in source.undecided.items():
            told = "it may mean this; take the # away at the start of the line, and of columns:, if it does"
            lines.append(f"          #  {name}: {json.dumps(heading, ensure_ascii=False)}  {UNSURE} {told}")
    if source.dates:
        lines.append("          dates:")
        lines += [_line(f"            {name}: {json.dumps(order)}", ["the order in which all its dates can be read"])
                  for name, order in source.dates.items()]  # fmt: skip
    if source.harmless:
        names = json.dumps(list(source.harmless), ensure_ascii=False)
        lines.append(f"          # harmless: {names}  {UNSURE} take the # away if these name no person")
    known = [f"{match.column} <- {match.heading.strip()}" for match in source.matches if match.sure == KNOWN]
    lines += _comment("known names", known)
    lines += _comment("dropped unread", [shown(heading) for heading in source.dropped])
    lines += _comment("optional, not there", list(source.missing))
    lines += _comment("UNSURE: required and not found, name them under columns", list(source.lacking))
    lines += [f"          {UNSURE} {doubt}" for doubt in doubts if not doubt.startswith("it could be")]
    return lines


def _column(match: Match) -> str:
    line = f"            {match.column}: {json.dumps(match.heading, ensure_ascii=False)}"
    why = "by its words" if match.sure == "likely" else "only by what it holds"
    told = f"{why}, {100 * match.score:.0f}% sure; {100 * match.agrees:.0f}% of its cells fit"
    return f"{line}  {UNSURE} {told}" + (f"; or {shown(match.rival)}?" if match.rival else "")


def _line(text: str, doubts: Sequence[str]) -> str:
    return f"{text}  {UNSURE} {'; '.join(doubts)}" if doubts else text


def _comment(what: str, names: Sequence[str]) -> list[str]:
    lines = []
    for at in range(0, len(names), NAMES // 2):
        head = f"{what}: " if not at else "  "
        lines.append(f"          # {head}{', '.join(names[at : at + NAMES // 2])}")
    return lines


def _told(source: ProposedSource) -> str:
    return f"{len(source.paths):,} files" if len(source.paths) > 1 else "one file"


def _paths(paths: Sequence[Path], folder: Path) -> str:
    """Return how the files of a source are named: one, a list, or a folder where there are many and nothing else."""
    names = [path.relative_to(folder).as_posix() for path in paths]
    if len(names) == 1:
        return json.dumps(names[0], ensure_ascii=False)
    if len(names) > LISTED:
        parents = sorted({path.parent for path in paths})
        globs = []
        for parent in parents:
            ending = {path.suffix for path in paths if path.parent == parent}
            place = parent.relative_to(folder).as_posix()
            globs += [f"{place}/*{suffix}" if place != "." else f"*{suffix}" for suffix in sorted(ending)]
        return json.dumps(globs, ensure_ascii=False)
    return json.dumps(names, ensure_ascii=False)


def _names(paths: Sequence[Path], folder: Path) -> str:
    names = [path.relative_to(folder).as_posix() for path in paths[:3]]
    return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
