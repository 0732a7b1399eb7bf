"""Documents as typed models, and every fault of one at once: line, place, what is wrong, what was likely meant.

A place names participants, extracts, items and rules as the file does, not by their number in a list. One mistake is
one fault: what only follows from another fault is left out, and values are never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from contracts.errors import DataCutError
from contracts.strict import PlacedError, meant, nearest, word
from contracts.yaml_loader import Document, Place, YamlError, read_yaml

MOST_FAULTS = 20  # that one message tells
MOST_LINES = 8  # of one fault that is made again
Model = TypeVar("Model", bound=BaseModel)

# entries that name what they stand in, and lists whose parts have a name of their own
_NAMES = ("mpid", "contract", "id", "item", "rule", "code", "name", "right", "test_case", "stage", "phase", "property")
_PARTS = {"properties": "column", "quality": "rule", "test_cases": "test case", "customProperties": "property"}
_LABEL = re.compile(r"[A-Z0-9]{4}|[A-Za-z]+[0-9]{0,3}(?:[-_.][A-Za-z0-9]{1,20}){0,8}")
_LIKE_IDENTIFIER = re.compile(r"[0-9]{5}|[A-Z]{1,2}[0-9][0-9A-Z]?[-_.]?[0-9][A-Z]{2}", re.IGNORECASE)
# pydantic's error -> our words; what is in braces comes from the error itself
_SAID = {
    "missing": "is missing",
    "union_tag_not_found": "has no 'property'",
    "string_type": "must be text: put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a map of entries ('name: value')",
    "mapping_type": "must be a map of entries ('name: value')",
    "model_type": "must be a map of entries ('name: value')",
    "model_attributes_type": "must be a map of entries ('name: value')",
    "none_required": "must be empty",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
_DATE_ERRORS = "date_"
_OWN = ("value_error", "assertion_error")  # a check of ours: the entry is of the right kind


def read_file(path: Path, error: type[DataCutError], *, where: str = "") -> bytes:
    """Return the bytes of a small file.

    Raises:
        DataCutError: of the class given; it is missing or not a regular file.
    """
    where = where or str(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or device may never end
            raise error("is not a regular file", where=where)
        if path.is_dir():
            inside = [name for name in ("cut.yaml", "CUT.yaml") if (path / name).is_file()]
            raise error("is a folder", where=where, remedy=f"name the file in it: {path / (inside or ['cut.yaml'])[0]}")
        return path.read_bytes()
    except OSError as fault:
        raise error("cannot be read", where=where, remedy=fault.strerror or "") from None


def load_document(raw: bytes, error: type[DataCutError], *, where: str, typed: bool = True) -> Document:
    """Return a document that was read, whatever faults its entries have.

    Raises:
        DataCutError: of the class given; it is not YAML, or beyond a limit.
    """
    try:
        return read_yaml(raw, typed=typed)
    except YamlError as fault:
        raise error(str(fault), where=where) from None


def load_values(raw: bytes, error: type[DataCutError], *, where: str, remedy: str = "") -> Any:
    """Return what a document holds, for a reader that judges its form itself.

    Raises:
        DataCutError: of the class given; it is not YAML, beyond a limit, or an entry cannot be taken.
    """
    document = load_document(raw, error, where=where)
    if document.faults:
        raise error(
            joined([f"line {fault.line}: {fault.what}" for fault in document.faults]), where=where, remedy=remedy
        )
    return document.value


def load_model(
    raw: bytes,
    model: type[Model],
    error: type[DataCutError],
    *,
    where: str,
    typed: bool = True,
    context: Mapping[str, object] | None = None,
    check: Callable[[Model], Iterable[tuple[Place, str]]] | None = None,
) -> tuple[Model, Document]:
    """Return a validated document, and its lines.

    Args:
        raw: the file's bytes; ``where``: what a message calls it.
        model: what the document must be.
        error: class of the error raised.
        typed: make numbers, dates and truth values; else every value stays text.
        context: what validators of the model may read.
        check: faults of a document whose parts are right by themselves, with their places.

    Raises:
        DataCutError: of the class given; every fault, in the order of its lines (up to 20).
    """
    document = load_document(raw, error, where=where, typed=typed)
    found, faults = examine(document, model, context, check)
    if found is None:
        raise error(joined(faults), where=where, remedy="")
    return found, document


def joined(faults: Sequence[str]) -> str:
    """Return faults as one line, the first twenty of them."""
    more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    return "; ".join([*faults[:MOST_FAULTS], *more])


class _Fault(NamedTuple):
    line: int
    place: str  # in words
    said: str
    path: Place


def examine(
    document: Document,
    model: type[Model],
    context: Mapping[str, object] | None = None,
    check: Callable[[Model], Iterable[tuple[Place, str]]] | None = None,
) -> tuple[Model | None, list[str]]:
    """Return the model of a document, or ``None`` and every fault, in the order of their lines."""
    found, wrong = None, []
    try:
        found = model.model_validate(document.value, context=dict(context or {}))
    except ValidationError as fault:
        wrong = fault.errors(include_input=False, include_url=False)
    together = list(check(found)) if found is not None and check and not document.faults else []
    if found is not None and not document.faults and not together:
        return found, []
    spoilt = {fault.path for fault in document.faults}
    faults = [_Fault(fault.line, _words(document, fault.path), fault.what, fault.path) for fault in document.faults]
    faults += [_Fault(document.line(path), _words(document, path), said, path) for path, said in together]
    faults += [fault for fault in _model_faults(document, model, wrong) if not _below(fault.path, spoilt)]
    return None, _grouped(sorted(faults, key=lambda fault: fault.line))


def _grouped(faults: Sequence[_Fault]) -> list[str]:
    """Return a line a fault; one that is made again and again is told in full once, with the other lines."""
    again: dict[tuple[object, ...], list[_Fault]] = {}
    for fault in faults:
        names = [step for step in fault.path if isinstance(step, str)]
        key: tuple[object, ...] = (names[-1] if names else "", fault.said)
        if any(fault.line == other.line for other in again.get(key, ())[-1:]):
            key = (*key, fault.path)  # two of one line are two
        again.setdefault(key, []).append(fault)
    told = []
    for same in again.values():
        first, others = same[0], sorted({fault.line for fault in same} - {same[0].line})
        shown = ", ".join(map(str, others[:MOST_LINES])) + (" and on" if len(others) > MOST_LINES else "")
        where = f" (and {shown})" if others else ""
        told.append(f"line {first.line}{where}: {first.place}: {first.said}")
    return told


def _below(path: Place, spoilt: Collection[Place]) -> bool:
    return any(path[:length] in spoilt for length in range(len(path) + 1))


def _model_faults(document: Document, model: type[BaseModel], wrong: Sequence[Any]) -> list[_Fault]:
    by_path: dict[Place, list[Any]] = {}
    for error in wrong:
        by_path.setdefault(_path(document.value, error), []).append(error)
    judged = {path for path, errors in by_path.items() if any(error["type"] in _OWN for error in errors)}
    by_path = {p: e for p, e in by_path.items() if not _below(p[:-1], judged)}  # what else a union might have been
    above = {path[:length] for path in by_path for length in range(len(path))}
    unknown = {path for path, errors in by_path.items() if errors[0]["type"] == "extra_forbidden"}
    missing = {path for path, errors in by_path.items() if errors[0]["type"] == "missing"}
    found = []
    for path, errors in by_path.items():
        if path in unknown:
            said, answered = _unknown(document, model, path, missing)
            missing -= answered
            found.append((path, said))
        elif path not in missing and path not in above:
            empty = _at(document.value, path) is None and errors[0]["type"] != "none_required"
            found.append((path, "is empty" if empty else _said(errors)))
    found += [(path, _SAID["missing"]) for path in missing]
    return [_Fault(document.line(path), _words(document, path), said, path) for path, said in found]


def _path(value: Any, error: ErrorDetails) -> Place:
    """Return the place of an error in the document; the names of a union's branches are none."""
    path: list[str | int] = []
    steps = list(error["loc"])
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, PlacedError):
        steps += raised.place
    for number, step in enumerate(steps):
        if _holds(value, step):
            path.append(step)
            value = value[step]
        elif number == len(steps) - 1 and error["type"] == "missing":
            path.append(step)
    return tuple(path)


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _said(errors: Sequence[Any]) -> str:
    """Return what is wrong with one entry; of a union's branches, what each wants."""
    own = [error for error in errors if error["type"] in _OWN]
    said = list(dict.fromkeys(_one(error) for error in own or errors))
    wants = [one.removeprefix("must be ") for one in said if one.startswith("must be ")]
    return f"must be {' or '.join(wants)}" if len(said) > 1 and wants else said[0]


