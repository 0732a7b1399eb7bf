"""The closed words of a contract. A word that is not here is a finding of ``datacut contracts check``."""

from __future__ import annotations

from enum import StrEnum


class Classification(StrEnum):
    """How revealing a column is (SEED Q58, Q68)."""

    IDENTIFIER = "identifier"  # names a metering point, device, premises by itself
    QUASI = "quasi"  # helps to single out together with others
    ATTRIBUTE = "attribute"  # describes the metering point's settlement configuration
    BEHAVIOUR = "behaviour"  # consumption and readings
    REFERENCE = "reference"  # market domain data, no link to a customer


class Method(StrEnum):
    """What happens to a column between backup and pack."""

    KEEP = "keep"
    PSEUDONYMISE = "pseudonymise"
    TOKEN = "token"  # noqa: S105 - a treatment, not a password
    GENERALISE = "generalise"
    SUPPRESS = "suppress"  # column stays, every value is null
    DROP = "drop"


class Field(StrEnum):
    """Fields of pseudonym scheme 1: each has its own HKDF field key."""

    MPAN = "mpan"
    METER_SERIAL = "meter-serial"
    ESME_ID = "esme-id"
    UPRN = "uprn"
    ADDRESS = "address"


class Form(StrEnum):
    """How a text value becomes a typed one; the interpreter is ``transforms.conform``."""

    TEXT = "text"
    CODE = "code"  # upper-cased, trimmed, optionally padded with zeros to a width
    DATE = "date"
    DECIMAL = "decimal"
    INTEGER = "integer"
    FLAG = "flag"  # T/F, Y/N, 1/0, true/false
    MPAN = "mpan"
    METER_SERIAL = "meter_serial"
    ESME_ID = "esme_id"
    UPRN = "uprn"
    ADDRESS_LINE = "address_line"
    POSTCODE = "postcode"


class Effect(StrEnum):
    """What a broken rule does (``domain`` section 10: X, W, reject file)."""

    EXCLUDE = "exclude"
    WARN = "warn"
    REJECT = "reject"


class Stage(StrEnum):
    """When a rule is judged: on raw text in memory, or on pseudonymised rows."""

    INTAKE = "intake"
    QUALITY = "quality"


class Dimension(StrEnum):
    """The seven dimensions that ODCS knows."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    CONFORMITY = "conformity"
    CONSISTENCY = "consistency"
    COVERAGE = "coverage"
    TIMELINESS = "timeliness"
    UNIQUENESS = "uniqueness"
