"""A process that works for several runs, as a worker of a long-lived cluster does, knows each run as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cut.context import context, forget
from flows.cut.records import Begun
from flows.pipeline import prepare
from flows.sample import SampleRequest, generate


@pytest.mark.requirement("Q67")
def test_the_next_run_of_the_same_cut_is_read_anew(tmp_path: Path) -> None:
    generate(SampleRequest(60, 4, 0.0), tmp_path / "cut")
    file = tmp_path / "cut" / "cut.yaml"
    prepare(str(file))
    first = context(str(file))
    assert context(str(file)) is first
    assert first.job.model.cut.policy.profile == "standard"

    begun = first.workspace.recorded(Begun)  # elsewhere the next run begins, with another policy
    assert begun is not None
    text = file.read_text()
    file.write_text(text.replace("  test: true", "  policy: {profile: exact}\n  test: true", 1))
    assert file.read_text() != text
    first.workspace.record(begun.model_copy(update={"salt": "0" * 32}))

    second = context(str(file))
    assert second is not first
    assert second.job.model.cut.policy.profile == "exact"
    assert context(str(file)) is second
    forget()
