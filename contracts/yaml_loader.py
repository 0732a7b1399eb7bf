"""The one reader of YAML: text, numbers, dates, lists and maps, with the line of each entry, within limits.

What a file may cost is bounded while it is read, before anything is built from it: bytes, values (what aliases repeat
counts as often as it is repeated) and depth. Values are those that a reader expects: ``01`` and ``no`` are text, and
a number to base 60 (``12:30``), which YAML 1.1 makes of a time, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isinf
from typing import Any

import yaml

from contracts.strict import WORD, word

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, ten times as fast, where it is there

MOST_BYTES = 4 << 20
MOST_VALUES = 200_000  # a cut of 5,000 extracts or a plan of 2,000 test cases has about 60,000
MOST_DEPTH = 40
MOST_DIGITS = 30  # of a number

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS: Mapping[str, Any] = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_TAGS = {None, "!", "tag:yaml.org,2002:str"}
# libyaml's words -> ours
_PROBLEMS = (
    ("tab character", "a tab: indent with spaces"),
    ("cannot start any token", "a tab, or a character that must be in quotes"),
    ("mapping values are not allowed", "a colon too many, or an indentation that does not fit"),
    ("did not find expected key", "an indentation that does not fit, or a bracket or quote that is not closed"),
    ("could not find expected ':'", "a name without its colon"),
    ("did not find expected ',' or", "a bracket that is not closed, or a comma that is missing"),
    ("did not find expected '-'", "a line that does not belong to the list above it"),
    ("block sequence entries are not allowed", "a dash where none can be"),
    ("unexpected end of stream", "a quote that is not closed"),
    ("undefined alias", "an alias of nothing"),
    ("control characters are not allowed", "a control character"),
    ("exceeded max", "nested too deeply"),
)

Place = tuple[str | int, ...]


class YamlError(ValueError):
    """A text cannot be read as YAML at all; ``line`` is where, 0 where that is not known."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {what}" if line else what)
        self.what, self.line = what, line


@dataclass(frozen=True, slots=True)
class ValueFault:
    """One entry that cannot be taken; reading went on behind it."""

    path: Place
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Branch:
    """Lines of a map or list: name or place of each part -> its line, and the lines of what is in it."""

    line: int
    parts: dict[str | int, tuple[int, Branch | int]]


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read.

    Attributes:
        value: what it holds; ``None`` in place of an entry that has a fault.
        lines: of every entry.
        faults: entries that cannot be taken, in order.
    """

    value: Any
    lines: Branch | int
    faults: tuple[ValueFault, ...] = ()

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of an entry, or of the deepest part of its path that exists."""
        here = self.lines
        line = here.line if isinstance(here, Branch) else here
        for step in path:
            if not isinstance(here, Branch) or step not in here.parts:
                break
            line, here = here.parts[step]
        return line


def read_yaml(raw: bytes | str, *, typed: bool = True) -> Document:
    """Read the one document of a text.

    Args:
        raw: the text, or its UTF-8 bytes.
        typed: make numbers, dates and truth values; else every value stays text.

    Raises:
        YamlError: it is not UTF-8, not YAML, several documents, or beyond a limit.
    """
    if len(raw) > MOST_BYTES:
        raise YamlError(f"is too large: at most {MOST_BYTES >> 20} MiB are read")
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            raise YamlError("is not UTF-8 text", fault.object.count(b"\n", 0, fault.start) + 1) from None
    loader = SafeLoader(raw.removeprefix("\ufeff"))
    try:
        return _Reader(loader, typed=typed).document()
    except yaml.YAMLError as fault:
        raise _not_yaml(fault) from None
    except RecursionError:
        raise YamlError("is not valid YAML (nested too deeply)") from None
    finally:
        loader.dispose()


def _not_yaml(fault: yaml.YAMLError) -> YamlError:
    mark = getattr(fault, "problem_mark", None)
    problem = str(getattr(fault, "problem", None) or getattr(fault, "reason", None) or "")
    said = next((words for start, words in _PROBLEMS if start in problem), "")
    line = mark.line + 1 if mark else 0
    return YamlError(f"is not valid YAML{f' ({said})' if said else ''}", line)


@dataclass(slots=True)
class _Anchor:
    value: Any = None
    lines: Branch | int = 0
    size: int = 0
    whole: bool = False


