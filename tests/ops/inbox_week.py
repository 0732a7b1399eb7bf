"""A week of looks into an inbox, one after the other: what it costs, and what is left of it in Prefect's database.

    python -m tests.ops.inbox_week [--days 7] [--every 300] [--keep-days 2] [--mpans 60]

A real server with a database of its own. A look is a run of the flow in this process; after each day of looks all that
the database holds is put back by a day, so that the next look forgets what is old by then. Of the looks as
processes of their own, as a worker starts them, three are timed. Prints rows of each table a day.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from flows.cut.config import load_cut
from flows.orchestration.server import TOKEN_FILE
from flows.sample import SampleRequest, generate

TABLES = ("flow_run", "flow_run_state", "log", "events", "event_resources", "artifact", "automation_bucket")
DATABASE = "prefect.db"
MOVED = {  # table -> its columns of times, as a clock that runs faster would have written them
    "flow_run": ("start_time", "end_time", "expected_start_time", "created"),
    "flow_run_state": ("timestamp", "created"),
    "log": ("timestamp", "created"),
    "events": ("occurred", "received", "created"),
    "event_resources": ("occurred", "created"),
}


def put_back(database: Path, by: timedelta) -> None:
    """Put everything that the database holds further into the past."""
    with sqlite3.connect(database, timeout=60) as connection:
        for table, columns in MOVED.items():
            there = {row[1] for row in connection.execute(f"pragma table_info({table})")}
            wanted = [name for name in columns if name in there]
            moved = ", ".join(
                f"{name} = strftime('%Y-%m-%d %H:%M:%f000', {name}, '-{by.total_seconds():.0f} seconds')"
                for name in wanted
            )
            connection.execute(f"update {table} set {moved}")


def rows(database: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    with sqlite3.connect(database, timeout=60) as connection:
        there = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        return {t: int(connection.execute(f"select count(*) from {t}").fetchone()[0]) for t in TABLES if t in there}


def of_a_process(cut: Path, url: str, home: Path, count: int = 3) -> float:
    """Return the processor seconds of a look in a process of its own, as a worker starts them."""
    code = (
        "import sys; from pathlib import Path; from flows.orchestration.watch import watch_inbox; "
        "watch_inbox(Path(sys.argv[1]))"
    )
    token = (home / TOKEN_FILE).read_text()
    told = {"PREFECT_API_URL": f"{url}/api", "PREFECT_API_AUTH_STRING": token, "PREFECT_HOME": str(home)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(count):
        command = [sys.executable, "-c", code, str(cut)]
        subprocess.run(command, check=True, env={**os.environ, **told}, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def week(folder: Path, days: int, every: int, keep: float, mpans: int) -> list[dict[str, int]]:
    """Look so often; return the rows of each table at the end of each day."""
    from prefect import tags

    from flows.orchestration import watch
    from flows.orchestration.options import inbox_tag
    from flows.orchestration.server import own_server

    logging.disable(logging.INFO)

    generate(SampleRequest(mpans, 1, 0.0), folder / "cut")
    cut, database = folder / "cut" / "cut.yaml", folder / "home" / DATABASE
    watch.KEPT = timedelta(days=keep)
    found = []
    with own_server(folder / "home", pages=True) as url:
        name = load_cut(cut).model.cut.id
        looks = 86_400 // every
        for day in range(days):
            with tags("datacut", inbox_tag(name)):
                for _ in range(looks):
                    watch.watch_inbox(cut)
            watch.forget_looks(name, kept=timedelta(days=keep), at_once=looks)
            found.append(rows(database))
            shown = ", ".join(f"{table} {count:,}" for table, count in found[-1].items())
            sys.stdout.write(f"day {day + 1}: {shown}\n")
            sys.stdout.flush()
            put_back(database, timedelta(days=1))
        sys.stdout.write(f"a look in a process of its own: {of_a_process(cut, url, folder / 'home'):.1f} CPU s\n")
    return found


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--every", type=int, default=300, help="seconds between two looks")
    parser.add_argument("--keep-days", type=float, default=2)
    parser.add_argument("--mpans", type=int, default=60)
    asked = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory(prefix="inbox") as folder:
        found = week(Path(folder), asked.days, asked.every, asked.keep_days, asked.mpans)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    looks = asked.days * (86_400 // asked.every)
    sys.stdout.write(f"{looks:,} looks, {seconds / looks:.2f} CPU s each in one process\n")
    bounded = len(found) < 4 or found[-1]["flow_run"] <= found[-2]["flow_run"] * 1.01
    sys.stdout.write("runs do not grow any more\n" if bounded else "runs grow\n")
    return 0 if bounded else 1


if __name__ == "__main__":
    sys.exit(main())
