"""The tables of ``docs/release-profiles.md``: what each profile buys and costs, measured on the sample.

    python -m tests.treatment.measured_profiles --mpans 100000 --scratch DIR [--linker-alone]

For each profile the same backups are released; then six intruders and plain joins are played against it. The other
cut is of the same backups under another key: anonymised, and treated as each profile treats. What is in the scratch
folder already is not made again, so a size can be gone on with. Every step is a ``datacut`` command in a process of
its own: CPU seconds and peak memory of the intruders are printed beside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from contracts.attack import INTRUDERS
from contracts.profiles import Profile
from tests.benchmarks.watched import MIB, watch
from tests.treatment.__main__ import comparison
from tests.treatment.treated import treated_pack

DATACUT = [sys.executable, "-c", "from flows.cli.main import main; main()"]
PROFILES = ("exact", "standard", "strict")
OWN, OTHER = "own", "other"
LEFT_OUT = {
    "the year of the serial number": ["serial_year"],
    "the line loss factor class": ["loss_class"],
    "agents": ["collector", "operator", "aggregator", "provider"],
    "make and model": ["make"],
    "make and year": ["make", "serial_year"],
    "make, year, loss class, timeswitch and settlement configuration": [
        "make", "serial_year", "loss_class", "timeswitch", "configuration",
    ],
    "these and agents": [
        "make", "serial_year", "loss_class", "timeswitch", "configuration", "collector", "operator", "aggregator",
        "provider",
    ],
}  # fmt: skip
Table = list[tuple[str, ...]]


def command(*arguments: object) -> dict[str, Any]:
    """Run ``datacut`` and return what it printed as JSON, with CPU seconds and MiB beside."""
    done = watch([*DATACUT, *map(str, arguments), "--json"])
    if done.code:
        raise SystemExit(f"datacut {arguments[0]} ended with {done.code}: {done.err.strip()[-400:]}")
    said: dict[str, Any] = json.loads(done.out)
    return said | {"cpu_seconds": round(done.cpu, 1), "seconds": round(done.wall, 1), "peak_mib": done.peak // MIB}


def kept(path: Path, *arguments: object) -> dict[str, Any]:
    """Return what a command says, from the file of the last time where there is one."""
    if not path.is_file():
        path.write_text(json.dumps(command(*arguments), indent=1, sort_keys=True), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def backups(folder: Path, given: argparse.Namespace) -> Path:
    """Make the sample."""
    made = folder / "backups"
    if not (made / "cut.yaml").is_file():
        command("sample", "--mpans", given.mpans, "--seed", given.seed, "--published-keys", "--out", made)
    return made


def cut(source: Path, folder: Path, profile: str, key: str) -> Path:
    """Make a cut of the same backups under a profile and a key of its own; files are linked, not copied."""
    made = folder / f"{profile}-{key}"
    if not made.is_dir():
        leave = shutil.ignore_patterns("out", "work", "keys", "ledger.db", "cut.yaml")
        shutil.copytree(source, made, copy_function=os.link, ignore=leave)
        shutil.copytree(source / "keys", made / "keys")
        document = yaml.safe_load((source / "cut.yaml").read_text(encoding="utf-8"))
        document["cut"]["policy"] = {**document["cut"].get("policy", {}), "profile": profile}
        document["cut"]["id"] += f"-{key.upper()}"
        (made / "keys" / "cut.key").chmod(0o600)
        (made / "keys" / "cut.key").write_text(hashlib.sha256(key.encode()).hexdigest() + "\n", encoding="ascii")
        (made / "cut.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return made


def released(made: Path) -> Path:
    """Run a cut and return its release pack; what only the run needs is removed."""
    said = kept(made / "run.json", "run", made / "cut.yaml", "--plain")
    for folder in (made / "work", *(made / "out").glob("*-return-*")):
        shutil.rmtree(folder, ignore_errors=True)
    return Path(said["pack"])


def other_cut(source: Path, folder: Path, profile: str) -> tuple[Path, Path]:
    """Return what another cut of the same backups releases under a profile, and its ``cut.yaml``."""
    made = cut(source, folder, "exact", OTHER)
    kept(made / "anonymise.json", "anonymise", made / "cut.yaml", "--plain")
    shutil.rmtree(made / "work", ignore_errors=True)
    out = folder / f"{profile}-{OTHER}-release"
    if not out.is_dir():
        treated_pack(next((made / "out").glob("*-submission")), made / "cut.yaml", Profile(profile), out)
    return out, made / "cut.yaml"


def attacked(source: Path, folder: Path, profile: str, given: argparse.Namespace) -> dict[str, Any]:
    """Play the intruders against a profile's release."""
    own = folder / f"{profile}-{OWN}"
    asked: list[object] = ["attack", released(own), "--truth", own / "cut.yaml", "--targets", given.targets]
    if not given.linker_alone:
        pack, truth = other_cut(source, folder, profile)
        asked += ["--other", pack, "--other-truth", truth]
    return kept(folder / f"{profile}-attack.json", *asked)


