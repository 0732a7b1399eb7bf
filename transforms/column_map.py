"""A source's headings -> a contract's columns: own names first, then the list of aliases; what is left over is named.

Source: Q68 and DQ23 (no heading of a person's), Q86 (systems of one participant that name things in their own way).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contracts.errors import ConfigurationError, IntakeError, RefusedError
from contracts.model import Contract, plain
from transforms.dates import AUTO, EVERY

HEADING_SHOWN = 40  # characters of a heading that a message repeats
DIGITS_SHOWN = 6  # a heading with more may be a row of data: an MPAN, a UPRN, a date and time
MOST_NAMED = 12  # headings that a message names


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """How a source's header maps to a contract.

    Attributes:
        names: heading -> contract column, in the order of the source.
        dropped: headings that no contract names; these columns are never read further.
        missing: optional columns of the contract that the source does not carry, in the contract's order.
        aliases: contract column -> the name of the contract's own list that matched; its own name where ``cut.yaml``
            maps it. What others may see of a heading.
        dates: contract column, or ``*`` for all others -> how its dates are written, from ``dates:`` of ``cut.yaml``.
        nulls: words for null beside those that are known, from ``nulls:`` of ``cut.yaml``.
        constants: contract column that the source lacks -> the value of all its rows.
        not_agreed: contract columns that the source carries and its sender did not agree to send: dropped (Q64).
    """

    names: dict[str, str]
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    not_agreed: tuple[str, ...] = ()

    def order(self, column: str) -> str:
        """Return how the dates of a column are to be read (``transforms.dates``)."""
        return self.dates.get(column, self.dates.get(EVERY, AUTO))


def only_agreed(columns: ColumnMap, agreed: Collection[str] | None) -> ColumnMap:
    """Return what is left of a source when only what was agreed with its sender is taken (Q64).

    Args:
        agreed: columns of the contract; ``None`` where all of it was agreed. Of what was not, nothing is missing.
    """
    if agreed is None:
        return columns
    kept = {heading: name for heading, name in columns.names.items() if name in agreed}
    return replace(
        columns,
        names=kept,
        missing=tuple(name for name in columns.missing if name in agreed),
        constants={name: value for name, value in columns.constants.items() if name in agreed},
        not_agreed=tuple(sorted(set(columns.names.values()) - set(kept.values()))),
    )


def shown(heading: str) -> str:
    """Return a heading as a message may repeat it: in quotation marks, or its kind where it could be data."""
    text = heading.strip()
    if len(text) > HEADING_SHOWN or not text.isprintable() or sum(c.isdigit() for c in text) > DIGITS_SHOWN:
        return "a heading that may be data"
    return f'"{text}"'


def listed(headings: Sequence[str]) -> str:
    """Return headings as a message names them, the first dozen of them."""
    more = len(headings) - MOST_NAMED
    return ", ".join(map(shown, headings[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def _refusing(contract: Contract, heading: str) -> list[str]:
    """Return the phrases for which a heading is refused; the contract's harmless headings have none."""
    if plain(heading) in map(plain, contract.harmless):  # not by words: DUoS would be two
        return []
    words = _words(heading)
    found = []
    for phrase in contract.forbidden:
        wanted = _words(phrase)
        if any(words[at : at + len(wanted)] == wanted for at in range(len(words))):
            found.append(phrase)
    return found


def map_columns(
    contract: Contract,
    header: Sequence[str],
    *,
    where: str,
    own: Mapping[str, str] | None = None,
    harmless: Collection[str] = (),
    assumed: Mapping[str, str] | None = None,
) -> ColumnMap:
    """Match a source's header to the contract.

    Args:
        own: contract column -> the heading it has in this source, from ``columns:`` of ``cut.yaml``.
        harmless: headings that only sound like a person's, from ``harmless:`` of ``cut.yaml``.
        assumed: contract column -> the value that all rows have where the source has no such column.

    Raises:
        RefusedError: a column is forbidden (DQ23, Q68), or two columns mean the same.
        IntakeError: a required column is missing.
        ConfigurationError: ``own`` names a column that the contract or the source has not.
    """
    names, aliases = _own_names(contract, header, own or {}, where)
    known = {plain(p): (column.name, p) for column in contract.columns for p in (column.name, *column.physical_names)}
    mapped = set(names.values())
    for heading in header:
        name, alias = known.get(plain(heading), ("", ""))
        if heading in names or not name or name in (own or {}):
            continue
        if name in mapped:
            first = next(h for h, n in names.items() if n == name)
            raise RefusedError(
                f"two columns mean {name}: {listed([first, heading])}",
                where=where,
                remedy=f"say which: `columns: {{{name}: ...}}` of the source",
            )
        mapped.add(name)
        names[heading], aliases[name] = name, alias
    refuse_persons(contract, header, names, harmless, where)
    dropped = tuple(heading for heading in header if heading not in names)
    constants = {name: value for name, value in (assumed or {}).items() if name not in mapped}
    absent = [column for column in contract.columns if column.name not in {*mapped, *constants}]
    if required := [column.name for column in absent if column.required]:
        raise _lacks(contract, required, dropped, where)
    ordered = {heading: names[heading] for heading in header if heading in names}
    return ColumnMap(ordered, dropped, tuple(column.name for column in absent), aliases, constants=constants)


