"""The page as a reader meets it: in a browser, wide and narrow, light and dark, printed, by keyboard alone."""

from __future__ import annotations

import base64
import json
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from flows.cut.config import load_cut
from flows.delivery.board import board
from flows.delivery.pages import board_page, request_page
from flows.delivery.request import data_requests
from flows.report.feedback import feedback_page
from tests.evidence.specimen import model, specimen
from tests.report.chromium import Chromium
from tests.report.hostile import TEXTS, spoil
from transforms.release.feedback import COUNTS

pytestmark = pytest.mark.browser
VIEWS = {"wide": (1280, False), "narrow": (390, False), "wide dark": (1280, True), "narrow dark": (390, True)}
ROOT = Path(__file__).parents[2]
TAB, ENTER, SPACE = ("Tab", 9, ""), ("Enter", 13, "\r"), (" ", 32, " ")


@pytest.fixture
def page(report) -> Path:
    return report(specimen(8, 60), approvers=["fedcba9876543210"], checkpoints={"EELC-registration": "{}"})


def focus(browser: Chromium, selector: str) -> None:
    """Walk there with the Tab key, as a reader without a mouse must."""
    for _ in range(400):
        browser.key(*TAB)
        if browser.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    pytest.fail(f"the Tab key never reached {selector}")


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_requested_and_nothing_complains(browser: Chromium, page: Path, tmp_path: Path, view: str) -> None:
    width, dark = VIEWS[view]
    browser.open(page, width=width, dark=dark)
    browser.screenshot(tmp_path / "page.png", whole=True)
    assert (tmp_path / "page.png").stat().st_size > 100_000
    assert browser.requested == [page.as_uri()]
    assert browser.logged == []
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(wider) <= 0, "the page scrolls sideways"
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    cut = "[...document.querySelectorAll('.scroller')].filter((part) => part.scrollWidth > part.clientWidth + 1)"
    if width == VIEWS["narrow"][0]:  # where it is wide, a long table may scroll by itself
        assert browser.evaluate(f"{cut}.map((part) => part.getAttribute('aria-label'))") == []


@pytest.mark.parametrize("name", ["index.html", "dpia.html"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(browser: Chromium, page: Path, axe: str, view: str, name: str) -> None:
    width, dark = VIEWS[view]
    browser.open(page.with_name(name), width=width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.evaluate(f"{axe};0")
    found = browser.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))"
    )
    grave = [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3])
        for v in json.loads(found)
        if v["impact"] in ("serious", "critical", "moderate")
    ]
    assert grave == []


def told(count: int) -> pl.DataFrame:
    """Return counts of every kind of line that a participant may be told."""
    own, other = "EELC/registration", "SUPA/portfolio"
    same = {"extract": "registration", "reason": "what it names is not there " * 3, "rows": 12345, "points": 9876}
    same |= {"columns": ["standard_settlement_configuration_id", "meter_timeswitch_code"], "other": other, "alone": 1}
    kinds = [("exclude", own), ("exclude", other), ("warn", own), ("disagree", other)]
    rows = [
        same | {"rule": f"DQ{number:02d}", "rule_id": f"DQ{number:02d}_{effect}", "effect": effect, "broken_by": by}
        for number in range(count)
        for effect, by in kinds
    ]
    return pl.DataFrame(rows, schema=COUNTS)


@pytest.mark.parametrize("name", ["request", "board", "feedback"])
@pytest.mark.parametrize("view", VIEWS)
def test_pages_of_deliveries_are_sound_too(browser: Chromium, axe: str, tmp_path: Path, view: str, name: str) -> None:
    job = load_cut(ROOT / "sample_data" / "cut.yaml")
    requests = {request.participant: request for request in data_requests(job)}
    evidence = model(specimen(3, 4))
    pages = {
        "request": request_page(requests["MOPA"]),
        "board": board_page(board(job, date(2023, 9, 1))),
        "feedback": feedback_page(evidence, told(5), evidence),
    }
    file = tmp_path / f"{name}.html"
    file.write_bytes(pages[name])
    width, dark = VIEWS[view]
    browser.open(file, width=width, dark=dark)
    browser.evaluate(f"{axe};0")
    found = browser.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))"
    )
    assert [(v["id"], v["impact"]) for v in json.loads(found)] == []
    assert browser.requested == [file.as_uri()]
    assert browser.logged == []
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(wider) <= 0, "the page scrolls sideways"
    cut = "[...document.querySelectorAll('.wide')].filter((part) => part.scrollWidth > part.clientWidth + 1).length"
    assert browser.evaluate(cut) == 0
    if not dark:
        assert printed(browser).count(b"/Type /Page\n") <= 12


def test_the_annex_and_the_report_fit_a_telephone(browser: Chromium, page: Path) -> None:
    cut = "[...document.querySelectorAll('.scroller')].filter((part) => part.scrollWidth > part.clientWidth + 1).length"
    browser.open(page.with_name("dpia.html"), width=390)
    assert browser.evaluate(cut) == 0
    browser.open(page, width=390)
    assert browser.evaluate("document.documentElement.scrollHeight") < 60_000, "long tables scroll by themselves"


