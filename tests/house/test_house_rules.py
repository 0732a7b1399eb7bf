"""The house keeps its own rules: imports run one way, transforms are pure, files and functions stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "transforms", "flows")
LONGEST_FILE, LONGEST_FUNCTION = 500, 70
# what transforms may import of contracts, beside the ``model`` of each room: values and words, no loader
VALUES = {
    "contracts.vocabulary", "contracts.errors", "contracts.conditions", "contracts.alignment", "contracts.dtc.layout",
    "contracts.evidence", "contracts.evidence_inputs", "contracts.evidence_results", "contracts.evidence_types",
    "contracts.json_types",
}  # fmt: skip
# where contracts are loaded: the context of a cut, what names a contract before there is one, and tools without a cut
LOAD_CONTRACTS = (
    "cut/context.py", "cut/config.py", "cli/contracts.py", "restore/extracts.py", "restore/load_files.py",
    "restore/faults.py", "check/propose.py", "attack/truth.py",
)  # fmt: skip
FORBIDDEN_IN_TRANSFORMS = {"print", "open", "input"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_imports_run_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_transforms_take_values_from_contracts_and_no_loader():
    """Code lists, tables and contracts are arguments: a transform that reads a file, cached or not, is none."""
    foreign = {}
    for path in sorted((ROOT / "transforms").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            given = [n for n in names if n.split(".")[0] == "contracts"]
            if odd := [n for n in given if n not in VALUES and not n.endswith(".model")]:
                foreign[str(path.relative_to(ROOT))] = odd
    assert not foreign


def test_the_contracts_of_the_context_are_the_only_ones():
    """A stage that loaded contracts or tables itself would not see the policy's overlay, or the cut's own tables."""
    loaders = {"load_all", "load_contract", "tables", "associations", "items", "read_overlay"}
    own = {}
    for path in sorted((ROOT / "flows").rglob("*.py")):
        imports = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
        names = {a.name for n in imports if (n.module or "").startswith("contracts") for a in n.names}
        if found := sorted(names & loaders):
            own[str(path.relative_to(ROOT / "flows"))] = found
    assert set(own) <= set(LOAD_CONTRACTS), own


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    long = [f.name for f in functions(path) if f.end_lineno - f.lineno + 1 > LONGEST_FUNCTION]
    assert not long, f"need scrolling: {long}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_public_functions_say_what_they_do(path):
    silent = [
        f.name
        for f in functions(path)
        if not f.name.startswith("_") and not ast.get_docstring(f) and not _inner(f, path)
    ]
    assert not silent


def _inner(function: ast.FunctionDef | ast.AsyncFunctionDef, path: Path) -> bool:
    """Tell whether a function is local to another function or to a private class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            private = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            inside = any(n is not node and getattr(n, "lineno", 0) == function.lineno for n in ast.walk(node))
            if inside and not private:
                return True
    return False


@pytest.mark.parametrize(
    "path", [p for p in modules() if "transforms" in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_transforms_do_no_io(path):
    calls = [n.func for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    assert not [c.id for c in calls if isinstance(c, ast.Name) and c.id in FORBIDDEN_IN_TRANSFORMS]
    assert not [
        c.attr for c in calls if isinstance(c, ast.Attribute) and c.attr.startswith(("scan_", "sink_", "read_csv"))
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_bare_except_and_nothing_left_open(path):
    text = path.read_text(encoding="utf-8")
    handlers = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)
    assert not [word for word in ("TODO", "FIXME", "XXX") if word in text]


def test_nothing_per_row_on_a_hot_path():
    """Row-wise Python in a column engine is the way to make thirty million rows take a night."""
    slow = ("map_elements", "map_rows", "itertuples")
    allowed = {"flows/sample"}
    found = [
        (str(path.relative_to(ROOT)), word)
        for path in modules()
        if not any(str(path.relative_to(ROOT)).startswith(a) for a in allowed)
        for word in slow
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []
