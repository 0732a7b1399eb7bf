"""One word, one thing: no class name is defined twice, and there is one list of stages."""

from __future__ import annotations

import ast
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import pytest

from flows import pipeline
from flows.cli.progress import SHARES
from flows.cut.progress import Step, StepCounts
from flows.release import steps as release_steps
from flows.release.published import Published

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "transforms", "flows")


def class_names(root: Path) -> dict[str, list[str]]:
    """Return every class name with the files that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(path.relative_to(root).as_posix())
    return found


def test_no_class_name_is_defined_twice():
    assert {name: files for name, files in class_names(ROOT).items() if len(files) > 1} == {}


def test_a_second_definition_would_be_found(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "model.py").write_text("class Item:\n    pass\n", encoding="utf-8")
    assert len(class_names(tmp_path)["Item"]) == 3


def arrow(page: Path) -> str:
    """Return the line of a page that shows the stages as an arrow."""
    (line,) = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("    intake -> ")]
    return line.strip()


NAMES = [stage.name for stage in pipeline.STAGES]


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_arrow_of_a_page_is_the_list_of_stages(page):
    assert arrow(ROOT / page).split(" -> ") == NAMES


def test_the_glossary_says_what_each_stage_is():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"\n| {name} | " not in page] == []
    assert f"| stage | a step of the pipeline: {', '.join(NAMES)} |" in page


def test_the_architecture_page_has_a_row_for_each_stage():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [
        line.split(" | ")[0][2:] for line in page.splitlines() if line.startswith("| ") and "`flows/" in line
    ] == NAMES


def test_every_stage_has_its_room():
    rooms = {path.stem for path in (ROOT / "flows").iterdir()}
    assert [stage.name for stage in pipeline.STAGES if stage.room not in rooms] == []
    assert [s.name for s in pipeline.STAGES if s.room != s.name.replace("-", "").replace(" ", "_")] == []


def test_the_progress_bar_shares_its_time_among_the_stages():
    assert list(SHARES) == NAMES
    assert sum(SHARES.values()) == 100


PLAN = pipeline.RunPlan(sources=(("EELC", "registration"),), partitions=2, resumed=False)
PUBLISHED = Published(
    pack="", report="", tagmanifest_sha256="", accounting=(), returns=(), sources=(), reasons={}, phases={}
)


@pytest.mark.parametrize("left_out", [{"align", "augment", "ring-fence"}, set()], ids=["submission", "release"])
def test_a_run_takes_its_steps_through_the_stages_in_order(monkeypatch, left_out):
    """What a run hands to its tasks, in progress and under Prefect, bears the stages' names and no others."""
    steps: list[Step] = []

    def run_wave(wave):
        steps.extend(wave)
        first = not steps[: -len(wave)]
        last = "report" in wave[0].stages
        return [(PLAN if first else PUBLISHED if last else StepCounts(), 0.0) for _ in wave]

    monkeypatch.setattr(pipeline, "finish", lambda cut_file: None)
    monkeypatch.setattr(pipeline, "load_cut", lambda path: None)
    monkeypatch.setattr(pipeline, "alone", lambda job: nullcontext())
    monkeypatch.setattr(pipeline, "accept", lambda job: None)
    monkeypatch.setattr(release_steps, "context", lambda cut_file: None)
    monkeypatch.setattr(release_steps.payload, "noted", lambda known, kind: {"data/SUPA/portfolio.parquet": 1})
    pipeline.run("cut.yaml", "submission" if left_out else "release", run_wave=run_wave)
    seen = list(dict.fromkeys(stage for step in steps for stage in step.stages))
    assert seen == [name for name in NAMES if name not in left_out]
    assert all(step.name.startswith(step.stage) for step in steps)
