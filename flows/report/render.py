"""Evidence -> one self-contained HTML page. Escapes everything, loads nothing, runs only its own script."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup
from pydantic import JsonValue

from contracts.evidence import Evidence
from flows.report import figures, formatting, singling_out
from flows.report.checks import report_checks, verdict
from flows.report.lineage_picture import lineage_picture
from flows.report.sankey import flow
from transforms.release.attestation import canonical_bytes, strict_json

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_SHORTAGES = 12
SMALL = 10  # counts of people-like things below this are not shown exactly (statistical disclosure practice)

SECTIONS = {
    "rows": "Rows in, rows out",
    "why": "What was excluded, and why",
    "rules": "Rules and what broke them",
    "alignment": "Agreement between participants",
    "augmentation": "Augmented fields",
    "columns": "What the data looks like",
    "fence": "Ring-fenced test data",
    "leaks": "Search for raw identifiers",
    "risk": "Risk of re-identification",
    "policy": "Policy in force",
    "lineage": "Lineage of every column",
    "limits": "Known limits",
    "requirements": "Requirements traced",
    "registers": "Who answers for what",
    "inputs": "Inputs",
    "made": "How it was made",
    "verify": "How to verify",
}
# What an auditor looks for -> the sections that hold it, as the contents list shows them.
GROUPS = {
    "The data": ("rows", "why", "rules", "alignment", "augmentation", "columns", "fence"),
    "The people behind it": ("leaks", "risk", "policy", "lineage", "limits"),
    "The proof": ("requirements", "registers", "inputs", "made", "verify"),
}
# Sections that stand only where the evidence has something for them.
_OPTIONAL = {
    "alignment": "alignment",
    "augmentation": "augmentation",
    "columns": "column_values",
    "fence": "ring_fence",
    "leaks": "leak_scan",
    "risk": "risk",
    "policy": "policy",
    "lineage": "lineage",
    "requirements": "requirements",
    "registers": "registers",
}


@dataclass(frozen=True, slots=True)
class Attachments:
    """What lies beside the page in the pack, to be linked: names without folder and ending.

    Attributes:
        tables: CSV tables in ``report/tables/``.
        checkpoints: Great Expectations' results in ``report/gx/``.
        dpia: whether the annex to the impact assessment lies in ``report/``.
        feedback: whether the page of what the participant can correct lies in ``feedback/``.
    """

    tables: frozenset[str] = frozenset()
    checkpoints: tuple[str, ...] = ()
    dpia: bool = False
    feedback: bool = False


def render_report(
    evidence: Evidence,
    *,
    signed_by: Sequence[str],
    approvers: Sequence[str] = (),
    attachments: Attachments | None = None,
) -> bytes:
    """Return the report of a pack as HTML in UTF-8; the same evidence gives the same bytes.

    Args:
        signed_by: ids of the keys that will sign the pack.
        approvers: ids of the keys whose owners must sign it after reading.
        attachments: what lies beside the page, to be linked.
    """
    found = report_checks(evidence, signed_by, approvers)
    sections = {k: title for k, title in SECTIONS.items() if k not in _OPTIONAL or getattr(evidence, _OPTIONAL[k])}
    css, js = asset("report.css"), asset("report.js")
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            evidence=as_packed(evidence),
            signed_by=list(signed_by),
            approvers=list(approvers),
            attachments=attachments or Attachments(),
            checks=found,
            verdict=verdict(found),
            sections=sections,
            groups={name: [s for s in members if s in sections] for name, members in GROUPS.items()},
            css=Markup(css),  # noqa: S704 - our own file
            js=Markup(js),  # noqa: S704 - our own file
            policy_header=content_security_policy(css, js),
            shown_shortages=SHOWN_SHORTAGES,
            **_figures(evidence),
        )
    )
    return page.encode()


def as_packed(evidence: Evidence) -> JsonValue:
    """Return evidence as a pack holds it: its keys sorted, however a run filled them."""
    return strict_json(canonical_bytes(evidence.document()), where="evidence")


def _figures(evidence: Evidence) -> Mapping[str, object]:
    """Return what the templates show, computed from the evidence."""
    baseline = evidence.baseline
    rules = figures.with_trend(figures.rules_by_id(evidence), baseline)
    lineage = figures.lineage(evidence)
    return {
        "totals": figures.totals(evidence),
        "flow": flow(evidence.accounting),
        "reasons": figures.reasons(evidence),
        "rules": rules,
        "gone_rules": figures.gone_rules(rules, baseline),
        "volumes": figures.volumes(evidence, baseline),
        "matrix": figures.matrix(evidence),
        "augmentation": figures.augmentation(evidence),
        "associations": figures.associations(evidence),
        "smart": figures.smart(evidence),
        "phases": figures.phases(evidence),
        "leak_classes": figures.leak_classes(evidence),
        "coverage": figures.coverage(evidence),
        "treatments": figures.treatments(evidence),
        "lineage": lineage,
        "picture": lineage_picture(lineage),
        "requirements": figures.requirements(evidence),
        "steps": figures.steps(evidence),
        "reaches": singling_out.reaches(evidence.attack),
        "joined": singling_out.joins(evidence.attack),
        "in_per_cent": singling_out.share,
        "explained": singling_out.explained,
    }


def content_security_policy(css: str, js: str = "") -> str:
    """Return a policy under which nothing loads or runs but these two texts (CSP level 3, hashes)."""
    script = f"script-src '{_digest(js)}'; " if js else ""
    return f"default-src 'none'; style-src '{_digest(css)}'; {script}base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def asset(name: str) -> str:
    """Return a style sheet or script of the report."""
    # Line feeds only, whatever a checkout made of them: a browser hashes the text with line feeds.
    return (TEMPLATES / name).read_text("utf-8").replace("\r\n", "\n")


def compiled_templates() -> FileSystemBytecodeCache | None:
    """Return where compiled templates are kept: beside them as Python keeps its own, if it may; else nowhere."""
    place = TEMPLATES / "__pycache__"
    if sys.dont_write_bytecode or not os.access(TEMPLATES, os.W_OK):
        return None
    try:
        place.mkdir(exist_ok=True)
    except OSError:
        return None
    return _Kept(str(place), f"{sys.implementation.cache_tag}-%s.jinja")


class _Kept(FileSystemBytecodeCache):
    """A cache that says nothing where the disk refuses: templates are compiled again then."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


