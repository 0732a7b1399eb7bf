"""LINT: every fault of contracts, code lists and tables at once, in words, with file and place. Reads, never changes.

The JSON schema of the Open Data Contract Standard says what a contract must look like; the house rules here say what
it must mean: closed words, columns that exist, conditions that can be judged, identifiers that are hidden, values that
are never lost in silence.
"""

from contracts.lint.document import Finding
from contracts.lint.folder import check_contracts

__all__ = ["Finding", "check_contracts"]
