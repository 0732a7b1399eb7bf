"""Wrapping with age, splitting k of n, destruction with a certificate, revocation."""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
import shamir_mnemonic

from contracts.errors import DataCutError, EvidenceError, KeyMaterialError
from flows.keys import age_files, destruction, shares
from flows.keys.cut_key import plain_line, read_key
from flows.keys.passphrase import Unlock
from flows.keys.secret_files import write_new
from flows.keys.signing_key import load_public, load_signer, new_signing_key
from tests.keys.conftest import CUT, KEY, OTHER_CUT, private
from transforms.pseudonymise.keys import FieldKeys

FINGERPRINT = FieldKeys(KEY, CUT).fingerprint()


# -- age ------------------------------------------------------------------------------------------------------


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, str]:
    secret, recipient = age_files.new_identity()
    write_new(tmp_path / "identity", secret)
    return tmp_path / "identity", recipient


@pytest.fixture
def age_file(tmp_path: Path, identity: tuple[Path, str]) -> Path:
    write_new(tmp_path / "wrapped.age", age_files.wrap(plain_line(KEY), age_files.recipients_of(identity[1])))
    return tmp_path / "wrapped.age"


def test_a_wrapped_key_is_read_with_the_identity(identity: tuple[Path, str], age_file: Path) -> None:
    assert read_key(age_file, CUT, FINGERPRINT, Unlock(None, identity[0])).fingerprint() == FINGERPRINT
    assert KEY.hex().encode() not in age_file.read_bytes()


def test_any_age_program_unwraps_it_to_a_plain_key_file(identity: tuple[Path, str], age_file: Path) -> None:
    secret = identity[0].read_text().splitlines()[1]
    opened = pyrage.decrypt(age_file.read_bytes(), [pyrage.x25519.Identity.from_str(secret)])
    assert opened == plain_line(KEY)


def test_a_binary_age_file_is_read_as_well(identity: tuple[Path, str], tmp_path: Path) -> None:
    recipients = age_files.recipients_of(identity[1])
    write_new(tmp_path / "binary.age", pyrage.encrypt(plain_line(KEY), recipients))
    assert read_key(tmp_path / "binary.age", CUT, None, Unlock(None, identity[0])).fingerprint() == FINGERPRINT


def test_each_of_several_recipients_unwraps(tmp_path: Path) -> None:
    made = [age_files.new_identity() for _ in range(3)]
    listed = tmp_path / "recipients"
    listed.write_text("# participants\n" + "".join(f"{recipient}\n" for _, recipient in made))
    data = age_files.wrap(plain_line(KEY), age_files.recipients_of(str(listed)))
    assert {age_files.unwrap(data, secret, where="x") for secret, _ in made} == {plain_line(KEY)}


def test_another_identity_and_a_changed_file_are_refused(identity: tuple[Path, str], age_file: Path) -> None:
    data, secret = age_file.read_bytes(), identity[0].read_bytes()
    with pytest.raises(KeyMaterialError):
        age_files.unwrap(data, age_files.new_identity()[0], where="x")
    kept = 0
    for at in range(0, len(data), 3):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            kept += age_files.unwrap(changed, secret, where="x") != plain_line(KEY)
        except KeyMaterialError:
            continue
    assert kept == 0  # armour tolerates some spellings of a line end; what it gives is the key or nothing


@pytest.mark.parametrize("line", ["", "age1zzz", "AGE-SECRET-KEY-1QQQ", "ssh-rsa AAAA", "/no/such/file"])
def test_what_is_no_recipient_is_refused_and_not_shown(line: str) -> None:
    with pytest.raises(KeyMaterialError) as told:
        age_files.recipients_of(line)
    assert "SECRET" not in str(told.value)


def test_a_secret_identity_in_place_of_a_recipient_is_refused(tmp_path: Path) -> None:
    secret = age_files.new_identity()[0].decode().splitlines()[1]
    with pytest.raises(KeyMaterialError, match="secret identity") as told:
        age_files.recipients_of(str(private(tmp_path / "list", secret)))
    assert secret not in str(told.value)


@pytest.mark.parametrize("text", ["", "AGE-SECRET-KEY-1\n", "no identity\n", "# only a comment\n", "caf\u00e9\n"])
def test_what_is_no_identity_is_refused(age_file: Path, text: str) -> None:
    with pytest.raises(KeyMaterialError):
        age_files.unwrap(age_file.read_bytes(), text.encode(), where="x")


