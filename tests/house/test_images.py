"""The image and the example of its operation: linted, pinned by hash, no address, no root, bounded by the figures."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from contracts.rates import expected, rates

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"participant": ("postgres",), "si": ("si", "postgres", "dask")}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ;.*)? \\$")
MARKET_ROWS = 213_623_933  # 30 million metering points
SERVICES = ("database", "server", "worker", "scheduler", "dask")


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """Return what a file of requirements pins; every line of it is a pin or the hash of a file."""
    found = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if pinned := PINNED.match(line):
            found[canonicalize_name(pinned[1])] = pinned[2]
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), line
    return found


def test_the_container_file_has_no_fault():
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_example_is_what_the_compose_specification_takes():
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas")
    schema = schemas.get_builtin_schema("vendor.compose-spec")
    jsonschema.Draft7Validator(schema).validate(compose())
    assert tuple(compose()["services"]) == SERVICES


@pytest.mark.parametrize("name", EXTRAS)
def test_requirements_are_pinned_by_hash_and_fit_the_project(name):
    found = pins(name)
    wanted = [*PROJECT["dependencies"], *(r for e in EXTRAS[name] for r in PROJECT["optional-dependencies"][e])]
    for requirement in map(Requirement, wanted):
        if requirement.name != PROJECT["name"]:
            pinned = found[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(Version(pinned)), f"{requirement.name} {pinned}"
    assert ("prefect" in found) is (name == "si")
    assert "hatchling" in pins("build")


def test_the_image_gets_what_it_copies_and_runs_as_nobody_in_particular():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists()
            assert any(fnmatch(source, pattern) for pattern in let_in), source
    assert re.findall(r"^ARG (\w+)", text, re.MULTILINE) == ["BASE", "FOR", "UID", "GID"]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert "USER ${UID}:${GID}" in text
    assert "HEALTHCHECK" in text
    assert "--require-hashes" in text
    commands = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "://" not in commands


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_bounded_watched_and_reached_by_nobody_outside(name):
    service = compose()["services"][name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["healthcheck"]["test"]
    assert service["image"].startswith("${")  # no address, no version that this file would have to follow
    assert not service.get("privileged")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    environment = service.get("environment", {})
    assert not [key for key in environment if re.search("PASSWORD|AUTH|KEY|SECRET", key) and not key.endswith("_FILE")]
    if name != "database":
        assert service["user"].startswith("${DATACUT_UID:-")
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True


def test_the_worker_gets_the_memory_that_the_whole_market_takes():
    limit = compose()["services"]["worker"]["deploy"]["resources"]["limits"]["memory"]
    assert limit.endswith("G")
    assert expected(rates(), "release", MARKET_ROWS, 2).memory < int(limit[:-1]) * 1024
