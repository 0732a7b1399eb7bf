"""Pages say what the repository holds: layers, rooms, links and paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"`((?:contracts|transforms|flows|tests|docs|sample_data)/[A-Za-z0-9_./-]*)`")


def layers() -> list[str]:
    """The layers of ``flows`` as import-linter holds them, a line each."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (found,) = [c["layers"] for c in configured["contracts"] if c["name"] == "the layers of flows"]
    return [line.replace(" | ", ", ") for line in found]


def test_links_of_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_paths_that_pages_name_exist():
    gone = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in NAMED.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    ]
    assert gone == []


def test_the_architecture_page_shows_the_layers_that_are_held():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "\n".join(f"    {line}" for line in layers()) in page


def test_every_room_is_in_a_layer():
    held = {room for line in layers() for room in line.split(", ")}
    rooms = {p.stem for p in (ROOT / "flows").iterdir() if p.name not in ("__init__.py", "__pycache__", "py.typed")}
    assert rooms == held


def test_flows_has_at_most_four_loose_files():
    assert len(list((ROOT / "flows").glob("*.py"))) <= 4


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(p.name for p in folder.glob("[0-9]*.md"))
    assert [name for name in records if name not in index] == []
    assert len(records) >= 10
