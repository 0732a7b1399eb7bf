"""The inbox: what a cut waits for, whether it comes as a backup or as a participant's submission pack."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.orchestration.inbox import look


@pytest.fixture
def mixed(cut) -> tuple[Path, Path]:
    """Return a cut that takes one extract from a pack instead of its backup, and where that pack will lie."""
    document = yaml.safe_load(cut.read_text())
    source = {"pack": "in/EELC-submission", "public_key": "keys/signing.pub"}
    document["participants"][0]["extracts"][0]["source"] = source
    cut.write_text(yaml.safe_dump(document))
    return cut, cut.parent / "in" / "EELC-submission"


@pytest.mark.requirement("Q74")
def test_a_pack_is_waited_for_like_a_backup(mixed):
    cut, pack = mixed
    looks = [look(cut), look(cut)]  # what does not change between two looks has arrived
    assert [found.complete for found in looks] == [False, False]
    assert looks[1].missing == ("EELC/registration",)

    (pack / "data").mkdir(parents=True)
    (pack / "data" / "rows.parquet").write_bytes(b"half of it")
    assert look(cut).missing == ("EELC/registration",)
    (pack / "data" / "rows.parquet").write_bytes(b"half of it and the other half")
    assert look(cut).missing == ("EELC/registration",)
    last = look(cut)
    assert (last.arrived, last.missing, last.complete) == (("EELC/registration",), (), True)
    assert not look(cut).complete  # said once


@pytest.mark.requirement("Q74")
def test_a_cut_of_packs_alone_is_complete_when_they_are_there(mixed):
    cut, pack = mixed
    document = yaml.safe_load(cut.read_text())
    first = document["participants"][0]
    document["participants"] = [{**first, "extracts": first["extracts"][:1]}]
    cut.write_text(yaml.safe_dump(document))
    assert not look(cut).complete
    pack.mkdir(parents=True)
    (pack / "bagit.txt").write_text("BagIt-Version: 1.0\n")
    assert [look(cut).complete for _ in range(3)] == [False, True, False]