def without_codes(folder: Path, given: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Play the fuzzy linker on codes with some of them left out; profile standard."""
    plan = yaml.safe_load(INTRUDERS.read_text(encoding="utf-8"))
    linker = next(one for one in plan["intruders"] if one["id"] == "fuzzy_linker")
    whole = linker["variants"]["codes alone"]
    variants = {name: [fact for fact in whole if fact not in gone] for name, gone in LEFT_OUT.items()}
    linker["variants"] = {"all codes": whole, **variants}
    plan["in_run"]["intruders"] = [linker["id"]]
    plan["intruders"] = [linker]
    path, own = folder / "codes.yaml", folder / f"standard-{OWN}"
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    said = kept(
        folder / "codes.json", "attack", released(own), "--truth", own / "cut.yaml", "--targets", given.targets,
        "--intruders", path,
    )  # fmt: skip
    yield from ((row["variant"], row) for row in said["intruders"])


def share(row: dict[str, Any]) -> str:
    """Return a difference with its interval, per cent."""
    low, high = row["difference_interval"]
    return f"{100 * row['difference']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def intruders_table(found: dict[str, dict[str, Any]]) -> Table:
    """Return success and control, the difference and its interval, of each intruder and profile."""
    rows = {name: {(r["title"], r["variant"]): r for r in said["intruders"]} for name, said in found.items()}
    lines: Table = [("intruder", *(f"{name}: found, control, difference" for name in found))]
    for title, variant in rows[next(iter(found))]:
        cells = []
        for name in found:
            row = rows[name].get((title, variant))
            cells.append(
                f"{100 * row['success']:.1f} %, {100 * row['control']:.1f} %, {share(row)}" if row else "not played"
            )
        lines.append((f"{title}, {variant}" if variant else title, *cells))
    return lines


def joins_table(found: dict[str, dict[str, Any]]) -> Table:
    """Return what plain joins link uniquely and rightly: alone, and with one to four public columns."""
    first = next(iter(found))
    lines: Table = [("released column", "public columns beside", *found)]
    links = {name: {tuple(j["columns"]): j["success"] for j in said["joins"]} for name, said in found.items()}
    plan = yaml.safe_load(INTRUDERS.read_text(encoding="utf-8"))
    for columns in links[first]:
        public = [c for c in columns if c in plan["joins"]["public"]]
        own = [c for c in columns if c not in public]
        words = plan["facts"][own[0]]["words"] if own else "none"
        lines.append((words, str(len(public)), *(f"{100 * links[name].get(columns, 0.0):.1f} %" for name in found)))
    return lines


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as a table, the first one its head."""
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rest))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mpans", type=int, required=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--linker-alone", action="store_true", help="no second cut: no joins, no holder of another cut")
    parser.add_argument("--profiles", nargs="+", default=PROFILES, choices=PROFILES)
    given = parser.parse_args()
    folder: Path = given.scratch / str(given.mpans)
    source = backups(folder, given)
    for profile in given.profiles:
        released(cut(source, folder, profile, OWN))
    found = {profile: attacked(source, folder, profile, given) for profile in given.profiles}
    for profile, said in found.items():
        print(f"{profile}: {said['metering_points']:,} metering points, {said['people']:,} people searched for, "
              f"{said['cpu_seconds']} CPU s, {said['peak_mib']} MiB")  # fmt: skip
    print("\n" + markdown(intruders_table(found)))
    if not given.linker_alone:
        print("\n" + markdown(joins_table(found)))
    if "standard" in found:
        codes = [(name, share(row)) for name, row in without_codes(folder, given)]
        print("\n" + markdown([("codes alone, without", "found beyond the control"), *codes]))
    if "exact" in found:
        packs = [released(folder / f"{profile}-{OWN}") for profile in given.profiles]
        print("\n" + markdown(comparison(packs)))


if __name__ == "__main__":
    main()
