"""What the migrations of the installed Prefect make of an empty database.

``python -m tests.ops.history_schema > flows/orchestration/prefect-VERSION.sql``, when another version is pinned.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

MIGRATE = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""


def migrated() -> str:
    """Return the statements that make a database as the migrations of the installed Prefect leave it."""
    with tempfile.TemporaryDirectory() as home:
        place = {**os.environ, "PREFECT_HOME": home}
        subprocess.run([sys.executable, "-c", MIGRATE], env=place, check=True, capture_output=True)
        with closing(sqlite3.connect(Path(home) / "prefect.db")) as database:
            return "\n".join(database.iterdump()) + "\n"


def parts(statements: str) -> list[str]:
    """Return the lines in an order of their own: the migrations name constraints and indexes in another each time."""
    return sorted(line.strip().rstrip(",") for line in statements.splitlines())


if __name__ == "__main__":
    sys.stdout.write(migrated())
