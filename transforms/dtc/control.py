"""Header and trailer of a flow file: what they say, and what of them a masked file may not keep.

``ZHV`` and its ``ZPT`` are the user file form; ``ZHD`` is a shorter header, without file id and test flag, whose
``ZPT`` begins with the count. The forms of the fields are narrow, so that no identifier passes in one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts.errors import IntakeError, RefusedError
from transforms.dtc.records import Lines, group_code

RESEND = "ask the sender for the file again"
TEST_FLAG = re.compile(r"TR\d\d", re.ASCII)
_TEXT, _ROLE, _PARTY, _TIME = r"[ -~]{0,10}", r"[0-9A-Z]{0,2}", r"[0-9A-Z]{0,4}", r"|\d{8}|\d{12}|\d{14}"
_ROUTE = (r"D\d{7}", _ROLE, _PARTY, _ROLE, _PARTY, _TIME)
_HEADERS = {b"ZHV": (_TEXT, *_ROUTE, _TEXT, _TEXT, _TEXT, r"[0-9A-Z]{0,4}"), b"ZHD": _ROUTE}
_TRAILER = (r"\d{1,10}", r"[ -~]{0,20}", r"\d{0,10}", _TIME)
_TRAILERS = {b"ZHV": (_TEXT, *_TRAILER), b"ZHD": _TRAILER}
_FLAG_PLACE = 10
HEADERS = tuple(group_code(name.decode()) for name in _HEADERS)
TRAILER = group_code("ZPT")


@dataclass(frozen=True, slots=True)
class Header:
    """A header record: its form, ``ZHV`` or ``ZHD``, the file id, and flow and version."""

    form: bytes
    file_id: str
    flow: str
    version: str


Change = tuple[int, int, str]  # where a piece begins and ends, and what replaces it


def read_header(lines: Lines, line: int, *, test_flag: str, where: str) -> tuple[Header, list[Change]]:
    """Return a header and the change that marks its file as a test.

    Raises:
        IntakeError: a field is not of its form, or one is missing.
    """
    form = lines.data[lines.starts[line] : lines.starts[line] + 3].tobytes()
    fields = _fields(lines, line, _HEADERS[form], "header", where)
    least = len(_ROUTE) + (form == b"ZHV")
    if len(fields) < least:
        raise IntakeError("its header lacks fields", where=where, remedy=RESEND)
    file_id, flow = (fields[0], fields[1]) if form == b"ZHV" else ("", fields[0])
    changes: list[Change] = []
    if form == b"ZHV":
        changes = _flagged(lines, line, fields, test_flag)
    return Header(form, file_id, flow[:5], flow[5:]), changes


def _flagged(lines: Lines, line: int, fields: list[str], test_flag: str) -> list[Change]:
    if len(fields) > _FLAG_PLACE:
        at = int(lines.first[line]) + _FLAG_PLACE
        kept = TEST_FLAG.fullmatch(fields[_FLAG_PLACE])
        return [] if kept else [(int(lines.field_starts[at]), int(lines.field_ends[at]), test_flag)]
    text = lines.data[lines.starts[line] : lines.ends[line]].tobytes().rstrip()
    end = int(lines.starts[line]) + len(text)
    closing = "" if text.endswith(b"|") else "|"
    return [(end, end, closing + "|" * (_FLAG_PLACE - len(fields)) + test_flag + "|")]


def judge_trailer(lines: Lines, line: int, header: Header, records: int, *, where: str) -> list[Change]:
    """Hold a trailer against its header and the records between them; return the changes of its count and checksum.

    A count of all records, header and trailer with them, is put right in the user file form.

    Raises:
        IntakeError: a field is not of its form, or the count is missing.
        RefusedError: it is of another file, or counts other records than there are.
    """
    fields = _fields(lines, line, _TRAILERS[header.form], "trailer", where)
    place = 1 if header.form == b"ZHV" else 0
    if len(fields) <= place:
        raise IntakeError("its trailer lacks the number of records", where=where, remedy=RESEND)
    if place and fields[0].strip() != header.file_id.strip():
        raise RefusedError("header and trailer belong to different files", where=where, remedy=RESEND)
    stated, changes = int(fields[place]), []
    if stated not in {records, records + 2}:
        what = f"the trailer states another number of records than the {records} found"
        raise RefusedError(what, where=where, remedy=RESEND)
    first = int(lines.first[line])
    if stated != records and header.form == b"ZHV":
        at = first + place
        changes.append((int(lines.field_starts[at]), int(lines.field_ends[at]), str(records)))
    if len(fields) > place + 1 and fields[place + 1]:
        at = first + place + 1
        changes.append((int(lines.field_starts[at]), int(lines.field_ends[at]), ""))
    return changes


def _fields(lines: Lines, line: int, forms: tuple[str, ...], name: str, where: str) -> list[str]:
    """Return the fields of a control record that its form knows; what stands beyond must be blank."""
    fields = [field.decode("ascii", errors="replace") for field in lines.fields(line)]
    if any(field.strip() for field in fields[len(forms) :]):
        raise IntakeError(f"its {name} has more fields than it should", where=where, remedy=RESEND)
    for number, (field, form) in enumerate(zip(fields, forms, strict=False), 1):
        if not re.fullmatch(form, field.strip(), re.ASCII):
            raise IntakeError(f"field {number} of its {name} is not of its form", where=where, remedy=RESEND)
    return fields[: len(forms)]
