"""Every command that writes, killed at a step that it takes on the disk or in the ledger, and run again.

    python -m tests.recovery.commands --kills 100 [--seed 1] [--mpans 60] [--only COMMAND]

A command is run undisturbed and its steps are counted: opens, syncs, renames, removals, links, ledger commits. Then
it is killed at one of them, at least a third of the times at a commit, a rename or a removal, before or after it, and
run again. What is there then has to be what the undisturbed command left. Says how often each check looked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from flows.keys.cut_key import keep_key
from flows.sample import SampleRequest, generate
from tests.command import datacut

STEPS = ("open", "fsync", "replace", "rename", "unlink", "link", "mkdir", "rmdir")
DECISIVE = ("replace", "rename", "unlink", "commit")
HIDDEN = "hidden names"  # in the outcome of an undisturbed command
CUT = "SAMPLE-2023-08-19"
Outcome = dict[str, str]


@dataclass(frozen=True)
class Command:
    """A command of the campaign.

    Attributes:
        words: its arguments, in the folder of the cut.
        after: which state it begins from: ``pristine``, or ``run``: after a whole job.
        left: what it leaves, to be compared; or nothing that can be: then ``whole`` says whether it holds.
        before: is done in the folder first.
    """

    words: tuple[str, ...]
    after: str
    left: Callable[[Path], Outcome]
    before: Callable[[Path], None] = lambda _: None


def files(*folders: str) -> Callable[[Path], Outcome]:
    """Return what lies in folders, by digest; evidence and signature of packs, which hold times, are left out."""

    def left(cut: Path) -> Outcome:
        found = {}
        for folder in folders:
            for path in sorted((cut / folder).rglob("*")):
                name = path.relative_to(cut).as_posix()
                timed = any(part in ("evidence", "report") for part in path.parts) or path.name in (
                    "signature.dsse.json", "tagmanifest-sha256.txt", "bag-info.txt", "manifest-sha256.txt",
                    "receipt.json", f"{CUT}-ledger-heads.jsonl", "key_manifest.json",
                )  # fmt: skip
                if path.is_file() and not timed:
                    found[name] = hashlib.sha256(_timeless(path)).hexdigest()
        return found

    return left


def _timeless(path: Path) -> bytes:
    """Return what a file says, but for the moment in a note of a delivery."""
    if path.parent.parent.name != ".deliveries":
        return path.read_bytes()
    return json.dumps({**json.loads(path.read_bytes()), "at": ""}, sort_keys=True).encode()


def ledger(cut: Path, name: str = "ledger.db") -> Outcome:
    """Return who holds what in a ledger, and how many hold twice; its indexes are not believed."""
    with sqlite3.connect(cut / name) as connection:
        columns = [row[1] for row in connection.execute("pragma table_info(ringfence_reservation)")]
        kept = [c for c in columns if c in ("campaign", "mpan", "test_case", "stage", "state", "participant")]
        rows = sorted(connection.execute(f"select {', '.join(kept)} from ringfence_reservation not indexed").fetchall())
        table = "ringfence_reservation not indexed"
        twice = connection.execute(
            f"select count(*) from (select 1 from {table} group by campaign, mpan having count(*) > 1)"
        )
        damage = connection.execute("pragma integrity_check").fetchone()[0]
        return {"rows": str(len(rows)), "held": repr(rows), "twice": str(twice.fetchone()[0]), "damage": damage}


def of_backup(cut: Path) -> Outcome:
    """Return what a backup of the ledger holds."""
    return ledger(cut, "backup.db")


def one_key(cut: Path) -> Outcome:
    """Return whether a new key is whole."""
    return {"bytes": str((cut / "new.key").stat().st_size), "mode": oct((cut / "new.key").stat().st_mode)}


def no_key(cut: Path) -> Outcome:
    """Return what a destruction has left."""
    left = {name: str((cut / name).exists()) for name in ("old.key", "certificate")}
    return {
        **left,
        "revoked": (cut / "revoked-keys.txt").read_text()[:16],
        "aside": str(list(cut.glob(".certificate*"))),
    }


def opened(cut: Path) -> Outcome:
    """Return what is in a sealed file, as its recipient sees it."""
    done = datacut("open", "sealed.datacut", "--identity", "me.id", "--json", cwd=cut)
    found = json.loads(done.out)
    return {"code": str(done.code), "files": json.dumps(found.get("files"), sort_keys=True)}


def _identity(cut: Path) -> None:
    done = datacut("key", "identity", "--out", "me.id", cwd=cut)
    (cut / "me.pub").write_text(done.out)


def _old_key(cut: Path) -> None:
    keep_key(cut / "old.key", bytes(range(32)), CUT, None)


def _backed_up(cut: Path) -> None:
    datacut("ringfence", "backup", "cut.yaml", "--out", "backup.db", cwd=cut)
    for path in cut.glob("ledger.db*"):
        path.unlink()


SEAL = (
    "seal",
    "EELC/registration.csv",
    "--to",
    "me.pub",
    "--out",
    "sealed.datacut",
    "--cut",
    CUT,
    "--participant",
    "EELC",
)
DESTROY = ("key", "destroy", "--key", "old.key", "--cut", CUT, "--by", "Ann", "--signing-key", "keys/signing.pem",
           "--certificate", "certificate", "--revoked", "revoked-keys.txt")  # fmt: skip
RESTORE = ("restore", f"out/{CUT}-return-EELC", "--backup", "cut.yaml", "--key", "keys/cut.key", "--out", "back")
MESSAGES = ("messages", f"out/{CUT}-release", "--out", "messages", "--sent", "2026-01-05T09:00")
COMMANDS = {
    "run": Command(("run", "cut.yaml", "--plain"), "pristine", files("out")),
    "anonymise": Command(("anonymise", "cut.yaml", "--plain"), "pristine", files("out")),
    "ringfence init": Command(("ringfence", "init", "cut.yaml"), "pristine", ledger),
    "ringfence top-up": Command(("ringfence", "top-up", "cut.yaml", "--why", "more"), "run", ledger),
    "ringfence issue": Command(("ringfence", "issue", "cut.yaml", "--why", "sent"), "run", ledger),
    "ringfence release": Command(("ringfence", "release", "cut.yaml", "--stage", "CIT", "--why", "x"), "run", ledger),
    "ringfence backup": Command(("ringfence", "backup", "cut.yaml", "--out", "backup.db"), "run", of_backup),
    "ringfence restore": Command(("ringfence", "restore", "backup.db", "cut.yaml"), "run", ledger, _backed_up),
    "restore": Command(RESTORE, "run", files("back")),
    "messages": Command(MESSAGES, "run", files("messages")),
    "request": Command(("request", "cut.yaml", "--out", "requests"), "pristine", files("requests")),
    "seal": Command(SEAL, "pristine", opened, _identity),
    "check": Command(("check", "cut.yaml"), "pristine", files("work")),
    "sample": Command(("sample", "--mpans", "8", "--seed", "1", "--out", "more"), "pristine", files("more")),
    "key new": Command(("key", "new", "--cut", CUT, "--out", "new.key"), "pristine", one_key),
    "key destroy": Command(DESTROY, "pristine", no_key, _old_key),
}  # fmt: skip


CHECKS = ("outcomes", "folders for what is left behind", "ledgers for doubles")


@dataclass
class Tally:
    """What was done, what was looked at, what was wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def child(cut: Path, call: Callable[[], Any], *, last: int = 0, after: bool = False) -> tuple[int, Any]:
    """Call something in a process of its own, killed at its N-th step; return the signal, and steps and result."""
    said = cut.parent / f"said-{os.getpid()}"
    said.unlink(missing_ok=True)
    if not (pid := os.fork()):
        try:
            os.setpgid(0, 0)
            steps: list[str] = []
            _count(steps, last, after=after)
            found = call()
            with open(said, "w", encoding="utf-8") as file:
                json.dump([steps, found], file)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), (
        json.loads(said.read_text()) if said.is_file() else None
    )


