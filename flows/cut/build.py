"""Which build makes a cut: version, libraries, and a digest of the product's files that a stranger can compute."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import contracts
import flows
import transforms
from contracts.evidence import Tool

LIBRARIES = ("polars", "pyarrow", "numpy", "cryptography", "great-expectations", "pydantic", "ortools", "prefect")


def tool_version() -> str:
    """Return the installed version of the product."""
    try:
        return version("datacut")
    except PackageNotFoundError:
        return "0+uninstalled"


@cache
def source_digest() -> str:
    """Return the SHA-256 over the lines ``sha256  path`` of every file of the three packages, ordered by path.

    The same from a wheel and from a checkout: compiled files and caches do not count.
    """
    whole = hashlib.sha256()
    for package in (contracts, flows, transforms):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*"), key=lambda p: p.relative_to(root).as_posix()):
            if path.is_file() and "__pycache__" not in path.parts:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                whole.update(f"{digest}  {root.name}/{path.relative_to(root).as_posix()}\n".encode())
    return whole.hexdigest()


def _commit() -> str:
    try:
        noted = distribution("datacut").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    return str(json.loads(noted or "{}").get("vcs_info", {}).get("commit_id", ""))


def tool_facts() -> Tool:
    """Return what the evidence says of the build."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return Tool(
        name="datacut",
        version=tool_version(),
        polars=found.get("polars", ""),
        python=platform.python_version(),
        libraries=found,
        source_sha256=source_digest(),
        commit=_commit() or None,
    )
