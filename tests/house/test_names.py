"""One word, one thing: no class name is defined twice in the product."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "transforms", "flows")


def class_names(root: Path) -> dict[str, list[str]]:
    """Return every class name with the files that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(path.relative_to(root).as_posix())
    return found


def test_no_class_name_is_defined_twice():
    assert {name: files for name, files in class_names(ROOT).items() if len(files) > 1} == {}


def test_a_second_definition_would_be_found(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "model.py").write_text("class Item:\n    pass\n", encoding="utf-8")
    assert len(class_names(tmp_path)["Item"]) == 3
