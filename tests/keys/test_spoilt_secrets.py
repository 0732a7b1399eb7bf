"""Spoilt keys, policies and inputs: no raw value and no key byte in anything that is said or left.

Searched after each run: standard output and error, what libraries write past Python, the log, the text of the
exception that ended it, the temporary folder, the work folder with Prefect's home and database, and the pack: bytes,
and the cells of tables. Runs under Prefect are processes of their own, whose exceptions are searched in what they say
and in Prefect's database. Searched for: cut key and field keys in every spelling of ``test_key_secrecy``, eight bytes
of the key in a row in hex, passphrase and identity, and every raw identifier of the input.
"""

from __future__ import annotations

import os
import random
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from flows.cli import run as command
from flows.keys import age_files
from flows.keys.cut_key import plain_line
from tests.command import Done
from tests.keys import age_reference
from tests.keys.conftest import private
from tests.keys.test_key_secrecy import secrets_of, spellings
from tests.mutations import spoil_bytes
from tests.pipeline.mutated import Form, Place, ordinary, past_python, spoilt, survivors
from tests.policy.test_policy_overlay import POLICY
from transforms.pseudonymise.keys import FieldKeys

# SPOILT_SECRETS=200 for the whole campaign; every ninth runs under Prefect
QUICK, SLOW, UNDER_PREFECT = 21, int(os.environ.get("SPOILT_SECRETS", "18")), 9
CODES = {0, 2, 11, 12, 13, 14}
PASSPHRASE = "quarter chamfer widget 41"


@dataclass
class Held:
    """A place with its key in three forms, and all that may be found nowhere.

    Attributes:
        secrets: byte strings of the key and of what opens it.
        raised: texts of the exceptions that ended runs, with their tracebacks.
    """

    place: Place
    key: bytes
    forms: dict[str, bytes]
    secrets: set[bytes]
    raised: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Iterator[Held]:
    place = Place(tmp_path_factory.mktemp("secrets"))
    key = bytes.fromhex((place.folder / "keys" / "cut.key").read_text().strip())
    identity, recipient = age_files.new_identity()
    private(place.folder / "keys" / "identity", identity.decode())
    private(place.folder / "keys" / "passphrase", PASSPHRASE)
    forms = {
        "plain": plain_line(key),
        "sealed": age_reference.armoured(age_reference.seal(plain_line(key), PASSPHRASE)),
        "age": age_files.wrap(plain_line(key), age_files.recipients_of(recipient)),
    }
    pieces = {key.hex()[at : at + 16].encode() for at in range(0, 49)}
    secrets = secrets_of(FieldKeys(key, "FUZZ"), key) | spellings(identity.strip()) | pieces
    secrets |= spellings(PASSPHRASE.encode())
    made = Held(place, key, forms, secrets)
    with pytest.MonkeyPatch.context() as patch:
        original = command._run

        def recording(*arguments: object, **options: object) -> object:
            try:
                return original(*arguments, **options)
            except BaseException as fault:
                made.raised.append("".join(traceback.format_exception(fault)))
                raise

        patch.setattr(command, "_run", recording)
        yield made


def spoilt_key(held: Held, choice: random.Random) -> Mapping[str, object]:
    """Write a key file that is not as it should be; return the entries of ``cut`` that name it."""
    path = held.place.folder / "keys" / "spoilt.key"
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    form = choice.choice(("plain", "plain", "age", "sealed"))
    data, mode = held.forms[form], 0o600
    match choice.randrange(8):
        case 0 | 1:
            data = spoil_bytes(data, choice)
        case 2:
            data = data[: choice.randrange(len(data))]
        case 3:
            at = choice.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << choice.randrange(8)]) + data[at + 1 :]
        case 4:
            mode = choice.choice((0o644, 0o640, 0o604, 0o666, 0o777))
        case 5:
            data = choice.choice((held.key, held.key.hex().upper().encode() * 2, b"0x" + data, data + data, b""))
        case 6:
            data = f"key: {held.key.hex()}\n".encode()
        case _:
            path.mkdir()
            return {"key": "keys/spoilt.key"}
    path.write_bytes(data)
    path.chmod(mode)
    opened = {"sealed": {"key_passphrase_file": "keys/passphrase"}, "age": {"key_identity_file": "keys/identity"}}
    wanted = {"fingerprint": FieldKeys(held.key, "FUZZ").fingerprint()} if choice.random() < 0.5 else {}
    return {"key": "keys/spoilt.key", **opened.get(form, {}), **wanted}


