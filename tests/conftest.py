"""What holds for all tests: the longest files begin first, so that no core waits for another at the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]  # fixtures of every folder
# how long an example takes is a matter of the machine, and says nothing of the product
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
TESTS = Path(__file__).parent
LONGEST = (  # by their own time on two cores, that of waiting included
    "ops/test_prefect_server.py",
    "pipeline/test_whole_job.py",
    "keys/test_key_secrecy.py",
    "keys/test_spoilt_secrets.py",
    "pipeline/test_mutated_backups.py",
    "recovery/test_recovery.py",
    "privacy/test_hiding_places.py",
    "ops/test_own_server.py",
    "house/test_packaging.py",
    "report/test_report_browser.py",
    "privacy/test_nothing_raw_leaves.py",
    "ringfence/test_fence_races.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files: the longest, then by how many of their tests are slow."""
    slow: Counter[Path] = Counter(item.path for item in items if item.get_closest_marker("slow"))
    rank = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path, len(LONGEST)), -slow[item.path]))
