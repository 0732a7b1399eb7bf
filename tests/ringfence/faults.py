"""The faults that a ledger may meet, each injected on SQLite and PostgreSQL, as a table: survived, told, lost.

    python -m tests.ringfence.faults [--writers 24] [--commits 4] [--kills 24] [--seed 1]

Writers are processes that ask for overlapping metering points; some are killed at random moments, and on PostgreSQL the
server is killed too. What was killed is started again and goes on. Then every answer that a writer got has to stand in
the ledger, nothing else, and no metering point twice. A ledger that is gone, empty, older, another or
damaged has to be refused with its exit code before anything is written, and to be whole again after its restoration.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contracts.errors import DataCutError
from flows.cut.config import Job, load_cut
from flows.ringfence.copies import backup, restore
from flows.ringfence.ledger import Ledger
from flows.ringfence.system_of_record import heads_file, note_head, open_ledger
from tests.ops.postgres_service import PostgresService
from tests.postgres import binaries
from tests.ringfence import committer
from tests.ringfence.test_fence_ledger import change, rows
from tests.ringfence.test_fence_races import check

HEADER = "| fault | engine | injected | survived | told | lost | looked at |"
CUT, DAMAGED, REFUSED = committer.CUT, 18, 17
SPAN = 60  # metering points that a commit may ask for, times the commits: about half are refused


@dataclass
class Row:
    """What came of a fault: how often it was injected, survived, told; what was lost or wrong."""

    fault: str
    engine: str
    injected: int = 0
    survived: int = 0
    told: int = 0
    lost: int = 0
    looked: int = 0

    def line(self) -> str:
        """Return it as a row of the table."""
        facts = (self.fault, self.engine, self.injected, self.survived, self.told, self.lost, self.looked)
        return "| " + " | ".join(map(str, facts)) + " |"


def fork(call: Callable[[], object]) -> int:
    """Call in a process of its own, and return its number; it ends with 1 where the call raises."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        call()
        code = 0
    except DataCutError as fault:
        sys.stderr.write(f"{fault}\n")
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a process; return how it ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def writers(row: Row, url: str, folder: Path, asked: argparse.Namespace, upset: Callable[[], None] | None) -> None:
    """Let so many write at once, kill some of them, or upset their server; then see what stands."""
    folder.mkdir()
    chance, span = random.Random(asked.seed), SPAN * asked.commits
    pids = {n: fork(partial(write, url, n, asked.commits, span, folder)) for n in range(asked.writers)}
    until = time.monotonic() + 600
    while row.injected < (asked.kills if upset is None else 1) and time.monotonic() < until:
        time.sleep(chance.uniform(0.02, 0.4))
        if upset is not None:
            upset()
            row.injected += 1
            continue
        number = chance.choice(list(pids))
        done, status = os.waitpid(pids[number], os.WNOHANG)
        if not done:
            os.kill(pids[number], signal.SIGKILL)
            status = os.waitpid(pids[number], 0)[1]
        row.injected += os.WIFSIGNALED(status)
        pids[number] = fork(partial(write, url, number, asked.commits, span, folder))
        if done and all(len(lines(folder, n)) == asked.commits for n in pids):
            break  # nobody is left to kill
    for number, first in pids.items():
        code = ended(first)
        while code != 0 and time.monotonic() < until:  # its server was away: a service manager starts it again
            row.told += 1
            time.sleep(0.5)
            code = ended(fork(partial(write, url, number, asked.commits, span, folder)))
    total = asked.writers * asked.commits
    well = ended(fork(lambda: check(url, folder, total, span))) == 0
    row.looked, row.survived, row.lost = total, row.injected * well, int(not well)


def write(url: str, number: int, commits: int, span: int, folder: Path) -> None:
    """Be a writer."""
    committer.main(url, str(number), str(commits), str(span), str(folder / f"answers-{number}.jsonl"))


def begin(url: str) -> None:
    """Make a ledger."""
    Ledger(url).close()


def lines(folder: Path, number: int) -> list[str]:
    """Return the answers that a writer got."""
    file = folder / f"answers-{number}.jsonl"
    return file.read_text().splitlines() if file.exists() else []