def spoilt_policy(held: Held, choice: random.Random) -> Mapping[str, object]:
    """Write an overlay of the policy with changed bytes, lines or treatments."""
    path = held.place.folder / "policy.yaml"
    match choice.randrange(4):
        case 0:
            path.write_bytes(spoil_bytes(POLICY.encode(), choice))
        case 1:
            lines = POLICY.splitlines()
            del lines[choice.randrange(len(lines))]
            path.write_text("\n".join(lines))
        case 2:
            words = ("keep", "pseudonymise", "shred", "{method: keep, rule: x}", "[keep]", "7", "'first 0'", "drop")
            lines = POLICY.splitlines()
            at = choice.randrange(3, len(lines))
            lines[at] = f"{lines[at].partition(':')[0]}: {choice.choice(words)}"
            path.write_text("\n".join(lines))
        case _:
            names = ("mpan_core", "uprn", "postcode", "address_line_5", "meter_serial_number")
            path.write_text(f"treatments: {{registration: {{{choice.choice(names)}: keep}}}}\n")
    return {"policy": {"overlay": "policy.yaml"}}


def one(held: Held, number: int, *, plain: bool) -> tuple[Form, tuple, Done]:
    """Run once with a key, a policy or an input that is spoilt, by the number."""
    choice = random.Random(number)
    kind = ("key", "policy", "input")[number % 3]
    registrations = [f for f in held.place.forms if f.extracts == ("registration",)]
    form = choice.choice(held.place.forms if kind == "input" else registrations)
    data, table = spoilt(form, choice) if kind == "input" else (form.pack(form.table, choice), form.table)
    entries = {"key": spoilt_key, "policy": spoilt_policy}[kind](held, choice) if kind != "input" else {}
    return form, table, held.place.run(form, data, cut=entries, plain=plain)


def campaign(held: Held, count: int, *, under_prefect: int = 0) -> tuple[list[str], Counter[int]]:
    """Return the faults, and how often each exit code came."""
    faults, codes = [], Counter()
    with past_python() as heard:
        for number in range(count):
            plain = not under_prefect or number % under_prefect > 0
            held.raised.clear()
            form, table, done = one(held, number, plain=plain)
            codes[done.code] += 1
            left = {"what was said": done.out + done.err + heard(), "the exception": "\n".join(held.raised)}
            found = _faults(held, form, table, done, left, in_process=plain)
            faults += [f"{number}: {fault}" for fault in found]
            if not plain and done.code != 2 and not any((held.place.folder / "work" / "prefect").glob("*.db")):
                faults.append(f"{number}: Prefect kept no database, so none was searched")
    return faults, codes


def _faults(
    held: Held, form: Form, table: tuple, done: Done, left: dict[str, str], *, in_process: bool = True
) -> Iterator[str]:
    if done.code not in CODES:
        yield f"exit code {done.code}: {done.told}"
    if "Traceback" in left["what was said"] or len(done.told) != (done.code != 0):
        yield f"{len(done.told)} lines say why, or a traceback does"
    if in_process and bool(held.raised) != (done.code != 0):
        yield "no exception was recorded"
    found = [*left.items(), *held.place.left()]
    for where, text in found:
        whole = text.encode("latin-1", "replace")
        if any(secret in whole for secret in held.secrets):
            yield f"key material in {where}"
    for spelt in (form.table, table):
        yield from survivors(spelt, iter(found), ordinary(form.table))


@pytest.mark.requirement("Q67", "Q68")
def test_spoilt_keys_policies_and_inputs_leave_nothing(held):
    faults, codes = campaign(held, QUICK)
    assert faults == []
    assert {2, 11, 13} & codes.keys()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.requirement("Q67", "Q68")
def test_more_spoilt_keys_policies_and_inputs_leave_nothing(held):
    faults, codes = campaign(held, SLOW, under_prefect=UNDER_PREFECT)
    assert faults == []
    assert codes.keys() >= {0, 2, 11, 13}
    assert codes.total() == SLOW


def test_the_search_would_find_a_key_and_a_value(held, tmp_path):
    """In each place that is searched, in several spellings."""
    form = next(f for f in held.place.forms if f.name == "csv")
    choice = random.Random(1)
    held.raised.clear()
    done = held.place.run(form, form.pack(form.table, choice))
    assert done.code == 0
    assert list(_faults(held, form, form.table, done, {"what was said": "", "the exception": ""})) == []
    mpan = form.table[1][2][0]
    for place in ("out", "work", "temporary"):
        (held.place.folder / place).mkdir(exist_ok=True)
        for content in (held.key, held.key.hex().encode(), PASSPHRASE.encode(), mpan.encode()):
            planted = held.place.folder / place / "planted.db"
            planted.write_bytes(b"SQLite format 3\0" + os.urandom(40).replace(b"|", b"x") + content)
            assert list(_faults(held, form, form.table, done, {"what was said": "", "the exception": ""})), place
            planted.unlink()
    for where in ("what was said", "the exception"):
        said = {"what was said": "", "the exception": "", where: f"KeyError: '{held.key.hex()[10:40]}'"}
        assert list(_faults(held, form, form.table, done, said)), where


def test_every_kind_of_key_is_spoilt(held):
    made = " ".join(str(spoilt_key(held, random.Random(n))) for n in range(60))
    assert all(word in made for word in ("key_passphrase_file", "key_identity_file", "fingerprint"))
