"""Which test shows which obligation: read from the ``requirement`` marks of the test files, printed as a page.

``python -m tests.traceability`` writes the page that lies in ``docs/traceability.md``.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from contracts.requirements import requirements

TESTS = Path(__file__).parent
HEAD = """\
# Traceability

What a cut has to answer (`contracts/requirements.yaml`), and the tests that show it. Written by `make docs` from the
marks of the tests; a test fails while an obligation has none.

| obligation | asks | shown by |
|---|---|---|
"""


@cache
def shown() -> dict[str, list[str]]:
    """Return obligation -> tests, as ``file::test``, in order."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        everywhere = list(_module_marks(tree))
        for test, marks in _tests(tree):
            for name in [*everywhere, *marks]:
                found[name].add(f"{path.relative_to(TESTS).as_posix()}::{test}")
    return {name: sorted(tests) for name, tests in found.items()}


def names_of_tests(path: Path) -> list[str]:
    """Return the tests of a file."""
    return [name for name, _ in _tests(ast.parse(path.read_text(encoding="utf-8")))]


def _tests(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            marks = [name for decorator in node.decorator_list for name in _ids(decorator)]
            yield node.name, marks


def _module_marks(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            yield from _ids(node.value)


def _ids(node: ast.AST) -> Iterator[str]:
    """Yield the arguments of every ``requirement(...)`` below a node: marks stand in parameters and lists too."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "requirement":
            yield from (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def page() -> str:
    """Return the matrix as Markdown."""
    by_id = shown()
    rows = []
    for requirement in requirements():
        tests = by_id.get(requirement.id, [])
        links = "<br>".join(f"`{test}`" for test in tests[:6]) + (
            f"<br>and {len(tests) - 6} more" if len(tests) > 6 else ""
        )
        rows.append(f"| {requirement.id} | {requirement.asks} | {links or '**none**'} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