@cache
def environment() -> Environment:
    """Return the template environment: everything escaped, unseen characters spelt out, a missing name an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=formatting.visible,
        bytecode_cache=compiled_templates(),
    )
    for name in ("number", "size", "human", "change", "counted"):
        made.filters[name] = getattr(formatting, name)
    made.filters["small"] = _small
    made.filters["cells_named"] = cells_named
    made.filters.update(long_date=formatting.long_date, capitalised=formatting.capitalised)
    made.globals.update(
        percent=formatting.percent,
        listed=formatting.listed,
        plural=formatting.plural,
        stacked=figures.stacked,
        flat=figures.flat,
        tone=_tone,
        number=formatting.number,
    )
    return made


_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<t[dh]\b(?=[^>]*>)")
_TAG = re.compile(r"<[^>]*>")
_NAME = re.compile(r">[\w.]+_[\w.]+ ?<", re.ASCII)  # long names of columns and rules may be parted after an underscore


def cells_named(table: Markup) -> Markup:
    """Return the rows of a table with the heading of each cell in ``data-name``: a phone shows one below the other."""
    head, divided, body = str(table).partition("</thead>")
    names = [_TAG.sub("", text).replace("&shy;", "").strip() for text in _HEAD.findall(head)]

    def row(found: re.Match[str]) -> str:
        left = iter(names)
        named = _CELL.sub(lambda cell: _named_cell(cell.group(), next(left, "")), found.group())
        return _NAME.sub(lambda text: text.group().replace("_", "_<wbr>"), named)

    return Markup(head + divided + _ROW.sub(row, body))  # noqa: S704 - markup that the templates escaped


def _named_cell(begin: str, name: str) -> str:
    return f'{begin} data-name="{name}"' if begin == "<td" and name else begin


def _small(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return f"<{SMALL}" if isinstance(value, int) and 0 < value < SMALL else formatting.number(value)


def _tone(treatment: str) -> str:
    """Return the class of a treatment's tag: its method, if it is one that the style sheet knows."""
    method = treatment.partition(" ")[0]
    return method if method in ("pseudonymise", "generalise", "token", "derive", "drop", "suppress") else "other"