class Place:
    """A ledger of a cut on one of the engines, and what may happen to it."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        (folder / "cut.yaml").write_text(
            f"cut: {{id: {CUT}, date: 2023-08-19, key: k}}\n"
            "participants: [{mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: p.csv}]}]\n"
            f"release: {{signing_key: s.pem}}\nring_fence: {{plan: plan.csv, ledger: '{url}'}}\n"
        )
        self.job: Job = load_cut(folder / "cut.yaml")
        self.url, self.folder = url, folder
        self.file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None
        self.commit(1, 2)
        with open_ledger(self.job) as ledger:
            backup(ledger, folder / "old.db")
        self.commit(3)
        with open_ledger(self.job) as ledger:
            backup(ledger, folder / "last.db")

    def commit(self, *numbers: int) -> None:
        """Reserve some metering points."""
        with open_ledger(self.job, begin=True) as ledger:
            ledger.commit(change(f"k{numbers}", cut=CUT), rows(*numbers))
            note_head(self.job, ledger)

    def remove(self) -> None:
        """Take the ledger away."""
        if self.file is not None:
            for ending in ("", "-wal", "-shm"):
                self.file.with_name(f"{self.file.name}{ending}").unlink(missing_ok=True)
        else:
            self.sql("drop schema public cascade", "create schema public")

    def empty(self) -> None:
        """Leave a file, or a database, without a ledger."""
        self.remove()
        if self.file is not None:
            self.file.write_bytes(b"")

    def older(self) -> None:
        """Put an older copy in its place."""
        self.remove()
        restore(self.folder / "old.db", self.url)

    def foreign(self) -> None:
        """Put another ledger in its place."""
        self.remove()
        Ledger(self.url).close()

    def damage(self) -> None:
        """Let an index lose what its table keeps."""
        if self.file is None:
            self.sql("alter table ringfence_reservation drop constraint ringfence_reservation_pkey")
            self.sql("insert into ringfence_reservation select * from ringfence_reservation limit 1")
            return
        with sqlite3.connect(self.file) as connection:
            query = "select rootpage from sqlite_master where name = 'sqlite_autoindex_ringfence_reservation_1'"
            page = connection.execute(query).fetchone()[0]
            size = connection.execute("pragma page_size").fetchone()[0]
            connection.execute("pragma wal_checkpoint(truncate)")
        data = bytearray(self.file.read_bytes())
        data[(page - 1) * size + 3 : (page - 1) * size + 5] = b"\0\0"  # a leaf without cells
        self.file.write_bytes(data)

    def sql(self, *statements: str) -> None:
        """Do something to the database behind the product's back."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def code(self) -> int:
        """Return the exit code that a commit ends with."""
        try:
            with open_ledger(self.job, begin=True) as ledger:
                ledger.commit(change("again", cut=CUT), rows(4))
        except DataCutError as fault:
            return fault.exit_code
        return 0

    def state(self) -> list[tuple[str, ...]]:
        """Return who holds what."""
        with Ledger(self.url, make=False) as ledger:
            held = ledger.reservations(CUT).select("mpan", "test_case").sort("mpan")
            return [tuple(map(str, one)) for one in held.rows()]


FAULTS: dict[str, tuple[Callable[[Place], None], int]] = {
    "removed": (Place.remove, REFUSED),
    "empty": (Place.empty, REFUSED),
    "older": (Place.older, REFUSED),
    "foreign": (Place.foreign, REFUSED),
    "damaged index": (Place.damage, DAMAGED),
}


def refused(row: Row, place: Place, happens: Callable[[Place], None], code: int) -> None:
    """Let something happen to a ledger; it has to be refused, and to be whole again after its restoration."""
    wanted, heads = place.state(), heads_file(place.job).read_bytes()
    happens(place)
    row.injected = 1
    row.told = int(place.code() == code)
    untouched = heads_file(place.job).read_bytes() == heads
    place.remove()
    restore(place.folder / "last.db", place.url)
    whole = place.state() == wanted
    row.survived, row.lost, row.looked = int(whole and untouched), int(not whole), len(wanted)


def campaign(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """Inject every fault on every engine that is there."""
    found: list[Row] = []
    service = PostgresService(folder / "postgres") if binaries() else None
    names = iter(f"ledger{number}" for number in range(99))

    def fresh(engine: str) -> str:
        name = next(names)
        if engine == "SQLite":
            return f"sqlite:///{folder}/{name}.db"
        import psycopg

        url = f"postgresql://prefect@127.0.0.1:{service.port if service else 0}"
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        return f"{url}/{name}"

    def tell(row: Row) -> None:
        found.append(row)
        sys.stdout.write(f"{row.line()}\n")
        sys.stdout.flush()

    def restart() -> None:
        if service:
            service.kill()
            time.sleep(2)
            service.start()

    try:
        for engine in ("SQLite", *(["PostgreSQL"] if service else [])):
            row = Row(f"kill of one of {asked.writers} writers", engine)
            url = fresh(engine)
            ended(fork(partial(begin, url)))
            writers(row, url, folder / f"writers-{engine}", asked, None)
            tell(row)
            if engine == "PostgreSQL":
                row, url = Row(f"kill of the server under {asked.writers} writers", engine), fresh(engine)
                ended(fork(partial(begin, url)))
                writers(row, url, folder / "restart", asked, restart)
                tell(row)
        for engine in ("SQLite", *(["PostgreSQL"] if service else [])):
            for name, (happens, code) in FAULTS.items():
                row = Row(f"ledger {name}", engine)
                refused(row, Place(folder / f"{engine}-{name.replace(' ', '-')}", fresh(engine)), happens, code)
                tell(row)
    finally:
        if service:
            service.stop()
        shutil.rmtree(folder / "postgres", ignore_errors=True)
    return found


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=24)
    parser.add_argument("--commits", type=int, default=4)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sys.stdout.write(f"{HEADER}\n{'|---' * (HEADER.count('|') - 1)}|\n")
    with tempfile.TemporaryDirectory(prefix="ledgers") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        found = campaign(Path(folder), asked)
    bad = [row for row in found if row.lost or row.survived != row.injected or not row.looked]
    untold = [row for row in found if row.fault.startswith("ledger") and not row.told]
    sys.stdout.write("every fault was survived, and told where it had to be\n" if not (bad or untold) else "faults\n")
    return 1 if bad or untold else 0


if __name__ == "__main__":
    sys.exit(main())
