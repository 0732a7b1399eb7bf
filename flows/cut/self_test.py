"""The golden rows of pseudonym scheme 1: reproduced before any input is read; a difference ends the run."""

from __future__ import annotations

import json
from functools import cache

import polars as pl

from contracts.errors import PlaceError
from contracts.json_types import JsonObject
from contracts.scheme import HERE, scheme_lists
from contracts.vocabulary import Field
from transforms.pseudonymise.address import COLUMNS
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

VECTORS = "vectors-1.json"


@cache
def self_test() -> JsonObject:
    """Reproduce every golden row with the installed libraries.

    Returns:
        How many rows of each field were reproduced.

    Raises:
        PlaceError: a row comes out differently: the installation is unfit.
    """
    golden = json.loads((HERE / VECTORS).read_text(encoding="utf-8"))
    keys = FieldKeys(bytes.fromhex(golden["cut_key_hex"]), golden["cut_id"])
    pseudonymiser = Pseudonymiser(keys, lists=scheme_lists())
    done: JsonObject = {"scheme": "1", "passed": True}
    if not keys.fingerprint().startswith(golden["fingerprint"]):
        _unfit("fingerprint")
    for field in (Field.MPAN, Field.METER_SERIAL, Field.ESME_ID, Field.UPRN):
        pairs = golden[field.value]
        out = pseudonymiser.values(field, pl.Series([pair[0] for pair in pairs]))
        if out.to_list() != [pair[1] for pair in pairs]:
            _unfit(field.value)
        done[field.value] = len(pairs)
    rows = [[text or None for text in raw] for raw, _ in golden["address"]]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    out_rows = [[text or "" for text in row] for row in pseudonymiser.addresses(frame).rows()]
    if out_rows != [pseudonym for _, pseudonym in golden["address"]]:
        _unfit("address")
    return {**done, "address": len(rows)}


def _unfit(field: str) -> None:
    raise PlaceError(
        f"the self-test of field {field!r} failed: this installation would give wrong pseudonyms",
        remedy="install the versions that pyproject.toml names",
    )
