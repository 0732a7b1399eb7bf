"""Which connection provider a sender uses for an interface: a CSV file of the participant (Q104, Q107).

Columns: ``interface`` (IF-031, or blank for every interface of the sender), ``dip_id``, ``connection_provider``. A
sender has one provider an interface; a line for one interface wins over that for all.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.errors import ConfigurationError

COLUMNS = ("interface", "dip_id", "connection_provider")
_DIP_ID = re.compile(r"[0-9A-Fa-f]{10}")


def read_providers(path: Path, interfaces: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """Return (interface, DIP id) -> DIP id of the connection provider.

    Raises:
        ConfigurationError: the file cannot be read, lacks a column, has a malformed line, or two providers for one
            interface and sender; with the line.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), strict=True))
    except OSError as fault:
        raise ConfigurationError("cannot be read", where=path.name, remedy=fault.strerror or "") from None
    except (UnicodeDecodeError, csv.Error):
        raise ConfigurationError("is not CSV in UTF-8", where=path.name) from None
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if sorted(header) != sorted(COLUMNS):
        raise ConfigurationError(f"needs the columns {', '.join(COLUMNS)}", where=path.name)
    every: dict[tuple[str, str], str] = {}
    one: dict[tuple[str, str], str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        where = f"{path.name}, line {number}"
        interface, dip_id, provider = _line(line, header, interfaces, where)
        for name in [interface] if interface else interfaces:
            known = one if interface else every
            if known.setdefault((name, dip_id), provider) != provider:
                raise ConfigurationError(f"gives a sender a second connection provider for {name}", where=where)
    return every | one


def _line(line: Sequence[str], header: Sequence[str], interfaces: Sequence[str], where: str) -> tuple[str, str, str]:
    if len(line) != len(header):
        raise ConfigurationError("has another number of cells than the header", where=where)
    cells = {name: cell.strip() for name, cell in zip(header, line, strict=True)}
    interface = cells["interface"].upper()
    if interface and interface not in interfaces:
        raise ConfigurationError("names an interface that there is not", where=where)
    for name in COLUMNS[1:]:
        if not _DIP_ID.fullmatch(cells[name]):
            raise ConfigurationError(f"{name} is not a DIP id: ten hexadecimal digits", where=where)
    return interface, cells["dip_id"], cells["connection_provider"]
