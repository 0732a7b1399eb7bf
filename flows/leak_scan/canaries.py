"""Canaries: invented identifiers, known to the run alone, that go the way of the real ones in every run.

They are a batch of their own: digested, conformed, pseudonymised, treated, written and searched by the same code, into
a scratch file that is deleted. They reach no pack, table, count or total. Their pseudonyms are computed a second time
by the plain implementation. Written raw, they must be found; written as pseudonyms, none may be.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import polars as pl

from contracts.errors import ResidueError
from contracts.model import Contract
from contracts.scheme import scheme_lists
from contracts.vocabulary import Field, Form, Method, PostcodePolicy
from flows.cut.context import Context, scan_key
from flows.cut.workspace import disk
from flows.intake.raw_digests import DigestTaker
from flows.intake.source import SourceSpec
from flows.leak_scan.scan import Scanner
from flows.pseudonymise.source import pseudonymise_batch
from transforms.column_map import ColumnMap
from transforms.leak_scan import plain_scheme as plain
from transforms.leak_scan.digests import Kind
from transforms.leak_scan.raw_columns import KINDS
from transforms.pseudonymise.pseudonymiser import treat

COUNT = 12
ROOM = "canaries"
STREETS = ("CANARY REACH", "LINNET QUAY", "WREN HOLLOW")
INWARD = "ABDEFGHJLNPQRSTUWXYZ"


@dataclass(frozen=True, slots=True)
class Canary:
    """One invented metering point."""

    mpan: str
    serial: str
    uprn: str
    esme: str
    house: str
    street: str
    postcode: str

    def cell(self, column: str, form: Form) -> str | None:
        """Return what stands in a column of a source; nothing where it identifies nobody."""
        match form:
            case Form.MPAN:
                return self.mpan
            case Form.METER_SERIAL:
                return self.serial
            case Form.UPRN:
                return self.uprn
            case Form.ESME_ID:
                return self.esme
            case Form.POSTCODE:
                return self.postcode
            case Form.ADDRESS_LINE:
                return {"address_line_1": self.house, "address_line_5": self.street}.get(column)
            case _:
                return None


def canaries(key: bytes) -> list[Canary]:
    """Return the canaries of a run, drawn by its key."""
    drawn = [hmac.new(key, f"canary {number}".encode(), hashlib.sha512).digest() for number in range(COUNT)]
    return [_canary(one, number) for number, one in enumerate(drawn)]


def _canary(drawn: bytes, number: int) -> Canary:
    """Return a canary; house number and inward code are no other's, so that every run counts as many of each kind."""
    numbers = [int.from_bytes(drawn[at : at + 8], "big") for at in range(0, 64, 8)]
    twelve = f"{10 + numbers[0] % 14}{numbers[1] % 10**10:010d}"
    unit = number + COUNT * (numbers[5] % (4000 // COUNT))
    inward = f"{unit % 10}{INWARD[unit // 10 % 20]}{INWARD[unit // 200]}"
    return Canary(
        mpan=twelve + plain.check_digit(twelve),
        serial=f"K{numbers[2] % 90 + 10}{numbers[3] % 10**7:07d}",
        uprn=f"{numbers[4] % 9 + 1}{numbers[6] % 10**11:011d}",
        esme="-".join(f"{byte & (0xFD if not at else 0xFF):02X}" for at, byte in enumerate(drawn[48:56])),
        house=str(251 + number + COUNT * (numbers[7] % 75)),
        street=STREETS[number % len(STREETS)],
        postcode=f"ZE{numbers[7] % 3 + 1} {inward}",
    )


def require_canaries(known: Context, contract: Contract, taker: DigestTaker, place: str) -> None:
    """Send the canaries the way of a source's rows through pseudonymise, and hold what comes out against scheme 1.

    Args:
        taker: takes their digests beside those of the source.
        place: which source, for a message.

    Raises:
        ResidueError: an identifier came out raw, or other than scheme 1 makes it.
    """
    batch, columns = _batch(contract, canaries(scan_key(known)))
    raw = taker.before(batch, contract, columns)
    named = pseudonymise_batch(batch, contract, columns, known.pseudonymiser, SourceSpec(name=place))
    taker.add(taker.after(raw, named[contract.key[0]]))
    _hold(known, contract, named, place)
    with disk(known.workspace.root):
        named.write_ipc(known.workspace.folder(ROOM) / f"{place.replace('/', '-')}.arrow")


def _batch(contract: Contract, birds: list[Canary]) -> tuple[pl.DataFrame, ColumnMap]:
    names = [c.name for c in contract.columns]
    cells = {c.name: [bird.cell(c.name, c.form) for bird in birds] for c in contract.columns}
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String)), ColumnMap(names={name: name for name in names})


