"""Records of a backup's flow that hang from the metering points that came back."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.dtc.layout import DtcLayout
from contracts.load import load_all
from flows.intake.archives import Bytes
from flows.restore.load_flows import write_flow
from tests.dtc.test_flows_read import POINT, flow
from tests.rules.cutting import mpan

OTHER = mpan(10, 78)


def chosen(data: bytes, contract: Any, *mpans: str) -> list[str]:
    """What is written of a large file."""
    out = io.BytesIO()
    write_flow(out, Bytes(data, ""), contract, mpans, "utf-8")
    return out.getvalue().decode().splitlines()


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize("group", ["DA", "DAA", "0DA"])
def test_group_ids_have_two_or_three_characters(group):
    layout = DtcLayout("D0001", "DB", {"DB": group, group: "ZA"}, {"mpan_core": (group, 1)})
    contract = SimpleNamespace(dtc_layouts=(layout,))
    body = ["ZA|1|", f"{group}|{OTHER}|", "DB|1|", f"{group}|{POINT}|", "DB|2|"]
    lines = chosen(flow("D0001001", body), contract, POINT)
    assert lines[1:-1] == ["ZA|1|", f"{group}|{POINT}|", "DB|2|"]
    assert lines[-1].split("|")[2] == "3"


@pytest.mark.requirement("Q62")
def test_what_a_return_has_no_value_for_is_what_the_backup_has():
    """Optional items of a D0010 (J0044, J1013, J0045), and the items that a return fills, come from the own backup."""
    own = [
        f"026|{POINT}|V|",
        "028|E12Z070770|R|",
        "030|01|20230801000000|00123.0|20230802000000|07|F|N|A||",
        "032|03|",
    ]
    other = [f"026|{OTHER}|V|", "028|E12Z070771|R|", "030|01|20230801000000|00124.0||||||"]
    lines = chosen(flow("D0010002", [*other, *own]), load_all()["meter_reading"], POINT)
    assert lines[1:-1] == own
