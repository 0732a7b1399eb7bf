"""How half-hourly series were mixed, as a section of the evidence."""

from __future__ import annotations

from contracts.evidence_types import Count, Name, Section, _of


class MixedSeriesEvidence(Section):
    """Half-hourly series of one participant, mixed among the homes of groups."""

    participant: Name
    series_days: Count
    groups: Count = _of("GSP group, class, settlement day and measurement quantity: their sums are real.")
    least_homes: Count = _of("Homes of the smallest group.")
    merged: Count = _of(
        "Series-days of groups that were too small alone: the sums of what they were merged into are real."
    )
    invented: Count = _of("Series-days with nobody to mix with: invented, of about the same total; no sum is real.")
    own_totals: Count = _of("Series-days whose total is the home's own, though the group used something.")
