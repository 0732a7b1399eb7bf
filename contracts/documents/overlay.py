"""The obfuscation policy of a cut: treatments that replace those of the contracts (Q58)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from contracts.strict import Strict
from contracts.vocabulary import Method


def _named(value: object) -> object:
    return {"method": value} if isinstance(value, str) else value


class OverlayEntry(Strict):
    """A treatment: a method's name, or with its rule."""

    method: Method
    rule: str | None = None


class OverlayDocument(Strict):
    """The whole file: ``treatments`` by extract and column; ``reason`` is a text for the evidence."""

    reason: str = ""
    treatments: dict[str, dict[str, Annotated[OverlayEntry, BeforeValidator(_named)]]]