def _count(steps: list[str], last: int, *, after: bool) -> None:
    def reached(name: str) -> bool:
        steps.append(name)
        return len(steps) == last

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            end = reached(name)
            if end and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return original(*arguments, **named)
            finally:
                if end:
                    os.kill(os.getpid(), signal.SIGKILL)

        return step

    for name in STEPS:
        setattr(os, name, wrapped(name, getattr(os, name)))

    def commits(_: Any) -> None:
        if reached("commit"):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", commits)


def say(cut: Path, words: tuple[str, ...]) -> list[Any]:
    """Run a command in the folder of a cut; return its code and what it said went wrong."""
    done = datacut(*words, cwd=cut)
    return [done.code, done.told]


def hidden(cut: Path) -> set[str]:
    """Return what lies about that nobody is meant to see."""
    return {p.relative_to(cut).as_posix() for p in cut.rglob(".*")}


def judged(left: Outcome, wanted: Outcome, aside: set[str], tally: Tally) -> list[str]:
    """Say what a killed and repeated command left otherwise than an undisturbed one, ``wanted``."""
    tally.looked["outcomes"] += len(left)
    tally.looked["folders for what is left behind"] += 1
    wrong = []
    if differ := sorted(k for k in {*left, *wanted} - {HIDDEN} if left.get(k) != wanted.get(k)):
        wrong.append(f"other than undisturbed in {differ[:3]}")
    if "twice" in left:
        tally.looked["ledgers for doubles"] += 1
        wrong += ["reserved twice"] if left["twice"] != "0" else []
    if beside := sorted(aside - set(json.loads(wanted[HIDDEN]))):
        wrong.append(f"left behind {beside[:3]}")
    return wrong


