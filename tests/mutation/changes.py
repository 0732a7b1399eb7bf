"""Draws single changes of Python source: a comparison, a bound, and/or, a condition, a constant, a sign."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.Is: ("is", "is not"),
}  # fmt: skip
SIGNS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "//"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Change:
    """One change of a file.

    Attributes:
        path: below the project's folder.
        start, end: offsets of what is replaced.
        line: its number, from 1.
        inside: the function that it is in.
        kind: what sort of change.
    """

    path: str
    start: int
    end: int
    line: int
    inside: str
    kind: str
    before: str
    after: str

    def apply(self, source: str) -> str:
        """Return the changed source."""
        return source[: self.start] + self.after + source[self.end :]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the change in the list of equivalent ones, wherever its line moves to."""
        return self.path, self.inside, self.before, self.after

    def told(self) -> str:
        """Return it as a line."""
        return f"{self.path}:{self.line} ({self.inside}) {self.kind}: {self.before!r} -> {self.after!r}"


class _Source:
    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line.encode()))
        self._bytes = text.encode()

    def at(self, line: int, column: int) -> int:
        return len(self._bytes[: self._starts[line - 1] + column].decode())

    def span(self, node: ast.expr) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno or 0, node.end_col_offset or 0)


def changes(path: str, text: str) -> Iterator[Change]:
    """Yield every change of a file that this module knows how to make."""
    source = _Source(text)
    yield from _of(ast.parse(text), path, source, "module")


def _of(node: ast.AST, path: str, source: _Source, inside: str) -> Iterator[Change]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            child.returns = None
            yield from _of(child, path, source, child.name)
        elif isinstance(child, ast.arg):  # what a parameter or a result is said to be is never evaluated
            continue
        elif isinstance(child, ast.AnnAssign) and inside != "module":  # nor, in a function, what a name is said to be
            yield from _of(ast.Return(child.value), path, source, inside)
        elif not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):  # no texts of documentation
            yield from _here(child, path, source, inside)
            yield from _of(child, path, source, inside)


def _here(node: ast.AST, path: str, source: _Source, inside: str) -> Iterator[Change]:
    def change(start: int, end: int, kind: str, after: str) -> Change:
        line = source.text.count("\n", 0, start) + 1
        return Change(path, start, end, line, inside, kind, source.text[start:end], after)

    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            yield from _between(source, left, right, COMPARISONS[type(op)], "comparison", change)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in SIGNS:
            yield from _between(source, left, right, SIGNS[type(sign)], "sign", change)
        case ast.BoolOp(op=word, values=[left, right, *_]):
            words = ("and", "or") if isinstance(word, ast.And) else ("or", "and")
            yield from _between(source, left, right, words, "and/or", change)
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            start, _ = source.span(node)
            yield change(start, source.span(operand)[0], "negation dropped", "")
        case ast.If(test=test) | ast.IfExp(test=test):
            yield change(*source.span(test), "condition", "True")
            yield change(*source.span(test), "condition", "False")
        case ast.Constant(value=bool(value)):
            yield change(*source.span(node), "constant", str(not value))
        case ast.Constant(value=int(value)):
            yield change(*source.span(node), "constant", str(value + 1))


Maker = Callable[[int, int, str, str], Change]


def _between(
    source: _Source, left: ast.expr, right: ast.expr, words: tuple[str, str], kind: str, change: Maker
) -> Iterator[Change]:
    """Yield the change of what stands between two operands."""
    begin, end = source.span(left)[1], source.span(right)[0]
    at = source.text.find(words[0], begin, end)
    if at >= 0:
        yield change(at, at + len(words[0]), kind, words[1])


def draw(root: Path, patterns: tuple[str, ...], count: int, seed: int) -> list[Change]:
    """Draw changes of some modules: every change is as likely as any other."""
    found: list[Change] = []
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        name = path.relative_to(root).as_posix()
        found += changes(name, path.read_text(encoding="utf-8"))
    return random.Random(seed).sample(found, min(count, len(found)))
