"""A mistake is data (``table/*.yaml``): what is put into a folder, the command, and what it has to answer.

| entry | says |
|---|---|
| ``mistake`` | what went wrong, in the words of a person who did it |
| ``table`` | edits of the base portfolio, written to ``p.csv``; see :class:`Table` |
| ``files`` | name -> text, ``base64: ...``, or edits of the base portfolio; a name that ends with ``/`` is a folder |
| ``market`` | table of the published market domain data -> its text in place of the sample's |
| ``packed`` | archive -> files in it, as ``files``; zip, tar or gz by its name |
| ``source``, ``extracts``, ``cut`` | what stands in ``cut.yaml`` in place of what is usual there |
| ``text`` | texts of ``cut.yaml`` that are replaced: old -> new |
| ``run`` | commands, the last of which answers; ``datacut anonymise cut.yaml --plain`` by itself |
| ``without`` | libraries that are not installed |
| ``code``, ``says`` | exit code, and what is printed: all of these texts |
| ``silent`` | texts that are not printed |
| ``released``, ``excluded`` | rows of the pack |
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import re
import shlex
import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import yaml

from tests.command import Done, datacut, datacut_process
from tests.rules.cutting import mpan

HERE = Path(__file__).parent
SHARED = HERE.parent / "cases" / "shared"
ROWS = 40
USUAL = {
    "cut": {"id": "CUT-1", "date": "2023-08-19", "key": "keys/cut.key", "test": True},
    "participants": [{"mpid": "SUPA", "role": "SUP", "extracts": []}],
    "release": {"folder": "out", "signing_key": "keys/signing.pem"},
}
POINTS = tuple(mpan(10 + n % 14, 2_000_000_007 + 7_919 * n) for n in range(ROWS))


@dataclass(frozen=True)
class Mistake:
    """One mistake: the kind it is of (the name of its file), its name, and all else that is said of it."""

    kind: str
    name: str
    given: dict[str, Any]


def mistakes() -> list[Mistake]:
    """Return every mistake of the table, in its order."""
    found = []
    for file in sorted((HERE / "table").glob("*.yaml")):
        for given in yaml.safe_load(file.read_text(encoding="utf-8")):
            found.append(Mistake(file.stem, given["mistake"], given))
    return found


def base() -> dict[str, list[str]]:
    """Return the columns of the base portfolio: heading -> cells."""
    days = [date(2019, 7, 10) + timedelta(n) for n in range(ROWS)]
    return {
        "MPAN_CORE": list(POINTS),
        "SUPPLIER_MPID": ["SUPA"] * ROWS,
        "SUPPLIER_EFFECTIVE_FROM": [day.isoformat() for day in days],
        "DATA_COLLECTOR_MPID": ["DCOL"] * ROWS,
        "METER_OPERATOR_MPID": ["MOPA"] * ROWS,
        "METER_SERIAL_NUMBER": [f"E12Z0707{n:02d}" for n in range(ROWS)],
        "MEASUREMENT_CLASS": ["A"] * ROWS,
        "ENERGISATION_STATUS": ["E"] * ROWS,
        "LINKED_MPAN": [""] * ROWS,
    }


@dataclass
class Table:
    """Edits of the base portfolio, done in this order, and how it is written.

    ``rows``: how many; ``take``: which, from ``a:b``. ``set``: heading -> cell of all rows, or a list that is repeated;
    ``{}`` in it is the cell that was there. ``some``: row from 1 -> heading -> cell. ``dates``: strftime of the date
    column. ``rename``, ``drop``, ``add``, ``order``: headings. Written with ``delimiter``, ``quote`` (all), ``head``
    and ``foot`` (lines), ``trail`` (text after each row), ``newline``, ``encoding``; ``times`` repeats the rows.
    """

    edits: dict[str, Any]

    def data(self) -> bytes:
        columns = self._columns()
        say = self.edits.get
        mark, wrap = say("delimiter", ","), (lambda c: f'"{c}"') if say("quote") else (lambda c: c)
        rows = [mark.join(wrap(cell) for cell in row) + say("trail", "") for row in zip(*columns.values(), strict=True)]
        lines = [*say("head", []), *([] if say("bare") else [mark.join(wrap(name) for name in columns)])]
        lines += [*rows * say("times", 1), *say("foot", [])]
        return "".join(line + say("newline", "\n") for line in lines).encode(say("encoding", "utf-8"))

    def _columns(self) -> dict[str, list[str]]:
        say = self.edits.get
        first, _, last = say("take", f"0:{say('rows', ROWS)}").partition(":")
        columns = {name: cells[int(first) : int(last)] for name, cells in base().items()}
        count = len(columns["MPAN_CORE"])
        if "dates" in self.edits:
            cells = columns["SUPPLIER_EFFECTIVE_FROM"]
            columns["SUPPLIER_EFFECTIVE_FROM"] = [date.fromisoformat(c).strftime(str(say("dates"))) for c in cells]
        for name, cell in {**say("set", {}), **say("add", {})}.items():
            given = cell if isinstance(cell, list) else [cell]
            old = columns.get(name, [""] * count)
            columns[name] = [str(given[n % len(given)]).replace("{}", old[n]) for n in range(count)]
        for row, cells in say("some", {}).items():
            for name, cell in cells.items():
                columns[name][row - 1] = _points(str(cell)).replace("{}", columns[name][row - 1])
        for name in say("drop", []):
            del columns[name]
        names = say("order", list(columns))
        return {say("rename", {}).get(name, name): columns[name] for name in names}


def content(given: Any) -> bytes:
    """Return the bytes of a file of a mistake; ``{N}`` in a text is the Nth metering point."""
    if isinstance(given, str):
        return _points(given).encode()
    if "base64" in given:
        return base64.b64decode(given["base64"])
    if "zip" in given:
        out = io.BytesIO()
        _zipped(out, given["zip"])
        return out.getvalue()
    if "parquet" in given:
        out = io.BytesIO()
        pl.DataFrame(Table(given["parquet"])._columns()).write_parquet(out)
        return out.getvalue()
    data = Table(given).data()
    return data[: given["cut_off"]] if "cut_off" in given else data


def _points(text: str) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: POINTS[int(found[1])], text)


def _zipped(out: Any, files: dict[str, Any]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, given in files.items():
            archive.writestr(name, content(given))


def _pack(place: Path, files: dict[str, Any]) -> None:
    inside = {name: content(given) for name, given in files.items()}
    if place.suffix == ".gz" and ".tar" not in place.suffixes:
        place.write_bytes(gzip.compress(next(iter(inside.values())), mtime=0))
    elif place.suffix == ".zip":
        _zipped(place, files)
    else:
        with tarfile.open(place, "w:gz" if place.suffix == ".gz" else "w") as archive:
            for name, data in inside.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def lay_out(mistake: Mistake, place: Path) -> None:
    """Put the keys, the files and ``cut.yaml`` of a mistake into a folder that is not there yet."""
    given = mistake.given
    shutil.copytree(SHARED / "keys", place / "keys")
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    (place / "p.csv").write_bytes(Table(given.get("table", {})).data())
    for name, each in given.get("files", {}).items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(content(each))
    if "market" in given:
        shutil.copytree(SHARED / "mdd", place / "mdd")
        for name, text in given["market"].items():
            (place / "mdd" / name).write_text(text)
    for name, files in given.get("packed", {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        _pack(place / name, files)
    document = yaml.safe_load(yaml.safe_dump(USUAL))
    usual = [{"contract": "portfolio", "source": given.get("source", {"path": "p.csv"})}]
    document["participants"][0]["extracts"] = given.get("extracts", usual)
    for section, entries in given.get("cut", {}).items():
        document[section] = {**document.get(section, {}), **entries} if isinstance(entries, dict) else entries
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True).replace("'2023-08-19'", "2023-08-19")
    for old, new in given.get("text", {}).items():
        assert old in text, (mistake.name, old, text)
        text = text.replace(old, new)
    (place / "cut.yaml").write_text(text, encoding="utf-8")


def answer(mistake: Mistake, place: Path) -> Done:
    """Make a mistake in a folder, and return what the last of its commands answers.

    Without a library it is answered in a process of its own: in this one, what needs the library may be imported.
    """
    without = mistake.given.get("without", ())
    lay_out(mistake, place)
    done = Done(0, "", "")
    with contextlib.chdir(place):
        commands = mistake.given.get("run", "anonymise cut.yaml --plain")
        for command in commands if isinstance(commands, list) else [commands]:
            words, _, given = command.partition(" < ")
            stdin = io.TextIOWrapper(io.BytesIO(_points(given).replace("\\n", "\n").encode()))
            with mock.patch.object(sys, "stdin", stdin):
                done = (
                    datacut_process(*shlex.split(words), without=without) if without else datacut(*shlex.split(words))
                )
    return done


def rows(place: Path) -> tuple[int, int]:
    """Return how many rows the submission pack of a folder releases and excludes."""
    packs = [path for path in place.rglob("bagit.txt") if ".partial" not in str(path)]
    released = sum(pl.read_parquet(file).height for pack in packs for file in pack.parent.glob("data/*/*.parquet"))
    gone = sum(pl.read_parquet(file).height for pack in packs for file in pack.parent.glob("excluded/*/*.parquet"))
    return released, gone


def line(done: Done, says: list[str]) -> str:
    """Return the line that answers a mistake: what the command says at its end, else the first that has a text."""
    if done.told:
        return done.told[0].removeprefix("datacut: ")
    printed = [text.strip() for text in [*done.out.splitlines(), *done.err.splitlines()] if text.strip()]
    return next((text for text in printed if says and says[0] in text), printed[0] if printed else "")


def said(mistake: Mistake) -> list[str]:
    """Return the texts that a mistake has to print."""
    says = mistake.given.get("says", [])
    return [says] if isinstance(says, str) else list(says)
