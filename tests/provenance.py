"""What a release is made of: builds it, and lists its parts with their licences as a CycloneDX document.

``python -m tests.provenance --out dist`` writes wheel, source archive, ``datacut.cdx.json`` and ``SHA256SUMS``; built
twice from one commit with one environment they have the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import uuid
import zipfile
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SPEC = "1.6"
CLASSIFIER = "License :: OSI Approved :: "
NOT_STATED = "not stated by its wheel"
LONGEST = 60  # characters of a licence's name; what is longer is the text itself


def build(folder: Path, target: str = "wheel") -> Path:
    """Build the wheel or the source archive (``sdist``); hatchling gives every member the same time."""
    hatch = Path(sys.executable).with_name("hatchling")
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    subprocess.run([hatch, "build", "-t", target, "-d", folder], cwd=ROOT, check=True, capture_output=True)
    (made,) = set(folder.iterdir()) - before
    return made


def wheel_metadata(wheel: Path) -> Message:
    """Return the metadata of a wheel."""
    kept = zipfile.ZipFile(wheel)
    (entry,) = (name for name in kept.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(kept.read(entry).decode())


def needed(wheel: Path) -> dict[str, metadata.Distribution]:
    """Return what pip would install beside the wheel when no extra is asked for, by name, as it is installed here."""
    asked = [Requirement(line) for line in wheel_metadata(wheel).get_all("Requires-Dist") or ()]
    found: dict[str, metadata.Distribution] = {}
    waiting = [(requirement, "") for requirement in asked]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found[name] = metadata.distribution(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(line), wanted) for line in found[name].requires or ()]
    return found


def licence(facts: Any, text: str = "") -> str:
    """Return the licence that a distribution states: an SPDX expression, a name, classifiers, or its text."""
    words = str(facts.get("License-Expression") or facts.get("License") or "").strip()
    classified = [c.removeprefix(CLASSIFIER) for c in facts.get_all("Classifier") or () if c.startswith(CLASSIFIER)]
    first = words.splitlines()[0].strip() if words else ""
    return (first if len(first) <= LONGEST else "") or " AND ".join(classified) or text


def _licence_of(found: metadata.Distribution) -> str:
    texts = [file for file in found.files or () if "licen" in file.name.lower() and ".dist-info" in str(file)]
    lines = texts[0].read_text().strip().splitlines() if texts else []
    return licence(found.metadata, lines[0].strip() if lines else "")


def bill_of_materials(wheel: Path) -> dict[str, Any]:
    """Return the parts of a wheel and what it needs, as CycloneDX."""
    own = wheel_metadata(wheel)
    parts = needed(wheel)
    root = f"pkg:pypi/datacut@{own['Version']}"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                **_component("application", "datacut", str(own["Version"]), licence(own)),
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": [
            _component("library", name, found.version, _licence_of(found)) for name, found in sorted(parts.items())
        ],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(_ref(name, found.version) for name, found in parts.items())}
        ],
    }


def _ref(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _component(kind: str, name: str, version: str, stated: str) -> dict[str, Any]:
    ref = _ref(name, version)
    return {
        "type": kind,
        "bom-ref": ref,
        "name": name,
        "version": version,
        "purl": ref,
        "licenses": [{"license": {"name": stated or NOT_STATED}}],
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("dist"))
    out: Path = arguments.parse_args().out
    wheel, archive = build(out), build(out, "sdist")
    bill = out / "datacut.cdx.json"
    bill.write_text(json.dumps(bill_of_materials(wheel), indent=2) + "\n", encoding="utf-8")
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted((wheel, archive, bill))]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    print("\n".join(sums))


if __name__ == "__main__":
    main()
