"""Evidence -> one self-contained HTML page. Escapes everything, loads nothing, runs only its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.report import view, words
from flows.report.answers import answers, verdict
from flows.report.tables import report_tables

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_SHORTAGES = 12
SMALL = 10  # counts of people-like things below this are not shown exactly (statistical disclosure practice)

# Reasons that no contract rule carries.
MEANINGS = {
    "coincident": "The pseudonym happens to be a real MPAN of the same cut.",
    "serial": "The meter serial number is too short to be pseudonymised.",
    "companion": "Another metering point of the same premises was excluded.",
}
SECTIONS = {
    "rows": "Rows in, rows out",
    "why": "What was excluded, and why",
    "rules": "Rules and what broke them",
    "alignment": "Agreement between participants",
    "augmentation": "Augmented fields",
    "fence": "Ring-fenced test data",
    "leaks": "Search for raw identifiers",
    "risk": "Disclosure risk",
    "policy": "Policy in force",
    "limits": "Known limits",
    "inputs": "Inputs",
    "made": "How it was made",
    "verify": "How to verify",
}
# Sections that stand only where the evidence has something for them.
_OPTIONAL = {
    "alignment": "alignment",
    "augmentation": "augmentation",
    "fence": "ring_fence",
    "leaks": "leak_scan",
    "risk": "risk",
    "policy": "policy",
}


def render_report(evidence: Mapping[str, Any], *, signed_by: Sequence[str], tables: Sequence[str] = ()) -> bytes:
    """Return the report of a pack as HTML in UTF-8; the same evidence gives the same bytes.

    Args:
        evidence: a document that keeps ``contracts/schema/evidence-1.json``.
        signed_by: ids of the keys that will sign the pack.
        tables: names of the CSV tables that will lie in ``report/tables/``, to be linked.

    Raises:
        jinja2.UndefinedError: the evidence lacks a section that its schema requires.
    """
    found = answers(evidence, signed_by)
    sections = {k: title for k, title in SECTIONS.items() if k not in _OPTIONAL or evidence.get(_OPTIONAL[k])}
    css, js = _asset("report.css"), _asset("report.js")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            evidence=evidence,
            signed_by=list(signed_by),
            tables=set(tables),
            answers=found,
            verdict=verdict(found),
            sections=sections,
            contents=list(sections.items()),
            css=Markup(css),  # noqa: S704 - our own file
            js=Markup(js),  # noqa: S704 - our own file
            policy_header=content_security_policy(css, js),
            totals=view.totals(evidence),
            reasons=view.reasons(evidence),
            meanings=MEANINGS,
            rules=view.rules_by_id(evidence),
            matrix=view.matrix(evidence),
            augmentation=view.augmentation(evidence),
            phases=view.phases(evidence),
            policy=view.policy(evidence),
            shown_shortages=SHOWN_SHORTAGES,
        )
    )
    return page.encode()


def write_report(folder: Path, evidence: Mapping[str, Any], *, signed_by: Sequence[str]) -> list[Path]:
    """Write ``index.html`` and ``tables/*.csv`` into a pack's ``report`` folder; return what was written."""
    tables = report_tables(evidence)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    files = {folder / "tables" / f"{name}.csv": data for name, data in tables.items()}
    files[folder / "index.html"] = render_report(evidence, signed_by=signed_by, tables=list(tables))
    for path, data in files.items():
        path.write_bytes(data)
    return sorted(files)


def content_security_policy(css: str, js: str) -> str:
    """Return a policy under which nothing loads or runs but these two texts (CSP level 3, hashes)."""
    return (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    # Line feeds only, whatever a checkout made of them: a browser hashes the text with line feeds.
    return (TEMPLATES / name).read_text("utf-8").replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=words.visible,
    )
    for name in ("number", "size", "human", "seconds", "moment"):
        environment.filters[name] = getattr(words, name)
    environment.filters["small"] = _small
    environment.globals.update(
        percent=words.percent, listed=words.listed, stacked=view.stacked, flat=view.flat, tone=_tone
    )
    return environment


def _small(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return f"<{SMALL}" if isinstance(value, int) and 0 < value < SMALL else words.number(value)


def _tone(treatment: str) -> str:
    """Return the class of a treatment's tag: its method, if it is one that the style sheet knows."""
    method = treatment.partition(" ")[0]
    return method if method in ("pseudonymise", "generalise", "token") else "other"
