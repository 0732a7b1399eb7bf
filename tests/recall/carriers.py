"""Ways in which a raw identifier could leave in what is written, after the pseudonymise stage: one function each.

A carrier is given the folder to write to, a released table, the raw values of its rows, and the number of the planting;
it writes files as a release does, through the release's own writer, and nothing of the scan's code.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from flows.release.extracts import sink


@dataclass(frozen=True)
class Raw:
    """The raw values of the row in which a leak is planted, and of another one."""

    mpan: str
    serial: str
    uprn: str
    esme: str
    line: str  # a line of an address with a house number and a street
    house_and_street: str
    postcode: str


@dataclass(frozen=True)
class Place:
    """Where a leak is planted.

    Attributes:
        registration, metering: released tables.
        row: of the table.
        raw: what the row was made from; ``column`` the raw column, row by row.
    """

    folder: Path
    registration: pl.DataFrame
    metering: pl.DataFrame
    row: int
    raw: Raw
    column: Callable[[str], pl.Series]
    number: int

    def write(self, frame: pl.DataFrame, form: str = "parquet", name: str = "data/EELC/registration") -> None:
        """Write a table as a release writes it."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        sink([frame.lazy()], lambda relpath: self.folder / relpath, name, form)

    def cell(self, text: str, column: str = "duos_tariff_id", form: str = "parquet") -> None:
        """Write the registration with one text in one cell."""
        self.write(put(self.registration, column, self.row, text), form)

    def model(self, text: str, form: str = "parquet") -> None:
        """Write the meters with one text for a make and model."""
        self.write(put(self.metering, "make_and_model", self.row, text), form, "data/MOPB/metering")

    def page(self, text: str, name: str = "report/index.html") -> None:
        """Write a page or document."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def put(frame: pl.DataFrame, column: str, row: int, value: Any) -> pl.DataFrame:
    """Return a table with another value in one cell."""
    values = frame[column].cast(pl.String).to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=pl.String))


def whole(frame: pl.DataFrame, column: str, values: pl.Series) -> pl.DataFrame:
    """Return a table with another column."""
    return frame.with_columns(values.alias(column))


def groups(mpan: str, joint: str) -> str:
    """Return an MPAN in its usual groups."""
    return joint.join((mpan[:2], mpan[2:6], mpan[6:10], mpan[10:]))


def digits_of(mpan: str, zero: int) -> str:
    """Return an MPAN in the digits of a script."""
    return "".join(chr(zero + int(d)) for d in mpan)


SCRIPTS = (0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10, 0x1D7CE, 0x1D7D8, 0x2080, 0x0F20, 0x17E0, 0x1040)
UNSEEN = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad")
BREAKS = ("\n", "\r\n", "\u2028", "\n ", "\t")
Carrier = Callable[[Place], None]
CARRIERS: dict[str, Carrier] = {}


def carrier(kind: str) -> Callable[[Carrier], Carrier]:
    """Note a carrier under its kind."""

    def note(function: Carrier) -> Carrier:
        CARRIERS[kind] = function
        return function

    return note


def text(kind: str, spell: Callable[[str, int], str]) -> None:
    """Note carriers of an MPAN in a text: in a cell, a CSV file, a page in turn."""

    def plant(at: Place) -> None:
        said = spell(at.raw.mpan, at.number)
        where = at.number % 3
        if where == 0:
            at.model(said)
        elif where == 1:
            at.model(f"METER {said} X", "csv")
        else:
            at.page(f"<p>see {said} there</p>" if "<" not in said else f"<td>{said}</td>")

    CARRIERS[kind] = plant


def _join(parts: list[str], joints: tuple[str, ...], number: int) -> str:
    return joints[number % len(joints)].join(parts)


text("MPAN as it is", lambda m, n: m)
text("MPAN with spaces", lambda m, n: groups(m, " "))
text("MPAN with hyphens", lambda m, n: groups(m, "-"))
text("MPAN with commas, pipes or underscores between groups", lambda m, n: groups(m, ",|_"[n % 3]))
text("MPAN as 21 digits", lambda m, n: ("01801001" if n % 2 else "01 801 001 ") + m)
text("MPAN in full-width digits", lambda m, n: digits_of(m, 0xFF10))
text("MPAN in other scripts' digits", lambda m, n: digits_of(m, SCRIPTS[n % len(SCRIPTS)]))
text("MPAN with zero-width characters between digits", lambda m, n: UNSEEN[n % len(UNSEEN)].join(m))
text("MPAN with a line break inside", lambda m, n: m[:7] + BREAKS[n % len(BREAKS)] + m[7:])
text("MPAN with tags between digits", lambda m, n: f"<b>{m[:4]}</b><i class='x'>{m[4:9]}</i>{m[9:]}")
text("MPAN in HTML entities", lambda m, n: "".join(f"&#{ord(d)};" if n % 2 else f"&#x{ord(d):x};" for d in m))
text("MPAN with entities between groups", lambda m, n: groups(m, ("&nbsp;", "&#8203;", "&shy;", "&thinsp;")[n % 4]))
text(
    "MPAN in hexadecimal", lambda m, n: (m.encode().hex(), " ".join(f"{ord(d):02X}" for d in m), f"0x{int(m):x}")[n % 3]
)
text("MPAN in base64", lambda m, n: base64.b64encode(b"abcdef"[: n % 6] + m.encode() + b"xyz"[: n % 4]).decode())
text("MPAN in base32", lambda m, n: base64.b32encode(b"abcde"[: n % 5] + m.encode()).decode())
text("MPAN in URL escapes", lambda m, n: "".join(f"%{ord(d):x}" for d in m))
text(
    "MPAN in escapes of JSON or a program",
    lambda m, n: "".join(f"\\u{ord(d):04x}" if n % 2 else f"\\x{ord(d):x}" for d in m),
)
text("MPAN as a JSON list of digits", lambda m, n: json.dumps([int(d) for d in m] if n % 2 else list(m)))
text(
    "MPAN in words",
    lambda m, n: " ".join(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"][int(d)] for d in m
    ),
)
text("MPAN inside an address of the web", lambda m, n: f"https://x.example/p/{m}?a=1")
text("MPAN without its check digit", lambda m, n: m[:12])
text(
    "ten-digit body beside its distributor",
    lambda m, n: (f"{m[:2]} {m[2:12]}", f"{m[:2]}/{m[2:12]}", f"{m[:2]}: {m[2:12]}")[n % 3],
)
text("MPAN in the middle of more digits", lambda m, n: f"{n % 10}{m}{(n * 7) % 10}4")


@carrier("MPAN column raw")
def _(at: Place) -> None:
    at.write(whole(at.registration, "mpan_core", at.column("mpan_core")))


@carrier("one MPAN raw in its own column")
def _(at: Place) -> None:
    at.cell(at.raw.mpan, "mpan_core", "csv" if at.number % 2 else "parquet")


@carrier("MPAN as a floating-point number")
def _(at: Place) -> None:
    values = [float(v or 0) for v in at.registration["profile_class"].cast(pl.Float64, strict=False)]
    values[at.row] = float(at.raw.mpan)
    at.write(at.registration.with_columns(pl.Series("eac", values)), "csv" if at.number % 2 else "parquet")


@carrier("MPAN in a whole-number column")
def _(at: Place) -> None:
    values = [3] * at.registration.height
    values[at.row] = int(at.raw.mpan)
    at.write(at.registration.with_columns(pl.Series("number_of_digits", values)))


@carrier("MPAN in scientific notation")
def _(at: Place) -> None:
    at.cell(f"{int(at.raw.mpan):.12E}" if at.number % 2 else f"{int(at.raw.mpan):.12e}")


@carrier("MPAN in a timestamp column")
def _(at: Place) -> None:
    unit = ("ms", "us", "ns")[at.number % 3]
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=int(at.raw.mpan))
    if unit == "us":
        moment = datetime(1970, 1, 1) + timedelta(microseconds=int(at.raw.mpan))
    values: list[datetime | None] = [None] * at.registration.height
    values[at.row] = moment
    at.write(at.registration.with_columns(pl.Series("seen_at", values, dtype=pl.Datetime(unit))))  # type: ignore[arg-type]


@carrier("MPAN in a scaled decimal column")
def _(at: Place) -> None:
    scale = at.number % 4
    values: list[Decimal | None] = [Decimal("1.5")] * at.registration.height
    values[at.row] = Decimal(int(at.raw.mpan)).scaleb(-scale if at.number % 2 else 0)
    at.write(at.registration.with_columns(pl.Series("eac", values, dtype=pl.Decimal(18, 3))))


@carrier("MPAN in halves in two number columns")
def _(at: Place) -> None:
    cut = 5 + at.number % 4
    first, second = [1] * at.registration.height, [2] * at.registration.height
    first[at.row], second[at.row] = int(at.raw.mpan[:cut]), int(at.raw.mpan[cut:])
    at.write(at.registration.with_columns(pl.Series("a", first), pl.Series("b", second)))


@carrier("MPAN in a nested or binary column")
def _(at: Place) -> None:
    rows = at.registration.height
    values: list[Any] = [None] * rows
    values[at.row] = ([int(d) for d in at.raw.mpan], at.raw.mpan.encode(), {"a": at.raw.mpan}, [at.raw.mpan])[
        at.number % 4
    ]
    at.write(at.registration.with_columns(pl.Series("notes", values)))


@carrier("MPAN in Parquet metadata of the file")
def _(at: Place) -> None:
    _metadata(at, file={"note": f"row of {at.raw.mpan}"})


@carrier("MPAN in Parquet metadata of a field")
def _(at: Place) -> None:
    _metadata(at, field={"note": groups(at.raw.mpan, " " if at.number % 2 else "")})


def _metadata(at: Place, file: dict[str, str] | None = None, field: dict[str, str] | None = None) -> None:
    table = at.registration.to_arrow()
    first = table.schema.field(1)
    if field:
        table = table.cast(table.schema.set(1, first.with_metadata(field)))
    table = table.replace_schema_metadata(file)
    path = at.folder / "data" / "EELC" / "registration.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@carrier("MPAN in the name of a file or column")
def _(at: Place) -> None:
    if at.number % 2:
        at.write(
            at.registration.rename({"profile_class": f"x{at.raw.mpan}"}), "csv" if at.number % 4 == 1 else "parquet"
        )
    else:
        at.write(at.registration, name=f"data/EELC/{at.raw.mpan}")


@carrier("MPAN in packed bytes")
def _(at: Place) -> None:
    note = f"metering point {at.raw.mpan}\n".encode()
    packed = io.BytesIO()
    if at.number % 2:
        packed.write(b"leading bytes" + gzip.compress(note))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("notes.txt", note)
    (at.folder / "report").mkdir(parents=True, exist_ok=True)
    (at.folder / "report" / f"notes.{at.number}.bin").write_bytes(packed.getvalue())


@carrier("MPAN in UTF-16 text")
def _(at: Place) -> None:
    path = at.folder / "report" / "notes.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        f"the point {at.raw.mpan} there".encode(("utf-16", "utf-16-le", "utf-16-be", "utf-32")[at.number % 4])
    )


@carrier("MPAN in evidence or a JSON document")
def _(at: Place) -> None:
    value: Any = int(at.raw.mpan) if at.number % 2 else at.raw.mpan
    at.page(json.dumps({"rules": [{"where": value}]}, indent=at.number % 3 or None), "evidence/evidence.json")


@carrier("serial column raw")
def _(at: Place) -> None:
    at.write(whole(at.metering, "meter_serial_number", at.column("meter_serial_number")), name="data/MOPB/metering")


@carrier("one serial raw in its own column")
def _(at: Place) -> None:
    at.write(put(at.metering, "meter_serial_number", at.row, at.raw.serial), name="data/MOPB/metering")


@carrier("serial in another column or text")
def _(at: Place) -> None:
    spelt = (at.raw.serial, f"METER {at.raw.serial} OLD", f"no. {at.raw.serial.lower()}")[at.number % 3]
    at.model(spelt, "csv" if at.number % 4 == 3 else "parquet")


@carrier("serial with a space or hyphen")
def _(at: Place) -> None:
    cut = 3 + at.number % 3
    at.model(f"{at.raw.serial[:cut]}{' -'[at.number % 2]}{at.raw.serial[cut:]}")


@carrier("UPRN column raw")
def _(at: Place) -> None:
    at.write(whole(at.registration, "uprn", at.column("uprn")))


@carrier("one UPRN raw in its own column")
def _(at: Place) -> None:
    at.cell(at.raw.uprn, "uprn")


@carrier("UPRN in a number column")
def _(at: Place) -> None:
    values = [7] * at.registration.height
    values[at.row] = int(at.raw.uprn)
    name = "uprn" if at.number % 2 else "number_of_digits"
    at.write(at.registration.drop("uprn").with_columns(pl.Series(name, values)))


@carrier("UPRN in a text")
def _(at: Place) -> None:
    at.model(f"uprn {at.raw.uprn}")


@carrier("ESME id in any spelling")
def _(at: Place) -> None:
    plain = at.raw.esme.replace("-", "")
    spelt = (at.raw.esme, at.raw.esme.lower(), plain, at.raw.esme.replace("-", ":"), at.raw.esme.replace("-", " "))
    said = spelt[at.number % 5]
    if at.number % 2:
        at.write(put(at.metering, "esme_id", at.row, said), name="data/MOPB/metering")
    else:
        at.model(f"guid {said}")


@carrier("ESME id column raw")
def _(at: Place) -> None:
    at.write(whole(at.metering, "esme_id", at.column("esme_id")), name="data/MOPB/metering")


@carrier("address columns raw")
def _(at: Place) -> None:
    lines = [f"address_line_{n}" for n in range(1, 10)]
    frame = at.registration
    for name in [*lines, "postcode"]:
        frame = whole(frame, name, at.column(name))
    at.write(frame, "csv" if at.number % 3 == 2 else "parquet")


@carrier("one address column raw")
def _(at: Place) -> None:
    at.write(whole(at.registration, "address_line_5", at.column("address_line_5")))


@carrier("one raw address line")
def _(at: Place) -> None:
    at.cell(at.raw.line, "address_line_5")


@carrier("house and street in a text, CSV or page")
def _(at: Place) -> None:
    said = at.raw.house_and_street
    said = (said, said.title(), said.replace(" ", ", ", 1))[at.number % 3]
    if at.number % 2:
        at.page(f"<p>at {said}, {at.raw.postcode.split()[0]}</p>")
    else:
        at.model(f"at {said}", "csv" if at.number % 4 else "parquet")


@carrier("postcode column raw")
def _(at: Place) -> None:
    at.write(whole(at.registration, "postcode", at.column("postcode")))


@carrier("postcode in a page or document")
def _(at: Place) -> None:
    at.page(
        f"<p>{at.raw.postcode}</p>", ("report/index.html", "report/dpia.md", "evidence/evidence.json")[at.number % 3]
    )


@carrier("postcode without its space in a text, HTML or CSV")
def _(at: Place) -> None:
    said = at.raw.postcode.replace(" ", "")
    if at.number % 3 == 2:
        at.page(f"<p>near {said}</p>")
    else:
        at.model(f"SITE {said}", "csv" if at.number % 3 else "parquet")
