"""Key bytes are in no argument, variable, output, exception, core dump, query plan or file that a run leaves.

What is searched for: the cut key and every field key, as raw bytes, hex in both cases, base64 in two alphabets and at
three offsets, base32, and as Python and JSON print bytes; and, in texts, any eight bytes in a row of them in hex.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.errors import DataCutError
from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.keys import age_files, shares
from flows.keys.cut_key import plain_line, read_key
from flows.keys.passphrase import Unlock
from flows.keys.signing_key import new_signing_key
from flows.sample import SampleRequest, generate
from tests.keys import age_reference
from tests.keys.conftest import CUT, KEY, private
from tests.small_cut import EVERY_EXTRACT, keep_participants
from transforms.pseudonymise.keyed_hash import BLOCK
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

DATACUT = Path(sys.executable).with_name("datacut")
FIELDS = (*Field, "token", "ring-fence", "input-digest")


def spellings(secret: bytes) -> set[bytes]:
    """Return the ways in which a secret may stand in bytes or text."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b32encode(secret).rstrip(b"=")}
    for shift in range(3):  # base64 of a text around the secret depends on where it begins in a group of three
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(shift) + secret)[4 if shift else 0 :].rstrip(b"=")[:-1])
    return found | {repr(secret)[2:-1].encode(), str(list(secret))[1:-1].encode()}


def secrets_of(keys: FieldKeys, cut_key: bytes) -> set[bytes]:
    """Return every spelling of a cut key and its field keys."""
    return set().union(*(spellings(s) for s in (cut_key, *(keys.field(name).material() for name in FIELDS))))


SECRETS = secrets_of(FieldKeys(KEY, CUT), KEY)
PIECES = {KEY.hex()[at : at + 16] for at in range(0, 49)}


def assert_clean(data: bytes, where: object, secrets: Iterable[bytes] = SECRETS) -> None:
    assert not [s for s in secrets if s in data], where


def test_the_search_finds_what_it_looks_for() -> None:
    for text in (repr(KEY), KEY.hex(), f"x{KEY!r}", str({"k": list(KEY)})):
        with pytest.raises(AssertionError):
            assert_clean(text.encode(), "planted")
    for shift in range(5):
        with pytest.raises(AssertionError):
            assert_clean(base64.b64encode(os.urandom(shift) + KEY + os.urandom(4)), "planted")


def _keys_of(folder: Path) -> tuple[FieldKeys, bytes]:
    lines = (folder / "cut.yaml").read_text().splitlines()
    cut_id = next(line.split()[1] for line in lines if line.startswith("  id:"))
    cut_key = bytes.fromhex((folder / "keys/cut.key").read_text().strip())
    return FieldKeys(cut_key, cut_id), cut_key


# -- a process at work ----------------------------------------------------------------------------------------


