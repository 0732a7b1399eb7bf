"""What stands beside the backups: ``cut.yaml``, the keys, the ring-fence plan and the README."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flows.sample.codes import CUT_DATE
from flows.sample.defect_catalogue import VARIANTS
from flows.sample.defects import NATURAL, OF_RULE
from flows.sample.layout import EXTRACTS
from flows.sample.market_data import NEW_SERVICE, NO_DIP_ID
from flows.sample.request import SampleRequest
from transforms.pseudonymise.public_secrets import sample_secret

COLUMNS = (
    "round", "test_case", "stage", "participant", "priority", "base", "spare", "kind", "criteria", "export_criteria",
    "mutates", "processes",
)  # fmt: skip
LARGEST = 100_000  # metering points beyond which a plan does not grow
_ROUND = {"CIT": 1, "SIT-FUNCTIONAL": 2, "SIT-MIGRATION": 3, "SIT-NON-FUNCTIONAL": 4, "SIT-OPERATIONAL": 5}
_SHORT = {
    "CIT": "CIT",
    "SIT-FUNCTIONAL": "FUN",
    "SIT-MIGRATION": "MIG",
    "SIT-NON-FUNCTIONAL": "NFT",
    "SIT-OPERATIONAL": "OPS",
}
# market processes of a stage's test cases; a stage without an entry runs all that apply
_PROCESSES = {
    "SIT-FUNCTIONAL": "change_of_supplier meter_exchange consumption",
    "SIT-MIGRATION": "metering_service_appointment data_service_appointment",
    "SIT-NON-FUNCTIONAL": "consumption",
    "SIT-OPERATIONAL": "energisation_change annual_consumption",
}
_SMART = ["S1", "S2A", "S2AD", "S2B", "S2C"]
_IMPORT, _EXPORT, _METERED = {"energy_direction": ["I"]}, {"energy_direction": ["E"]}, {"metered_indicator": [True]}
_E, _Y, _I = {"distributor_id": ["10"]}, {"distributor_id": ["23"]}, {"distributor_id": ["24"]}
_LIVE = {"energisation_status": ["E"]}
_S, _A, _U = ({"market_segment": [letter]} for letter in "SAU")
_DOMESTIC, _BUSINESS = {"domestic_premises_indicator": ["T"]}, {"domestic_premises_indicator": ["F"]}
Criteria = Mapping[str, Any]  # attribute -> values that will do
Case = tuple[str, str, int, float, float, Criteria, Criteria | str | None, bool]


def _sup(letter: str) -> dict[str, list[str]]:
    return {"supplier_mpid": [f"SUP{letter}"]}


# stage, participant, priority, base and spare per 10,000, criteria, export criteria (a pair) or GROUP, whether it mutates
CASES: tuple[Case, ...] = (
    ("CIT", "SUPA", 1, 10, 2, _sup("A") | _S | _LIVE | {"meter_type": _SMART}, None, True),
    ("CIT", "SUPA", 2, 4, 1, _sup("A") | _A | _LIVE, None, True),
    ("CIT", "SUPA", 1, 4, 1, _sup("A") | _S | _LIVE, _sup("A") | _EXPORT, True),
    ("CIT", "SUPB", 1, 10, 2, _sup("B") | _S | _LIVE | {"meter_type": _SMART}, None, True),
    ("CIT", "SUPB", 2, 6, 1, _sup("B") | _S | {"meter_type": ["N", "K", "T"]}, None, True),
    ("CIT", "SUPC", 1, 8, 2, _sup("C") | _DOMESTIC | _LIVE, None, True),
    ("CIT", "EELC", 1, 12, 3, _E | {"gsp_group_id": ["_A"]} | _LIVE, None, True),
    ("CIT", "EELC", 3, 20, 0, _E | {"connection_type": ["E"]}, _EXPORT, True),  # short: hardly any such pair
    ("CIT", "YELG", 1, 12, 3, _Y | {"profile_class": ["01", "02"]}, None, True),
    ("CIT", "YELG", 2, 3, 1, _Y | _U | {"metered_indicator": [False]}, None, False),
    ("CIT", "IPNL", 1, 6, 1, _I | _METERED | _LIVE, None, True),
    ("CIT", "MOPA", 2, 6, 1, {"meter_type": ["RCAMR", "NCAMR"]} | _LIVE, None, True),
    ("CIT", "MOPB", 2, 6, 1, {"meter_type": ["S2A", "S2AD"], "dcc_service_flag": ["A"]}, None, True),
    ("CIT", "DCOL", 2, 8, 2, {"measurement_class": ["A"], "profile_class": ["03", "04"]}, None, False),
    ("CIT", "EELC", 2, 4, 0, _E, "GROUP", True),
    ("SIT-FUNCTIONAL", "SUPA", 1, 20, 4, _sup("A") | _E | _S | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPA", 1, 10, 2, _sup("A") | _Y | _DOMESTIC | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPA", 2, 5, 1, _sup("A") | _A | {"connection_type": ["L", "W"]}, None, True),
    ("SIT-FUNCTIONAL", "SUPB", 1, 20, 4, _sup("B") | _Y | _S | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPB", 2, 4, 1, _sup("B") | _LIVE, _EXPORT | _LIVE, True),
    ("SIT-FUNCTIONAL", "SUPB", 3, 4, 1, _sup("B") | {"energisation_status": ["D"]}, None, True),
    ("SIT-FUNCTIONAL", "SUPC", 1, 10, 2, _sup("C") | _BUSINESS | _METERED, None, True),
    ("SIT-FUNCTIONAL", "SUPC", 2, 30, 0, _sup("C") | {"gsp_group_id": ["_L"], "meter_type": ["K"]}, None, True),  # short
    ("SIT-FUNCTIONAL", "EELC", 1, 5, 1, _E | _IMPORT | {"has_link": [True]}, _EXPORT, True),
    ("SIT-FUNCTIONAL", "YELG", 2, 4, 1, _Y | {"measurement_class": ["C", "E"]}, None, True),
    ("SIT-FUNCTIONAL", "YELG", 2, 3, 1, _Y | {"measurement_class": ["F", "G"]}, None, True),
    ("SIT-FUNCTIONAL", "IPNL", 2, 10, 0, _I | {"measurement_class": ["D"]}, None, True),  # short: half-hourly unmetered
    ("SIT-FUNCTIONAL", "IPNL", 1, 6, 1, _I | {"gsp_group_id": ["_B", "_L"]} | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "MOPB", 2, 8, 2, {"meter_type": _SMART, "dcc_service_flag": ["A", "I"]}, None, True),
    ("SIT-FUNCTIONAL", "DCOL", 2, 5, 1, _U, None, False),
    ("SIT-MIGRATION", "SUPA", 1, 60, 10, _sup("A") | _S | _METERED, None, True),
    ("SIT-MIGRATION", "SUPB", 1, 40, 8, _sup("B") | _S | _METERED, None, True),
    ("SIT-MIGRATION", "SUPC", 1, 20, 4, _sup("C") | _METERED, None, True),
    ("SIT-MIGRATION", "EELC", 2, 30, 5, _E | {"profile_class": ["01", "02", "03", "04"]}, None, True),
    ("SIT-MIGRATION", "YELG", 2, 6, 1, _Y | {"has_link": [True]}, _EXPORT, True),
    ("SIT-NON-FUNCTIONAL", "EELC", 4, 800, 0, _E | _LIVE, None, False),
    ("SIT-NON-FUNCTIONAL", "YELG", 4, 600, 0, _Y | _LIVE, None, False),
    ("SIT-NON-FUNCTIONAL", "SUPA", 5, 500, 0, _sup("A") | _S, None, False),
    ("SIT-OPERATIONAL", "SUPA", 1, 10, 2, _sup("A") | _DOMESTIC | {"meter_type": _SMART}, None, True),
    ("SIT-OPERATIONAL", "SUPB", 1, 10, 2, _sup("B") | _BUSINESS, None, True),
    ("SIT-OPERATIONAL", "IPNL", 2, 4, 1, _I | _DOMESTIC, None, True),
)  # fmt: skip


def _rows(mpans: int) -> Iterable[list[object]]:
    numbers: dict[str, int] = {}
    for stage, participant, priority, base, spare, criteria, export, mutates in CASES:
        numbers[stage] = numbers.get(stage, 0) + 1
        name = f"{_SHORT[stage]}-{numbers[stage]:03d}"
        scale = min(mpans, LARGEST) / 10_000
        sizes = max(1, round(scale * base)), round(scale * spare)
        kind = export if isinstance(export, str) else "PAIR" if export else "SINGLE"
        texts = json.dumps(dict(criteria)), json.dumps(dict(export)) if isinstance(export, dict) else ""
        word = "true" if mutates else "false"
        yield [_ROUND[stage], name, stage, participant, priority, *sizes, kind, *texts, word, _PROCESSES.get(stage, "")]


def demand_book(mpans: int) -> str:
    """Return the demand book of a population as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *_rows(mpans)])
    return text.getvalue()