def _own_names(
    contract: Contract, header: Sequence[str], own: Mapping[str, str], where: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns that ``cut.yaml`` maps by name: heading -> column, and column -> what others see of it."""
    columns = {column.name for column in contract.columns}
    if strangers := sorted(set(own) - columns):
        raise ConfigurationError(
            f"`columns` names {listed(strangers)}, not in the contract {contract.extract}",
            where=where,
            remedy=f"it has {', '.join(sorted(columns))}",
        )
    names: dict[str, str] = {}
    for name, wanted in own.items():
        exact = [h for h in header if h.strip() == wanted.strip()] or [h for h in header if plain(h) == plain(wanted)]
        if len(exact) != 1 or exact[0] in names:
            fault = (
                "is not in the header" if not exact else "is claimed twice" if exact[0] in names else "is there twice"
            )
            raise ConfigurationError(
                f"`columns` maps {name} to {shown(wanted)}, which {fault}",
                where=where,
                remedy=f"the header has {listed(header)}",
            )
        names[exact[0]] = name
    return names, {name: name for name in own}


def refuse_persons(
    contract: Contract, header: Sequence[str], names: Mapping[str, str], harmless: Collection[str], where: str
) -> None:
    """Refuse headings of a person's.

    Args:
        names: headings that are read.

    Raises:
        RefusedError: there are some (DQ23, Q68); the line names them and, where one may be harmless, how to say so.
    """
    allowed = {plain(heading) for heading in harmless}
    soft = set(contract.sounds_personal)
    refused, doubtful, told = [], [], []
    ours = {plain(name) for column in contract.columns for name in (column.name, *column.physical_names)}
    for position, heading in enumerate(header, start=1):
        known = plain(heading) in ours
        phrases = [] if heading in names and known else _refusing(contract, heading)
        sounds = bool(phrases) and set(phrases) <= soft
        if not phrases or (sounds and plain(heading) in allowed):
            continue
        refused.append(position)
        told.append(f'{shown(heading)} for "{max(phrases, key=len)}"')
        doubtful += [heading] if sounds else []
    if not refused:
        return
    remedy = "remove it from the extract and send again"
    if doubtful:
        words = ", ".join(heading.strip() for heading in doubtful if shown(heading).startswith('"'))
        remedy += f"; if it names no person, allow it with `harmless: [{words}]` of the source"
    raise RefusedError(
        f"column {', '.join(map(str, refused))} of the header must not be sent (DQ23: only MPAN, address and serial "
        f"number, Q68): {', '.join(told[:MOST_NAMED])}",
        where=where,
        remedy=remedy,
    )


def _lacks(contract: Contract, required: Sequence[str], dropped: Sequence[str], where: str) -> IntakeError:
    """Say what is missing, and which of the headings that are left over may be it."""
    remedy, more = "see datacut contracts doc", "; see datacut contracts doc"
    undecided = {plain(heading): columns for heading, columns in contract.undecided.items()}
    for heading in dropped:
        if meant := [name for name in undecided.get(plain(heading), ()) if name in required]:
            remedy = (
                f"if {shown(heading)} is it, say so: `columns: {{{meant[0]}: {heading.strip()}}}` of the source{more}"
            )
            break
    else:
        if dropped:
            remedy = f"if one of these is it, say so with `columns: {{{required[0]}: ...}}`: {listed(dropped)}{more}"
    named = "column" if len(required) == 1 else "columns"
    return IntakeError(f"lacks the required {named} {', '.join(required)}", where=where, remedy=remedy)