def _one(error: ErrorDetails) -> str:
    kind, facts = str(error["type"]), error.get("ctx", {})
    if kind in _OWN:
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "union_tag_invalid":
        known = re.findall("'([^']*)'", str(facts["expected_tags"]))
        return "is not known here" + (meant(str(facts["tag"]), known) or f" (known are {', '.join(known)})")
    if kind.startswith(_DATE_ERRORS):
        return "must be a date as 2023-08-19"
    if kind in ("literal_error", "enum"):
        *others, last = dict.fromkeys(re.split(", | or ", str(facts["expected"]).replace("'", "")))
        return f"must be {', '.join(others)} or {last}" if others else f"must be {last}"
    words = _SAID.get(kind)
    return words.format(**facts) if words else str(error["msg"])[:1].lower() + str(error["msg"])[1:]


def _unknown(document: Document, model: type[BaseModel], path: Place, missing: set[Place]) -> tuple[str, set[Place]]:
    """Return what is said of an entry that is not known, and what is only missing because of it."""
    name = str(path[-1])
    known = _known(model, path[:-1])
    there = _at(document.value, path[:-1])
    near = nearest(name, [one for one in known if one not in there])
    if near:
        return f"is not known here (did you mean {near!r}?)", {(*path[:-1], near)} & missing
    elsewhere = {place for place in missing if place[-1] == name}
    if elsewhere or (places := _homes(model, name)):
        home = " or ".join(sorted(_words(document, place[:-1]) for place in elsewhere)) if elsewhere else places[0]
        return f"is not known here, it belongs under {home or 'no other entry'}", elsewhere
    return f"is not known here (known are {', '.join(known)})" if known else "is not known here", set()


