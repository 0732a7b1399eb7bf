"""Demand books as CSV: one demand a line, faults told with their lines, all at once.

Columns: ``round, test_case, stage, participant, priority, base, spare, kind, criteria, export_criteria, mutates``;
optional: ``phase, role, minimum, reuse, processes``
(names of market processes, with spaces between). Criteria are JSON: attribute to a list of values, or to
``{"from": .., "to": ..}``, or to ``{"present": true}``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from contracts.ringfence.model import Criterion, Demand, UnitKind

NEEDED = ("round", "test_case", "stage", "participant", "priority", "base", "spare", "kind", "criteria")
OPTIONAL = ("export_criteria", "mutates", "phase", "role", "minimum", "reuse", "processes")
MOST_FAULTS = 20
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0", "")


class _LineError(ValueError):
    pass


def read_demand_csv(text: str, name: str) -> list[Demand]:
    """Return the demands of a CSV demand book.

    Args:
        text: of the file; ``name``: of the file, for messages.

    Raises:
        ConfigurationError: columns are missing or lines are wrong; tells every line (up to 20).
    """
    rows = list(_rows(text, name))
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    missing = [column for column in NEEDED if column not in header]
    unknown = sorted(set(header) - {*NEEDED, *OPTIONAL})
    if missing or unknown or len(set(header)) != len(header):
        what = f"lacks {', '.join(missing)}" if missing else f"has columns it cannot have: {', '.join(unknown)}"
        raise ConfigurationError(what if missing or unknown else "has a column twice", where=f"{name} line 1")
    demands, faults = [], []
    for line, cells in rows[1:]:
        try:
            if len(cells) != len(header):
                raise _LineError(f"has {len(cells)} fields, not {len(header)}")
            demands.append(_demand(dict(zip(header, cells, strict=True)), f"{name} line {line}"))
        except _LineError as fault:
            faults.append(f"line {line}: {fault}")
    if faults:
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise ConfigurationError("; ".join(faults[:MOST_FAULTS]) + more, where=name)
    if not demands:
        raise ConfigurationError("holds no demand", where=name)
    return demands


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line it begins on, fields) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error:
        raise ConfigurationError("is not proper CSV", where=f"{name} line {begins}") from None


def _demand(cells: dict[str, str], where: str) -> Demand:
    kind = _kind(cells["kind"])
    stage = cells["stage"].strip()
    mutates = _flag(cells.get("mutates", "true"), "mutates")
    demand = Demand(
        test_case=_name(cells["test_case"], "test_case"),
        phase=cells.get("phase", "").strip().upper() or phase_of(stage),
        stage=stage,
        participant=cells["participant"].strip(),
        role=cells.get("role", "").strip(),
        round=_number(cells["round"], "round", least=0),
        priority=_number(cells["priority"], "priority", least=0),
        base=_number(cells["base"], "base"),
        spare=_number(cells["spare"] or "0", "spare"),
        minimum=_number(cells.get("minimum", "") or "0", "minimum"),
        kind=kind,
        criteria=_criteria(cells["criteria"], "criteria"),
        export_criteria=_criteria(cells.get("export_criteria", ""), "export_criteria"),
        mutates=mutates,
        reuse=_flag(cells.get("reuse", ""), "reuse"),
        processes=tuple(cells.get("processes", "").split()),
        where=where,
    )
    if demand.export_criteria and kind is not UnitKind.PAIR:
        raise _LineError("export_criteria belong to kind PAIR only")
    if demand.minimum > demand.base:
        raise _LineError("minimum is greater than base")
    if demand.reuse and mutates:
        raise _LineError("a test case that mutates its MPANs cannot allow their reuse")
    return demand


def phase_of(stage: str) -> str:
    """Return CIT or SIT for a stage; a stage of neither is a phase of its own."""
    word = stage.strip().upper()
    return word[:3] if word.startswith(("CIT", "SIT")) else word or "SIT"


def _kind(text: str) -> UnitKind:
    try:
        return UnitKind(text.strip().upper() or "SINGLE")
    except ValueError:
        raise _LineError("kind is SINGLE, PAIR or GROUP") from None


def _name(text: str, column: str) -> str:
    name = text.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise _LineError(f"{column} is empty, too long or not printable")
    return name


def _number(text: str, column: str, *, least: int = 0) -> int:
    word = text.strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise _LineError(f"{column} is not a whole number")
    if int(word) < least:
        raise _LineError(f"{column} is below {least}")
    return int(word)


def _flag(text: str, column: str) -> bool:
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise _LineError(f"{column} is not true or false")
    return word in _TRUE


def _criteria(text: str, column: str) -> tuple[Criterion, ...]:
    if not text.strip():
        return ()
    try:
        document: Any = json.loads(text)
    except ValueError:
        raise _LineError(f"{column} is not JSON") from None
    if not isinstance(document, dict):
        raise _LineError(f"{column} is not a JSON object")
    return tuple(sorted((_criterion(name, wanted, column) for name, wanted in document.items()), key=repr))


def _criterion(name: str, wanted: Any, column: str) -> Criterion:
    if isinstance(wanted, dict) and wanted and set(wanted) <= {"from", "to"}:
        ends = {end: _word(value, column) for end, value in wanted.items()}
        return Criterion(name, at_least=ends.get("from"), at_most=ends.get("to"))
    if isinstance(wanted, dict) and set(wanted) == {"present"} and isinstance(wanted["present"], bool):
        return Criterion(name, present=wanted["present"])
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values:
        raise _LineError(f"{column}: {name} names no value")
    return Criterion(name, values=tuple(sorted({_word(value, column) for value in values})))


def _word(value: Any, column: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _LineError(f"{column}: a value is neither text, number nor true/false")


def read_text(path: Path) -> str:
    """Return the text of a plan.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise ConfigurationError("cannot be read", where=str(path), remedy=fault.strerror or "") from None
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", where=str(path)) from None
