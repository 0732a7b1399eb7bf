"""The hand-made market domain data, read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.intake.market_domain_data import Reference, load_reference
from tests.rules.cutting import CUT, MiniCut, Row, market_domain_data


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return load_reference(market_domain_data(tmp_path_factory.mktemp("mdd")), CUT)


@pytest.fixture
def mini(tmp_path: Path, reference: Reference) -> MiniCut:
    return MiniCut(tmp_path, reference=reference)


@pytest.fixture
def registered(mini: MiniCut) -> Callable[..., set[str]]:
    """Judge one registration, alone or beside others, and return the rules that it breaks."""

    def judge(row: Row, *, good: Row | None = None, others: list[Row] | None = None) -> set[str]:
        full = {"mpan_core": "1000000000030", **row}
        mini.add("EELC", "registration", [full, *(others or [])], good=good).judge()
        return mini.broken("EELC", "registration", str(full["mpan_core"]))

    return judge
