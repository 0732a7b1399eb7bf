"""CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# The last four are the full-width forms, which some spreadsheets fold to the first four.
_TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def safe_cell(value: object) -> str:
    """Return a cell's text; one that a spreadsheet would take for a formula gets an apostrophe in front.

    Numbers keep their sign: they are written by this program, never by a supplier of data.

    Source: CWE-1236, and the OWASP page on CSV injection for the list of characters.
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    # A spreadsheet skips leading spaces and line feeds before it looks for a formula.
    return f"'{text}" if text.lstrip(" \n").startswith(_TRIGGERS) or text.startswith(_TRIGGERS) else text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table as RFC 4180 CSV in UTF-8 with a byte-order mark, every text cell quoted and harmless."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in header])
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")
