"""Which files a source is: files, folders and globs as ``cut.yaml`` names them, in one order, each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path

from contracts.errors import IntakeError
from flows.intake.source import SourceSpec, safe_name

# What lies beside backups and is none: told by name, never read.
_BESIDE = re.compile(
    r"\.(pdf|docx?|md|html?|log|ya?ml|json|xml|md5|sha1|sha256|sig|asc|png|jpg|ini|db|key|pem|pub|tmp|part|filepart|crdownload|bak|lock)"
)
CLEANSE = "cleanse.csv"  # our list of a participant's rows to put right
PACK = "bagit.txt"  # in the folder of a pack
_FOLDERS = frozenset({"__macosx"})
_GLOB = re.compile(r"[*?\[]")


def is_pattern(path: Path) -> bool:
    """Tell whether a path is a glob: it has wildcards, and no file is called so."""
    return bool(_GLOB.search(str(path))) and not path.exists()


def beside(name: str) -> bool:
    """Tell whether a file lies beside backups and is none: hidden, of a desktop, a document, a digest, half a copy."""
    parts = [part.casefold() for part in name.replace("\\", "/").split("/")]
    last = parts[-1]
    return (
        any(part.startswith(".") or part in _FOLDERS for part in parts)
        or last in ("thumbs.db", "desktop.ini", CLEANSE)
        or last.startswith(("~$", "readme"))
        or bool(_BESIDE.fullmatch(os.path.splitext(last)[1]))
    )


def found(spec: SourceSpec) -> list[Path]:
    """Return the files of a source that are there, in the order in which they are read; one that is named by itself
    whether it is there or not."""
    if spec.path is not None:
        return [spec.path]
    return [path for path, _ in _files(spec)]


def expand(spec: SourceSpec) -> tuple[list[SourceSpec], list[str]]:
    """Return a specification of each file of a source, by name, each file once; and what lies beside them by name.

    Raises:
        IntakeError: a path, folder or glob has no file.
    """
    if spec.path is not None or spec.url is not None:
        return [spec], []
    owner = spec.name.split(" ")[0]
    for path in spec.paths:
        if not path.exists() and not is_pattern(path):
            where = f"{owner} ({safe_name(path.name)})"
            raise IntakeError("there is no such file", where=where, remedy=_other_way(path))
        if not any(True for _ in _of_path(path)):
            what = "is a folder without a file" if path.is_dir() else "no file is called so"
            where = f"{owner} ({safe_name(path.name)})"
            raise IntakeError(what, where=where, remedy="check the path of the source")
    files, skipped, named = [], [], set()
    for path, told in _files(spec, everything=True):
        name = _name(path, spec.root)
        if not told:
            skipped.append(name)
            continue
        if name in named:
            continue
        named.add(name)
        files.append(replace(spec, name=f"{owner} ({safe_name(name)})", path=path, paths=(), file=name))
    if not files:
        raise IntakeError("holds no backup", where=owner, remedy=f"{len(skipped)} other files are there")
    return files, skipped


def _other_way(path: Path) -> str:
    """Return what to do about a path that leads nowhere."""
    if os.sep == "/" and "\\" in str(path):
        return f"write folders with /: {safe_name(path.name.replace(chr(92), '/'))}"
    return "check the path of the source"


def _files(spec: SourceSpec, *, everything: bool = False) -> Iterator[tuple[Path, bool]]:
    """Yield each file once, in the order of their names, and whether it is read."""
    chosen: dict[Path, bool] = {}
    for path in spec.paths:
        plain = not path.is_dir() and not is_pattern(path)
        files = [path] if plain else list(_of_path(path))
        own = spec.own | {file.parent for file in files if file.name == PACK}
        own -= {path, *path.parents}  # whoever names such a place means it
        for file in files:
            below = os.path.relpath(file, path) if path.is_dir() else file.name
            ours = beside(below) or not own.isdisjoint((file, *file.parents))
            chosen[file] = chosen.get(file, False) or plain or not ours
    for file in sorted(chosen, key=lambda p: str(p).encode("utf-8", "surrogateescape")):
        if everything or chosen[file]:
            yield file, chosen[file]


def _of_path(path: Path) -> Iterator[Path]:
    """Yield the files of a path: itself, those of a folder and the folders in it, or what a glob matches."""
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in names)
    elif is_pattern(path):
        for match in glob(str(path), recursive=True):
            yield from _of_path(Path(match))
    else:
        yield path


def _name(path: Path, root: Path | None) -> str:
    """Return what its owner calls a file: its path below the backup folder."""
    try:
        return path.relative_to(root).as_posix() if root is not None else path.name
    except ValueError:
        return path.name