def trial(
    name: str, state: Path, place: Path, wanted: Outcome, steps: list[str], chance: random.Random, tally: Tally
) -> str:
    """Kill a command once and run it again."""
    command, cut = COMMANDS[name], place / "cut"
    shutil.rmtree(cut, ignore_errors=True)
    shutil.copytree(state, cut)
    child(cut, lambda: command.before(cut))
    decisive = [n for n, step in enumerate(steps, 1) if step in DECISIVE]
    last = chance.choice(decisive) if decisive and chance.random() < 0.4 else chance.randint(1, len(steps))
    after = chance.random() < 0.5
    ended, _ = child(cut, lambda: say(cut, command.words), last=last, after=after)
    step = steps[last - 1]
    tally.kills[name] += bool(ended)
    tally.steps[step] += bool(ended)
    _, done = child(cut, lambda: say(cut, command.words))
    code, told = done[1]
    _, found = child(cut, lambda: command.left(cut))
    left = found[1] if found else {"nothing": "it cannot be read"}
    wrong = judged(left, wanted, hidden(cut), tally)
    if wrong:
        wrong.append(f"the rerun ended with {code} {told}")
    tally.faults += [f"{name}, killed {'after' if after else 'before'} {step} {last}: {one}" for one in wrong]
    return f"{name:<18} {'after' if after else 'before'} step {last} of {len(steps)} ({step}): " + (
        "; ".join(wrong) or "well"
    )


def campaign(place: Path, kills: int, seed: int, mpans: int, only: str = "") -> Tally:
    """Kill so many times, the commands in turn."""
    tally, chance = Tally(), random.Random(seed)
    states = {"pristine": place / "pristine", "run": place / "run"}
    child(place / "x", lambda: generate(SampleRequest(mpans, 3, 0.0), states["pristine"]) and None)
    shutil.copytree(states["pristine"], states["run"])
    _, done = child(states["run"], lambda: say(states["run"], ("run", "cut.yaml", "--plain")))
    if done is None or done[1][0] != 0:
        raise SystemExit(f"the whole job does not end well: {done}")
    undisturbed: dict[str, tuple[Outcome, list[str]]] = {}
    names = [only] if only else list(COMMANDS)
    for number in range(kills):
        name = names[number % len(names)]
        command = COMMANDS[name]
        if name not in undisturbed:
            cut = place / "cut"
            shutil.rmtree(cut, ignore_errors=True)
            shutil.copytree(states[command.after], cut)
            child(cut, partial(command.before, cut))
            _, done = child(cut, partial(say, cut, command.words))
            if done is None or done[1][0] not in (0, 20):
                raise SystemExit(f"{name} undisturbed: {done and done[1]}")
            steps = done[0]
            _, found = child(cut, partial(command.left, cut))
            undisturbed[name] = ({**found[1], HIDDEN: json.dumps(sorted(hidden(cut)))}, steps)
        wanted, steps = undisturbed[name]
        said = trial(name, states[command.after], place, wanted, steps, chance, tally)
        sys.stdout.write(f"{number + 1:4d}  {said}\n")
        sys.stdout.flush()
    reserve = any(COMMANDS[name].left in (ledger, of_backup) for name in names)
    wanted_checks = CHECKS if reserve else CHECKS[:-1]  # one command alone may have no ledger to look into
    tally.faults += [f"no check looked at {what}" for what in wanted_checks if not tally.looked[what]]
    return tally


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mpans", type=int, default=60)
    parser.add_argument("--only", default="", choices=["", *COMMANDS])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = campaign(Path(folder), asked.kills, asked.seed, asked.mpans, asked.only)
    sys.stdout.write(f"{sum(tally.kills.values())} kills: {dict(tally.kills)}\nat {dict(tally.steps)}\n")
    sys.stdout.write("".join(f"looked at {count:,} {what}\n" for what, count in tally.looked.items()))
    sys.stdout.write("\n".join(tally.faults) + "\n" if tally.faults else "every command ended as undisturbed\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
