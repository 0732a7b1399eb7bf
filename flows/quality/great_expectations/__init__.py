"""GREAT EXPECTATIONS ON POLARS: an engine that counts and cannot show a value, and a runner for suites.

Importing this package imports Great Expectations, so import it where a suite is run, not before. It is imported leanly
(:mod:`flows.quality.great_expectations.lean_import`). This silences the log of Great Expectations, which repeats
exceptions and arguments.
"""

from flows.quality.great_expectations.lean_import import lean_import

with lean_import():
    from flows.quality.great_expectations.engine import PolarsExecutionEngine
    from flows.quality.great_expectations.expectations import ExpectRowsToSatisfy
    from flows.quality.great_expectations.result import RuleResult, SuiteResult, raise_on_crash
    from flows.quality.great_expectations.run import SUPPORTED, run_suite

__all__ = [
    "SUPPORTED",
    "ExpectRowsToSatisfy",
    "PolarsExecutionEngine",
    "RuleResult",
    "SuiteResult",
    "raise_on_crash",
    "run_suite",
]