def test_an_identity_has_to_be_named_and_private(identity: tuple[Path, str], age_file: Path) -> None:
    with pytest.raises(KeyMaterialError, match="identity"):
        read_key(age_file, CUT)
    identity[0].chmod(0o644)
    with pytest.raises(KeyMaterialError, match="others"):
        read_key(age_file, CUT, None, Unlock(None, identity[0]))


# -- shares ---------------------------------------------------------------------------------------------------


def test_any_k_of_n_shares_give_the_key_and_no_fewer() -> None:
    made = shares.split(KEY, CUT, 3, 5)
    for chosen in itertools.permutations(made, 3):
        assert shares.combine(chosen, CUT) == KEY
    assert shares.combine(made, CUT) == KEY
    for chosen in itertools.combinations(made, 2):
        with pytest.raises(KeyMaterialError, match="needs 3"):
            shares.combine(chosen, CUT)


def test_the_words_alone_are_enough_for_any_slip_39_tool() -> None:
    made = shares.split(KEY, CUT, 2, 3)
    assert shamir_mnemonic.combine_mnemonics([made[0].words, made[2].words]) == KEY
    assert [len(share.words.split()) for share in made] == [33, 33, 33]


def test_fewer_shares_say_nothing_even_when_the_threshold_is_forged() -> None:
    made = [shamir_mnemonic.Share.from_mnemonic(share.words) for share in shares.split(KEY, CUT, 3, 5)]
    forged = [replace(held, words=words_of(part, member_threshold=2)) for held, part in zip(SHARES, made, strict=False)]
    with pytest.raises(KeyMaterialError, match="one of them is wrong"):
        shares.combine(forged[:2], CUT)
    assert all(KEY not in part.value for part in made)


@pytest.mark.parametrize("bad", [{"iteration_exponent": 15}, {"iteration_exponent": 5}, {"group_count": 3}])
def test_words_that_ask_for_hours_or_for_groups_are_refused_at_once(bad: dict[str, int]) -> None:
    parts = [shamir_mnemonic.Share.from_mnemonic(share.words) for share in SHARES]
    hostile = [replace(held, words=words_of(part, **bad)) for held, part in zip(SHARES, parts, strict=True)]
    begun = time.process_time()
    with pytest.raises(KeyMaterialError, match=r"than allowed|groups"):
        shares.combine(hostile, CUT)
    assert time.process_time() - begun < 0.5


def words_of(part: shamir_mnemonic.Share, **changes: int) -> str:
    """Return the words of a share that says something else of itself, with the checksum put right."""
    return replace(part, **changes).mnemonic()


SHARES = shares.split(KEY, CUT, 2, 3)


def test_a_share_file_comes_back_as_it_was_and_a_changed_one_does_not() -> None:
    share = SHARES[1]
    data = share.to_bytes()
    assert shares.parse(data, where="x") == share
    for bit in range(8 * len(data)):
        changed = (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")
        with pytest.raises(KeyMaterialError):
            shares.parse(changed, where="x")


def test_shares_that_do_not_belong_together_are_refused() -> None:
    made, again = shares.split(KEY, CUT, 2, 3), shares.split(KEY, CUT, 2, 3)
    with pytest.raises(KeyMaterialError, match="different splits"):
        shares.combine([made[0], again[1]], CUT)
    with pytest.raises(KeyMaterialError, match="twice"):
        shares.combine([made[0], made[0]], CUT)
    with pytest.raises(KeyMaterialError, match="another cut"):
        shares.combine(made[:2], OTHER_CUT)
    part = shamir_mnemonic.Share.from_mnemonic(made[1].words)
    liar = replace(made[1], words=replace(part, value=bytes(32)).mnemonic())
    with pytest.raises(KeyMaterialError, match="one of them is wrong"):
        shares.combine([made[0], liar], CUT)
    with pytest.raises(KeyMaterialError, match="SLIP-39"):
        shares.combine([made[0], replace(made[1], words=made[1].words[::-1])], CUT)
    of_another = [replace(share, fingerprint="0" * 32) for share in made]
    with pytest.raises(KeyMaterialError, match="one of them is wrong"):
        shares.combine(of_another, CUT)


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (0, 2), (4, 3), (2, 17), (-1, -1)])
def test_splits_that_protect_nothing_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(KeyMaterialError):
        shares.split(KEY, CUT, threshold, count)


# -- destruction and revocation -------------------------------------------------------------------------------


@pytest.fixture
def signing(tmp_path: Path) -> tuple[Path, Path]:
    new_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    return tmp_path / "signing.key", tmp_path / "signing.pub"


