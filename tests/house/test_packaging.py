"""What is shipped: a wheel of three packages, the same bytes twice; a container file without a fault; the sample."""

from __future__ import annotations

import filecmp
import gzip
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flows.cli.run import SAMPLE_REQUEST
from flows.sample import SampleRequest, generate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def build(folder: Path) -> Path:
    hatch = Path(sys.executable).with_name("hatchling")
    if not hatch.exists():
        pytest.skip("hatchling is not installed")
    subprocess.run([hatch, "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


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


def test_the_container_file_has_no_fault():
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_installs_offline_and_runs_without_a_network(wheel, tmp_path):
    """From a folder of wheels into a fresh venv, in an empty network namespace; then the demo."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("an empty network namespace needs unshare and root")
    house = tmp_path / "wheelhouse"
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", house, wheel], capture_output=True, check=False
    )
    if fetched.returncode:
        pytest.skip("the wheels of the dependencies cannot be fetched here")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    steps = (
        "ip link set lo up",
        f"{tmp_path}/venv/bin/pip install --quiet --no-index --find-links {house} datacut",
        f"cd {tmp_path} && venv/bin/datacut demo --out demo --json > done.json",
    )
    alone = ["unshare", "--net", "sh", "-c", " && ".join(steps)]
    done = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "signing.pub").is_file()
