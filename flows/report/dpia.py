"""The annex to the data protection impact assessment, one page of HTML and Markdown, from evidence (Q55, Q58)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from contracts.evidence import Evidence
from flows.report import figures, singling_out
from flows.report.formatting import number, percent, plural, visible
from flows.report.render import as_packed, asset, content_security_policy, environment

_TEXTS = {
    "purpose": "Purpose",
    "controller": "Controllers",
    "lawful_basis": "Lawful basis",
    "recipients": "Recipients",
    "retention": "Retention",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:])")


def dpia_html(evidence: Evidence) -> bytes:
    """Return the annex as one self-contained HTML page; the same evidence gives the same bytes."""
    css = asset("dpia.css")
    page = (
        environment()
        .get_template("dpia.html.j2")
        .render(
            evidence=as_packed(evidence),
            css=Markup(css),  # noqa: S704 - our own file
            policy_header=content_security_policy(css),
            facts=_facts(evidence),
            rows=_rows(evidence),
            remains=_remains(evidence),
        )
    )
    return page.encode()


def dpia_markdown(evidence: Evidence) -> bytes:
    """Return the annex as Markdown in which no text of the evidence can become markup."""
    cut, tool = evidence.cut, evidence.tool
    lines = [
        f"# Data protection impact assessment: annex to data cut {_plain(cut.id)}",
        "",
        f"{_plain(evidence.kind)} pack, cut on {_plain(cut.date)}, made from the contracts and the policy in "
        f"force by {_plain(tool.name)} {_plain(tool.version)}; the assessment itself is the controllers’.",
        "",
        *(f"- **{name}:** {_plain(text)}" for name, text in _facts(evidence)),
        "",
        "## Fields, treatment, basis, residual risk",
        "",
        "| Treatment | Fields | Basis | Residual risk |",
        "| --- | --- | --- | --- |",
        *(
            f"| {' | '.join(map(_plain, (row.treatment, row.fields, row.basis, row.residual_risk)))} |"
            for row in _rows(evidence)
        ),
        "",
        "## Measures",
        "",
        *(f"- {_plain(line)}" for line in (evidence.dpia and evidence.dpia.measures) or ()),
        "",
        "## What remains",
        "",
        *(f"- {_plain(line)}" for line in _remains(evidence)),
        "",
    ]
    return "\n".join(lines).encode()


def _plain(text: object) -> str:
    """Return text on one line with every character escaped that Markdown or HTML could take for markup."""
    return _MARKDOWN.sub(r"\\\1", str(visible(" ".join(str(text).split()))))


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    words = ((title, getattr(evidence.dpia, name, None)) for name, title in _TEXTS.items())
    facts = [(title, _stated(evidence, title) or text) for title, text in words if text is not None]
    trust, fingerprint = evidence.cut.trust_model, evidence.key_fingerprint
    custody = f"{trust}; key fingerprint {fingerprint}, pseudonym scheme {evidence.scheme}."
    return [*facts, ("Custody of the key", custody)]


def _stated(evidence: Evidence, title: str) -> str:
    """Return what the registers of this cut say, which goes before what is usual; nothing where they say nothing."""
    registers, usual = evidence.registers, evidence.dpia
    if registers is None or usual is None:
        return ""
    if title == _TEXTS["retention"]:
        return registers.retention or ""
    named = [f"{p.participant} {p.controller}" for p in registers.participants or () if p.controller]
    return f"{usual.controller} Stated: {', '.join(named)}." if title == _TEXTS["controller"] and named else ""


@dataclass(frozen=True, slots=True)
class AnnexRow:
    """Fields that share a treatment, why it is enough, and the risk that stays."""

    treatment: str
    fields: str
    basis: str
    residual_risk: str


def _rows(evidence: Evidence) -> list[AnnexRow]:
    """Return fields by treatment; a column of the same name in several extracts appears once."""
    rows = []
    for group in figures.treatments(evidence):
        names = dict.fromkeys(name for part in group.extracts for run in part.columns for name in run.split(", "))
        words = group.words
        rows.append(
            AnnexRow(
                treatment=group.treatment,
                fields=", ".join(figures.ranges(sorted(names))),
                basis=words.basis if words else "Not stated.",
                residual_risk=words.residual_risk if words else "Not assessed.",
            )
        )
    return rows


def _remains(evidence: Evidence) -> list[str]:
    """Return the residual risks that this very cut measured."""
    total = figures.totals(evidence)
    who = {row.participant for row in evidence.inputs}
    lines = [
        f"{number(total.released)} of {number(total.rows_in)} rows from {plural(len(who), 'participant')} are "
        f"released; {percent(total.excluded, total.rows_in)} were excluded.",
        f"Half-hourly readings: {(evidence.policy and evidence.policy.half_hourly) or 'not stated'}. "
        "Five consecutive real readings identify most homes.",
    ]
    scan = evidence.leak_scan
    lines.append(
        f"Search for {number(scan.identifiers)} raw identifiers in {plural(scan.files, 'file')}: "
        f"{number(scan.confirmed)} found."
        if scan
        else "The pack was not searched for raw identifiers at this stage."
    )
    risks = [(name, getattr(evidence.risk, name, None)) for name in ("prosecutor_max", "journalist_max", "marketer")]
    shown = [f"{name.replace('_', ' ')} {number(risk)}" for name, risk in risks if risk is not None]
    meant = singling_out.explained([name for name, risk in risks if risk is not None])
    lines.append(
        f"Risk of singling out: {', '.join(shown)} ({meant})." if shown else "Risk of singling out was not measured."
    )
    if evidence.attack and evidence.attack.played:
        lines += singling_out.in_words(evidence.attack)
    lines.append("Every holder of the cut key can reverse every pseudonym of the cut, whoever’s data it is.")
    return lines
