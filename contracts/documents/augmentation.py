"""``augmentation/*.yaml``: decision tables, ranked evidence, prefixes of DIP ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from contracts.augmentation.model import Manufacture, Outcome, ValueSource
from contracts.strict import Found, Strict, matching
from contracts.vocabulary import SenderRole

Text = Annotated[str, Field(min_length=1)]
Value = bool | int | float | date | str


class InputEntry(Strict):
    """A column that conditions may read, and the values that the lint tries."""

    values: list[Value] = Field(default_factory=list)
    codes: str = ""
    nullable: bool = False


class NeverEntry(Strict):
    """A combination that cannot be."""

    code: Text
    never: Text
    description: str


class HoldsEntry(Strict):
    """A condition that must hold."""

    code: Text
    holds: Text
    description: str


class WhenEntry(Strict):
    """A condition that tells."""

    code: Text
    when: Text
    description: str


class MeterWords(Strict):
    """What meter types say."""

    minor: list[Text]
    segments: dict[str, list[Text]]


class Defaults(Strict):
    """What an item has unless it says otherwise."""

    undecided: Literal["exclude", "leave"] | None = None
    held_by: list[SenderRole] | None = None
    effective_from: str | None = None


def _column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class StatementEntry(Strict):
    """A column in which a participant states the item."""

    column: Annotated[str, matching(r"[a-z_]+\.[a-z0-9_]+", "must be written extract.column")]
    effective_from: str = ""
    when: str = ""


class LookupEntry(Strict):
    """What a mapping table says."""

    table: Text
    keys: dict[str, str]
    value: Text


class RowEntry(Strict):
    """One row of a decision table."""

    rule: Text
    when: str = "true"
    otherwise: bool = False
    value: Value | None = None
    column: str | None = None
    sql: str | None = None
    lookup: LookupEntry | None = None
    manufacture: Manufacture | None = None
    none: bool | None = None
    undecided: str | None = None
    source: ValueSource | None = None
    yields_to: list[Text] | None = None
    decided_by: str = ""
    decided_as: str = ""

    @model_validator(mode="after")
    def _gives_one_thing(self) -> RowEntry:
        if len(self.model_fields_set & {kind.value for kind in Outcome}) != 1:
            raise ValueError(f"must have one of {', '.join(Outcome)}")
        return self


class DecidedEntry(Strict):
    """One MHHS-only item."""

    item: Text
    catalogue: str = ""
    key: str = ""
    description: Text
    basis: list[Text]
    values: list[Text] | None = None
    effective_from: str | None = None
    undecided: Literal["exclude", "leave"] | None = None
    held_by: list[SenderRole] | None = None
    decimal: bool = False
    treated_as: str = ""
    criterion: bool = False
    stated: list[Annotated[StatementEntry, BeforeValidator(_column)]] | None = None
    rows: list[RowEntry]


class ItemsDocument(Strict):
    """The whole of ``items.yaml``."""

    inputs: dict[str, InputEntry | None]
    impossible: list[NeverEntry] | None = None
    meters: MeterWords
    senders: dict[str, str] | None = None
    defaults: Defaults | None = None
    items: list[DecidedEntry]
    coherence: list[HoldsEntry] | None = None

    def faults(self) -> Iterator[Found]:
        """Yield items that lack what has no default."""
        usual = self.defaults or Defaults()
        for place, item in enumerate(self.items):
            for name in ("effective_from", "undecided", "held_by"):
                if getattr(item, name) is None and getattr(usual, name) is None:
                    yield ("items", place), f"lacks {name!r}, for which there is no default"


class EvidenceEntry(Strict):
    """One kind of evidence."""

    rule: Text
    match: list[Literal["stated", "serial", "premises", "uprn"]] = Field(min_length=1)
    grade: Text
    description: str


class AssociationsDocument(Strict):
    """The whole of ``associations.yaml``."""

    grades: list[Text] = Field(min_length=1)
    site: list[Text]
    same: list[Text]
    evidence: list[EvidenceEntry]
    carried: list[Text]
    primary: list[WhenEntry]
    constraints: list[HoldsEntry]

    def faults(self) -> Iterator[Found]:
        """Yield evidence of a grade that there is not."""
        for place, entry in enumerate(self.evidence):
            if entry.grade not in self.grades:
                yield ("evidence", place, "grade"), f"must be one of the grades {', '.join(self.grades)}"


class CentralEntry(Strict):
    """A central party: invented ids that stand for it."""

    mpid: Annotated[str, matching(r"[A-Z]{4}", "must be four capital letters")]
    dip_id: Annotated[str, matching(r"[0-9A-Fa-f]{10}", "must be ten hexadecimal digits, in quotes")]


class ServicesDocument(Strict):
    """The whole of ``services.yaml``."""

    dip_id_prefixes: dict[str, Annotated[str, matching(r"[0-9]{2}", "must be two digits, in quotes")]]
    central: dict[str, CentralEntry] = Field(default_factory=dict)

    def faults(self) -> Iterator[Found]:
        """Yield roles that share a prefix."""
        seen: dict[str, str] = {}
        for role, prefix in self.dip_id_prefixes.items():
            if prefix in seen:
                yield ("dip_id_prefixes", role), f"has the prefix of {seen[prefix]}"
            seen[prefix] = role
