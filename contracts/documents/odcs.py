"""A contract file: Open Data Contract Standard v3.1.0, as far as the product reads it.

What is this project's own stands in ``customProperties``, a list of ``{property, value}`` in which each property has a
type of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from contracts import vocabulary
from contracts.strict import Strict

Text = Annotated[str, Field(min_length=1)]
Reference = Annotated[str, Field(coerce_numbers_to_str=True)]  # of a catalogue: 290 is a name there


class TreatmentEntry(Strict):
    """What happens to a column."""

    method: vocabulary.Method
    field: vocabulary.Field | None = None
    rule: str | None = None


class Property(Strict):
    """An entry of ``customProperties``: what it is called, and a value of a type of its own."""

    property: str
    value: Any


class FormProperty(Property):
    """How text becomes a value."""

    property: Literal["form"]
    value: vocabulary.Form


class TreatmentProperty(Property):
    """What happens to the column between backup and pack."""

    property: Literal["treatment"]
    value: TreatmentEntry


class ItemProperty(Property):
    """The DTC item or catalogue number."""

    property: Literal["item"]
    value: str


class NamesProperty(Property):
    """Further names in backups, or further item references."""

    property: Literal["aliases", "otherItems"]
    value: list[Text]


class OptionsProperty(Property):
    """Parameters of the form; which ones a form has is for the lint to say."""

    property: Literal["options"]
    value: dict[str, Any]


ColumnProperty = Annotated[
    FormProperty | TreatmentProperty | ItemProperty | NamesProperty | OptionsProperty, Field(discriminator="property")
]


class ColumnDocument(Strict):
    """One column of an extract."""

    name: Text
    physical_name: str | None = Field(default=None, alias="physicalName")
    logical_type: str = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType")
    required: bool = False
    primary_key: bool = Field(default=False, alias="primaryKey")
    primary_key_position: int | None = Field(default=None, alias="primaryKeyPosition")
    classification: vocabulary.Classification
    description: Text
    custom_properties: list[ColumnProperty] = Field(alias="customProperties")


class WordProperty(Property):
    """A reason code, the fault in words, or the optional column whose presence a rule needs."""

    property: Literal["reason", "fault", "carried"]
    value: Text


class EffectProperty(Property):
    """What a broken rule does."""

    property: Literal["effect"]
    value: vocabulary.Effect


class StageProperty(Property):
    """When the rule is judged."""

    property: Literal["stage"]
    value: vocabulary.RuleStage


class WordsProperty(Property):
    """Where a rule comes from, or the rules that excuse it."""

    property: Literal["basis", "unless"]
    value: list[Text]


RuleProperty = Annotated[WordProperty | EffectProperty | StageProperty | WordsProperty, Field(discriminator="property")]


class Implementation(Strict):
    """The expectation and its arguments; which ones it has is for the lint to say."""

    type: vocabulary.Expectation
    kwargs: dict[str, Any] = Field(default_factory=dict)


class RuleDocument(Strict):
    """One quality rule."""

    id: Text
    description: Text
    dimension: vocabulary.Dimension
    type: Literal["custom"]
    engine: Literal["greatExpectations"]
    severity: Literal["error", "warning"]
    implementation: Implementation
    custom_properties: list[RuleProperty] = Field(alias="customProperties")


class DerivedEntry(Strict):
    """A column that rules may read and that is never released."""

    name: Text
    sql: str = ""
    table: str = ""
    keys: dict[str, str] = Field(default_factory=dict)
    value: str = ""
    where: str = ""
    spanning: bool = False


class RoleProperty(Property):
    """Who sends the extract."""

    property: Literal["role"]
    value: vocabulary.SenderRole


class HeadingsProperty(Property):
    """Words of a heading that refuse the file, or headings that hold such a word and do not."""

    property: Literal["forbiddenColumns", "harmlessColumns"]
    value: list[Text]


class DerivedProperty(Property):
    """Derived columns, in the order in which they are made."""

    property: Literal["derivedColumns"]
    value: list[DerivedEntry]


class FoldEntry(Strict):
    """Records below a row that become columns of it, one after the other."""

    group: Reference
    item: Reference
    columns: list[Text]
    flag_item: Reference | None = Field(default=None, alias="flagItem")
    flag_column: str = Field(default="", alias="flagColumn")


class LayoutEntry(Strict):
    """Where the columns are in one DTC flow: places as ``<group>.<item>``; see :class:`contracts.dtc.layout.DtcLayout`.

    Whether the flow has those places is for :func:`contracts.dtc.resolve.layout_faults` to say.
    """

    flow: Reference
    version: Reference = ""
    row_group: Reference = Field(alias="rowGroup")
    fields: dict[str, Reference]
    constants: dict[str, Reference] = Field(default_factory=dict)
    fold: FoldEntry | None = None
    latest: dict[str, Reference] = Field(default_factory=dict)
    header: dict[str, Reference] = Field(default_factory=dict)
    fills: dict[str, Reference] = Field(default_factory=dict)
    returned_as: Reference = Field(default="", alias="returnedAs")
    utc_days: bool = Field(default=False, alias="utcDays")
    agreed: dict[str, Reference] = Field(default_factory=dict)
    partners: dict[str, list[Reference]] = Field(default_factory=dict)
    completes: list[Reference] = Field(default_factory=list)
    marks: dict[str, Reference] = Field(default_factory=dict)


class LayoutsProperty(Property):
    """Where the columns are in DTC user files."""

    property: Literal["dtcLayouts"]
    value: list[LayoutEntry]


class HalfHoursEntry(Strict):
    """Headings of tables with a row a half-hour."""

    start: list[Text]
    end: list[Text]
    stamp: list[Text]
    day: list[Text]
    time: list[Text]
    period: list[Text]
    values: dict[str, list[Text]]
    flag: list[Text]
    sensors: dict[str, str]
    quantity: Text


class HalfHoursProperty(Property):
    """How a table with a row a half-hour is folded into days."""

    property: Literal["halfHours"]
    value: HalfHoursEntry


ContractProperty = Annotated[
    RoleProperty | HeadingsProperty | DerivedProperty | LayoutsProperty | HalfHoursProperty,
    Field(discriminator="property"),
]


class Description(Strict):
    """Why the data is there, and what it may not be taken for."""

    purpose: str
    limitations: str = ""


class Extract(Strict):
    """The extract itself."""

    name: Text
    logical_type: str = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType")
    description: Text
    properties: list[ColumnDocument] = Field(min_length=1)
    quality: list[RuleDocument] = Field(default_factory=list)


class Head(Strict):
    """What every ODCS file begins with."""

    api_version: Literal["v3.1.0"] = Field(alias="apiVersion")
    kind: Literal["DataContract"]
    id: Text
    name: Text
    version: Text
    status: Literal["proposed", "draft", "active", "deprecated", "retired"]
    description: Description


class ContractDocument(Head):
    """One contract file."""

    custom_properties: list[ContractProperty] = Field(alias="customProperties")
    tables: list[Extract] = Field(alias="schema", min_length=1, max_length=1)
