"""The words in which ``blocks.yaml`` says how a value is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from contracts.errors import ContractError
from contracts.messages.model import FormKind, MessageForm

# Within a reference a role is three to five capitals and a DIP id hexadecimal (API 2.2.1).
REFERENCE = r"S-((IF|REP)-)?\d{3}[A-B]?-[0-9a-fA-F]{10}-[A-Z]{3,5}-\d{8}-[a-zA-Z0-9]+"
DATE_TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}[+-]\d{2}:\d{2}"
_FIXED = {
    "mpan": MessageForm("mpan", FormKind.TEXT, r"\d{13}"),
    "mpid": MessageForm("mpid", FormKind.TEXT, "[A-Z]{4}"),
    "dip id": MessageForm("dip id", FormKind.TEXT, "(?s).{10}"),
    "interface": MessageForm("interface", FormKind.TEXT, r"IF-\d{3}"),
    "version": MessageForm("version", FormKind.TEXT, r"\d{3}"),
    "event": MessageForm("event", FormKind.TEXT, r"\[[^\[\]]+\]"),
    "sender reference": MessageForm("sender reference", FormKind.TEXT, REFERENCE),
    "date and time": MessageForm("date and time", FormKind.DATE_TIME, DATE_TIME),
    "decimal": MessageForm("decimal", FormKind.DECIMAL, r"\d{1,9}\.\d{3}"),
    "boolean": MessageForm("boolean", FormKind.BOOLEAN),
}
_SIZED = re.compile(r"(?P<word>text|digits) (?P<least>\d+)( to (?P<most>\d+))?")
_NUMBER = re.compile(r"(?P<word>integer|number) ((?P<least>\d+) )?to (?P<most>\d+)")
OR_NULL = ", or null"


def read_form(words: str, codes: Mapping[str, Sequence[str]], *, where: str = "") -> MessageForm:
    """Return the form that words describe.

    Raises:
        ContractError: they describe none.
    """
    plain = words.removesuffix(OR_NULL)
    found = _plain_form(plain, codes)
    if found is None:
        raise ContractError("is written in a form that there is not", where=f"blocks.yaml, {where}")
    return replace(found, words=plain, nullable=words != plain)


def _plain_form(words: str, codes: Mapping[str, Sequence[str]]) -> MessageForm | None:
    if words in _FIXED:
        return _FIXED[words]
    if words.startswith("list of "):
        entry = _plain_form(words.removeprefix("list of "), codes)
        return None if entry is None else replace(entry, kind=FormKind.LIST)
    if words.startswith("code "):
        return MessageForm(words, FormKind.TEXT, codes=tuple(codes[words.removeprefix("code ")]))
    if match := _SIZED.fullmatch(words):
        bounds = f"{{{match['least']},{match['most'] or match['least']}}}"
        return MessageForm(words, FormKind.TEXT, rf"\d{bounds}" if match["word"] == "digits" else f"(?s).{bounds}")
    if match := _NUMBER.fullmatch(words):
        least, whole = float(match["least"] or "-inf"), match["word"] == "integer"
        return MessageForm(words, FormKind.NUMBER, least=least, most=float(match["most"]), whole=whole)
    return None
