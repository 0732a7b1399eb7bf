"""A cut that has expired is refused before a row is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.command import datacut

pytestmark = pytest.mark.requirement("Q67")


@pytest.mark.parametrize(("days", "code"), [(-1, 2), (-4000, 2)])
def test_an_expired_cut_is_refused_before_the_work(cut: Path, days: int, code: int) -> None:
    document = yaml.safe_load((cut / "cut.yaml").read_text())
    document["cut"]["expires"] = datetime.now(UTC).date() + timedelta(days=days)
    (cut / "cut.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", cut / "cut.yaml", "--plain")
    assert done.code == code
    assert "cut.expires: the cut expired on" in done.told[0]
    assert not (cut / "out").exists()
    assert not list((cut / "work").rglob("*.arrow"))