SERVICES = f"{NO_DIP_ID}/services.csv"  # which service the agent becomes that standing data does not know
CUT_ID = f"SAMPLE-{CUT_DATE:%Y-%m-%d}"


def write_beside(request: SampleRequest, folder: Path, rows: dict[str, int], planted: int) -> None:
    """Write everything of a sample that is no backup.

    Args:
        rows: data rows per ``participant/extract``.
        planted: metering points with a planted defect.
    """
    _write_keys(request, folder / "keys")
    (folder / "cut.yaml").write_bytes(cut_file(published_keys=request.published_keys).encode())
    (folder / SERVICES).write_bytes(
        f"legacy_role,legacy_mpid,market_segment,mpid\nMOP,{NO_DIP_ID},,{NO_DIP_ID}\n".encode()
    )
    (folder / "ring_fence.csv").write_bytes(demand_book(request.mpans).encode())
    (folder / "README.md").write_bytes(readme(request, rows, planted).encode())


def _write_keys(request: SampleRequest, folder: Path) -> None:
    """Write the sample's keys. Those that follow from the seed protect nothing but a sample."""
    folder.mkdir()
    cut_key, signing_seed = (
        sample_secret(name, request.seed) if request.published_keys else secrets.token_bytes(32)
        for name in ("cut", "signing")
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
{{test}}reference:
  market_domain_data: elexon/mdd      # valid combinations, roles and loss classes in force on the cut date
  industry_standing_data: elexon/isd  # DIP ids of participants (entities M16 and M18)

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


_TEST = "  test: true                 # invented data: a published key will do, as this sample's is; leave it out in earnest\n"


def cut_file(*, published_keys: bool) -> str:
    """Return the text of ``cut.yaml``."""
    lines = []
    seen = ""
    for extract in EXTRACTS:
        if extract.participant != seen:
            mapped = [f"    services: {SERVICES}"] if extract.participant == NO_DIP_ID else []
            lines += [f"  - mpid: {extract.participant}", f"    role: {extract.role}", *mapped, "    extracts:"]
            seen = extract.participant
        options = "".join(f", {key}: {value}" for key, value in extract.options)
        lines.append(
            f"      - {{contract: {extract.contract}, source: {{path: {extract.path}{options}, cut_date: {CUT_DATE}}}}}"
        )
    head = _HEAD.replace("{test}", _TEST if published_keys else "")
    return head + "\n".join(lines) + "\n\n" + _TAIL


def _rules() -> str:
    lines = [
        f"| {rule} | {', '.join(VARIANTS[n].key.replace('_', ' ') for n in numbers)} |"
        for rule, numbers in sorted(OF_RULE.items())
    ]
    return "| rule | what was planted |\n|---|---|\n" + "\n".join(lines)


_PUBLISHED = """\
The keys in `keys/` follow from the seed: they are public and protect nothing but this sample. Never use them for a
real cut. Version control does not keep file modes, so after a checkout:
`chmod 600 keys/cut.key keys/signing.pem`.
"""
_OWN = """\
The keys in `keys/` were drawn at random for this folder: made again from the same seed, the sample has the same backups and
other keys. `--published-keys` makes keys that follow from the seed, for figures that others are to repeat.
"""


def readme(request: SampleRequest, rows: dict[str, int], planted: int) -> str:
    """Return the text of the sample's README."""
    table = "\n".join(
        f"| {e.participant} | {e.role} | {e.contract} | `{e.path}` | {rows[e.name]:,} |" for e in EXTRACTS
    )
    option = " --published-keys" if request.published_keys else ""
    return f"""\
# Sample backups

Made by `datacut sample --mpans {request.mpans} --seed {request.seed} --defects {request.defects:g}{option}`: invented
production backups of ten electricity participants on {CUT_DATE}, the same content every time. Nothing here was typed
by a person or taken from real data. Postcode areas and post towns exist; premises, meters and metering points are
drawn at random, so a likeness to a real one is chance.

Try it: `datacut run cut.yaml` (put this folder where you may write: packs and the ledger go beside `cut.yaml`).

| participant | role | extract | file | rows |
|---|---|---|---|---|
{table}

A row of annual consumption is an EAD record (estimated) or an AAD record (advance) of the D0019; one of half-hourly
consumption is a day of the D0036. Half-hourly meters without a check meter stand in the D0268, all others in the D0150.

`elexon/mdd/` holds the market domain data that the backups fit, under the headings that Elexon publishes, with rows that
ended before the cut or begin after it. `elexon/isd/` holds two entities of industry standing data: the DIP ids of
participants (M16), all but {NO_DIP_ID}'s, and the roles that they may have (M18). `{SERVICES}` says that {NO_DIP_ID} stays a
metering service; {NEW_SERVICE} is a data service of the new market alone.

## Defects

{planted:,} of {request.mpans:,} metering points carry one planted defect each. `defects.csv` lists every row in which a
defective value stands: participant, extract, file, row of the file (the first data row is 1; in a DTC file the first
record of the extract's group, in the D0019 the first EAD), MPAN as it stands in the file, column, rule. It therefore holds
MPANs in the clear, as a backup does. Readings and half-hourly values are of metering points without a defect. {NATURAL} rows are disconnected metering points, which no rate asks for. A duplicate is
listed with both its rows; a row missing from a file is listed where the metering point is registered.

{_rules()}

Some values break a second rule by their nature: an unknown loss class is in no valid combination either.

`truth.parquet` says for each metering point what a perfect run would find: market segment (null where the rules
leave it undecided), connection type, energy direction, linked and related MPAN, premises.

## Keys

{_PUBLISHED if request.published_keys else _OWN}"""
