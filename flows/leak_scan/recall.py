"""What the leak scan was measured to find: the last campaign, and what it cannot find and why."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from contracts.evidence_results import Recall

RECALL = Path(__file__).with_name("recall.yaml")


@cache
def recall() -> Recall:
    """Return the last campaign's table, which ships with the product."""
    return Recall.model_validate(yaml.safe_load(RECALL.read_text(encoding="utf-8")))
