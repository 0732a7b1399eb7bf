"""The ring-fence as a stage of a cut: what ``flows.stages`` calls."""

from __future__ import annotations

from flows.ringfence.service import Outcome, plan_and_commit

__all__ = ["Outcome", "plan_and_commit"]
