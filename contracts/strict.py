"""The base of every model of a file, and how its checks say what is wrong. Reads nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pydantic import AfterValidator, BaseModel, ConfigDict

Found = tuple[tuple[str | int, ...], str]  # place in a document, and what is wrong there
WORD = re.compile(r"[A-Za-z_-]{1,40}[0-9]{0,3}")  # a name that a message may repeat: it cannot be an identifier


def word(name: object) -> str:
    """Return a name in quotes as a message may repeat it: never what could be an identifier."""
    return repr(name) if isinstance(name, str) and WORD.fullmatch(name) else "of that name"


class Strict(BaseModel):
    """Refuses entries that it does not know, and never changes: a misspelt option must not pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class PlacedError(ValueError):
    """A fault that a validator of a whole model found, with the place below the model that it is about."""

    def __init__(self, what: str, *place: str | int) -> None:
        super().__init__(what)
        self.place = place


def matching(pattern: str, words: str) -> AfterValidator:
    """Return a check that a text matches a pattern, with the fault in words (``must be ...``)."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def none_of(name: str, known: Sequence[str], what: str) -> str:
    """Return what is said of a name that is none of those known: what there is, or what was likely meant."""
    listed = ", ".join(sorted(known))
    return f"there is no {what} {word(name)}{meant(name, known) or f' (there are {listed})'}"


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the name that was likely meant, or nothing."""
    plain = {_plain(one): one for one in reversed(known)}
    close = difflib.get_close_matches(_plain(name)[:60], list(plain), 1, 0.7)
    return plain[close[0]] if close else ""


def meant(name: str, known: Sequence[str]) -> str:
    close = nearest(name, known)
    return f" (did you mean {str(close)!r}?)" if close else ""
