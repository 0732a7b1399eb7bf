"""What a suite found, without a value of the data: counts, verdicts, and the type name of what crashed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from contracts.errors import QualityError
from contracts.json_types import JsonObject


@dataclass(frozen=True)
class RuleResult:
    """The verdict on one rule.

    Attributes:
        rule: identity of the rule, as the contract gives it.
        expectation: type of the expectation that carried it.
        severity: ``critical``, ``warning`` or ``info``.
        success: the rule holds; always false for a crash.
        element_count: rows the rule was asked about (those meeting its row condition); ``None`` where it is
            not about rows, or where it crashed.
        unexpected_count: rows that break it; ``None`` where the rule does not judge row by row, or where it
            crashed.
        crashed: the rule could not be judged, which says nothing about the data.
        fault: type name of the exception of a crash, never its text.
    """

    rule: str
    expectation: str
    severity: str
    success: bool
    element_count: int | None
    unexpected_count: int | None
    crashed: bool
    fault: str | None = None


@dataclass(frozen=True)
class SuiteResult:
    """The verdicts of one suite, in the order of its rules."""

    name: str
    rules: tuple[RuleResult, ...]

    @property
    def success(self) -> bool:
        """True if every rule was judged and holds."""
        return all(rule.success for rule in self.rules)

    @property
    def crashed(self) -> tuple[RuleResult, ...]:
        """Rules that could not be judged."""
        return tuple(rule for rule in self.rules if rule.crashed)

    def failed(self, *severities: str) -> tuple[RuleResult, ...]:
        """Return the rules that were judged and broken, of the given severities or of all."""
        return tuple(
            rule
            for rule in self.rules
            if not rule.success and not rule.crashed and (not severities or rule.severity in severities)
        )

    def document(self) -> JsonObject:
        """Return the validation result document: rule ids, verdicts and counts, nothing else."""
        verdicts = Counter("crashed" if r.crashed else "held" if r.success else "broken" for r in self.rules)
        return {
            "suite": self.name,
            "success": self.success,
            "statistics": {
                "evaluated": len(self.rules),
                **{k: verdicts[k] for k in ("held", "broken", "crashed")},
            },
            "results": [asdict(rule) for rule in self.rules],
        }

    def to_json(self) -> str:
        """Return the document as JSON text; equal results give equal bytes."""
        return json.dumps(self.document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def raise_on_crash(result: SuiteResult) -> None:
    """Refuse a result with a rule that could not be judged; broken rules pass, they are a verdict.

    Raises:
        QualityError: names the crashed rules and the type of what went wrong, never its text.
    """
    if crashed := result.crashed:
        named = ", ".join(f"{rule.rule} ({rule.fault})" for rule in crashed)
        raise QualityError(
            f"{len(crashed)} of {len(result.rules)} rules could not be judged: {named}",
            where=result.name,
            remedy="check that the rules fit the columns and types of the extract",
        )
