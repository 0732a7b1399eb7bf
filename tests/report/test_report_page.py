"""The page says what the evidence says, whatever stands in it, and can do nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from flows.pack.schema import schema_faults
from flows.report import figures
from flows.report.checks import CheckState, report_checks, verdict
from flows.report.dpia import dpia_html, dpia_markdown
from flows.report.files import report_files
from flows.report.render import SECTIONS, content_security_policy, render_report
from flows.report.sankey import MOST_SOURCES, flow
from tests.evidence.specimen import model, specimen
from tests.report.hostile import TEXTS, spoil

SIGNED = {"signed_by": ["0123456789abcdef"]}


class Skeleton(HTMLParser):
    """Every element with its attributes' names, and every address of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: set[str] = set()
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = sorted(name for name, _ in attrs)
        self.elements.append(f"{tag} {' '.join(names)}")
        self.handlers += [name for name in names if name.startswith("on") or name == "style"]
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src", "action", "data")}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def evidence() -> dict:
    return specimen(8, 40)


@pytest.fixture(scope="module")
def page(evidence: dict) -> bytes:
    return report_files(model(evidence), **SIGNED, checkpoints={"EELC-registration": "{}"})["report/index.html"]


def text(page: bytes) -> str:
    return html.unescape(
        re.sub(rb"<style>.*?</style>|<script>.*?</script>|<[^>]+>", b" ", page, flags=re.DOTALL).decode()
    )


class TestContent:
    @pytest.mark.requirement("Q48")
    def test_every_section_stands_and_is_in_the_contents(self, page: bytes) -> None:
        for name in SECTIONS:
            assert f'<section id="{name}"'.encode() in page
            assert f'<a href="#{name}">'.encode() in page

    def test_every_number_of_the_accounting_is_on_the_page(self, evidence: dict, page: bytes) -> None:
        shown = text(page)
        for row in evidence["accounting"]:
            for name in ("rows_in", "released", "excluded"):
                assert f"{row[name]:,}" in shown

    @pytest.mark.requirement("DQ25")
    def test_a_source_that_stated_no_date_is_told(self, evidence: dict, page: bytes) -> None:
        assert "stated no cut date" not in text(page)
        first, *rest = evidence["inputs"]
        files = report_files(model({**evidence, "inputs": [{**first, "cut_date": None}, *rest]}), **SIGNED)
        assert "1 source stated no cut date" in text(files["report/index.html"])
        assert "not stated" in text(files["report/index.html"])
        assert b"not stated" in files["report/tables/inputs.csv"]

    def test_numbers_link_to_the_evidence(self, page: bytes, evidence: dict) -> None:
        pointers = re.findall(rb'class="source">evidence\.json#/(\w+)<', page)
        assert len(pointers) > 10
        assert {p.decode() for p in pointers} <= set(evidence)

    def test_the_same_evidence_gives_the_same_bytes(self, evidence: dict) -> None:
        assert report_files(model(evidence), **SIGNED) == report_files(model(specimen(8, 40)), **SIGNED)

    def test_times_of_the_run_stand_in_the_evidence_alone(self, evidence: dict) -> None:
        later = {"started": "2031-01-01T00:00:00Z", "finished": "2031-01-02T00:00:00Z"}
        assert report_files(model({**evidence, "times": later}), **SIGNED) == report_files(model(evidence), **SIGNED)

    def test_every_file_is_linked_and_every_link_leads_somewhere(self, evidence: dict) -> None:
        files = report_files(model(evidence), **SIGNED, checkpoints={"EELC-registration": "{}"})
        page = Skeleton(files["report/index.html"])
        linked = {f"report/{a}" for a in page.addresses if not a.startswith(("#", "../evidence/"))}
        anchors = set(re.findall(r'id="([\w-]+)"', files["report/index.html"].decode()))
        assert {a[1:] for a in page.addresses if a.startswith("#")} <= anchors
        assert linked <= set(files)
        unlinked = set(files) - linked - {"report/index.html"}
        assert unlinked == {"report/tables/excluded_by_reason.csv", "report/tables/shortages.csv"}

    def test_a_submission_has_no_empty_sections(self) -> None:
        page = render_report(model(specimen(2, 0, kind="submission")), **SIGNED)
        for name in ("alignment", "fence", "risk", "lineage"):
            assert f'id="{name}"'.encode() not in page
        assert "was not searched" in text(page)

    def test_the_specimen_keeps_its_schema(self, evidence: dict) -> None:
        assert schema_faults(evidence) == []

    def test_small_counts_of_people_are_masked(self, evidence: dict) -> None:
        risk = {**evidence["risk"], "population_unique": 7}
        shown = text(render_report(model({**evidence, "risk": risk}), **SIGNED))
        assert re.search(r"population unique\s+<10", shown)