def _destroy(plain: Path, signing: tuple[Path, Path], certificate: Path) -> None:
    destruction.destroy(
        plain,
        cut=CUT,
        fingerprint=lambda: FINGERPRINT,
        by="Ann Custodian",
        signer=load_signer(signing[0]),
        certificate=certificate,
    )


def test_a_destroyed_key_is_overwritten_removed_and_certified(
    tmp_path: Path, plain: Path, signing: tuple[Path, Path]
) -> None:
    os.link(plain, tmp_path / "second name")  # shows what became of the bytes themselves
    _destroy(plain, signing, tmp_path / "certificate")
    left = (tmp_path / "second name").read_bytes()
    assert not plain.exists()
    assert len(left) == 65
    assert KEY.hex().encode() not in left
    told = destruction.verify_certificate(tmp_path / "certificate", load_public(signing[1]))
    assert (told.cut, told.fingerprint, told.by, told.file) == (CUT, FINGERPRINT, "Ann Custodian", "plain.key")
    assert KEY.hex() not in (tmp_path / "certificate").read_text()
    assert not list(tmp_path.glob(".certificate*"))


def test_a_changed_certificate_or_another_signer_is_refused(
    tmp_path: Path, plain: Path, signing: tuple[Path, Path]
) -> None:
    _destroy(plain, signing, tmp_path / "certificate")
    new_signing_key(tmp_path / "other.key", tmp_path / "other.pub")
    with pytest.raises(EvidenceError):
        destruction.verify_certificate(tmp_path / "certificate", load_public(tmp_path / "other.pub"))
    data = (tmp_path / "certificate").read_bytes()
    for at in range(0, len(data), 11):
        (tmp_path / "certificate").write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(EvidenceError):
            destruction.verify_certificate(tmp_path / "certificate", load_public(signing[1]))


def test_a_signed_statement_of_something_else_is_no_certificate(tmp_path: Path, signing: tuple[Path, Path]) -> None:
    from flows.keys.dsse import sign
    from transforms.release.attestation import canonical_bytes

    for document in ({"predicate": {}}, [], {"predicate": {"cut": "x"}}):
        (tmp_path / "odd").write_bytes(sign(canonical_bytes(document), [load_signer(signing[0])]).to_bytes())
        with pytest.raises(EvidenceError, match="not a certificate"):
            destruction.verify_certificate(tmp_path / "odd", load_public(signing[1]))


def test_nothing_is_certified_when_the_key_could_not_be_destroyed(tmp_path: Path, signing: tuple[Path, Path]) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(DataCutError):
            _destroy(path, signing, tmp_path / "certificate")
    assert not (tmp_path / "certificate").exists()
    assert not list(tmp_path.glob(".certificate*"))


def test_a_certificate_is_never_written_over(tmp_path: Path, plain: Path, signing: tuple[Path, Path]) -> None:
    (tmp_path / "certificate").write_text("an older one")
    with pytest.raises(KeyMaterialError, match="already exists"):
        _destroy(plain, signing, tmp_path / "certificate")
    assert plain.read_bytes() == plain_line(KEY)


def test_revoked_fingerprints_are_refused(tmp_path: Path) -> None:
    listed = tmp_path / "revoked-keys.txt"
    destruction.revoke(listed, "0" * 16, "lost\nlaptop")
    destruction.refuse_revoked(FINGERPRINT, listed)
    destruction.revoke(listed, FINGERPRINT, "destroyed")
    with pytest.raises(KeyMaterialError, match="revoked"):
        destruction.refuse_revoked(FINGERPRINT, listed)
    assert len(listed.read_text().splitlines()) == 2
    listed.write_text(f"{FINGERPRINT[:16]}  # as earlier versions wrote them\n")
    with pytest.raises(KeyMaterialError, match="revoked"):
        destruction.refuse_revoked(FINGERPRINT, listed)


@pytest.mark.parametrize("text", [None, "not a fingerprint\n", "0123456789ABCDEF\n", "0123456789abcdef0\n", "\xff\xfe"])
def test_a_list_that_cannot_be_understood_refuses_every_key(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "list").write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyMaterialError):
        destruction.refuse_revoked(FINGERPRINT, tmp_path / "list")


def test_the_certificate_is_an_in_toto_statement(tmp_path: Path, plain: Path, signing: tuple[Path, Path]) -> None:
    import base64

    _destroy(plain, signing, tmp_path / "certificate")
    envelope = json.loads((tmp_path / "certificate").read_bytes())
    document = json.loads(base64.b64decode(envelope["payload"]))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"][0]["digest"] == {"datacutFingerprint": FINGERPRINT}
    assert "copies" in document["predicate"]["limits"]
