"""The closed words of a contract. A word that is not here is a finding of ``datacut contracts check``."""

from __future__ import annotations

from enum import StrEnum

REASON_CODE = "DQ(?:0[1-9]|[12][0-9]|3[0-2])"  # reason codes of excluded metering points, DQ01 to DQ32


class Classification(StrEnum):
    """How revealing a column is (Q58, Q68)."""

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
    SYNTHETIC = "synthetic"  # every value is replaced by an invented one of the same total (half-hourly series)
    DROP = "drop"
    MOVE = "move"  # a date is moved by the key, in the order of its metering point's dates
    MIX = "mix"  # half-hourly series are mixed among homes of a group: its sums stay, no home's does
    COMMON = "common"  # a text that enough metering points share stays, any other becomes one word
    VARY = "vary"  # an amount is varied by the key, within its band


class Field(StrEnum):
    """Fields of pseudonym scheme 1: each has its own HKDF field key."""

    MPAN = "mpan"
    METER_SERIAL = "meter-serial"
    ESME_ID = "esme-id"
    UPRN = "uprn"
    ADDRESS = "address"


class PostcodePolicy(StrEnum):
    """How much of the real postcode a pseudonym keeps."""

    OUTWARD = "outward"
    AREA = "area"


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


class RuleStage(StrEnum):
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


class SenderRole(StrEnum):
    """Who sends an extract (``domain`` 6.6); ``SI`` for what the systems integrator makes itself."""

    LDSO = "LDSO"
    SUP = "SUP"
    MOP = "MOP"
    DC = "DC"
    ELEXON = "ELEXON"
    SI = "SI"


class Expectation(StrEnum):
    """What a rule can claim; the names of Great Expectations where it has the like."""

    PRESENT = "expect_column_values_to_not_be_null"
    CONFORM = "expect_column_values_to_conform"
    COLUMNS_CONFORM = "expect_columns_to_conform"
    IN_SET = "expect_column_values_to_be_in_set"
    MATCH = "expect_column_values_to_match_regex"
    NO_MATCH = "expect_column_values_to_not_match_regex"
    SATISFY = "expect_rows_to_satisfy"
    UNIQUE = "expect_compound_columns_to_be_unique"
    IN_REFERENCE = "expect_rows_in_reference"
    ONE_OWNER = "expect_value_to_have_one_owner"
    USUAL_PAIR = "expect_pair_to_be_usual"


# What each expectation needs (first) and may have (second), beside ``row_condition``.
ARGUMENTS: dict[Expectation, tuple[frozenset[str], frozenset[str]]] = {
    Expectation.PRESENT: (frozenset({"column"}), frozenset()),
    Expectation.CONFORM: (frozenset({"column"}), frozenset({"required"})),
    Expectation.COLUMNS_CONFORM: (frozenset({"column_list"}), frozenset()),
    Expectation.IN_SET: (frozenset({"column", "code_list"}), frozenset()),
    Expectation.MATCH: (frozenset({"column", "regex"}), frozenset()),
    Expectation.NO_MATCH: (frozenset({"column", "regex"}), frozenset()),
    Expectation.SATISFY: (frozenset({"condition"}), frozenset()),
    Expectation.UNIQUE: (frozenset({"column_list"}), frozenset()),
    Expectation.IN_REFERENCE: (frozenset({"table", "keys"}), frozenset({"where"})),
    Expectation.ONE_OWNER: (frozenset({"column", "owner"}), frozenset()),
    Expectation.USUAL_PAIR: (frozenset({"column", "partner", "share", "least"}), frozenset()),
}
LOOK_UPS = frozenset({Expectation.IN_REFERENCE, Expectation.ONE_OWNER, Expectation.USUAL_PAIR})
