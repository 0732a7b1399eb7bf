"""The first screen of a report as Markdown, where nobody can follow a link to a file: an orchestrator's artifact."""

from __future__ import annotations

from pathlib import Path

from flows.keys.dsse import parse_envelope
from flows.pack import bag
from flows.pack.previous import read_evidence
from flows.report.check_types import CheckState
from flows.report.checks import report_checks, verdict

MARKS = {CheckState.PLAIN: "", CheckState.GOOD: "✓ ", CheckState.NOTE: "! ", CheckState.BAD: "✗ "}


def first_screen(pack: Path) -> str:
    """Return the verdict of a pack and an auditor's questions, each with its answer, as the report shows them first.

    Raises:
        EvidenceError: the evidence cannot be read, or is not the one that was sealed.
    """
    evidence = read_evidence(pack)
    signed = set(parse_envelope(bag.read_small(pack / bag.SIGNATURE)).signatures)
    pending = {signer.keyid for signer in evidence.signers or ()} - signed
    found = report_checks(evidence, sorted(signed), sorted(pending))
    whole = verdict(found)
    lines = [f"# Data cut {_cell(evidence.cut.id)}", "", f"**{_cell(whole.headline)}**", ""]
    lines += [f"- {_cell(reason)}" for reason in whole.reasons] + ([""] if whole.reasons else [])
    lines += ["| question | answer | |", "|---|---|---|"]
    lines += [f"| {_cell(c.question)} | {MARKS[c.state]}{_cell(c.short)} | {_cell(c.detail)} |" for c in found]
    return "\n".join([*lines, "", f"The whole report is in the pack `{pack.name}`: `report/index.html`.", ""])


def _cell(text: str) -> str:
    """Return a text that cannot end a cell, begin markup or an element."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
