"""YAML without anything but text, numbers, dates, lists and maps; by libyaml where PyYAML was built with it."""

from __future__ import annotations

from typing import Any

import yaml

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast


class KeyTwiceError(yaml.constructor.ConstructorError):
    """A map has a key twice: one of the two would go in silence."""


class _Loader(SafeLoader):  # type: ignore[misc]
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Refuse what is written like a date or number and is none, at its line."""
        try:
            return super().construct_object(node, deep)
        except ValueError:
            raise yaml.constructor.ConstructorError(None, None, "no such value", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        """Refuse a key that stands twice."""
        names = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in names:
                raise KeyTwiceError(None, None, "a key stands twice", key.start_mark)
            names.add(key.value)
        return super().construct_mapping(node, deep)


def safe_load(text: str | bytes) -> Any:
    """Return the one document of a text.

    Raises:
        yaml.YAMLError: it is not YAML, names a type that is none of data, has a key twice, or is nested without end.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - one of PyYAML's two safe loaders
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
