"""QUALIFICATION: a later cut for participants outside SIT, in tranches; the same contracts, forms and checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from contracts.strict import Strict
from flows.cut.registers import Mpid

if TYPE_CHECKING:
    from flows.cut.config import CutFile


class Qualification(Strict):
    """What makes a cut one for Qualification (Q47, Q65, Q72).

    Attributes:
        after: release pack of the cut for SIT, which this one must have nothing in common with.
        tranches: participant outside SIT -> its tranche. They alone get return packs, unless ``release.recipients``
            names others.
    """

    after: Path
    tranches: Annotated[dict[Mpid, Annotated[int, Field(ge=0)]], Field(min_length=1)]


def gets_return(model: CutFile, mpid: str) -> bool:
    """Tell whether a participant gets a return pack: whom ``release.recipients`` names, else all, or a tranche's."""
    named, later = model.release.recipients, model.qualification
    if named == "all":
        return later is None or mpid in later.tranches
    return mpid in named
