"""Payload of packs: what is noted is done once, a submission is never a release, a file that is gone ends the run."""

import numpy as np
import pytest

from contracts.errors import PlaceError, ResidueError
from flows.cut.partitions import AUGMENTED
from flows.cut.records import Payload, SearchedFiles
from flows.leak_scan.digests_of_run import run_scanner
from flows.leak_scan.findings import LeakFindings, Tally
from flows.pack.bag import FileDigests
from flows.release import own_forms, payload, searches


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
    monkeypatch.setattr(own_forms, "counterparties", lambda *_: tmp_path / "gone.parquet")
    own_forms._counterparties(known, tmp_path, participant, pack.path)  # who was written nothing has none
    own = tmp_path / "data" / participant.mpid
    own.mkdir(parents=True)
    (own / f"{AUGMENTED}.parquet").touch()
    with pytest.raises(PlaceError, match=f"counterparties of {participant.mpid} were written and are gone"):
        own_forms._counterparties(known, tmp_path, participant, pack.path)


@pytest.fixture
def searched(written):
    known, _, _ = written
    files = payload.noted(known, "release")
    yield known, payload.folder(known, "release"), files, searches.of_pack(known, "release")
    for file in (known.workspace.root / SearchedFiles.NAME).glob("*.json"):
        file.unlink()


def test_what_was_searched_is_taken_over_and_not_searched_again(searched, monkeypatch):
    known, root, files, notes = searched
    assert searches.of_pack(known, "release") == notes  # noted: nothing is read again
    scanner = run_scanner(known)
    monkeypatch.setattr(type(scanner), "file", lambda *_: pytest.fail("searched again"))
    searches.take_over(scanner, root, FileDigests(), notes, files)
    assert all(scanner.has_seen(root / path) for path in files)
    assert scanner.findings.files == len(files)
    assert scanner.findings.bytes == sum(files.values())


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("harm", ["changed", "not searched"])
def test_a_file_that_is_not_the_one_that_was_searched_ends_the_run(searched, harm):
    known, root, files, notes = searched
    path = root / min(files)
    if harm == "changed":
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        notes = [part.model_copy(update={"digests": {}}) for part in notes]
    with pytest.raises(ResidueError, match="not those that were searched"):
        searches.take_over(run_scanner(known), root, FileDigests(), notes, files)


@pytest.mark.requirement("Q67")
def test_what_a_step_found_is_found_by_whoever_reads_its_note():
    found = LeakFindings(files=1, bytes=2, cells=3)
    found.tallies["mpan", "plain", "data/X"] = Tally(5, np.array([7, 2**64 - 1], np.uint64), 1e-9 / 3, ", line 1")
    found.tallies["mpan", "plain", "data/Y"] = Tally(7)
    found.looked["uprn"] = 4
    noted = SearchedFiles.model_validate_json(searches._noted(found, {}).model_dump_json())
    back = searches._findings(noted)
    assert (back.confirmed, back.places, back.searched) == (found.confirmed, found.places, found.searched)
    assert back.tallies["mpan", "plain", "data/X"].expected == found.tallies["mpan", "plain", "data/X"].expected


def test_files_are_dealt_out_whole_and_evenly():
    sizes = {f"data/{n:03}": (n % 7 + 1) << 20 for n in range(60)}
    dealt = searches.parts(sizes)
    assert sorted(path for part in dealt for path in part) == sorted(sizes)
    loads = [sum(sizes[path] for path in part) for part in dealt]
    assert len(dealt) == searches.MOST_PARTS
    assert max(loads) - min(loads) <= max(sizes.values())
    assert searches.parts({}) == []
