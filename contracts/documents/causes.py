"""``causes.yaml`` as a typed document: likely causes of what is excluded, and what rules of a kind suggest."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from contracts.strict import Strict
from contracts.vocabulary import Form

_FORMS = frozenset(form.value for form in Form)


def _a_form(name: str) -> str:
    if name not in _FORMS:
        raise ValueError("is not a form of a column")
    return name


class CauseNode(Strict):
    """One likely cause of values that do not take their form."""

    id: str
    pattern: str
    forms: tuple[Annotated[str, AfterValidator(_a_form)], ...] = ()
    looks: str
    because: str
    remedy: str


class RuleCauseNode(Strict):
    """What is likely where values have their form and break a rule of some kind."""

    because: str
    remedy: str


class CausesDocument(Strict):
    """The whole of the file."""

    causes: tuple[CauseNode, ...] = Field(min_length=1)
    rules: dict[str, RuleCauseNode]
