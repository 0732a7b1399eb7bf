"""Plans as YAML: every fault is told with its line, all at once.

Values are taken as they are written: ``01`` stays ``01`` and ``NO`` stays ``NO``. A key that comes twice is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import ConfigurationError

MOST_FAULTS = 20
Model = TypeVar("Model", bound=BaseModel)


class Lines:
    """Lines of a YAML document by the path of an entry."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._root = root

    def __call__(self, path: Sequence[str | int]) -> int:
        """Return the line of an entry, or of the deepest part of its path that exists."""
        node, line = self._root, 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == step]
                if not found:
                    continue  # pydantic names branches of a union in its paths
                key, node = found[0]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
        return line


def read_yaml(text: str, name: str, model: type[Model]) -> tuple[Model, Lines]:
    """Return a validated document and its lines.

    Args:
        text: of the file; ``name``: of the file, for messages.
        model: what the document must be.

    Raises:
        ConfigurationError: not YAML, a key twice, or an entry is wrong; tells every line (up to 20).
    """
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        _refuse_twice(root, name)
        document: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text, lists and maps
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        raise ConfigurationError("is not valid YAML", where=f"{name} line {mark.line + 1}" if mark else name) from None
    except RecursionError:
        raise ConfigurationError("is nested too deeply", where=name) from None
    lines = Lines(root)
    try:
        return model.model_validate(document), lines
    except ValidationError as fault:
        raise ConfigurationError(_told(fault, lines), where=name) from None


def _refuse_twice(root: yaml.Node | None, name: str) -> None:
    seen: set[int] = set()
    nodes = [root] if root is not None else []
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value if isinstance(key, yaml.ScalarNode) else "" for key, _ in node.value]
            for place, (key, value) in enumerate(node.value):
                if keys[place] in keys[:place]:
                    raise ConfigurationError("a key comes twice", where=f"{name} line {key.start_mark.line + 1}")
                nodes.append(value)
        else:
            nodes += node.value


def _told(fault: ValidationError, lines: Lines) -> str:
    told: dict[str, None] = {}
    for error in fault.errors(include_input=False, include_url=False):
        place = [step for step in error["loc"] if isinstance(step, str)]
        said = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            said = "is not known here"
        told[f"line {lines(error['loc'])}: {place[-1] if place else 'document'}: {said}"] = None
    more = f"; and {len(told) - MOST_FAULTS} more" if len(told) > MOST_FAULTS else ""
    return "; ".join(list(told)[:MOST_FAULTS]) + more
