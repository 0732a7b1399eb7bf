"""The database of a new server's history, made at once as Prefect's own migrations would make it step by step.

The hundred-odd migrations of a new database take three seconds of CPU, most of what a small run spends on its server.
``prefect-<version>.sql`` is what they leave; Prefect still looks at it as it starts, and finds nothing to do. Another
version of Prefect, or a database that is named elsewhere, is left to Prefect.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.files import whole

DATABASE = "prefect.db"
_NAMED = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")


def schema() -> Path:
    """Return where the schema of the installed Prefect lies, whether it is there or not."""
    try:
        installed = version("prefect")
    except PackageNotFoundError:
        installed = "none"
    return Path(__file__).with_name(f"prefect-{installed}.sql")


def begin(home: Path, *, profiles: Path) -> None:
    """Make the database in a home of Prefect's, where there is none and Prefect would put it there.

    Args:
        profiles: the user's profiles of Prefect, which may name another database.

    Raises:
        OSError: the disk refuses.
    """
    place, given = home / DATABASE, schema()
    if place.exists() or not given.is_file() or profiles.is_file() or any(os.environ.get(name) for name in _NAMED):
        return
    try:
        with whole(place) as growing:
            growing.unlink(missing_ok=True)  # of a process that was killed
            with closing(sqlite3.connect(growing)) as database:
                database.executescript(given.read_text(encoding="utf-8"))
    except sqlite3.Error:  # a full disk says so to the server as well, and in its own words
        return