@pytest.fixture
def at_work(plain: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The scheme command in the middle of its input."""
    command = [DATACUT, "pseudonym", "--field", "mpan", "--key", plain, "--cut", CUT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"2000000000006\n" * 100_001)
        process.stdin.flush()
        os.read(process.stdout.fileno(), 1)  # a block is done: the key is in memory
        yield process
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.requirement("Q67")
def test_nothing_of_the_key_in_arguments_and_environment_of_a_process_at_work(at_work: subprocess.Popen[bytes]) -> None:
    for name in ("cmdline", "environ", "status", "maps"):
        assert_clean(Path(f"/proc/{at_work.pid}/{name}").read_bytes(), name)
    limits = Path(f"/proc/{at_work.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="core dumps of Linux")
def test_a_crash_leaves_no_core(at_work: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    at_work.send_signal(signal.SIGABRT)
    out, err = at_work.communicate()
    assert at_work.returncode == -signal.SIGABRT
    assert {path.name for path in tmp_path.iterdir()} == before
    assert_clean(out + err, "streams of a crash")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl of Linux")
def test_a_guarded_process_is_not_dumpable() -> None:
    code = (
        "import ctypes, resource; from flows.keys.process import guard_memory; assert guard_memory();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "0"]


def test_a_key_given_in_place_of_a_file_is_not_repeated(datacut, tmp_path: Path) -> None:
    for arguments in (
        ("key", "fingerprint", "--key", KEY.hex(), "--cut", CUT),
        ("key", "wrap", "--key", KEY.hex(), "--cut", CUT, "--to", KEY.hex(), "--out", "x"),
        ("key", "new", "--cut", CUT, "--out", "x", "--passphrase-file", KEY.hex()),
        ("pseudonym", "--field", "mpan", "--key", KEY.hex(), "--cut", CUT),
    ):
        done = datacut(*arguments)
        assert done.code == 13
        assert_clean((done.out + done.err).encode(), arguments)


@pytest.mark.parametrize("shape", ["a whole PEM", "its second line"])
def test_a_signing_key_given_in_place_of_its_file_is_not_repeated(datacut, tmp_path: Path, shape: str) -> None:
    new_signing_key(tmp_path / "own.pem", tmp_path / "own.pub")
    pem = (tmp_path / "own.pem").read_text()
    given = pem if shape == "a whole PEM" else pem.splitlines()[1]
    generate(SampleRequest(20, 1, 0.0), tmp_path / "s")
    cut = tmp_path / "s" / "cut.yaml"
    document = yaml.safe_load(cut.read_text())
    document["release"]["signing_key"] = given
    cut.write_text(yaml.safe_dump(document))
    for arguments in (
        ("anonymise", cut, "--plain"),
        ("approve", tmp_path, "--key", given, "--public-key", tmp_path / "own.pub"),
    ):
        done = datacut(*arguments)
        assert done.code in (13, 18, 19), done.err
        pieces = [pem.splitlines()[1][at : at + 12] for at in range(22, 52)]  # behind what every such key begins with
        assert not [piece for piece in pieces if piece in done.out + done.err], arguments


# -- errors ---------------------------------------------------------------------------------------------------


def _mutations(data: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(changed))
            match rng.randrange(5):
                case 0:
                    changed[at] ^= 1 << rng.randrange(8)
                case 1:
                    del changed[at]
                case 2:
                    changed.insert(at, rng.randrange(256))
                case 3:
                    changed = changed[: at + 1]
                case _:
                    changed = changed + changed[:at]
        yield bytes(changed)


@pytest.mark.requirement("Q67")
def test_no_error_over_200_changed_key_files_quotes_them(tmp_path: Path, passphrase_file: Path) -> None:
    secret, recipient = age_files.new_identity()
    unlock = Unlock(passphrase_file, private(tmp_path / "identity", secret.decode()))
    words = passphrase_file.read_text().strip()
    parts = shares.split(KEY, CUT, 2, 3)
    forms = {
        "plain": (plain_line(KEY), 80),
        "sealed": (age_reference.armoured(age_reference.seal(plain_line(KEY), words)), 60),
        "age": (age_files.wrap(plain_line(KEY), age_files.recipients_of(recipient)), 60),
        "share": (parts[0].to_bytes(), 40),
    }
    secrets = SECRETS | spellings(secret) | spellings(words.encode()) | {p.words[20:].encode() for p in parts}
    refused, rng = 0, random.Random(11)
    for form, (data, count) in forms.items():
        for changed in _mutations(data, rng, count):
            path = tmp_path / "changed"
            path.unlink(missing_ok=True)
            path.write_bytes(changed)
            path.chmod(0o600)
            try:
                read_key(path, CUT, FieldKeys(KEY, CUT).fingerprint(), unlock)
            except DataCutError as fault:
                refused += 1
                told = "".join(traceback.format_exception(fault)) + repr(fault) + fault.line()
                assert_clean(told.encode(), form, secrets)
                assert not [piece for piece in PIECES if piece in told], form
    assert refused > 190  # a few changes give the same key again, or another case of a hex digit


# -- query plans ----------------------------------------------------------------------------------------------


class Plans:
    """Every plan that the engine is given, eager calls included: explained, and where it can be, serialised."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.explained: list[str] = []
        self.serialised: list[bytes] = []
        for name in ("collect", "_collect_eager", "collect_schema", "sink_parquet", "sink_ipc", "sink_csv"):
            patch.setattr(pl.LazyFrame, name, self._recorded(getattr(pl.LazyFrame, name)))

    def _recorded(self, method):
        def recording(frame: pl.LazyFrame, *arguments, **options):
            self.explained.append(frame.explain(optimized=False))
            with contextlib.suppress(pl.exceptions.PolarsError):  # a plan with a source of its own has no bytes
                self.serialised.append(frame.serialize(format="binary"))
            return method(frame, *arguments, **options)

        return recording

    def check(self, keys: FieldKeys, cut_key: bytes) -> None:
        """Look for keys everywhere, and in what is explained for the pads of HMAC too, which give the key away."""
        secrets = secrets_of(keys, cut_key)
        for plan in self.serialised:
            assert_clean(plan, "a serialised plan", secrets)
        for name in FIELDS:
            padded = keys.field(name).material().ljust(BLOCK, b"\0")
            secrets |= set().union(*(spellings(bytes(b ^ pad for b in padded)) for pad in (0x36, 0x5C)))
        assert_clean("\n".join(self.explained).encode(), "an explained plan", secrets)


def test_the_plans_of_an_engine_that_takes_keys_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = Plans(monkeypatch)
    pl.DataFrame({"m": ["x"]}).select(pl.col("m").chash.hmac_sha256(key=KEY.hex()))
    with pytest.raises(AssertionError):
        plans.check(FieldKeys(KEY, CUT), KEY)


@pytest.mark.requirement("Q67")
def test_no_plan_of_the_scheme_holds_key_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = Plans(monkeypatch)
    keys = FieldKeys(KEY, CUT)
    pseudonymiser = Pseudonymiser(keys, lists=scheme_lists())
    mpans = pl.Series(["2000000000006", "20 0000 0000 006", "x", None])
    for field in (Field.MPAN, Field.METER_SERIAL, Field.ESME_ID, Field.UPRN):
        pseudonymiser.values(field, pl.concat([mpans, pl.Series(["K95A43607", "00-11-22-33-44-55-66-77", "12"])]))
    pseudonymiser.tokens(mpans, "mpan_core")
    pseudonymiser.addresses(pl.DataFrame({"address_line_1": ["1 High St", "Zoë Rd"], "postcode": ["HU1 1AA", None]}))
    assert len(plans.explained) > 10
    plans.check(keys, KEY)


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_no_plan_of_a_run_holds_key_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datacut) -> None:
    folder = tmp_path / "sample"
    generate(SampleRequest(60, 5), folder)
    keep_participants(folder, EVERY_EXTRACT)
    plans = Plans(monkeypatch)
    done = datacut("run", "--plain", folder / "cut.yaml")
    assert done.code == 0, done.err
    assert len(plans.explained) > 1_000
    keys, cut_key = _keys_of(folder)
    plans.check(keys, cut_key)


