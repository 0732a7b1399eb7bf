"""What stands beside the backups: ``cut.yaml``, the keys, the ring-fence plan and the README."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flows.sample.codes import CUT_DATE
from flows.sample.defect_catalogue import VARIANTS
from flows.sample.defects import NATURAL, OF_RULE
from flows.sample.demand import demand_book
from flows.sample.layout import EXTRACTS
from flows.sample.request import Request

CUT_ID = f"SAMPLE-{CUT_DATE:%Y-%m-%d}"


def write_beside(request: Request, folder: Path, rows: dict[str, int], planted: int) -> None:
    """Write everything of a sample that is no backup.

    Args:
        rows: data rows per ``participant/extract``.
        planted: metering points with a planted defect.
    """
    _write_keys(request.seed, folder / "keys")
    (folder / "cut.yaml").write_bytes(cut_file().encode())
    (folder / "ring_fence.csv").write_bytes(demand_book(request.mpans).encode())
    (folder / "README.md").write_bytes(readme(request, rows, planted).encode())


def _write_keys(seed: int, folder: Path) -> None:
    """Write the sample's keys. They follow from the seed, so they protect nothing but a sample."""
    folder.mkdir()
    cut_key, signing_seed = (
        hashlib.sha256(f"datacut sample {name} key {seed}".encode()).digest() for name in ("cut", "signing")
    )
    signing = Ed25519PrivateKey.from_private_bytes(signing_seed)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write_private(folder / "cut.key", cut_key.hex().encode() + b"\n")
    _write_private(folder / "signing.pem", signing.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    public = signing.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "signing.pub").write_bytes(public)


def _write_private(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


_HEAD = f"""\
# A data cut: what is cut, from whom, under which key, into which packs.
# Paths are relative to this file. Run it with: datacut run cut.yaml

cut:
  id: {CUT_ID}      # every pseudonym depends on it: another cut, other pseudonyms
  date: {CUT_DATE}           # all participants cut on the same day
  scheme: 1                  # pseudonym scheme
  trust_model: si-central    # who holds the key: si-central or shared-key
  key: keys/cut.key          # one line of 64 hex digits, mode 0600; make your own with datacut key new

reference:
  market_domain_data: elexon/mdd    # valid combinations, roles and loss classes in force on the cut date

# One entry per participant; a source is a file (CSV, plain or packed; Parquet; DTC user file) or a database query.
# Form, encoding and delimiter are found out where they are not given.
participants:
"""
_TAIL = """\
ring_fence:
  plan: ring_fence.csv            # how many metering points each test case needs, and of what kind
  ledger: "sqlite:///ledger.db"   # remembers every allocation; postgresql://... works as well

release:
  folder: out                     # packs are written here, whole or not at all
  formats: [parquet]              # parquet, csv or both
  signing_key: keys/signing.pem   # Ed25519; recipients check with keys/signing.pub
  recipients: all                 # or a list of participants
"""


def cut_file() -> str:
    """Return the text of ``cut.yaml``."""
    lines = []
    seen = ""
    for extract in EXTRACTS:
        if extract.participant != seen:
            lines += [f"  - mpid: {extract.participant}", f"    role: {extract.role}", "    extracts:"]
            seen = extract.participant
        options = "".join(f", {key}: {value}" for key, value in extract.options)
        lines.append(
            f"      - {{contract: {extract.contract}, source: {{path: {extract.path}{options}, cut_date: {CUT_DATE}}}}}"
        )
    return _HEAD + "\n".join(lines) + "\n\n" + _TAIL


def _rules() -> str:
    lines = [
        f"| {rule} | {', '.join(VARIANTS[n].key.replace('_', ' ') for n in numbers)} |"
        for rule, numbers in sorted(OF_RULE.items())
    ]
    return "| rule | what was planted |\n|---|---|\n" + "\n".join(lines)


def readme(request: Request, rows: dict[str, int], planted: int) -> str:
    """Return the text of the sample's README."""
    table = "\n".join(
        f"| {e.participant} | {e.role} | {e.contract} | `{e.path}` | {rows[e.name]:,} |" for e in EXTRACTS
    )
    return f"""\
# Sample backups

Made by `datacut sample --mpans {request.mpans} --seed {request.seed} --defects {request.defects:g}`: invented
production backups of ten electricity participants on {CUT_DATE}, the same content every time. Nothing here was typed
by a person or taken from real data. Postcode areas and post towns exist; premises, meters and metering points are
drawn at random, so a likeness to a real one is chance.

Try it: `datacut run cut.yaml` (put this folder where you may write: packs and the ledger go beside `cut.yaml`).

| participant | role | extract | file | rows |
|---|---|---|---|---|
{table}

A row of annual consumption is an EAD record (estimated) or an AAD record (advance) of the D0019.

`elexon/mdd/` holds the market domain data that the backups fit, with rows that ended before the cut or begin after it.

## Defects

{planted:,} of {request.mpans:,} metering points carry one planted defect each. `defects.csv` lists every row in which a
defective value stands: participant, extract, row (the first data row is 1; in a DTC file the first record of the
extract's group, in the D0019 the first EAD), MPAN as it stands in the file, column, rule. It therefore holds MPANs in
the clear, as a backup does. {NATURAL} rows are disconnected metering points, which no rate asks for. A duplicate is
listed with both its rows; a row missing from a file is listed where the metering point is registered.

{_rules()}

Some values break a second rule by their nature: an unknown loss class is in no valid combination either.

`truth.parquet` says for each metering point what a perfect run would find: market segment (null where the rules
leave it undecided), connection type, energy direction, linked and related MPAN, premises.

## Keys

The keys in `keys/` follow from the seed: they are public and protect nothing but this sample. Never use them for a
real cut. Version control does not keep file modes, so after a checkout:
`chmod 600 keys/cut.key keys/signing.pem`.
"""