class TestFirstScreen:
    def questions(self, **changes) -> dict:
        found = report_checks(model(specimen(4, 4, **changes)), ["aa"])
        return {answer.question: answer for answer in found}

    def test_the_questions_in_their_order(self) -> None:
        assert list(self.questions())[:8] == [
            "Which cut?",
            "Whose data?",
            "Which build?",
            "Under which key?",
            "Is it complete?",
            "What was excluded, and why?",
            "Is any raw identifier left?",
            "Is it signed?",
        ]
        assert "Who answers for it?" in self.questions()

    def test_who_is_left_out_is_said_above_everything(self) -> None:
        answer = self.questions()["Whose data?"]
        assert (answer.state, "LATE left out by name" in answer.claim) == (CheckState.NOTE, True)

    def test_a_leak_makes_the_verdict_bad(self) -> None:
        scan = {"files": 1, "bytes": 1, "identifiers": 5, "confirmed": 2}
        found = report_checks(model(specimen(4, 4, leak_scan=scan)), ["aa"])
        assert verdict(found).state is CheckState.BAD
        assert verdict(found).reasons == ("2 raw identifiers found.",)

    def test_lost_rows_make_the_verdict_bad(self) -> None:
        accounting = specimen(4, 4)["accounting"]
        accounting[0] = {**accounting[0], "released": accounting[0]["released"] - 1}
        found = verdict(report_checks(model(specimen(4, 4, accounting=accounting)), ["aa"]))
        assert found.state is CheckState.BAD
        assert "lost" in found.reasons[0]

    def test_no_signature_makes_the_verdict_bad(self) -> None:
        assert verdict(report_checks(model(specimen(4, 4)), [])).state is CheckState.BAD

    def test_what_an_auditor_should_note(self) -> None:
        policy = {**specimen(4, 4)["policy"], "half_hourly": "real"}
        assert self.questions(policy=policy)["Half-hourly data"].state is CheckState.NOTE
        coincident = {"count": 900, "expected_low": 1.0, "expected_high": 9.0}
        assert self.questions(coincident=coincident)["Was the key applied?"].state is CheckState.NOTE
        question = "Can a metering point be singled out?"
        assert "marketer" in self.questions()[question].short
        low = {**specimen(4, 4)["risk"], "marketer": 0.001}
        assert self.questions(risk=low)[question].state is CheckState.PLAIN
        assert "<0.01% of metering points are like no other" in self.questions(risk=low)[question].short

    def test_a_waiting_approver_is_named(self) -> None:
        found = {a.question: a for a in report_checks(model(specimen(4, 4)), ["aa"], ["bb"])}
        assert "key bb must approve" in found["Is it signed?"].short


class TestFlowPicture:
    @pytest.mark.parametrize("participants", [1, 8, 30])
    def test_every_row_flows_somewhere(self, participants: int) -> None:
        accounting = model(specimen(participants, 0)).accounting
        picture = flow(accounting)
        assert sum(r.count for r in picture.ribbons) == sum(row.rows_in for row in accounting)
        assert sum(b.count for b in picture.sources) == sum(b.count for b in picture.ends)
        assert sum(b.count for b in picture.reasons) == sum(row.excluded for row in accounting)

    def test_bars_are_to_one_scale_and_stay_apart(self) -> None:
        picture = flow(model(specimen(8, 0)).accounting)
        scales = [bar.height / bar.count for bar in picture.sources if bar.height > 1.5]
        assert max(scales) - min(scales) < 1e-9
        for bars in (picture.sources, picture.reasons):
            for above, below in pairwise(bars):
                assert below.middle - above.middle >= 18
            assert all(bar.y >= 0 and bar.y + bar.height <= picture.height + 1 for bar in bars)

    def test_many_sources_are_drawn_by_extract(self) -> None:
        accounting = model(specimen(60, 0)).accounting
        assert len(accounting) > MOST_SOURCES
        assert len(flow(accounting).sources) == len({row.extract for row in accounting})

    def test_nothing_gives_no_picture(self) -> None:
        assert flow([]).height == 0


class TestTrend:
    def test_shares_before_and_now(self, evidence: dict) -> None:
        rules = figures.with_trend(figures.rules_by_id(model(evidence)), model(evidence).baseline)
        ways = {rule.way for rule in rules}
        assert {"up", "same", "new"} <= ways
        for rule in rules:
            if rule.way == "up":
                assert rule.now > rule.before
            if rule.way == "down":
                assert rule.now < rule.before
        assert figures.gone_rules(rules, model(evidence).baseline) == ["portfolio: DQ99_retired"]

    def test_without_an_earlier_cut_nothing_is_said(self, evidence: dict) -> None:
        alone = {k: v for k, v in evidence.items() if k != "baseline"}
        assert b"Trend" not in render_report(model(alone), **SIGNED)
        assert {r.way for r in figures.with_trend(figures.rules_by_id(model(alone)), None)} == {None}


