"""Validates messages with a schema that the user brings: Elexon's published API, resolved or not, or any JSON Schema.

An OpenAPI document has a schema for the payload of each event (``IF-031-MSApp``, else ``IF-021-Payload``). References
to another file are taken from the folder of the first, by name: nothing is fetched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from contracts.errors import ConfigurationError
from contracts.validation import load_values

MOST = 10  # faults that one message may list
_ROOT = "files"
Document: TypeAlias = dict[str, Any]  # OpenAPI, JSON Schema or a message: whatever somebody else wrote


class PublishedSchema:
    """A schema of messages, ready to judge them.

    Args:
        path: OpenAPI document or JSON Schema, JSON or YAML.

    Raises:
        ConfigurationError: it cannot be read, is no schema, or refers to a file that is not beside it.
    """

    def __init__(self, path: Path) -> None:
        self._folder, self._files = path.parent, Document()
        self.name = path.name
        self._add(path)
        first = self._files[_key(path.name)]
        self._inner = self._interfaces()
        if not self._inner and not {"type", "$ref", "properties", "items", "$defs"} & set(first):
            raise ConfigurationError("is neither an OpenAPI document with events nor a JSON Schema", where=self.name)
        self._made: Document = {}

    def _add(self, path: Path) -> None:
        if _key(path.name) in self._files:
            return
        try:
            raw = path.read_bytes()
        except OSError as fault:
            remedy = "put it beside the first" if self._files else fault.strerror or ""
            raise ConfigurationError("cannot be read", where=path.name, remedy=remedy) from None
        self._files[_key(path.name)] = document = _document(raw, path.name)
        own = _key(path.name)
        self._files[own] = self._plain(document, own)

    def _plain(self, node: Any, own: str) -> Any:
        """Return a node in the words of JSON Schema 2020-12, with references into one whole."""
        if isinstance(node, list):
            return [self._plain(entry, own) for entry in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return {"$ref": self._reference(node["$ref"], own)}
        done = {key: self._plain(value, own) for key, value in node.items()}
        if done.pop("nullable", False) is True:
            return {"anyOf": [{"type": "null"}, done]}
        return done

    def _reference(self, text: str, own: str) -> str:
        place, _, pointer = text.partition("#")
        if place:
            own = _key(place.rsplit("/", 1)[-1])
            self._add(self._folder / place.rsplit("/", 1)[-1])
        return f"#/{_ROOT}/{own}{pointer}"

    def _interfaces(self) -> dict[str, str]:
        """Return schema name -> reference to it, of the schemas of events wherever they stand."""
        found: dict[str, str] = {}
        for own, document in self._files.items():
            schemas = (document.get("components") or {}).get("schemas") or {} if isinstance(document, dict) else {}
            found |= {name: f"#/{_ROOT}/{own}/components/schemas/{name}" for name in schemas if name.startswith("IF-")}
        return found

    def faults(self, interface: str, event: str, message: Document) -> list[str]:
        """Name the places of a message that break the schema, at most ten; values are not quoted.

        Raises:
            ConfigurationError: the schema says nothing of the event.
        """
        validator, subject = self._validator(interface, event, message)
        found = []
        for error in validator.iter_errors(subject):
            place = "/".join(map(str, error.absolute_path)) or "message"
            found.append(f"{place} breaks {error.validator}")
            if len(found) == MOST:
                break
        return found

    def _validator(self, interface: str, event: str, message: Document) -> tuple[Any, Any]:
        from jsonschema import Draft202012Validator

        if not self._inner:
            whole = self._files[_key(self.name)]
            subject: Any = [message] if whole.get("type") == "array" else message
            reference = f"#/{_ROOT}/{_key(self.name)}"
        else:
            names = [name for name in (f"{interface}-{event}", f"{interface}-Payload") if name in self._inner]
            if not names:
                raise ConfigurationError(f"says nothing of {interface} [{event}]", where=self.name)
            reference, subject = self._inner[names[0]], message["payload"]
        if reference not in self._made:
            self._made[reference] = Draft202012Validator({"$ref": reference, _ROOT: self._files})
        return self._made[reference], subject


def _key(name: str) -> str:
    return name.replace("~", "_").replace("/", "_")


def _document(raw: bytes, where: str) -> Document:
    try:
        found = json.loads(raw)
    except ValueError:
        found = load_values(raw, ConfigurationError, where=where)
    if not isinstance(found, dict):
        raise ConfigurationError("is not a schema", where=where)
    return found


def validate_folder(schema: PublishedSchema, lines: Iterator[tuple[str, str, str]]) -> dict[str, Any]:
    """Judge messages; return how many of each event were judged and broken, and their faults with counts.

    Args:
        lines: interface, event and JSON of each message.
    """
    judged: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    why: Counter[tuple[str, str]] = Counter()
    for interface, event, text in lines:
        name = f"{interface} [{event}]"
        judged[name] += 1
        if found := schema.faults(interface, event, json.loads(text)):
            broken[name] += 1
            why.update((name, fault) for fault in found)
    events = [{"event": n, "messages": c, "broken": broken[n]} for n, c in sorted(judged.items())]
    faults = [{"event": n, "fault": f, "messages": c} for (n, f), c in sorted(why.items())]
    return {"schema": schema.name, "events": events, "broken": sum(broken.values()), "faults": faults}