class TestByKeyboardAlone:
    def test_sorting_a_table(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        column = "[...document.querySelector('#rows table').tBodies[0].rows].map((r) => r.cells[2].textContent)"
        focus(browser, "#rows th:nth-child(3) button")
        for sign, keys in ((1, ENTER), (-1, SPACE)):
            browser.key(*keys)
            values = [int(v.replace(",", "")) for v in browser.evaluate(column)]
            assert values == sorted(values, key=lambda v, s=sign: s * v)
        state = "document.activeElement.closest('th').getAttribute('aria-sort')"
        assert browser.evaluate(state) == "descending"

    def test_filtering_a_table(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        focus(browser, "#rules input[type=search]")
        for letter in "gsp":
            browser.key(letter, ord(letter.upper()), letter)
        visible = "[...document.querySelector('#rules table').tBodies[0].rows].filter((r) => r.offsetParent)"
        rows = browser.evaluate(f"{visible}.map((r) => r.textContent)")
        assert rows
        assert all("gsp" in row.lower() for row in rows)
        told = browser.evaluate("document.querySelector('#rules output').textContent")
        assert told.startswith(f"{len(rows)} of ")

    def test_only_what_broke(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        focus(browser, "#fence input[type=checkbox]")
        browser.key(*SPACE)
        shown = (
            "[...document.querySelectorAll('#fence table[data-filter] tbody tr')].filter((r) => r.offsetParent).length"
        )
        expected = sum(bool(case["short"]) for case in specimen(8, 60)["ring_fence"]["test_cases"])
        assert browser.evaluate(shown) == expected

    def test_following_a_link(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        focus(browser, "dl.answers a[href='#leaks']")
        browser.key(*ENTER)
        assert browser.evaluate("location.hash") == "#leaks"
        top = "document.getElementById('leaks').getBoundingClientRect().top"
        assert abs(browser.evaluate(top)) < 60

    def test_skipping_to_the_report(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        browser.key(*TAB)
        assert browser.evaluate("document.activeElement.className") == "skip"
        browser.key(*ENTER)
        browser.key(*TAB)
        assert browser.evaluate("document.getElementById('main').contains(document.activeElement)")

    def test_opening_a_table_beside_the_page(self, browser: Chromium, page: Path) -> None:
        browser.open(page)
        focus(browser, "a[href='dpia.html']")
        browser.key(*ENTER)
        for _ in range(100):
            if browser.evaluate("location.pathname").endswith("dpia.html"):
                break
            time.sleep(0.05)
        assert "annex" in browser.evaluate("document.querySelector('h1').textContent")


@pytest.mark.requirement("Q67")
@pytest.mark.parametrize("attack", range(0, len(TEXTS), 3))
def test_hostile_texts_do_nothing(browser: Chromium, report, attack: int) -> None:
    text = " ".join(TEXTS[attack : attack + 3])[:480]
    page = report(spoil(specimen(3, 4), text), signed_by=[text], approvers=[text])
    browser.open(page)
    assert browser.requested == [page.as_uri()]
    assert browser.logged == []
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.querySelectorAll('iframe, img, form, base, object, embed').length") == 0
    assert text.split()[0] in browser.evaluate("document.title") or browser.evaluate("document.title").startswith(
        "Evid"
    )
    browser.open(page.with_name("dpia.html"))
    assert browser.logged == []
    assert browser.evaluate("document.scripts.length") == 0


def test_a_large_report_opens_within_two_seconds_of_the_processor(browser: Chromium, report) -> None:
    page = report(specimen(30, 1000))
    assert page.stat().st_size < 5_000_000
    before = browser.spent()
    browser.open(page)
    opened = browser.spent()
    browser.evaluate("document.querySelector('#fence th:nth-child(5) button').click()")
    assert 0 < opened - before < 2
    assert 0 < browser.spent() - opened < 2


def printed(browser: Chromium) -> bytes:
    """Return the page as a browser prints it to A4."""
    options = {"preferCSSPageSize": True, "paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
    return base64.b64decode(browser.call("Page.printToPDF", **options)["data"])


def test_the_annex_is_one_printed_page(browser: Chromium, page: Path) -> None:
    browser.open(page.with_name("dpia.html"))
    assert printed(browser).count(b"/Type /Page\n") == 1


def test_the_report_prints_whole(browser: Chromium, page: Path) -> None:
    browser.open(page)
    assert 5 < printed(browser).count(b"/Type /Page\n") <= 12
    assert browser.evaluate("[...document.querySelectorAll('details:not(.screen)')].every((part) => part.open)")
    heads = "[...document.querySelectorAll('#rows thead th')].map((head) => head.innerText.trim())"
    assert browser.evaluate(heads)[:3] == ["Participant", "Extract", "Rows in"]  # and once, after printing
    assert browser.evaluate("document.querySelectorAll('th > button:not([hidden])').length") > 50


def test_the_page_is_complete_without_scripts(browser: Chromium, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=page.as_uri())
        time.sleep(1)
        tree = browser.call("DOM.getDocument", depth=1)["root"]["nodeId"]
        rows = browser.call("DOM.querySelectorAll", nodeId=tree, selector="tbody tr")["nodeIds"]
        assert len(rows) > 200
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
