"""``headings.yaml``: what backups call the columns of the contracts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.strict import Strict

Text = Annotated[str, Field(min_length=1)]


class HeadingsDocument(Strict):
    """The whole file."""

    aliases: dict[str, list[Text]]
    undecided: dict[str, list[Text]]
    sounds_personal: list[Text]
    personal: list[Text]
    likely: dict[str, list[Text]]
