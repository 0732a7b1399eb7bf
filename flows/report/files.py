"""Everything in a pack's ``report`` folder: the page, its tables, the annex, Great Expectations' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.report.dpia import dpia_html, dpia_markdown
from flows.report.render import Beside, render_report
from flows.report.tables import report_tables
from transforms.release.attestation import canonical_bytes, strict_json


def report_files(
    evidence: Mapping[str, Any],
    *,
    signed_by: Sequence[str],
    approvers: Sequence[str] = (),
    checkpoints: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Return every file of the ``report`` folder by its path in the pack; the same evidence gives the same bytes.

    Args:
        signed_by: ids of the keys that will sign the pack.
        approvers: ids of the keys whose owners must sign it after reading.
        checkpoints: Great Expectations' results as JSON text, by participant and extract.
    """
    # As it will be read back from the pack: the order in which a run filled its sections must not show.
    evidence = strict_json(canonical_bytes(evidence), where="evidence")
    tables = report_tables(evidence)
    found = {f"report/tables/{name}.csv": data for name, data in tables.items()}
    found |= {f"report/gx/{name}.json": text.encode() for name, text in (checkpoints or {}).items()}
    annex = bool(evidence.get("dpia"))
    if annex:
        found |= {"report/dpia.html": dpia_html(evidence), "report/dpia.md": dpia_markdown(evidence)}
    beside = Beside(frozenset(tables), tuple(sorted(checkpoints or {})), annex)
    page = render_report(evidence, signed_by=signed_by, approvers=approvers, beside=beside)
    return {"report/index.html": page, **found}