def _hold(known: Context, contract: Contract, named: pl.DataFrame, place: str) -> None:
    """Compare what came out with the plain implementation, column by column."""
    birds = canaries(scan_key(known))
    wanted = _WANTED.get(known) or _WANTED.setdefault(known, _wanted(known, birds))
    for column in contract.staged:
        key = wanted.get(column.name if column.form is Form.ADDRESS_LINE else column.form)
        if key is None or column.treatment.method is not Method.PSEUDONYMISE:
            told = [bird.cell(column.name, column.form) for bird in birds]
            if any(t is not None and t == v for t, v in zip(told, named[column.name].to_list(), strict=True)):
                raise ResidueError("a canary came out raw", where=f"{place}, column {column.name}", remedy=REMEDY)
            continue
        if named[column.name].to_list() != key:
            raise ResidueError(
                "canaries came out other than scheme 1 makes them",
                where=f"{place}, column {column.name}",
                remedy=REMEDY,
            )


REMEDY = "nothing was published; the pseudonymise stage of this process is not to be trusted"


_WANTED: WeakKeyDictionary[Context, Mapping[Form | str, list[str | None]]] = WeakKeyDictionary()


def _wanted(known: Context, birds: list[Canary]) -> Mapping[Form | str, list[str | None]]:
    lists = scheme_lists()
    keys = {field: known.keys.field(field).material() for field in Field}
    addresses = [
        plain.address(keys[Field.ADDRESS], [b.house, b.street], b.postcode, lists.streets, lists.street_types)
        for b in birds
    ]
    whole = known.job.model.cut.policy.postcode is PostcodePolicy.OUTWARD
    kept = [bird.postcode.split()[0] if whole else "ZE" for bird in birds]
    return {
        Form.MPAN: [plain.mpan(keys[Field.MPAN], b.mpan) for b in birds],
        Form.METER_SERIAL: [plain.meter_serial(keys[Field.METER_SERIAL], b.serial) for b in birds],
        Form.ESME_ID: [plain.esme_id(keys[Field.ESME_ID], b.esme) for b in birds],
        Form.UPRN: [plain.uprn(keys[Field.UPRN], b.uprn) for b in birds],
        Form.POSTCODE: [f"{out} {inward}" for out, (_, _, inward) in zip(kept, addresses, strict=True)],
        "address_line_1": [number for number, _, _ in addresses],
        "address_line_5": [street for _, street, _ in addresses],
    }


def scan_canaries(known: Context, scanner: Scanner, write: Callable[[pl.LazyFrame, Path], None]) -> dict[str, int]:
    """Write the canaries as the release writes rows and search them: none may be found; raw, all must be.

    Args:
        write: writes a table of the release.

    Returns:
        How many raw canaries were found, by kind.

    Raises:
        ResidueError: a canary was found where only pseudonyms stand, or the scan did not find one that was raw.
    """
    birds = canaries(scan_key(known))
    scratch = known.workspace.folder(ROOM)
    places = sorted(scratch.glob("*.arrow"))
    for source in places:
        extract = source.stem.split("-", 1)[1]
        frame = treat(pl.read_ipc(source).lazy(), known.contracts[extract], known.pseudonymiser)
        names = [c.name for c in known.contracts[extract].released]
        path = source.with_suffix(".parquet")
        write(frame.select(names), path)
        found = scanner.file(path, "canaries.parquet")
        path.unlink()
        if found.confirmed:
            where = f"canaries of {source.stem}"
            raise ResidueError(f"canaries survived: {'; '.join(found.places)}", where=where, remedy=REMEDY)
    sent = [known.contracts[place.stem.split("-", 1)[1]] for place in places]
    sought = {KINDS.get(column.form) for contract in sent for column in contract.columns}
    counts = {}
    for kind, values in _raw(birds).items():
        path = scratch / f"{kind.word}.csv"
        with disk(path):
            path.write_text("value\n" + "\n".join(values) + "\n", encoding="utf-8")
        found = scanner.file(path, "canaries.csv")
        path.unlink()
        counts[kind.word] = found.confirmed[kind.word]
        planted = len(set(values))  # two may live at one address
        if kind in sought and found.confirmed[kind.word] < planted:
            raise ResidueError(
                f"the leak scan found {found.confirmed[kind.word]} of {planted} raw canaries ({kind.word})",
                where="leak scan",
                remedy="nothing was published; the search itself does not work",
            )
    return counts


def _raw(birds: list[Canary]) -> dict[Kind, list[str]]:
    return {
        Kind.MPAN: [b.mpan for b in birds],
        Kind.METER_SERIAL: [b.serial for b in birds],
        Kind.UPRN: [b.uprn for b in birds],
        Kind.ESME_ID: [b.esme for b in birds],
        Kind.POSTCODE: [b.postcode for b in birds],
        Kind.ADDRESS_LINE: [f"{b.house} {b.street}" for b in birds],
    }
