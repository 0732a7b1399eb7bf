"""The layouts that the product ships: ``flows/<flow>-<version>.csv``, and ``names.csv`` with their titles."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.dtc.catalogue import parse_catalogue
from contracts.dtc.model import Flow
from contracts.errors import ContractError

HERE = Path(__file__).parent
FLOWS = HERE / "flows"
NAMES = HERE / "names.csv"


@cache
def shipped_flows() -> Mapping[tuple[str, str], Flow]:
    """Return every shipped flow by (flow, version).

    Raises:
        ContractError: a file is not a layout, or holds another flow than its name says.
    """
    with NAMES.open(encoding="utf-8", newline="") as file:
        names = {(row["flow"], row["version"]): row["name"] for row in csv.DictReader(file)}
    flows: dict[tuple[str, str], Flow] = {}
    for path in sorted(FLOWS.glob("*.csv")):
        found = parse_catalogue(path.read_text(encoding="utf-8"), where=path.name)
        key = (path.stem[:5], path.stem[6:])
        if set(found) != {key} or key not in names:
            raise ContractError("holds another flow than its file name says, or one without a name", where=path.name)
        flows[key] = replace(found[key], name=names[key])
    return MappingProxyType(flows)


def shipped_flow(flow: str, version: str = "") -> Flow:
    """Return one shipped flow; without a version the newest one.

    Raises:
        ContractError: the product ships no such flow, or no such version of it.
    """
    versions = sorted(key for key in shipped_flows() if key[0] == flow and version in {"", key[1]})
    if not versions:
        shown = f"{flow}-{version}" if version else flow
        raise ContractError(f"no layout of the flow {shown} is known", where="contracts/dtc/flows")
    return shipped_flows()[versions[-1]]
