"""Numbers, dates and foreign text as a British reader expects them on a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from markupsafe import Markup

# Controls, format characters (bidirectional overrides, zero widths), surrogates, private use, unassigned,
# line and paragraph separators: none of them is seen, all of them can change what a reader sees.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(value: Any) -> Any:
    """Return text with every unseen character spelt out, as ``⟨U+202E⟩``; anything but text as it is."""
    if not isinstance(value, str) or isinstance(value, Markup) or (value.isascii() and value.isprintable()):
        return value
    return "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c for c in value)


def number(value: float | None) -> str:
    """Return a count with commas; a fraction with at most four significant decimals; nothing for ``None``."""
    if value is None:
        return ""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.1f}"


def percent(part: float, whole: float) -> str:
    """Return a share: never 0% for something, never 100% for not quite everything."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if part and share < 0.01:
        return "<0.01%"
    if part < whole and share > 99.99:
        return ">99.99%"
    text = f"{share:.2f}" if share < 10 else f"{share:.1f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def change(difference: float) -> str:
    """Return a difference of two shares in percentage points, with its sign: ``+0.31 pp``."""
    points = 100 * difference
    text = f"{points:+.2f}" if abs(points) < 10 else f"{points:+.1f}"
    return f"{text.replace('-', '−')} pp"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count and its noun: ``1 file``, ``2,000 files``."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"


def size(count: int) -> str:
    """Return bytes in decimal units: ``4.8 GB``."""
    amount, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{count:,} bytes" if units[0] == "bytes" else f"{amount:.3g} {units[0]}"


def long_date(text: str) -> str:
    """Return ``19 August 2023`` for an ISO date; a text that is none comes back as it is."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{day.day} {day:%B %Y}"


def capitalised(text: str) -> str:
    """Return a text that begins with a capital; the rest as it is."""
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], most: int = 12) -> str:
    """Return ``A, B and C``, or the first few and how many more."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {plural(len(words) - most, 'other')}"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "nobody"


def counted(counts: Mapping[str, int | Mapping[str, int]]) -> list[str]:
    """Return counts by name, and by what is wrong, as words: ``linked_mpan 3``, ``efd 2 (is no date)``."""
    told = []
    for name, count in counts.items():
        whys = count if isinstance(count, Mapping) else {"": count}
        told += [f"{name} {number(many)}{f' ({why})' if why else ''}" for why, many in whys.items()]
    return told


def human(name: str) -> str:
    """Return a key of the evidence as words: ``journalist_max`` -> ``journalist max``."""
    return name.replace("_", " ")
