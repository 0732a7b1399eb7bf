"""Whatever is done to a sealed pack, verification sees it and names the file."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from flows.keys.dsse import sign
from flows.keys.signing_key import PublicKey, Signer
from flows.pack import bag
from flows.pack.verify import PackFaultError, VerificationPolicy, verify_pack
from tests.evidence.specimen import sha
from transforms.release.attestation import canonical_bytes, statement


def faulty(root: Path, *keys: PublicKey, **terms) -> list[str]:
    """Return the files that verification blames, the one of the error line first."""
    with pytest.raises(PackFaultError) as error:
        verify_pack(root, keys, VerificationPolicy(**terms))
    assert error.value.exit_code == 18
    assert error.value.line().startswith(bag.shown(error.value.verification.files[0]))
    return error.value.verification.files


def reseal(root: Path, signer: Signer, evidence: dict | None = None) -> None:
    """Sign what lies in the folder as a hostile holder of a signing key could."""
    digest = bag.digest_file(root / bag.TAGMANIFEST)[0]
    document = evidence or json.loads((root / bag.EVIDENCE).read_bytes())
    payload = canonical_bytes(statement(document, tagmanifest_sha256=digest))
    (root / bag.SIGNATURE).write_bytes(sign(payload, [signer]).to_bytes())


def retag(root: Path, lines: bytes | None = None) -> None:
    """Recompute the tag manifest over what its lines name."""
    digests = bag.parse_manifest((root / bag.TAGMANIFEST).read_bytes(), where="")
    fresh = {path: bag.digest_file(root / path)[0] for path in digests}
    (root / bag.TAGMANIFEST).write_bytes(lines if lines is not None else bag.manifest_bytes(fresh))


def test_an_untouched_pack_holds(pack: Path, operator: Signer) -> None:
    found = verify_pack(pack, [operator.public])
    assert found.signed_by == (operator.keyid,)
    assert [check.name for check in found.checks] == [
        "structure",
        "signatures",
        "contents",
        "evidence",
        "cut",
        "chain",
    ]


@pytest.mark.requirement("Q67")
def test_a_thousand_flips_are_found_and_named(pack: Path, operator: Signer) -> None:
    rng = random.Random(20230819)
    files = sorted(bag.listing(pack).files)
    for turn in range(1000):
        name = files[turn % len(files)]
        path, original = pack / name, (pack / name).read_bytes()
        place, bits = rng.randrange(len(original)), rng.randrange(1, 256)
        flipped = bytearray(original)
        flipped[place] ^= bits
        path.write_bytes(flipped)
        assert faulty(pack, operator.public) == [name], (name, place, bits)
        path.write_bytes(original)
    verify_pack(pack, [operator.public])


def test_every_byte_of_the_signature_file_counts(seal, tmp_path: Path, operator, approver) -> None:
    pack = seal(tmp_path / "pack", signers=[operator, approver]).path
    original = (pack / bag.SIGNATURE).read_bytes()
    rng = random.Random(7)
    # The last 400 bytes hold both signatures, key ids and padding; one key alone is given.
    for place in [*range(len(original) - 400, len(original)), *range(0, len(original), 97)]:
        flipped = bytearray(original)
        flipped[place] ^= rng.randrange(1, 256)
        (pack / bag.SIGNATURE).write_bytes(flipped)
        assert faulty(pack, operator.public) == [bag.SIGNATURE], place


@pytest.mark.parametrize("name", ["data/SUPA/extra.csv", "extra.txt", "report/extra.html", "data/extra"])
def test_an_added_file(pack: Path, operator: Signer, name: str) -> None:
    (pack / name).write_bytes(b"x")
    assert faulty(pack, operator.public) == [name]


def test_every_removed_file(pack: Path, operator: Signer, copy) -> None:
    for name in bag.listing(pack).files:
        victim = copy(pack)
        (victim / name).unlink()
        blamed = faulty(victim, operator.public)
        # The last file of a folder leaves the empty folder behind, which is told as well.
        assert name in blamed
        assert set(blamed) <= {name, str(Path(name).parent)}


def test_a_renamed_file(pack: Path, operator: Signer) -> None:
    (pack / "data/SUPB/portfolio.csv").rename(pack / "data/SUPB/portfolio2.csv")
    assert faulty(pack, operator.public) == ["data/SUPB/portfolio.csv", "data/SUPB/portfolio2.csv"]


def test_swapped_files(pack: Path, operator: Signer) -> None:
    one, two = pack / "data/SUPA/portfolio.csv", pack / "data/SUPB/portfolio.csv"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert faulty(pack, operator.public) == ["data/SUPA/portfolio.csv", "data/SUPB/portfolio.csv"]


def test_a_file_moved_out_and_linked_back(pack: Path, operator: Signer, tmp_path: Path) -> None:
    target = pack / "data/SUPA/portfolio.csv"
    shutil.move(target, tmp_path / "elsewhere.csv")
    target.symlink_to(tmp_path / "elsewhere.csv")
    assert faulty(pack, operator.public) == ["data/SUPA/portfolio.csv"]


def test_an_empty_folder_is_told(pack: Path, operator: Signer) -> None:
    (pack / "data/hollow").mkdir()
    assert faulty(pack, operator.public) == ["data/hollow"]


def test_a_name_equal_but_for_case(pack: Path, operator: Signer) -> None:
    (pack / "data/SUPA/PORTFOLIO.csv").write_bytes(b"x")
    assert set(faulty(pack, operator.public)) <= {"data/SUPA/PORTFOLIO.csv", "data/SUPA/portfolio.csv"}


def test_a_control_character_in_a_name_never_reaches_a_terminal(pack: Path, operator: Signer) -> None:
    (pack / "data/\x1b[2Jx").write_bytes(b"x")
    with pytest.raises(PackFaultError) as error:
        verify_pack(pack, [operator.public])
    assert "\x1b" not in error.value.line()


def test_another_key(pack: Path, stranger: PublicKey) -> None:
    assert faulty(pack, stranger) == [bag.SIGNATURE]


def test_a_pack_signed_anew_by_a_stranger_is_not_believed(pack: Path, operator, approver) -> None:
    (pack / "data/SUPA/portfolio.csv").write_bytes(b"forged\n")
    payload = {p: bag.digest_file(pack / p)[0] for p in bag.listing(pack).files if p.startswith("data/")}
    (pack / bag.MANIFEST).write_bytes(bag.manifest_bytes(payload))
    retag(pack)
    reseal(pack, approver)
    assert faulty(pack, operator.public)[0] == bag.SIGNATURE


HOSTILE = {
    "parent": "data/../evidence/evidence.json",
    "absolute": "/etc/hostname",
    "backslash": "data\\SUPA\\portfolio.csv",
    "encoded": "data/%2e%2e/x",
    "case": "data/supa/portfolio.csv",
    "outside data": "evidence/evidence.json",
}


@pytest.mark.parametrize("trick", HOSTILE)
def test_path_tricks_in_a_validly_signed_manifest(pack: Path, operator: Signer, trick: str) -> None:
    line = f"{'0' * 64}  {HOSTILE[trick]}\n".encode()
    lines = [*(pack / bag.MANIFEST).read_bytes().splitlines(keepends=True), line]
    (pack / bag.MANIFEST).write_bytes(b"".join(sorted(lines, key=lambda entry: entry[66:])))
    retag(pack)
    reseal(pack, operator)
    assert faulty(pack, operator.public) == [bag.MANIFEST]


def test_a_repeated_line_in_a_validly_signed_manifest(pack: Path, operator: Signer) -> None:
    first = (pack / bag.MANIFEST).read_bytes().splitlines(keepends=True)[0]
    (pack / bag.MANIFEST).write_bytes(first + (pack / bag.MANIFEST).read_bytes())
    retag(pack)
    reseal(pack, operator)
    assert faulty(pack, operator.public) == [bag.MANIFEST]


def test_a_tag_manifest_that_forgets_a_file(pack: Path, operator: Signer) -> None:
    digests = bag.parse_manifest((pack / bag.TAGMANIFEST).read_bytes(), where="")
    del digests[bag.INFO]
    retag(pack, bag.manifest_bytes(digests))
    reseal(pack, operator)
    assert faulty(pack, operator.public) == [bag.TAGMANIFEST]


def envelope_changes(data: bytes) -> dict[str, bytes]:
    document = json.loads(data)
    signature = document["signatures"][0]
    padded = document["payload"].rstrip("=")
    return {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "no line feed": data[:-1],
        "null": b"null\n",
        "list": b"[]\n",
        "deep": b"[" * 100_000,
        "spaces": json.dumps(document, indent=1).encode(),
        "no signature": canonical_bytes({**document, "signatures": []}),
        "same signature twice": canonical_bytes({**document, "signatures": [signature, signature]}),
        "other type": canonical_bytes({**document, "payloadType": "text/plain"}),
        "further field": canonical_bytes({**document, "note": "x"}),
        "repeated key": data.replace(b'{"payload":', b'{"payload":"","payload":', 1),
        "payload cut": canonical_bytes({**document, "payload": padded[: len(padded) // 8 * 4]}),
        "payload without padding": canonical_bytes({**document, "payload": padded + "===="}),
        "junk signature added": canonical_bytes(
            {
                **document,
                "signatures": sorted(
                    [signature, {"keyid": "0" * 16, "sig": base64.b64encode(b"x" * 64).decode()}],
                    key=lambda entry: entry["keyid"],
                ),
            }
        ),
        "key id of a surrogate": data.replace(signature["keyid"].encode(), b"\\ud800", 1),
    }


def test_malformed_envelopes(pack: Path, operator: Signer) -> None:
    original = (pack / bag.SIGNATURE).read_bytes()
    for fault, data in envelope_changes(original).items():
        (pack / bag.SIGNATURE).write_bytes(data)
        assert faulty(pack, operator.public) == [bag.SIGNATURE], fault


def test_a_signature_of_an_older_pack_does_not_fit(seal, tmp_path: Path, operator: Signer) -> None:
    old = seal(tmp_path / "old").path
    new = seal(tmp_path / "new", scheme="2").path
    shutil.copy(old / bag.SIGNATURE, new / bag.SIGNATURE)
    assert bag.TAGMANIFEST in faulty(new, operator.public)


def test_evidence_other_than_the_signed_one(pack: Path, operator: Signer) -> None:
    evidence = json.loads((pack / bag.EVIDENCE).read_bytes())
    reseal(pack, operator, {**evidence, "scheme": "2"})
    assert faulty(pack, operator.public) == [bag.EVIDENCE]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"rules": "none"},
        {"key_fingerprint": "x"},
        {"accounting": [{"participant": "SUPA"}]},
        {"cut": None},
        {"signers": "x"},
        {"previous": 5},
    ],
)
def test_evidence_that_breaks_its_schema_though_signed(pack: Path, operator: Signer, change: dict) -> None:
    evidence = {**json.loads((pack / bag.EVIDENCE).read_bytes()), **change}
    (pack / bag.EVIDENCE).write_bytes(canonical_bytes(evidence))
    retag(pack)
    reseal(pack, operator, evidence)
    assert faulty(pack, operator.public)[0] in (bag.EVIDENCE, bag.SIGNATURE)


@pytest.mark.parametrize("change", ["one released more", "a reason less"])
def test_rows_that_do_not_balance_though_signed(pack: Path, operator: Signer, change: str) -> None:
    evidence = json.loads((pack / bag.EVIDENCE).read_bytes())
    row = next(row for row in evidence["accounting"] if row["by_reason"])
    if change == "one released more":
        row["released"] += 1
    else:
        row["by_reason"].popitem()
    (pack / bag.EVIDENCE).write_bytes(canonical_bytes(evidence))
    retag(pack)
    reseal(pack, operator, evidence)
    assert faulty(pack, operator.public) == [bag.EVIDENCE]


def test_bag_info_of_another_cut(pack: Path, operator: Signer) -> None:
    info = (pack / bag.INFO).read_bytes().replace(b"SIT-2023-08-19", b"SIT-2024-01-01")
    (pack / bag.INFO).write_bytes(info)
    retag(pack)
    reseal(pack, operator)
    assert faulty(pack, operator.public) == [bag.INFO]


class TestSeveralSigners:
    def test_both_keys(self, seal, tmp_path: Path, operator, approver) -> None:
        pack = seal(tmp_path / "pack", signers=[operator, approver]).path
        found = verify_pack(pack, [operator.public, approver.public])
        assert set(found.signed_by) == {operator.keyid, approver.keyid}

    def test_one_key_is_enough_when_only_one_is_given(self, seal, tmp_path: Path, operator, approver) -> None:
        pack = seal(tmp_path / "pack", signers=[operator, approver]).path
        assert verify_pack(pack, [approver.public]).signed_by == (approver.keyid,)

    def test_an_approver_who_did_not_sign(self, pack: Path, operator, approver) -> None:
        assert faulty(pack, operator.public, approver.public) == [bag.SIGNATURE]
        assert verify_pack(pack, [operator.public, approver.public], VerificationPolicy(require=1))

    def test_a_signature_taken_away(self, seal, tmp_path: Path, operator, approver) -> None:
        pack = seal(tmp_path / "pack", signers=[operator, approver]).path
        document = json.loads((pack / bag.SIGNATURE).read_bytes())
        kept = [entry for entry in document["signatures"] if entry["keyid"] == operator.keyid]
        (pack / bag.SIGNATURE).write_bytes(canonical_bytes({**document, "signatures": kept}))
        assert faulty(pack, operator.public) == [bag.SIGNATURE]

    def test_one_key_given_twice_counts_once(self, pack: Path, operator: Signer) -> None:
        with pytest.raises(ConfigurationError):
            verify_pack(pack, [operator.public, operator.public], VerificationPolicy(require=2))

    def test_no_key_verifies_nothing(self, pack: Path) -> None:
        with pytest.raises(ConfigurationError):
            verify_pack(pack, [])


class TestChain:
    def test_a_pack_names_what_it_was_made_from(self, seal, tmp_path: Path, operator: Signer) -> None:
        first = seal(tmp_path / "first")
        second = seal(tmp_path / "second", previous=[first.reference]).path
        verify_pack(second, [operator.public], VerificationPolicy(previous=(first.path,)))
        assert bag.pack_reference(first.path) == first.reference

    def test_a_changed_previous_pack_is_named_with_its_file(self, seal, tmp_path: Path, operator) -> None:
        first = seal(tmp_path / "first")
        second = seal(tmp_path / "second", previous=[first.reference]).path
        (first.path / "data/SUPA/metering.csv").write_bytes(b"x")
        assert faulty(second, operator.public, previous=(first.path,)) == ["first/data/SUPA/metering.csv"]

    def test_a_pack_that_was_not_used(self, seal, tmp_path: Path, operator: Signer) -> None:
        first, second = seal(tmp_path / "first"), seal(tmp_path / "second", scheme="2").path
        third = seal(tmp_path / "third", previous=[first.reference]).path
        assert faulty(third, operator.public, previous=(second,)) == [f"second/{bag.TAGMANIFEST}"]
        entry = {"pack": "second", "tagmanifest_sha256": sha("else")}
        fourth = seal(tmp_path / "fourth", previous=[entry]).path
        assert faulty(fourth, operator.public, previous=(second,)) == [f"second/{bag.TAGMANIFEST}"]


class TestFreshness:
    def test_an_expired_pack(self, seal, tmp_path: Path, operator: Signer) -> None:
        from datetime import date

        cut = {"id": "SIT", "date": "2023-08-19", "trust_model": "SI-central", "expires": "2024-08-19"}
        pack = seal(tmp_path / "pack", cut=cut).path
        verify_pack(pack, [operator.public], VerificationPolicy(today=date(2024, 8, 19)))
        assert faulty(pack, operator.public, today=date(2024, 8, 20)) == [bag.EVIDENCE]

    def test_a_pack_of_another_cut(self, pack: Path, operator: Signer) -> None:
        verify_pack(pack, [operator.public], VerificationPolicy(cut_id="SIT-2023-08-19"))
        assert faulty(pack, operator.public, cut_id="QUAL-2024") == [bag.EVIDENCE]


def test_a_payload_of_holes_is_not_read(pack: Path, operator: Signer) -> None:
    """Eight gigabytes of nothing take no room on the disk; nobody reads them to see that they were not sealed."""
    path = next(path for path in sorted((pack / "data").rglob("*")) if path.is_file())
    os.truncate(path, 8 << 30)
    read: list[int] = []

    def seen(count: int) -> None:
        read.append(count)
        assert sum(read) < 1 << 24

    with pytest.raises(PackFaultError) as caught:
        verify_pack(pack, [operator.public], seen=seen)
    assert path.relative_to(pack).as_posix() in caught.value.verification.files