class _Reader:
    """Builds one document from libyaml's events."""

    def __init__(self, loader: Any, *, typed: bool) -> None:
        self._loader, self._typed = loader, typed
        self._anchors: dict[str, _Anchor] = {}
        self._faults: list[ValueFault] = []
        self._path: list[str | int] = []
        self._values = 0

    def document(self) -> Document:
        self._loader.get_event()  # the stream
        if isinstance(self._loader.get_event(), yaml.StreamEndEvent):
            return Document(None, 1)
        value, lines = self._value(self._loader.get_event())
        self._loader.get_event()  # the end of the document
        following = self._loader.get_event()
        if not isinstance(following, yaml.StreamEndEvent):
            raise YamlError("is not valid YAML (a second document begins)", following.start_mark.line + 1)
        return Document(value, lines, tuple(self._faults))

    def _value(self, event: Any) -> tuple[Any, Branch | int]:
        line = event.start_mark.line + 1
        self._spend(1, line)
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(str(event.anchor), line)
        anchor = _Anchor()
        if event.anchor:
            self._anchors[event.anchor] = anchor
        before = self._values
        self._check_tag(event, line)
        if isinstance(event, yaml.ScalarEvent):
            value, lines = self._scalar(event, line), line  # type: tuple[Any, Branch | int]
        elif len(self._path) >= MOST_DEPTH:
            raise YamlError("is not valid YAML (nested too deeply)", line)
        elif isinstance(event, yaml.SequenceStartEvent):
            value, lines = self._list(line)
        else:
            value, lines = self._map(line)
        if event.anchor:
            anchor.value, anchor.lines, anchor.size, anchor.whole = value, lines, self._values - before, True
        return value, lines

    def _spend(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise YamlError(f"is too large: at most {MOST_VALUES:,} values are read, with what aliases repeat", line)

    def _repeated(self, name: str, line: int) -> tuple[Any, Branch | int]:
        anchor = self._anchors.get(name)
        if anchor is None:
            raise YamlError("is not valid YAML (an alias of nothing)", line)
        if not anchor.whole:
            raise YamlError("is not valid YAML (an alias inside what it repeats)", line)
        self._spend(anchor.size, line)
        return anchor.value, anchor.lines

    def _check_tag(self, event: Any, line: int) -> None:
        if event.tag not in _TAGS:
            self._fault(line, "a tag ('!...') is not taken: write the value alone")

    def _fault(self, line: int, what: str) -> None:
        self._faults.append(ValueFault(tuple(self._path), line, what))

    def _list(self, line: int) -> tuple[list[Any], Branch]:
        values: list[Any] = []
        parts: dict[str | int, tuple[int, Branch | int]] = {}
        while not isinstance(event := self._loader.get_event(), yaml.SequenceEndEvent):
            self._path.append(len(values))
            value, lines = self._value(event)
            self._path.pop()
            parts[len(values)] = (event.start_mark.line + 1, lines)
            values.append(value)
        return values, Branch(line, parts)

    def _map(self, line: int) -> tuple[dict[str, Any], Branch]:
        values: dict[str, Any] = {}
        parts: dict[str | int, tuple[int, Branch | int]] = {}
        merged: list[tuple[Any, Branch | int]] = []
        while not isinstance(event := self._loader.get_event(), yaml.MappingEndEvent):
            place = event.start_mark.line + 1
            self._spend(1, place)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError("is not valid YAML (the name of an entry is one word)", place)
            name = event.value
            self._path.append(name)
            if name in values:
                self._fault(place, f"an entry {word(name)} appears twice" if WORD.fullmatch(name) else "appears twice")
            value, lines = self._value(self._loader.get_event())
            self._path.pop()
            if name == "<<" and not event.style and self._typed:
                merged.append((value, lines))
            else:
                values[name], parts[name] = value, (place, lines)
        for value, lines in merged:
            self._merge(values, parts, value, lines)
        return values, Branch(line, parts)

    def _merge(self, values: dict[str, Any], parts: dict[str | int, Any], given: Any, lines: Branch | int) -> None:
        """Take over entries of another map (``<<: *name``) that are not there."""
        if isinstance(given, list) and isinstance(lines, Branch):
            for place, one in enumerate(given):
                self._merge(values, parts, one, lines.parts[place][1])
        elif isinstance(given, dict) and isinstance(lines, Branch):
            for name, value in given.items():
                if name not in values:
                    values[name], parts[name] = value, lines.parts[name]
        else:
            self._fault(lines if isinstance(lines, int) else lines.line, "what '<<' takes over must be a map")

    def _scalar(self, event: Any, line: int) -> Any:
        text: str = event.value
        if not self._typed or event.style or event.tag is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if text[:1] not in "+-.0123456789":
            return text
        return self._number(text, line)

    def _number(self, text: str, line: int) -> Any:
        if _SEXAGESIMAL.fullmatch(text[:MOST_DIGITS]) or (len(text) > MOST_DIGITS and _SEXAGESIMAL.match(text)):
            self._fault(line, "is a number to base 60 in YAML: put it in quotes")
            return None
        if _DATE.fullmatch(text):
            try:
                return date.fromisoformat(text)
            except ValueError:
                self._fault(line, "there is no such day")
                return None
        if _INTEGER.fullmatch(text):
            if len(text) > MOST_DIGITS:
                self._fault(line, "is too long for a number: put it in quotes")
                return None
            return int(text)
        if not _FLOAT.fullmatch(text):
            return text
        if isinf(value := float(text)):
            self._fault(line, "is too large for a number")
            return None
        return value
