"""The population that a run keeps for top-ups: one file under one name, however often the run begins again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cut.config import load_cut
from flows.ringfence.pool import keep_pool, pool_file

TEXT = """\
cut: {id: T, date: 2023-08-19, key: cut.key}
participants: [{mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: a.csv}]}]
release: {signing_key: signing.pem}
"""


@pytest.mark.parametrize("times", [1, 2, 3])
def test_one_name_is_left(tmp_path: Path, times):
    """A run killed after it kept its population keeps the same file again; a rename between its names does nothing."""
    (tmp_path / "cut.yaml").write_text(TEXT)
    job = load_cut(tmp_path / "cut.yaml")
    work = tmp_path / "work"
    work.mkdir()
    population = work / "population.parquet"
    population.write_bytes(b"rows")
    for _ in range(times):
        keep_pool(population, job)
    assert sorted(path.name for path in work.iterdir()) == [pool_file(job).name, "population.parquet"]
    assert pool_file(job).read_bytes() == b"rows"