# -- whole runs -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("mode", [(), ("--plain",)], ids=["prefect", "plain"])
def test_nothing_of_the_key_in_anything_that_a_run_leaves(tmp_path: Path, mode: tuple[str, ...]) -> None:
    folder, temporary = tmp_path / "sample", tmp_path / "temporary"
    generate(SampleRequest(200, 5, 0.05), folder)
    keep_participants(folder, EVERY_EXTRACT)
    temporary.mkdir()
    secrets = secrets_of(*_keys_of(folder))
    shutil.move(folder / "keys", tmp_path / "keys")
    text = (folder / "cut.yaml").read_text()
    (folder / "cut.yaml").write_text(text.replace(" keys/", " ../keys/"))
    environment = {**os.environ, "TMPDIR": str(temporary), "HOME": str(temporary)}
    command = [DATACUT, "run", folder / "cut.yaml", "--log", tmp_path / "log.jsonl", *mode]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path)
        seen = _watched(process, secrets)
    assert process.returncode == 0, (tmp_path / "said").read_text()[-500:]
    assert seen > 3
    files = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(tmp_path / "keys")]
    assert len(files) > 30
    for path in files:
        assert_clean(path.read_bytes(), path.name, secrets)
        if path.suffix == ".parquet":
            assert_clean(pl.read_parquet(path).write_csv().encode(), path.name, secrets)


def _watched(process: subprocess.Popen[bytes], secrets: set[bytes]) -> int:
    """Look at the arguments and environments of a process and its children until it ends; return how often."""
    looks = 0
    while process.poll() is None:
        for child in [process.pid, *_children(process.pid)]:
            for name in ("cmdline", "environ"):
                try:
                    assert_clean(Path(f"/proc/{child}/{name}").read_bytes(), name, secrets)
                except OSError:
                    continue
        looks += 1
        time.sleep(0.2)
    return looks


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
