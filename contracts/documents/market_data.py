"""``market_domain_data.odcs.yaml``: the published tables, and what is taken from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.documents.odcs import Head, Property, RoleProperty, Text
from contracts.strict import Strict


class WidthProperty(Property):
    """How many characters a code has; shorter ones get zeros in front."""

    property: Literal["width"]
    value: Annotated[int, Field(ge=1, le=20)]


class OptionalProperty(Property):
    """Whether a publication may come without it."""

    property: Literal["optional"]
    value: bool


class AliasesProperty(Property):
    """Other headings under which a column is published."""

    property: Literal["aliases"]
    value: list[Text]


class PublishedColumn(Strict):
    """One column of a published table."""

    name: Text
    physical_name: Text = Field(alias="physicalName")
    logical_type: str = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType")
    classification: Literal["reference"]
    description: Text
    custom_properties: list[
        Annotated[WidthProperty | OptionalProperty | AliasesProperty, Field(discriminator="property")]
    ] = Field(default_factory=list, alias="customProperties")


class HeadingProperty(Property):
    """A heading: of a date that bounds a row's life, of the key before it, or of what a row that counts has."""

    property: Literal["effectiveFrom", "effectiveTo", "ownAfter", "present"]
    value: Text


class ReferenceProperty(Property):
    """Which columns of a table must stand in which other table."""

    property: Literal["refersTo"]
    value: dict[str, list[Text]]


class PublishedProperty(Property):
    """Every table of the publication, read or not."""

    property: Literal["published"]
    value: list[Text]


class MapEntry(Strict):
    """A column made from another by a list of values."""

    column: Text
    name: Text
    values: dict[str, str]


class MapProperty(Property):
    """A column made by a list of values."""

    property: Literal["map"]
    value: MapEntry


class MatchEntry(Strict):
    """A column made from another by the first pattern that fits."""

    column: Text
    name: Text
    patterns: list[tuple[str, str]]


class MatchProperty(Property):
    """A column made by patterns."""

    property: Literal["match"]
    value: MatchEntry


class PublishedTable(Strict):
    """One published table."""

    name: Text
    physical_name: Text = Field(alias="physicalName")
    logical_type: str = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType")
    description: Text
    custom_properties: list[
        Annotated[
            HeadingProperty | MapProperty | MatchProperty | OptionalProperty | ReferenceProperty,
            Field(discriminator="property"),
        ]
    ] = Field(default_factory=list, alias="customProperties")
    properties: list[PublishedColumn] = Field(min_length=1)


class MarketDataDocument(Head):
    """The whole file."""

    custom_properties: list[Annotated[RoleProperty | PublishedProperty, Field(discriminator="property")]] = Field(
        default_factory=list, alias="customProperties"
    )
    tables: list[PublishedTable] = Field(alias="schema", min_length=1)