def _known(model: type[BaseModel], path: Place) -> list[str]:
    """Return the entries that the model knows at a place."""
    here: list[Any] = [model]
    for step in path:
        here = [inner for one in here for inner in _step(one, step)]
    models = [one for annotation in here for one in _flat(annotation) if _is_model(one)]
    return list(dict.fromkeys(_name(field, key) for one in models for key, field in one.model_fields.items()))


def _name(field: Any, key: str) -> str:
    return str(field.alias or key)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _flat(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation may be: branches of unions, without what is said about them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for branch in get_args(annotation):
            yield from _flat(branch)
    elif origin is not Literal and annotation is not NoneType:
        yield annotation


def _step(annotation: Any, step: str | int) -> Iterator[Any]:
    for one in _flat(annotation):
        arguments = get_args(one)
        if _is_model(one):
            yield from (f.annotation for key, f in one.model_fields.items() if step in (key, f.alias))
        elif isinstance(step, int) and arguments:
            yield arguments[0]
        elif len(arguments) == 2:
            yield arguments[1]


def _homes(model: type[BaseModel], name: str, above: str = "", depth: int = 4) -> list[str]:
    """Return where in a model an entry of that name is known, the highest first."""
    found, below = [], []
    for key, field in model.model_fields.items():
        if _name(field, key) == name:
            found.append(above)
        if depth:
            place = f"{above}.{_name(field, key)}" if above else _name(field, key)
            inner = [o for a in _flat(field.annotation) for o in [a, *get_args(a)]]
            for one in (m for o in inner for m in _flat(o) if _is_model(m)):
                below += _homes(one, name, place, depth - 1)
    return [place for place in [*found, *below] if place]


def _at(value: Any, path: Place) -> Any:
    for step in path:
        value = _inside(value, step)
    return value


def _words(document: Document, path: Place) -> str:
    """Return a place in words: parts of lists by their name, where they have one that may be repeated."""
    parts: list[str] = []
    trail: list[str] = []  # names that lead to one entry
    value, above = document.value, ""
    for step in path:
        value = _inside(value, step)
        if isinstance(step, int):
            if trail and trail[-1] == above:
                trail.pop()
            label = _label(value)
            parts += [".".join(trail)] if trail else []
            parts.append(f"{_singular(above)} {label or step + 1}".strip())
            trail = []
        else:
            above = step
            trail.append(step if word(step) != "of that name" else "an entry")
    if trail:
        parts.append(".".join(trail))
    return ", ".join(parts) or "the file"


def _singular(name: str) -> str:
    return _PARTS.get(name, name.removesuffix("s") if len(name) > 3 else name)


def _inside(value: Any, step: str | int) -> Any:
    return value[step] if _holds(value, step) else None


def _label(value: Any) -> str:
    """Return the name of a part of a list, where it has one that cannot be an identifier."""
    for name in _NAMES if isinstance(value, dict) else ():
        label = value.get(name)
        if isinstance(label, str) and _LABEL.fullmatch(label) and not _LIKE_IDENTIFIER.search(label):
            return label
    return ""