class TestInert:
    """A hostile string changes the words of a page and nothing else."""

    @pytest.mark.requirement("Q67")
    @pytest.mark.parametrize("attack", TEXTS, ids=range(len(TEXTS)))
    def test_hostile_text_is_only_text(self, attack: str) -> None:
        innocent = spoil(specimen(3, 4), "plain")
        attacked = spoil(specimen(3, 4), attack)
        options = {"signed_by": [attack], "approvers": [attack]}
        files, others = (
            report_files(model(innocent), signed_by=["plain"], approvers=["plain"]),
            report_files(model(attacked), **options),
        )
        for name in ("report/index.html", "report/dpia.html"):
            calm, tried = Skeleton(files[name]), Skeleton(others[name])
            assert tried.elements == calm.elements
            assert tried.handlers == []
            assert tried.addresses == calm.addresses
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u2028\u2029\ufeff\u061c]", "".join(tried.words))

    @pytest.mark.parametrize("attack", TEXTS, ids=range(len(TEXTS)))
    def test_no_cell_of_a_table_is_a_formula(self, attack: str) -> None:
        files = report_files(model(spoil(specimen(3, 4), attack)), **SIGNED)
        tables = [data for name, data in files.items() if name.endswith(".csv")]
        assert len(tables) > 8
        for data in tables:
            rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
            assert len({len(row) for row in rows}) == 1
            for cell in (cell for row in rows for cell in row):
                if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell):
                    assert not cell.lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))

    @pytest.mark.parametrize("attack", TEXTS, ids=range(len(TEXTS)))
    def test_the_markdown_annex_stays_a_table_of_texts(self, attack: str) -> None:
        calm = dpia_markdown(model(spoil(specimen(3, 4), "plain"))).decode()
        tried = dpia_markdown(model(spoil(specimen(3, 4), attack))).decode()
        assert tried.count("\n") == calm.count("\n")
        for line, other in zip(tried.splitlines(), calm.splitlines(), strict=True):
            assert line[:2] == other[:2]
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", other))
        assert not re.search(r"(?<!\\)<", tried)

    def test_the_policy_names_the_texts_that_are_there(self, page: bytes) -> None:
        policy = html.unescape(re.search(rb'Content-Security-Policy" content="([^"]+)"', page).group(1).decode())
        for tag, directive in ((b"style", "style-src"), (b"script", "script-src")):
            (inner,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inner).digest()).decode()
            assert f"{directive} 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "script-src" not in content_security_policy("a")

    def test_no_address_leaves_the_pack(self, page: bytes) -> None:
        found = Skeleton(page)
        assert all(a.startswith(("#", "tables/", "gx/", "dpia.", "../evidence/evidence.json")) for a in found.addresses)
        assert b"http:" not in page
        assert b"https:" not in page
        assert b"url(" not in page
        assert b"@import" not in page


class TestAnnex:
    @pytest.mark.requirement("Q58", "Q55")
    def test_every_column_of_the_contracts_stands_in_the_annex(self, evidence: dict) -> None:
        words = text(dpia_html(model(evidence)))
        for columns in evidence["policy"]["extracts"].values():
            for name in columns:
                assert name in words or re.sub(r"\d+$", "", name) in words
        assert "Not stated." not in words
        assert "Not assessed." not in words

    def test_both_forms_say_the_same(self, evidence: dict) -> None:
        page = " ".join(text(dpia_html(model(evidence))).split())
        plain = " ".join(re.sub(r"\\(.)", r"\1", dpia_markdown(model(evidence)).decode()).replace("|", " ").split())
        for row in evidence["dpia"]["treatments"]:
            assert row["residual_risk"] in page
            assert row["residual_risk"] in plain
        assert evidence["key_fingerprint"] in page
        assert evidence["key_fingerprint"] in plain


def test_thirty_participants_and_a_thousand_test_cases_stay_under_five_megabytes() -> None:
    files = report_files(model(specimen(30, 1000)), **SIGNED)
    assert len(files["report/index.html"]) < 5_000_000


def test_the_first_screen_names_causes_as_faults(evidence: dict) -> None:
    """Not the rule that was broken ("is not disconnected"): what is wrong, the most frequent fault first."""
    rule = {**evidence["rules"][0], "reason": "DQ20", "effect": "exclude", "description": "It is not disconnected."}
    changed = {
        **evidence,
        "requirements": [{"id": "DQ20", "asks": "It is not disconnected.", "sections": [], "rules": []}],
        "accounting": [{**evidence["accounting"][0], "by_reason": {"DQ20": 7, "companion": 2}}],
        "rules": [
            {**rule, "fault": "the metering point is unknown", "failed": 2},
            {**rule, "fault": "the metering point is disconnected", "failed": 5},
            {**rule, "fault": "nothing of the kind", "failed": 0},
        ],
    }
    (found,) = [
        answer for answer in report_checks(model(changed), **SIGNED) if answer.question.startswith("What was excluded")
    ]
    assert found.detail == (
        "Mainly DQ20 (7): the metering point is disconnected and 1 other fault; companion (2): "
        "another metering point of the same premises is excluded."
    )
    page = text(report_files(model(changed), **SIGNED)["report/index.html"])
    assert "the metering point is unknown" in page
    assert "nothing of the kind" not in page
