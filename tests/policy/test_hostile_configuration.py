"""``cut.yaml`` and the files beside it in every wrong way: exit code 2, or the code of what is missing, in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.sample import SampleRequest, generate
from tests.command import Done, datacut

SOUND = """
cut:
  id: HOSTILE
  date: 2023-08-19
  key: keys/cut.key
  test: true
participants:
  - mpid: EELC
    role: LDSO
    extracts:
      - {contract: registration, source: {path: r.csv}}
reference: {market_domain_data: mdd}
release: {signing_key: keys/signing.pem}
"""
ALIASES = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(12))
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + ALIASES + "\n"
LONGEST = 2_000  # characters of a line that a person reads

# name -> text of cut.yaml, exit code, what the line says
HOSTILE = {
    "empty": ("", 2, "the file: is empty"),
    "a list": ("- a\n- b\n", 2, "is not a cut.yaml"),
    "a word": ("cut\n", 2, "is not a cut.yaml"),
    "not YAML": ("cut: [unclosed\n", 2, "line 2: is not valid YAML"),
    "a tab for indentation": ("cut:\n\tid: X\n", 2, "line 2: is not valid YAML"),
    "NUL": ("cut: \0\n", 2, "not valid YAML"),
    "two documents": (SOUND + "---\n" + SOUND, 2, "not valid YAML"),
    "an unknown key": (SOUND + "colour: red\n", 2, "colour"),
    "a misspelt key": (SOUND.replace("  key:", "  keys:"), 2, "cut.key"),
    "an unknown key far down": (SOUND.replace("{path: r.csv}", "{path: r.csv, pat: x}"), 2, "source.pat"),
    "a list for a map": (SOUND.replace("{market_domain_data: mdd}", "[mdd]"), 2, "reference"),
    "a map for a path": (SOUND.replace("keys/cut.key", "{a: b}"), 2, "cut.key"),
    "a number for an id": (SOUND.replace("HOSTILE", "7.5"), 2, "cut.id"),
    "an id that climbs": (SOUND.replace("HOSTILE", "../../HOSTILE"), 2, "cut.id"),
    "an id with a line break": (SOUND.replace("HOSTILE", '"A\\nB"'), 2, "cut.id"),
    "an id of any length": (SOUND.replace("HOSTILE", "x" * 300), 2, "cut.id"),
    "no such day": (SOUND.replace("2023-08-19", "2023-02-31"), 2, "line 4: cut.date: there is no such day"),
    "no such day as a text": (SOUND.replace("2023-08-19", "'2023-02-31'"), 2, "cut.date"),
    "a word for a day": (SOUND.replace("2023-08-19", "yesterday"), 2, "cut.date"),
    "nothing for a day": (SOUND.replace("2023-08-19", ""), 2, "cut.date"),
    "nobody": (SOUND.replace("  - mpid: EELC", "  - mpid: eelc and others"), 2, "mpid"),
    "no participant": (re.sub("participants:.*reference", "participants: []\nreference", SOUND, flags=re.S), 2, "part"),
    "no such contract": (SOUND.replace("contract: registration", "contract: registrations"), 2, "no contract"),
    "a contract by its path": (SOUND.replace("contract: registration", "contract: ../registration"), 2, "no contract"),
    "another scheme": (SOUND.replace("  key:", "  scheme: 2\n  key:"), 2, "cut.scheme"),
    "partitions without end": (SOUND + "partitions: 1000000\n", 2, "partitions"),
    "a type of Python": (SOUND.replace("HOSTILE", "!!python/object/apply:os.system ['true']"), 2, "a tag"),
    "aliases that multiply": (BOMB + SOUND, 2, "with what aliases repeat"),
    "aliases for participants": (
        BOMB + SOUND.replace("participants:\n  - mpid", "participants: *a12\nothers:\n  - mpid"), 2, "too large",
    ),
    "an alias of itself": (SOUND + "work: &a [*a]\n", 2, "an alias inside what it repeats"),
    "brackets without end": (SOUND + "work: " + "[" * 100_000 + "\n", 2, "not valid YAML"),
    "maps in maps": (SOUND + "work: " + "{a: " * 20_000 + "}" * 20_000 + "\n", 2, "YAML"),
    "participants without end": (SOUND.replace("reference", "  - 1\n" * 20_000 + "reference"), 2, "participant 2"),
    "keys without end": ("\n".join(f"k{n}: " for n in range(300_000)), 2, "too large"),
    "more bytes than a person writes": (SOUND + "#" * (5 << 20), 2, "too large: at most 4 MiB"),
    "a number to base 60": (SOUND.replace("2023-08-19", "12:30:00"), 2, "line 4: cut.date: is a number to base 60"),
    "a number to base 60 without end": (SOUND + "work: 1" + ":59" * 500_000 + "\n", 2, "base 60"),
    "a number without end": (SOUND + "partitions: " + "9" * 100_000 + "\n", 2, "too long for a number"),
    "the same key twice": (SOUND.replace("  key:", "  id: OTHER\n  key:"), 2, "twice"),
    "a source outside": (SOUND.replace("path: r.csv", "path: ../r.csv"), 12, "outside the backup folder"),
    "a source of the system": (SOUND.replace("path: r.csv", "path: /etc/hostname"), 12, "outside the backup folder"),
    "no source": (SOUND.replace("{path: r.csv}", "{}"), 2, "file or a database"),
    "a key that is none": (SOUND.replace("keys/cut.key", "r.csv"), 13, "r.csv"),
    "a key elsewhere": (SOUND.replace("keys/cut.key", "nowhere/cut.key"), 13, "nowhere/cut.key"),
    "a folder for a key": (SOUND.replace("keys/cut.key", "keys"), 13, "keys"),
    "a device for a key": (SOUND.replace("keys/cut.key", "/dev/zero"), 13, "/dev/zero"),
    "another signing key": (SOUND.replace("keys/signing.pem", "keys/cut.key"), 13, "cut.key"),
    "reference data elsewhere": (SOUND.replace("data: mdd", "data: nowhere"), 11, "nowhere: there is no market domain"),
    "a policy elsewhere": (SOUND.replace("  key:", "  policy: {overlay: nowhere.yaml}\n  key:"), 2, "nowhere.yaml"),
    "a policy that is a folder": (SOUND.replace("  key:", "  policy: {overlay: keys}\n  key:"), 2, "keys"),
    "a work folder of others": (SOUND + "work: mine\n", 2, "the work folder holds other files"),
    "a release folder that is a file": (SOUND.replace("release: {", "release: {folder: r.csv, "), 19, "cannot be"),
    "a work folder that is a file": (SOUND + "work: r.csv\n", 19, "r.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("hostile")
    generate(SampleRequest(60, 5, 0.0), made / "sample")
    folder = made / "backup"
    shutil.copytree(made / "sample" / "keys", folder / "keys")
    shutil.copytree(made / "sample" / "elexon" / "mdd", folder / "mdd")
    shutil.copy(made / "sample" / "EELC" / "registration.csv", folder / "r.csv")
    shutil.copy(folder / "r.csv", made / "r.csv")
    (folder / "mine" / "HOSTILE").mkdir(parents=True)
    (folder / "mine" / "HOSTILE" / "thesis.txt").write_text("mine")
    return folder


def told(done: Done, code: int, phrase: str) -> None:
    assert done.code == code, done.err[:3000]
    assert len(done.told) == 1, done.err[:3000]
    assert phrase in done.told[0], done.told[0][:3000]
    assert len(done.told[0]) < LONGEST
    assert "Traceback" not in done.err


def test_the_sound_one_is_sound(place):
    (place / "cut.yaml").write_text(SOUND)
    assert datacut("anonymise", place / "cut.yaml", "--plain").code == 0


@pytest.mark.requirement("Q58")
@pytest.mark.parametrize(("text", "code", "phrase"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_configuration(place, text, code, phrase):
    (place / "cut.yaml").write_text(text)
    began = time.process_time()
    told(datacut("anonymise", place / "cut.yaml", "--plain"), code, phrase)
    assert time.process_time() - began < 10
    assert (place / "mine" / "HOSTILE" / "thesis.txt").read_text() == "mine"


def test_what_is_no_file_or_no_text(place):
    (place / "latin.yaml").write_bytes(SOUND.encode() + b"# caf\xe9\n")
    (place / "wide.yaml").write_text(SOUND, encoding="utf-16")
    os.mkfifo(place / "pipe.yaml")
    for name, phrase in (
        ("missing.yaml", "cannot be read"),
        ("keys", "is a folder"),
        ("latin.yaml", "not UTF-8"),
        ("wide.yaml", "not UTF-8"),
        ("pipe.yaml", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
    ):
        told(datacut("anonymise", place / name, "--plain"), 2, phrase)


def test_wrong_usage_is_told_in_a_process_of_its_own(place):
    for arguments in (["anonymise"], ["anonymise", "a", "b"], ["anonymize", "a"], ["anonymise", "--key", "x", "a"]):
        command = [Path(sys.executable).with_name("datacut"), *arguments]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr
