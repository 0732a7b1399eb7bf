"""What docs/for-auditors.md tells a stranger to run is run here, word by word."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import resource
import shutil
import string
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from contracts.requirements import questions
from flows.keys.signing_key import load_signer, new_signing_key
from flows.pack import bag
from flows.sample import SampleRequest, generate
from tests.command import Done, datacut

ROOT = Path(bag.__file__).parents[2]
PAGE = (ROOT / "docs" / "for-auditors.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


@pytest.fixture
def signed(seal, tmp_path: Path) -> tuple[Path, Path]:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    return seal(tmp_path / "pack", signers=[load_signer(tmp_path / "k.pem")]).path, tmp_path / "k.pub"


def independent(pack: Path, key: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's script far from this project: no path leads to its code."""
    script = tmp_path / "verify.py"
    script.write_text(block("python"))
    arguments = [sys.executable, "-I", str(script), str(pack), str(key)]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)


@pytest.mark.requirement("Q67")
def test_the_independent_script_has_twenty_lines_and_agrees(signed, tmp_path: Path) -> None:
    pack, key = signed
    assert len(block("python").strip().splitlines()) <= 24
    assert "flows" not in block("python")
    done = independent(pack, key, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verified ")


def test_the_independent_script_sees_what_verify_sees(signed, tmp_path: Path, copy) -> None:
    pack, key = signed
    changes = {
        "flipped": lambda p: (p / "data/SUPA/portfolio.csv").write_bytes(b"x"),
        "added": lambda p: (p / "data/SUPA/more.csv").write_bytes(b"x"),
        "removed": lambda p: (p / "report/gx/portfolio.json").unlink(),
        "renamed": lambda p: (p / "data/SUPA/portfolio.csv").rename(p / "data/SUPA/p.csv"),
        "evidence": lambda p: (p / bag.EVIDENCE).write_bytes((p / bag.EVIDENCE).read_bytes().replace(b"SIT", b"SAT")),
        "manifest": lambda p: (p / bag.MANIFEST).write_bytes((p / bag.MANIFEST).read_bytes()[67:]),
        "unsigned": lambda p: (p / bag.SIGNATURE).write_bytes(b'{"payload":"","payloadType":"","signatures":[]}'),
    }
    for name, change in changes.items():
        victim = copy(pack)
        change(victim)
        assert independent(victim, key, tmp_path).returncode != 0, name


def test_a_foreign_key_convinces_nobody(signed, tmp_path: Path) -> None:
    new_signing_key(tmp_path / "foreign.pem", tmp_path / "foreign.pub")
    assert independent(signed[0], tmp_path / "foreign.pub", tmp_path).returncode != 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_the_openssl_recipe(signed, tmp_path: Path) -> None:
    pack, key = signed
    script = block("sh")
    environment = {**os.environ, "OPERATOR_PUB": str(key), "TMPDIR": str(tmp_path)}

    def run() -> subprocess.CompletedProcess[str]:
        shell = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(shell, capture_output=True, text=True, cwd=pack, env=environment, check=False)

    done = run()
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "Verified Successfully" in first
    assert second == bag.pack_reference(pack).tagmanifest_sha256
    (pack / "data/SUPA/more.csv").write_bytes(b"x")
    assert "data/SUPA/more.csv" in run().stdout
    assert run().returncode != 0
    (pack / "data/SUPA/more.csv").unlink()
    assert run().returncode == 0
    (pack / "data/SUPA/portfolio.csv").write_bytes(b"x")
    assert run().returncode != 0
    (pack / bag.SIGNATURE).write_bytes((pack / bag.SIGNATURE).read_bytes().replace(b'"payload":"ey', b'"payload":"eZ'))
    assert run().returncode != 0


@pytest.mark.requirement("Q67")
def test_a_machine_with_the_pack_and_a_public_key_alone(signed, tmp_path: Path) -> None:
    """No data key, no configuration, no network, no heavy library; within seconds, in plain words."""
    pack, key = signed
    alone = tmp_path / "stranger"
    alone.mkdir()
    shutil.copytree(pack, alone / "pack")
    shutil.copy(key, alone / "operator.pub")
    program = (
        "import socket, sys\n"
        "def never(*a, **k): raise AssertionError('a connection was tried')\n"
        "socket.socket.connect = socket.getaddrinfo = never\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "sys.argv = ['datacut', 'verify', 'pack', '--public-key', 'operator.pub']\n"
        "from flows.cli.main import main\n"
        "main()\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(alone)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=alone, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    files = [path for path in (alone / "pack").rglob("*") if path.is_file()]
    octets = sum(path.stat().st_size for path in files if path.name not in (bag.TAGMANIFEST, bag.SIGNATURE))
    for words in (
        "no link, no unsafe path, no two names equal but for case",
        "Ed25519 signature of given key",
        f"{len(files)} files, {octets:,} bytes: SHA-256 of each as in the signed manifests",
        "nothing added, nothing missing",
        "evidence.json is what was signed",
        "keeps its published schema",
        "rows in = ",
        "payload size as stated",
        "names no expiry date",
        "names no pack that it was made from",
        "whether the data is right",
        "whose public keys these are",
        "Verified: pack",
    ):
        assert words in done.stdout, words
    assert sorted(p.name for p in alone.iterdir()) == ["operator.pub", "pack"]


def test_every_exit_code_of_the_page_is_in_the_help() -> None:
    from flows.cli.verify import verify_command

    for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE):
        assert code in str(verify_command.__doc__), code


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Return what was said of a cut in which one party is late and another sends a column too many, day by day."""
    folder = tmp_path_factory.mktemp("day") / "sample"
    generate(SampleRequest(300, 5, 0.05), folder)
    cut = folder / "cut.yaml"
    portfolio = folder / "SUPA" / "portfolio.csv.gz"
    rows = gzip.decompress(portfolio.read_bytes()).splitlines()
    portfolio.write_bytes(gzip.compress(b"\n".join([rows[0] + b",batch_run", *(row + b",x" for row in rows[1:])])))
    late = folder / "SUPC" / "portfolio.zip"
    late.rename(folder / "not-sent")
    document = yaml.safe_load(cut.read_text("utf-8"))
    party = next(one for one in document["participants"] if one["mpid"] == "SUPC")
    party["due"] = "2023-08-25"
    custody = {"what": "ceremony", "who": "two", "on": "2026-10-01", "custody": "shares"}
    document["registers"] = {"operator": "SI data team", "custody": [custody]}
    said = SimpleNamespace()

    def command(*arguments: object) -> Done:
        cut.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return datacut(*arguments)

    said.asked = command("request", cut, "--participant", "SUPA", "--out", folder / "asked")
    said.waiting = command("status", cut, "--json")
    said.refused = command("run", cut, "--plain")
    party["left_out"] = "did not deliver by 25 August"
    said.run = command("run", cut, "--plain")
    said.board = command("status", cut, "--json")
    assert said.run.code == 0, said.run.err
    (said.pack,) = (folder / "out").glob("*-release")
    said.evidence = json.loads((said.pack / bag.EVIDENCE).read_bytes())
    return said


@pytest.mark.slow
@pytest.mark.requirement("Q61", "Q64")
def test_a_cut_goes_on_without_a_late_party_and_says_so(told: SimpleNamespace) -> None:
    states = {one["participant"]: one["state"] for one in json.loads(told.waiting.out)["deliveries"]}
    assert states["SUPC"] == "late"
    assert set(states.values()) == {"late", "arrived"}
    assert told.asked.code == 0, told.asked.err
    assert (told.refused.code, "SUPC/portfolio" in told.refused.err) == (11, True), told.refused.err
    assert told.run.code == 0, told.run.err
    states = {one["participant"]: one["state"] for one in json.loads(told.board.out)["deliveries"]}
    assert states["SUPC"] == "left out"
    assert set(states.values()) == {"left out", "accepted"}
    (gone,) = told.evidence["left_out"]
    assert (gone["participant"], gone["reason"]) == ("SUPC", "did not deliver by 25 August")
    sent = {one["participant"]: one for one in told.evidence["inputs"] if one["extract"] == "portfolio"}
    assert "SUPC" not in sent
    assert sent["SUPA"]["dropped_columns"] == 1
    own = json.loads((told.pack.with_name("SAMPLE-2023-08-19-return-SUPA") / bag.EVIDENCE).read_bytes())
    assert ["batch_run"] in [one.get("dropped") for one in own["inputs"]], "its name is for the sender alone"
    assert "batch_run" not in pl.read_parquet(told.pack / "data/SUPA/portfolio.parquet").columns
    assert not list(told.pack.parent.glob("*-return-SUPC"))
    page = (told.pack / "report" / "index.html").read_text("utf-8")
    assert "did not deliver by 25 August" in page


@pytest.mark.slow
@pytest.mark.requirement("Q55", "Q64", "Q67")
def test_ten_lines_answer_the_twelve_questions_of_a_real_cut(told: SimpleNamespace, tmp_path: Path) -> None:
    pack = told.pack
    script = tmp_path / "questions.py"
    script.write_text(block("py"))
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(pack)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert len([line for line in block("py").splitlines() if line]) <= 11
    assert f"{{{'}'}" not in done.stdout
    asked = re.split(r"^\d+\. ", done.stdout, flags=re.MULTILINE)[1:]
    assert [question.splitlines()[0] for question in asked] == [question.asked for question in questions()]
    separation = told.evidence["ring_fence"]["separation"]
    plan = hashlib.sha256((pack / "evidence" / "plan.csv").read_bytes()).hexdigest()
    for fact in (fact for question in questions() for fact in question.facts):
        keys = {name for _, name, _, _ in string.Formatter().parse(fact.words) if name} | {*fact.where, *fact.without}
        published = re.findall(r'"(\w+)": ', (ROOT / "contracts" / "schema" / "evidence-1.json").read_text("utf-8"))
        assert keys | set(fact.section.split(".")) <= {*published, *separation}, fact
    for answer, wanted in zip(
        asked,
        ("cut SAMPLE-2023-08-19 of 2023-08-19", "source ", "market domain data, version", "SUPC is left out with",
         "every column of the contract was asked for", "DQ01, exclude: YELG/registration, 1 of 119 rows, the",
         "policy standard, one signature", "0 of ", " 0 in CIT and SIT", f"plan ring_fence.csv, {plan}; 0 groups",
         "run by SI data team", "market_segment: "),
        strict=True,
    ):  # fmt: skip
        assert wanted in answer, answer
    page = (pack / "report" / "index.html").read_text("utf-8")
    for question in ("Which build?", "Which market data?", "Are test sets apart?", "Who answers for it?"):
        assert question in page
