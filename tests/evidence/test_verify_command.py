"""The command that auditors run: words, JSON, exit codes, and what it must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from contracts.errors import DataCutError
from flows.cli.verify import register
from flows.keys.signing_key import Signer
from flows.pack import bag

ROOT = Path(bag.__file__).parents[2]


@pytest.fixture
def public_file(operator: Signer, tmp_path: Path) -> Path:
    path = tmp_path / "operator.pub"
    key = operator._key.public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def test_a_good_pack_in_words(pack: Path, public_file: Path, operator: Signer) -> None:
    result = run(pack, "--public-key", public_file)
    assert result.exit_code == 0
    assert "Verified: pack, a submission pack of cut SIT-2023-08-19" in result.stdout
    assert operator.keyid in result.stdout
    assert "FAIL" not in result.stdout


def test_a_good_pack_in_json(pack: Path, public_file: Path) -> None:
    document = json.loads(run(pack, "--public-key", public_file, "--json").stdout)
    assert document["verified"] is True
    assert document["faults"] == []
    assert document["tagmanifest_sha256"] == bag.pack_reference(pack).tagmanifest_sha256


def failed(result: Result) -> Mapping[str, Any]:
    """What ``--json`` prints beside the error; nothing is printed before, so that it is one object."""
    assert not result.stdout
    assert isinstance(result.exception, DataCutError)
    assert result.exception.document is not None
    return result.exception.document


def test_every_faulty_file_is_named(pack: Path, public_file: Path) -> None:
    (pack / "data/SUPA/portfolio.csv").write_bytes(b"x")
    (pack / "report/index.html").write_bytes(b"x")
    result = run(pack, "--public-key", public_file)
    assert isinstance(result.exception, DataCutError)
    assert result.exception.exit_code == 18
    assert result.exception.line().startswith("report/index.html: ")
    assert "data/SUPA/portfolio.csv" in result.exception.line()
    assert "FAIL  contents" in result.stdout
    document = failed(run(pack, "--public-key", public_file, "--json"))
    assert document["verified"] is False
    assert {fault["file"] for fault in document["faults"]} == {"data/SUPA/portfolio.csv", "report/index.html"}


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--require", "0"], 2)])
def test_wrong_usage(pack: Path, public_file: Path, arguments: list[str], code: int) -> None:
    keys = ["--public-key", public_file] if arguments else []
    assert run(pack, *keys, *arguments).exit_code == code


def test_more_signatures_required_than_keys(pack: Path, public_file: Path) -> None:
    result = run(pack, "--public-key", public_file, "--require", 2, "--json")
    assert isinstance(result.exception, DataCutError)
    assert result.exception.exit_code == 2
    assert failed(result)["verified"] is False


def test_a_place_that_is_no_pack(tmp_path: Path, public_file: Path) -> None:
    for place, code in ((tmp_path / "absent", 2), (public_file, 18), (tmp_path, 18)):
        result = run(place, "--public-key", public_file)
        assert isinstance(result.exception, DataCutError)
        assert result.exception.exit_code == code


def test_verification_stays_light(pack: Path, public_file: Path) -> None:
    """A stranger's machine may have none of the heavy libraries, and verification must not wait for them."""
    program = (
        "import sys, typer\n"
        "from flows.cli.verify import register\n"
        "app = typer.Typer(); app.callback()(lambda: None); register(app)\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'prefect', 'great_expectations', 'polars', 'pandas', 'numpy', 'pyarrow', 'jinja2'}\n"
        "print('heavy:', sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    arguments = [sys.executable, "-c", program, "verify", str(pack), "--public-key", str(public_file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
