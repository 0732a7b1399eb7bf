"""Commands that need no slow library load none; a foreign package of the same name is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
