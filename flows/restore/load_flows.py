"""DTC load files: the records of a backup's flow that hang from the metering points that came back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import IO

import polars as pl

from contracts.dtc.layout import DtcLayout
from contracts.model import Contract
from flows.intake.archives import Bytes
from flows.intake.gzip_stream import ByteStream
from flows.intake.joined import flow_of
from transforms.pseudonymise.mpan import normalise
from transforms.release.source_form import TEST_FLAG

BLOCK = 8 << 20
LIVE = "OPER"
TEST_FLAG_PLACE = 11  # in the ZHV record
_PLAIN_MPAN = re.compile(rb"[0-9]{13}")


def write_flow(
    out: IO[bytes], unit: bytes | ByteStream, contract: Contract, mpans: Collection[str], encoding: str
) -> None:
    """Write the records of one DTC user file that hang from some MPANs, with a trailer that counts them.

    Records above the MPAN's group stay, and those before the first, which are about the file; the test flag is never
    ``OPER``. Of a small file whose metering points all came back everything is written; where none did, nothing is.
    """
    if isinstance(unit, bytes):
        known = [layout for layout in contract.dtc_layouts if flow_of(unit).startswith(layout.flow)]
        verdict = _whole(unit, known[0], mpans) if known else None
        if verdict is not None:
            out.write(_with_flag(unit) if verdict else b"")
            return
        unit = Bytes(unit, "")
    _write_chosen(out, unit, contract, mpans, encoding)


def _whole(unit: bytes, layout: DtcLayout, mpans: Collection[str]) -> bool | None:
    """Tell whether all metering points of a small file came back, or none; nothing where it takes a closer look."""
    group, place = layout.fields["mpan_core"]
    start = b"\n" + group.encode() + b"|"
    found = set()
    at = unit.find(start)
    while at >= 0:
        fields = unit[at + 1 : unit.find(b"\n", at + 1) + 1 or None].split(b"|", place + 1)
        value = fields[place].strip() if len(fields) > place else b""
        if not _PLAIN_MPAN.fullmatch(value):
            return None
        found.add(value.decode() in mpans)
        at = unit.find(start, at + 1)
    return found.pop() if len(found) == 1 else None


def _with_flag(unit: bytes) -> bytes:
    """Return a file with its test flag, all else byte for byte."""
    head, end, rest = unit.partition(b"\n")
    crlf = b"\r" if head.endswith(b"\r") else b""
    return _flagged(head.decode("utf-8-sig", "replace").rstrip("\r")).rstrip(b"\n") + crlf + end + rest


def _write_chosen(
    out: IO[bytes], stream: ByteStream, contract: Contract, mpans: Collection[str], encoding: str
) -> None:
    layout: DtcLayout | None = None
    wanted = pl.Series(sorted(mpans), dtype=pl.String)
    keep, count = True, 0
    for lines in _lines(stream):
        ids = lines.str.extract(r"^([^|]*)").str.strip_chars()
        for head in lines.filter(ids == "ZHV"):
            flow = head.split("|")[2]
            layout = next(known for known in contract.dtc_layouts if flow.startswith(known.flow))
            out.write(_flagged(head))
        assert layout is not None  # noqa: S101 - a file begins with its header
        group, place = layout.fields["mpan_core"]
        mpan = normalise(lines.str.split("|").list.get(place, null_on_oob=True).str.strip_chars())
        mine = mpan.is_in(wanted.implode()).fill_null(value=False)
        turn = mine.set(ids != group, None).forward_fill().fill_null(value=keep)  # before the first: kept
        keep = bool(turn[-1])
        chosen = (turn | ids.is_in(_above(layout, group))) & ~ids.is_in(["ZHV", "ZPT"])
        count += int(chosen.sum())
        out.write("".join(f"{line}\n" for line in lines.filter(chosen)).encode(encoding))
        for tail in lines.filter(ids == "ZPT"):
            fields = tail.split("|")
            out.write(("|".join([*fields[:2], str(count), *fields[3:]]) + "\n").encode(encoding))


def _above(layout: DtcLayout, group: str) -> list[str]:
    above = []
    step = layout.parents.get(group)
    while step is not None:
        above.append(step)
        step = layout.parents.get(step)
    return above


def _flagged(head: str) -> bytes:
    fields = head.split("|")
    fields = [*fields[:-1], *[""] * (TEST_FLAG_PLACE + 1 - len(fields[:-1])), ""]
    if fields[TEST_FLAG_PLACE].strip().upper() in ("", LIVE):
        fields[TEST_FLAG_PLACE] = TEST_FLAG
    return ("|".join(fields) + "\n").encode("ascii", "replace")


def _lines(stream: ByteStream) -> Iterator[pl.Series]:
    """Yield the lines of a text in blocks, without their ends."""
    held = b""
    while chunk := stream.read(BLOCK):
        whole, _, held = (held + chunk).rpartition(b"\n")
        if whole:
            yield _text(whole)
    if held.strip():
        yield _text(held)


def _text(data: bytes) -> pl.Series:
    text = data.decode("utf-8-sig", "surrogateescape") if data.isascii() else _decoded(data)
    return pl.Series("line", text.replace("\r\n", "\n").split("\n"), dtype=pl.String)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
