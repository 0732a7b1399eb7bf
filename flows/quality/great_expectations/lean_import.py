"""Great Expectations without what counting does not need: its packages load a part when that part is asked for.

Importing any module of Great Expectations imports all of it, with SciPy, Altair and every kind of data source: four
seconds. Here the packages named in :data:`PACKAGES` do not run their ``__init__``; a name that it would have imported
is imported when it is first used, from the place that the same ``__init__`` names. Modules themselves are as published.

Has no effect on what the process has imported already. :func:`complete` brings back what is left out.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ROOT = "great_expectations"
PACKAGES = frozenset(
    {
        ROOT,
        *(
            f"{ROOT}.{name}"
            for name in (
                "checkpoint", "core", "data_context", "data_context.data_context", "data_context.store",
                "data_context.types", "datasource", "datasource.fluent", "execution_engine", "expectations",
                "expectations.core", "expectations.metrics", "experimental", "experimental.metric_repository",
                "metrics", "render.renderer", "render.view",
            )
        ),
    }
)  # fmt: skip
ABSENT = frozenset({"sqlalchemy"})
"""Optional libraries of its other engines, which Great Expectations takes for not installed."""


class _PackageLoader(SourceLoader):
    """Makes a package whose names are imported when they are first used."""

    def __init__(self, published: SourceLoader) -> None:
        self.published = published

    def get_filename(self, fullname: str) -> str:
        return str(self.published.get_filename(fullname))

    def get_data(self, path: str) -> bytes:
        return self.published.get_data(path)

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__
        source = self.get_source(package) or ""
        names = _imported_names(source, package)

        def find(name: str) -> Any:
            if package == ROOT and name == "__version__":
                return import_module(f"{ROOT}._version").get_versions()["version"]
            if name.startswith("__"):
                raise AttributeError(name)
            base, attribute = names.get(name, (package, name))
            value = getattr(import_module(base), attribute, None) if base != package else None
            if value is None:
                value = _submodule(f"{base}.{attribute}")
            setattr(module, name, value)
            return value

        module.__dict__["__getattr__"] = find


def _submodule(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
    raise AttributeError(name)


def _imported_names(source: str, package: str) -> dict[str, tuple[str, str]]:
    """Return the names that a package's ``__init__`` imports, each with its module and its name there."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}" if base else above
            found |= {alias.asname or alias.name: (base, alias.name) for alias in node.names}
    return found


class _Finder(MetaPathFinder):
    """Answers the thread that imports Great Expectations, and no other."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self.thread:
            return None
        if fullname in ABSENT:
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)
        if fullname not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceLoader):
            spec.loader = _PackageLoader(spec.loader)
        return spec


@contextmanager
def lean_import() -> Iterator[None]:
    """Have this thread import Great Expectations leanly, unless the process has imported the whole already."""
    root = sys.modules.get(ROOT)
    if root is not None and not _is_lean(root):
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _is_lean(package: ModuleType) -> bool:
    return package.__spec__ is not None and isinstance(package.__spec__.loader, _PackageLoader)


def complete() -> None:
    """Run what the lean packages left out, for whoever needs another engine or data source of Great Expectations."""
    for name in sorted(PACKAGES, key=lambda package: (-package.count("."), package)):
        module = sys.modules.get(name)
        if module is not None and module.__spec__ is not None and "__getattr__" in vars(module):
            loader = module.__spec__.loader
            if isinstance(loader, _PackageLoader):
                del vars(module)["__getattr__"]
                loader.published.exec_module(module)
