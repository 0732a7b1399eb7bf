"""Commands that need no slow library load none; a foreign package of the same name is refused."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli.main import PARTS

SLOW = ("prefect", "great_expectations", "pandas", "ortools", "polars", "sqlalchemy")
CHILD = """
import sys
from flows.cli import main as cli
sys.argv = ["datacut", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    pass
print(",".join(m for m in {slow!r} if m in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["verify", "--help"], ["key", "--help"]])
def test_help_loads_no_slow_library(arguments):
    code = CHILD.format(arguments=arguments, slow=SLOW)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stderr.strip() == ""


def test_a_package_of_the_same_name_elsewhere_is_refused(tmp_path: Path):
    """A stranger's ``transforms`` in the working folder could read keys."""
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "__init__.py").write_text("")
    code = "import sys; sys.path.insert(0, '.'); from flows.cli.main import main; sys.argv = ['', '--help']; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 19
    assert done.stderr.startswith("datacut: contracts, transforms and flows come from different places")
    assert "Traceback" not in done.stderr


RUN = """
import sys
from flows.cli import main as cli
sys.argv = ["datacut", *{arguments!r}]
try:
    cli.main()
except SystemExit as end:
    print(end.code or 0, file=sys.stderr)
print(",".join(m for m in {never!r} if m in sys.modules), file=sys.stderr)
"""
NEVER = (
    "prefect", "ortools", "sqlalchemy", "scipy", "altair", "faker", "duckdb", "dask", "httpx", "requests",
    "great_expectations.datasource.fluent.pandas_datasource",
    "great_expectations.execution_engine.pandas_execution_engine",
    "great_expectations.data_context.data_context.abstract_data_context", "great_expectations.core.usage_statistics",
)  # fmt: skip


def _loaded(arguments: list[str], never: tuple[str, ...]) -> list[str]:
    """Run a command in a process of its own; return its exit code and which of these modules it has loaded."""
    code = RUN.format(arguments=arguments, never=never)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [line.strip() for line in done.stderr.splitlines()[-2:]]


def test_anonymise_loads_no_orchestrator_no_solver_and_of_great_expectations_what_counts(tmp_path: Path):
    from flows.sample import SampleRequest, generate

    generate(SampleRequest(300, 1, 0.05), tmp_path)
    cut_file = tmp_path / "cut.yaml"
    cut = yaml.safe_load(cut_file.read_text(encoding="utf-8"))
    cut["participants"] = [p for p in cut["participants"] if p["mpid"] == "EELC"]
    del cut["ring_fence"]
    cut_file.write_text(yaml.safe_dump(cut, sort_keys=False), encoding="utf-8")
    assert _loaded(["anonymise", str(cut_file), "--plain"], NEVER) == ["0", ""]


@pytest.mark.parametrize("command", [["--version"], ["contracts", "check"], ["key", "new", "x.key", "--help"]])
def test_small_commands_load_no_rows_and_no_rules(command):
    assert _loaded(command, ("prefect", "great_expectations", "pandas", "ortools", "sqlalchemy"))[1] == ""


def test_each_part_of_the_command_line_mounts_what_is_looked_for_in_it():
    for part, names in PARTS.items():
        app = typer.Typer()
        import_module(f"flows.cli.{part}").register(app)
        mounted = [*(c.name for c in app.registered_commands), *(g.name for g in app.registered_groups)]
        assert sorted(map(str, mounted)) == sorted(names), part
