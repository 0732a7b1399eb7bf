"""Appointments of a participant that another has taken over: read as the successor's, whoever writes the old MPID.

Source: Q99 (suppliers of last resort, mergers and acquisitions).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from contracts.model import Contract
from contracts.vocabulary import Form

MPID = "_mpid"  # how the contracts' columns of participants end


def carried_over(frame: pl.DataFrame, contract: Contract, successors: Mapping[str, str]) -> pl.DataFrame:
    """Return rows in which every participant that has a successor is named by it; dates stay as they are.

    Columns in and out: any of the contract's.

    Args:
        successors: MPID -> the MPID that has its appointments on the cut date.
    """
    columns = [
        column.name
        for column in contract.columns
        if column.form is Form.CODE and column.name.endswith(MPID) and frame.schema.get(column.name) == pl.String
    ]
    if not successors or not columns:
        return frame
    return frame.with_columns(pl.col(columns).replace(dict(successors)))


def latest(steps: Mapping[str, str]) -> dict[str, str]:
    """Return of each MPID who has its appointments in the end, where a successor has one too.

    Raises:
        ValueError: a chain of successors comes back to where it began.
    """
    found = {}
    for first in steps:
        last, seen = steps[first], {first}
        while last in steps:
            if last in seen:
                raise ValueError(f"the successors of {first} go round in a circle")
            seen.add(last)
            last = steps[last]
        found[first] = last
    return {mpid: last for mpid, last in found.items() if mpid != last}
