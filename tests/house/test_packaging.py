"""What is shipped: a wheel of three packages, the same bytes twice; a container file without a fault; the sample."""

from __future__ import annotations

import filecmp
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from flows.cli.run import SAMPLE_REQUEST
from flows.cut.installed import EXTRAS
from flows.sample import SampleRequest, generate
from tests.provenance import build, needed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if not Path(sys.executable).with_name("hatchling").exists():
        pytest.skip("hatchling is not installed")
    return build(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_three_packages_and_their_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"contracts", "transforms", "flows"}
    assert "contracts/extracts/registration.odcs.yaml" in names
    assert {"contracts/py.typed", "transforms/py.typed", "flows/py.typed"} <= set(names)
    assert "contracts/scheme/vectors-1.json" in names
    assert any(name.startswith("flows/report/templates/") for name in names)
    assert not [n for n in names if n.endswith((".pyc", ".db", ".key", ".pem"))]


def test_the_wheel_is_the_same_bytes_twice(wheel, tmp_path):
    assert filecmp.cmp(wheel, build(tmp_path), shallow=False)


def test_the_committed_sample_is_what_the_generator_writes(tmp_path):
    generate(SampleRequest(*SAMPLE_REQUEST), tmp_path / "sample")
    made = {p.relative_to(tmp_path / "sample"): p for p in (tmp_path / "sample").rglob("*") if p.is_file()}
    kept = {p.relative_to(ROOT / "sample_data"): p for p in (ROOT / "sample_data").rglob("*") if p.is_file()}
    assert set(made) == set(kept)
    assert [str(name) for name in made if _held(made[name]) != _held(kept[name])] == []


def _held(path: Path) -> object:
    """Return what a file holds; how an archive is packed differs between releases of Python and zlib."""
    match path.suffix:
        case ".gz":
            return gzip.decompress(path.read_bytes())
        case ".zip":
            with zipfile.ZipFile(path) as archive:
                return [(entry.filename, entry.date_time, archive.read(entry)) for entry in archive.infolist()]
        case _:
            return path.read_bytes()


LEFT_OUT = ("prefect", "ortools", "sqlalchemy", "psycopg", "fastapi", "adbc-driver-postgresql", "dask")


def light(wheel: Path, folder: Path) -> set[str]:
    """Make a venv with the wheel and what it needs, nothing else; return the names.

    The libraries are links to those that run this test: fetching them anew takes many minutes on a slow line.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    libraries = needed(wheel)
    for library in libraries.values():
        for file in library.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            (packages / file).symlink_to(Path(str(library.locate_file(file))).absolute())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    return set(libraries)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_light_installation_has_what_a_participant_needs(wheel, tmp_path):
    """The wheel without an extra, in a venv of its own: anonymise and verify, and what only an SI installs is named."""
    names = light(wheel, tmp_path / "venv")
    binaries = tmp_path / "venv" / "bin"
    assert not names & set(LEFT_OUT)
    assert len(names) < 70
    place = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "PYTHON"))}

    def datacut(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [binaries / "datacut", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=place, capture_output=True, text=True, check=False)

    assert datacut("sample", "--mpans", 60, "--seed", 1, "--out", "s").returncode == 0
    done = datacut("anonymise", "s/cut.yaml", "--json")
    assert done.returncode == 0, done.stderr
    pack = json.loads(done.stdout)["pack"]
    assert datacut("verify", pack, "--public-key", "s/keys/signing.pub").returncode == 0
    for asked, told in (
        (("run", "s/cut.yaml"), "datacut: Prefect is not installed (run with --plain, or pip install 'datacut[si]')"),
        (("run", "s/cut.yaml", "--plain"), "datacut: OR-tools is not installed (pip install 'datacut[si]')"),
        (("serve", "s/cut.yaml"), "datacut: Prefect is not installed (pip install 'datacut[si]')"),
        (("ringfence", "status", "s/cut.yaml"), "datacut: SQLAlchemy is not installed (pip install 'datacut[si]')"),
    ):
        done = datacut(*asked)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (19, told), asked


def test_every_extra_has_the_libraries_that_the_product_says():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for library, (_, extra) in EXTRAS.items():
        assert any(re.match(rf"{library.replace('_', '-')}\b", name) for name in extras[extra]), library


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_installs_offline_and_runs_without_a_network(wheel, tmp_path):
    """From a folder of wheels into a fresh venv, in an empty network namespace; then a participant's job."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("an empty network namespace needs unshare and root")
    house = tmp_path / "wheelhouse"
    fetch = ["wheel", "--quiet", "--prefer-binary", "--wheel-dir", house, f"{wheel}[postgres]"]
    fetched = subprocess.run([sys.executable, "-m", "pip", *fetch], capture_output=True, check=False)
    if fetched.returncode:
        pytest.skip("the wheels of the dependencies cannot be fetched here")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip = f"{sys.executable} -m pip --python {tmp_path}/venv/bin/python"
    steps = (
        "ip link set lo up",
        f"{pip} install --quiet --no-compile --no-index --find-links {house} 'datacut[postgres]'",
        f"cd {tmp_path}",
        "venv/bin/datacut sample --mpans 60 --seed 1 --out s",
        "venv/bin/datacut anonymise s/cut.yaml",
    )
    alone = ["unshare", "--net", "sh", "-c", " && ".join(steps)]
    done = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "s" / "out").glob("*-submission/evidence/evidence.json"))
