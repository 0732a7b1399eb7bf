"""``questions.yaml`` as a typed document: what an assurance provider asks, and where the evidence answers."""

from __future__ import annotations

import string
from typing import Annotated

from pydantic import Field, model_validator

from contracts.strict import PlacedError, Strict, matching

Text = Annotated[str, Field(min_length=1)]
Key = Annotated[str, matching("[a-z_0-9]+", "must be the name of a key")]


class AnsweringFactNode(Strict):
    """One place of the evidence, and what is said of each of its rows."""

    section: Annotated[str, matching(r"[a-z_0-9]+(\.[a-z_0-9]+)*", "must be names with full stops between them")]
    words: Text
    where: list[Key] = Field(default_factory=list)
    without: list[Key] = Field(default_factory=list)

    @model_validator(mode="after")
    def _plain_names(self) -> AnsweringFactNode:
        for _, name, form, turned in string.Formatter().parse(self.words):
            if name is not None and (not name.isidentifier() or form or turned):
                raise PlacedError("braces hold the name of a key and nothing else", "words")
        return self


class QuestionNode(Strict):
    """A question and its facts."""

    asked: Text
    facts: list[AnsweringFactNode] = Field(min_length=1)


class QuestionsDocument(Strict):
    """The whole of the file."""

    questions: list[QuestionNode] = Field(min_length=1)
