"""Payload of packs: what is noted is done once, a submission is never a release, a file that is gone ends the run."""

from types import SimpleNamespace

import pytest

from contracts.errors import PlaceError
from flows.cut.partitions import AUGMENTED
from flows.cut.records import Payload
from flows.release import payload, returns


@pytest.fixture
def written(done):
    known, _ = done
    extract = next(h for h in known.extracts if h.extract == "registration")
    payload.source(known, "release", extract)
    root = known.workspace.root / payload.ROOM
    yield known, extract, root
    for file in (known.workspace.root / Payload.NAME).glob("*.json"):
        file.unlink()


def test_what_is_noted_is_not_written_again(written):
    known, extract, root = written
    file = root / "release" / "data" / extract.participant / "registration.parquet"
    before = file.stat()
    accounting = payload.source(known, "release", extract)
    assert accounting.rows_in == accounting.released + accounting.excluded > 0
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_an_exact_submission_is_not_taken_for_a_release(written):
    known, extract, root = written
    payload.source(known, "submission", extract)
    both = [root / kind / "data" / extract.participant / "registration.parquet" for kind in ("release", "submission")]
    assert not both[0].samefile(both[1])


@pytest.mark.parametrize("harm", ["gone", "shorter"])
def test_a_file_that_was_written_and_is_gone_or_another_ends_the_run(written, pack, harm):
    known, extract, root = written
    file = root / "release" / "data" / extract.participant / "registration.parquet"
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PlaceError, match=r"gone or another \(data/"):
        payload.whole(known, "release", pack)


def test_counterparties_that_were_written_and_are_gone_end_the_run(done, tmp_path, pack, monkeypatch):
    """They lie beside the payload, and are taken into a return alone: nothing else would miss them."""
    known, _ = done
    participant = known.job.model.participants[0]
    released = SimpleNamespace(root=tmp_path)
    monkeypatch.setattr(returns, "counterparties", lambda *_: tmp_path / "gone.parquet")
    returns._counterparties(known, released, participant, pack)  # who was written nothing has none
    own = tmp_path / "data" / participant.mpid
    own.mkdir(parents=True)
    (own / f"{AUGMENTED}.parquet").touch()
    with pytest.raises(PlaceError, match=f"counterparties of {participant.mpid} were written and are gone"):
        returns._counterparties(known, released, participant, pack)
