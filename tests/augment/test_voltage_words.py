"""Words of a line loss factor class that name voltage and connection, in capitals or not; roles of the new market."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.documents.market_data import MatchEntry
from contracts.reference import definitions
from flows.cut.config import Participant


@pytest.mark.parametrize(
    ("description", "voltage"),
    [
        ("EHV Site 1 Import", "E"), ("ehv site", "E"), ("33kV substation", "E"), ("Hv Half Hourly", "H"),
        ("High Voltage HH Metered", "H"), ("lv ct half hourly", "L"), ("LV Current Transformer", "L"),
        ("LV Non-CT Aggregated", "W"), ("LV Whole Current Maximum Demand", "W"), ("UNMETERED SUPPLIES", "U"),
        ("un-metered category B", "U"), ("LV Network Domestic", "W"), ("Small Non Domestic Two Rate", "W"),
    ],
)  # fmt: skip
def test_words_are_compared_without_case(description, voltage):
    (made,) = (d for d in definitions()["line_loss_factor_classes"].derived if isinstance(d, MatchEntry))
    words = pl.DataFrame({"d": [description]})["d"]
    found = [code for pattern, code in made.patterns if words.str.contains(pattern).item()]
    assert found[0] == voltage


@pytest.mark.requirement("Q110")
def test_a_participant_has_one_role_or_several_of_either_market():
    sent = {"mpid": "MOPA", "extracts": [{"contract": "metering", "source": "m.csv"}]}
    assert Participant.model_validate({**sent, "role": "MOP"}).sender_roles == ("MOP",)
    assert Participant.model_validate({**sent, "role": ["MSS", "MSA"]}).sender_roles == ("MOP",)
    assert Participant.model_validate({**sent, "role": ["REGS", "UMSO", "SDS"]}).sender_roles == ("LDSO", "DC")
