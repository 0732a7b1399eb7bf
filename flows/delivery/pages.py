"""Requests and the board as pages and as Markdown. A page loads nothing and runs no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.delivery.board import Board
from flows.delivery.request import DataRequest
from flows.report import formatting
from flows.report.render import asset, content_security_policy

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment(escape: bool) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=escape,  # noqa: S701 - off for Markdown alone
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=formatting.visible,
    )
    made.filters.update(number=formatting.number, size=formatting.size, long_date=formatting.long_date)
    made.filters["capitalised"] = formatting.capitalised
    made.filters["percent"] = lambda share: formatting.percent(share, 1)
    made.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    made.globals.update(plural=formatting.plural, listed=formatting.listed)
    return made


def _page(template: str, **facts: object) -> bytes:
    css = asset("page.css")
    policy = content_security_policy(css)
    page = _environment(True).get_template(template)
    return page.render(css=Markup(css), policy_header=policy, **facts).encode()  # noqa: S704 - our own file


def request_page(request: DataRequest) -> bytes:
    """Return a request as one HTML page that prints on paper."""
    return _page("request.html.j2", request=request)


def request_markdown(request: DataRequest) -> bytes:
    """Return a request as Markdown."""
    return _environment(False).get_template("request.md.j2").render(request=request).encode()


def board_page(board: Board) -> bytes:
    """Return the board as one HTML page."""
    return _page("board.html.j2", board=board)


def board_markdown(board: Board) -> str:
    """Return the board as Markdown, for an artifact."""
    return _environment(False).get_template("board.md.j2").render(board=board)
