"""Pseudonyms that are somebody's real MPAN: found wherever they stand, told once, excluded where their rows are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from contracts.errors import ResidueError
from contracts.load import load_all
from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.cut.partitions import JUDGED, ParticipantExtract, read_exclusions
from flows.cut.records import CoincidentCount
from flows.cut.workspace import Workspace
from flows.quality import coincident
from transforms.pseudonymise import mpan
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

PARTITIONS = 8
MPANS = ("mpan_core", "related_mpan", "linked_mpan")


def test_one_that_others_name_as_related_counts_once(tmp_path):
    pseudonymiser = Pseudonymiser(FieldKeys(bytes(range(32)), "C1"), lists=scheme_lists())
    workspace = Workspace(tmp_path / "work", PARTITIONS, load_all())
    extracts = [ParticipantExtract("EELC", "registration")]
    known = mpan.texts(np.array([987_654_321_010], np.uint64)).item()  # body, distributor
    (its_own,) = pseudonymiser.values(Field.MPAN, pl.Series([known])).to_list()
    numbers = pl.DataFrame({"mpan_core": [known, its_own]}).select(workspace.partition_number()).to_series().to_list()
    assert numbers[0] != numbers[1]  # so that the first is named in a partition that is not its own
    for number, point, related in ((numbers[0], known, None), (numbers[1], its_own, known)):
        frame = pl.DataFrame([[point], [related], [None]], schema=dict.fromkeys(MPANS, pl.String))
        workspace.write(frame, JUDGED, "EELC", "registration", number)
    assert coincident.exclude(workspace, extracts, pseudonymiser).count == 1
    assert coincident.found(workspace).to_list() == [known]
    excluded = [read_exclusions(workspace, number)["mpan_core"].to_list() for number in range(PARTITIONS)]
    assert excluded == [[known] if number == numbers[0] else [] for number in range(PARTITIONS)]


def test_more_than_chance_explains_end_the_run():
    coincident.require_chance(CoincidentCount(count=3, expected_low=0, expected_high=1, most=3))
    with pytest.raises(ResidueError, match="4 pseudonyms are MPANs of the cut, where chance gives at most 3"):
        coincident.require_chance(CoincidentCount(count=4, expected_low=0, expected_high=1, most=3))
