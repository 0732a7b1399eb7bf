"""Two people sign: the operator who made the pack, the approver who read its report. And packs name their forebears."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import EvidenceError
from flows.cli.main import build
from flows.keys.signing_key import PublicKey, Signer, load_approver, load_signer, new_signing_key
from flows.pack import bag
from flows.pack import previous as chain
from flows.pack.approve import approve_pack
from flows.pack.verify import PackFaultError, VerificationPolicy, verify_pack
from flows.pack.writer import PackWriter
from tests.evidence.conftest import fill
from tests.evidence.specimen import model, specimen


@pytest.fixture
def waiting(tmp_path: Path, operator: Signer, approver: Signer) -> Path:
    """Return a pack that its operator signed and its approver has not yet."""
    with PackWriter(tmp_path / "waiting") as writer:
        fill(writer)
        writer.path("report/index.html").write_bytes(b"<!doctype html><title>Report</title>\n")
        evidence = specimen(2, 0, kind="submission")
        return writer.seal({}, model(evidence), [operator], [approver.public]).path


def blamed(pack: Path, *keys: PublicKey) -> str:
    with pytest.raises(PackFaultError) as error:
        verify_pack(pack, keys)
    assert error.value.verification.files == [bag.SIGNATURE]
    return error.value.line()


@pytest.mark.requirement("Q58")
class TestApproval:
    def test_a_pack_that_waits_does_not_verify_whoever_asks(self, waiting, operator, approver) -> None:
        assert "is not approved" in blamed(waiting, operator.public)
        assert approver.keyid in blamed(waiting, operator.public)
        blamed(waiting, operator.public, approver.public)

    def test_an_approved_pack_verifies_with_either_key_and_with_both(self, waiting, operator, approver) -> None:
        before = {name: bag.digest_file(waiting / name)[0] for name in bag.listing(waiting).files}
        approve_pack(waiting, approver, [operator.public])
        after = {name: bag.digest_file(waiting / name)[0] for name in bag.listing(waiting).files}
        assert {name for name in after if after[name] != before.get(name)} == {bag.SIGNATURE}
        assert set(before) == set(after)
        for keys in ([operator.public], [approver.public], [operator.public, approver.public]):
            assert verify_pack(waiting, keys).signed_by
        roles = json.loads((waiting / bag.EVIDENCE).read_bytes())["signers"]
        assert [(s["keyid"], s["role"]) for s in roles] == [
            (operator.keyid, "operator"),
            (approver.keyid, "approver"),
        ]

    def test_approving_twice_changes_nothing(self, waiting, operator, approver) -> None:
        approve_pack(waiting, approver, [operator.public])
        once = (waiting / bag.SIGNATURE).read_bytes()
        approve_pack(waiting, approver, [operator.public])
        assert (waiting / bag.SIGNATURE).read_bytes() == once

    def test_a_changed_pack_is_not_approved(self, waiting, operator, approver) -> None:
        (waiting / "data/SUPA/portfolio.csv").write_bytes(b"x")
        with pytest.raises(PackFaultError):
            approve_pack(waiting, approver, [operator.public])
        assert len(json.loads((waiting / bag.SIGNATURE).read_bytes())["signatures"]) == 1

    def test_only_whom_the_evidence_names_can_approve(self, waiting, operator, tmp_path: Path) -> None:
        new_signing_key(tmp_path / "s.pem", tmp_path / "s.pub")
        with pytest.raises(PackFaultError):  # the one who must approve has not
            approve_pack(waiting, load_signer(tmp_path / "s.pem"), [operator.public])

    def test_a_pack_that_asks_for_nobody(self, pack: Path, operator, approver) -> None:
        with pytest.raises(EvidenceError, match="does not name this key"):
            approve_pack(pack, approver, [operator.public])

    def test_an_approved_signature_taken_away_again(self, waiting, operator, approver) -> None:
        alone = (waiting / bag.SIGNATURE).read_bytes()
        approve_pack(waiting, approver, [operator.public])
        (waiting / bag.SIGNATURE).write_bytes(alone)
        assert "is not approved" in blamed(waiting, operator.public)

    def test_nobody_approves_their_own_pack(self, tmp_path: Path, operator: Signer) -> None:
        writer = PackWriter(tmp_path / "own")
        with pytest.raises(EvidenceError, match="one key is used for two people"), writer:
            writer.seal({}, model(specimen(2, 0, kind="submission")), [operator], [operator.public])
        assert not (tmp_path / "own").exists()

    def test_a_key_file_says_whether_it_signs_now_or_later(self, tmp_path: Path) -> None:
        new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
        now, later = load_approver(tmp_path / "k.pem"), load_approver(tmp_path / "k.pub")
        assert isinstance(now, Signer)
        assert isinstance(later, PublicKey)
        assert now.public == later

    def test_the_command(self, tmp_path: Path) -> None:
        for name in ("op", "ap"):
            new_signing_key(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub")
        with PackWriter(tmp_path / "p") as writer:
            fill(writer)
            writer.path("report/index.html").write_bytes(b"x")
            signer, later = load_signer(tmp_path / "op.pem"), load_signer(tmp_path / "ap.pem").public
            writer.seal({}, model(specimen(2, 0, kind="submission")), [signer], [later])
        arguments = ["approve", str(tmp_path / "p"), "--key", str(tmp_path / "ap.pem")]
        done = CliRunner().invoke(build(), [*arguments, "--public-key", str(tmp_path / "op.pub")])
        assert done.exit_code == 0, done.output
        assert "Approved: p" in done.stdout
        verify_pack(tmp_path / "p", [later])


class TestChain:
    """Backup -> submission -> release -> return: each pack names the one it was made from."""

    def make(self, tmp_path: Path, signer: Signer, name: str, previous: list[dict]) -> Path:
        with PackWriter(tmp_path / name) as writer:
            fill(writer)
            writer.path("report/index.html").write_bytes(name.encode())
            return writer.seal({}, model(specimen(2, 0, kind="submission", previous=previous)), [signer]).path

    @pytest.fixture
    def family(self, tmp_path: Path, operator, approver) -> dict[str, Path]:
        packs = {"submission-a": self.make(tmp_path, approver, "submission-a", [])}
        packs["submission-b"] = self.make(tmp_path, approver, "submission-b", [])
        both = chain.references([packs[n] / "data/SUPA/portfolio.csv" for n in ("submission-a", "submission-b")])
        packs["release"] = self.make(tmp_path, operator, "release", both)
        packs["return"] = self.make(tmp_path, operator, "return", chain.references([packs["release"] / "data/x"]))
        return packs

    def test_the_whole_chain_is_walked_with_one_key(self, family, operator: Signer) -> None:
        others = tuple(family[n] for n in ("submission-a", "release", "submission-b"))  # in any order
        found = verify_pack(family["return"], [operator.public], VerificationPolicy(previous=others))
        assert "3 packs of the chain are at hand and unchanged" in found.checks[-1].words

    def test_a_gap_in_the_chain_is_told(self, family, operator: Signer) -> None:
        with pytest.raises(PackFaultError) as error:
            verify_pack(family["return"], [operator.public], VerificationPolicy(previous=(family["submission-a"],)))
        assert error.value.verification.files == [f"submission-a/{bag.TAGMANIFEST}"]

    def test_a_changed_ancestor_is_named_and_vouches_for_nothing(self, family, operator: Signer) -> None:
        (family["release"] / "data/SUPA/portfolio.csv").write_bytes(b"x")
        others = (family["release"], family["submission-a"])
        with pytest.raises(PackFaultError) as error:
            verify_pack(family["return"], [operator.public], VerificationPolicy(previous=others))
        assert "release/data/SUPA/portfolio.csv" in error.value.verification.files

    def test_sources_outside_any_pack_are_backups(self, tmp_path: Path, pack: Path) -> None:
        (tmp_path / "backup.csv").write_bytes(b"x")
        assert chain.references([tmp_path / "backup.csv"]) == []
        twice = chain.references([pack / "data/SUPA/portfolio.csv", pack / "data/SUPA/metering.csv"])
        assert twice == [bag.pack_reference(pack)]


class TestBaseline:
    def test_counts_are_summed_over_participants(self, pack: Path) -> None:
        found = chain.baseline(pack)
        evidence = json.loads((pack / bag.EVIDENCE).read_bytes())
        for row in found.rows:
            same = [r for r in evidence["accounting"] if r["extract"] == row.extract]
            assert row.rows_in == sum(r["rows_in"] for r in same)
            assert row.rows_in == row.released + row.excluded
        assert found.tagmanifest_sha256 == bag.pack_reference(pack).tagmanifest_sha256

    def test_evidence_other_than_the_sealed_one_is_refused(self, pack: Path) -> None:
        (pack / bag.EVIDENCE).write_bytes((pack / bag.EVIDENCE).read_bytes().replace(b'"scheme":"1"', b'"scheme":"2"'))
        with pytest.raises(EvidenceError, match="is not the file that was sealed"):
            chain.baseline(pack)

    def test_a_folder_that_is_no_pack(self, tmp_path: Path) -> None:
        with pytest.raises(EvidenceError, match="cannot be read"):
            chain.baseline(tmp_path)


class TestGates:
    @pytest.mark.requirement("DQ32")
    def test_evidence_that_admits_a_leak_never_verifies_nor_is_sealed(self, tmp_path: Path, seal) -> None:
        scan = {"files": 1, "bytes": 1, "identifiers": 9, "confirmed": 2}
        with pytest.raises(EvidenceError, match="2 raw identifiers survived"):
            seal(tmp_path / "leaky", leak_scan=scan)

    def test_a_failed_self_test(self, tmp_path: Path, seal) -> None:
        with pytest.raises(EvidenceError, match="failed its self-test"):
            seal(tmp_path / "untested", self_test={"passed": False})
