"""Pseudonymising the same rows by us and by every peer that can be had: how fast, and what their guarantee lacks.

    python -m tests.benchmarks.peers --scratch DIR [--rows 1000000] [--seconds 20] [--runs 3] [--json OUT] [--markdown]

The work: MPAN, meter serial number and address of registration rows, read from CSV, written to Parquet. Peers go into a
virtual environment of their own in the scratch folder, never into the project's; one that cannot be installed is listed
with the reason. Each runs in its own process on as many rows as it does in ``--seconds``, all in turn, medians of
``--runs``. What the guarantee lacks is measured on what each wrote: on the file, on the same metering points as another
organisation spells them, and on another organisation's file with the same spelling in another order.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from flows.sample.chunk import SampleTally, compose
from flows.sample.request import SampleRequest
from tests.benchmarks.peer_ways import ADDRESS, LINES, MPAN, SERIAL, WAYS
from tests.benchmarks.watched import MIB, about, machine, table, watch
from transforms.pseudonymise import mpan
from transforms.pseudonymise.address import POSTCODE_PATTERN

BASE = ("pandas<3", f"polars=={version('polars')}", f"pyarrow=={version('pyarrow')}")
PACKAGES = {
    "polars_hash": ("polars-hash",),
    "maskops_consistent": ("maskops",),
    "maskops_ff1": ("maskops",),
    "fastfpe": ("fastfpe",),
    "ff3": ("ff3",),
    "aindo": ("aindo-anonymize",),
    "presidio_structured": ("presidio-anonymizer", "presidio-structured"),
    "presidio_anonymizer": ("presidio-anonymizer",),
}
# Ways that squeeze a hash into ten digits within a distributor: for these, collisions at a national size can be told.
SQUEEZED = ("pandas_hmac", "polars_map_elements", "polars_hash", "postgresql_pgcrypto")
NATIONAL, DISTRIBUTORS = 30_000_000, 14
TRIAL_ROWS, SPELT_ROWS = 2_000, 20_000


def inputs(rows: int, seed: int, folder: Path) -> Path:
    """Write ``all.csv``: rows of one sample's registrations with the meter's serial number; every MPAN once."""
    request, tally = SampleRequest(max(1000, int(rows * 1.5)), seed, 0.0), SampleTally()
    got: list[pl.DataFrame] = []
    for number in range(request.chunks):
        parts = compose(request, number, tally).parts
        registered = pl.concat(p.select(MPAN, *ADDRESS) for path, p in parts if "registration" in path)
        supplied = pl.concat(p.select(MPAN, SERIAL) for path, p in parts if "portfolio" in path)
        bare = pl.col(MPAN).str.replace_all(" ", "")
        supplied = supplied.with_columns(bare).drop_nulls().unique(SERIAL, maintain_order=True)
        got.append(registered.with_columns(bare).join(supplied, on=MPAN, maintain_order="left"))
        if sum(part.height for part in got) > rows * 1.02:  # a few serial numbers may come twice
            break
    whole = pl.concat(got).unique(SERIAL, maintain_order=True).head(rows)
    if whole.height < rows or whole[MPAN].n_unique() < rows:
        raise SystemExit(f"the sample gave {whole.height:,} rows of {rows:,}")
    path = folder / "all.csv"
    whole.select(pl.int_range(rows).alias("row"), MPAN, SERIAL, *ADDRESS).write_csv(path)
    return path


def spelt_otherwise(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the same identifiers as another organisation writes them: spaces, case, lines broken elsewhere."""
    m = pl.col(MPAN)
    spaced = pl.concat_str([m.str.slice(at, size) for at, size in ((0, 2), (2, 4), (6, 4), (10, 3))], separator=" ")
    words = pl.concat_str([pl.col(c) for c in LINES], separator=" ", ignore_nulls=True).str.to_titlecase()
    emptied = [pl.lit(None, pl.String).alias(c) for c in LINES[1:]]
    return frame.with_columns(
        spaced.alias(MPAN),
        pl.col(SERIAL).str.to_lowercase(),
        words.alias(LINES[0]),
        *emptied,
        pl.col("postcode").str.replace(" ", ""),
    )


class Peers:
    """The peers' own environment, and why those are missing that are."""

    def __init__(self, scratch: Path) -> None:
        self.python = scratch / "peers-venv/bin/python"
        self.missing: dict[str, str] = {}
        if not self.python.is_file():
            subprocess.run([sys.executable, "-m", "venv", scratch / "peers-venv"], check=True)
        for way, packages in PACKAGES.items():
            if not self.has((*BASE, *packages)):
                fault = self._install((*BASE, *packages))
                if fault:
                    self.missing[way] = fault
        places = [os.path.dirname(p) for p in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
        self.postgresql = places[-1] if places else os.path.dirname(shutil.which("initdb") or "")
        if not self.postgresql or not shutil.which("psql"):
            self.missing["postgresql_pgcrypto"] = "no PostgreSQL server and client on this machine"

    def has(self, packages: tuple[str, ...]) -> bool:
        """Tell whether packages are in the environment, whatever their versions."""
        names = [name.partition("<")[0].partition("=")[0] for name in packages]
        program = "import sys; from importlib.metadata import version; [version(n) for n in sys.argv[1:]]"
        return subprocess.run([self.python, "-c", program, *names], capture_output=True, check=False).returncode == 0

    def _install(self, packages: tuple[str, ...]) -> str:
        command = [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        faults = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return (faults or ["pip failed"])[-1].removeprefix("ERROR: ") if done.returncode else ""

    def run(self, way: str, source: Path, out: Path) -> dict[str, float]:
        """Let one way do its work in a process of its own.

        Raises:
            RuntimeError: it failed; with the last line it said.
        """
        python = sys.executable if way == "ours" else self.python
        script = Path(__file__).with_name("peer_ways.py")
        done = watch([python, script, way, source, out], env={"PG_BINARIES": self.postgresql})
        if done.code:
            raise RuntimeError((done.err.strip().splitlines() or [f"exit {done.code}"])[-1][:200])
        return {**json.loads(done.out.splitlines()[-1]), "peak_mib": done.peak / MIB}

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages at hand."""
        command = [self.python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
        listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        names = {name.partition("<")[0] for packages in (BASE[:1], *PACKAGES.values()) for name in packages}
        return {p["name"]: p["version"] for p in listed if p["name"].replace("_", "-") in names}


def head(source: Path, rows: int, out: Path) -> Path:
    """Write the first rows of a CSV file, if they are not there yet."""
    if not out.is_file():
        pl.scan_csv(source, infer_schema=False).head(rows).sink_csv(out)
    return out


def guarantee(peers: Peers, way: str, source: Path, hidden: Path, folder: Path) -> dict[str, float]:
    """Measure on what a way wrote what it keeps and what it loses."""
    raw = pl.read_csv(source, infer_schema=False)
    pseudonyms = _whole(hidden)
    both = raw.join(pseudonyms, on="row", suffix="_hidden")
    if both.height != raw.height:
        raise RuntimeError("rows were lost")
    shape = pl.col(SERIAL).str.replace_all("[A-Z]", "A").str.replace_all("[0-9]", "9")
    hidden_shape = pl.col(f"{SERIAL}_hidden").str.replace_all("[A-Z]", "A").str.replace_all("[0-9]", "9")
    kept = pl.col(f"{MPAN}_hidden").str.contains("^[0-9]{13}$") & (
        pl.col(MPAN).str.head(2) == pl.col(f"{MPAN}_hidden").str.head(2)
    )
    text = pl.col("address_text")
    postcode = text.str.extract(r"([A-Z0-9]+ [A-Z0-9]+)$").str.replace(" ", "")
    found = both.select(
        duplicate_mpans=pl.len() - pl.col(f"{MPAN}_hidden").n_unique(),
        duplicate_serials=pl.len() - pl.col(f"{SERIAL}_hidden").n_unique(),
        check_digit=mpan.valid(both[f"{MPAN}_hidden"]).fill_null(value=False).mean(),
        mpan_format=kept.mean(),
        serial_format=(shape == hidden_shape).mean(),
        postcode_format=postcode.str.contains(POSTCODE_PATTERN).fill_null(value=False).mean(),
        mpan_in_clear=(pl.col(MPAN) == pl.col(f"{MPAN}_hidden")).mean(),
        serial_in_clear=(pl.col(SERIAL) == pl.col(f"{SERIAL}_hidden")).mean(),
        address_in_clear=text.str.contains(pl.col("postcode"), literal=True).fill_null(value=False).mean(),
    ).row(0, named=True)
    first = raw.head(SPELT_ROWS)
    other = first.sample(fraction=1.0, shuffle=True, seed=1).select(*ADDRESS[::-1], SERIAL, MPAN, "row")
    for name, frame in (("spelt", spelt_otherwise(first)), ("elsewhere", other)):
        path, out = folder / f"{name}.csv", folder / f"{name}-{way}.parquet"
        frame.write_csv(path)
        try:
            peers.run(way, path, out)
        except RuntimeError as fault:
            found[f"{name}_fault"] = str(fault)
            continue
        matched = pseudonyms.join(_whole(out), on="row", suffix="_other")
        for column in (MPAN, SERIAL, "address_text"):
            found[f"{name}_{column}"] = (matched[column] == matched[f"{column}_other"]).mean()
    return found


def _whole(path: Path) -> pl.DataFrame:
    """Return what a way wrote, whatever stands for the address as one text."""
    frame = pl.read_parquet(path)
    rest = [c for c in frame.columns if c not in ("row", MPAN, SERIAL)]
    address = pl.concat_str([pl.col(c) for c in rest], separator=" ", ignore_nulls=True)
    return frame.select(pl.col("row").cast(pl.String), MPAN, SERIAL, address.alias("address_text"))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Install, find out how many rows each does in the time given, measure all in turn, and look at what they wrote."""
    peers, folder = Peers(given.scratch), given.scratch / "peers-work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.chmod(0o777)  # the database server, which is not root, reads and writes here
    source = inputs(given.rows, given.seed, folder)
    facts = machine()
    found: dict[str, dict[str, Any]] = {}
    failed = dict(peers.missing)
    for way in [w for w in (given.ways or WAYS) if w not in failed]:
        try:
            trial = peers.run(way, head(source, TRIAL_ROWS, folder / "trial.csv"), folder / "trial.parquet")
            second = head(source, min(given.rows, 10 * TRIAL_ROWS), folder / "trial-2.csv")
            longer = peers.run(way, second, folder / "trial.parquet")
        except RuntimeError as fault:
            failed[way] = str(fault)
            continue
        a_row = max(1e-8, longer["seconds"] - trial["seconds"]) / max(1, min(given.rows, 10 * TRIAL_ROWS) - TRIAL_ROWS)
        rows = min(given.rows, max(TRIAL_ROWS, int(given.seconds / a_row / 1000) * 1000))
        found[way] = {"rows": rows, "runs": []}
    for _ in range(given.runs):
        for way, facts_of in found.items():
            cut = head(source, facts_of["rows"], folder / f"{facts_of['rows']}.csv")
            facts_of["runs"].append(peers.run(way, cut, folder / f"{way}.parquet"))
    for way, facts_of in found.items():
        for key in ("seconds", "cpu_seconds", "peak_mib"):
            facts_of[key] = statistics.median(run[key] for run in facts_of["runs"])
        cut = folder / f"{facts_of['rows']}.csv"
        facts_of["guarantee"] = guarantee(peers, way, cut, folder / f"{way}.parquet", folder)
        sys.stderr.write(f"{way}: {facts_of['rows'] / facts_of['cpu_seconds']:,.0f} rows a CPU second\n")
    shutil.rmtree(folder)
    return {"machine": facts, "versions": peers.versions(), "runs": given.runs, "ways": found, "missing": failed}


def show(kept: dict[str, Any], *, markdown: bool) -> str:
    """Return two tables, how fast and what is kept, and why some are missing."""
    ways = kept["ways"]
    ours = ways["ours"]["cpu_seconds"] / ways["ours"]["rows"] if "ours" in ways else None
    speed, kept_rows = [], []
    for way, f in sorted(ways.items(), key=lambda pair: pair[1]["cpu_seconds"] / pair[1]["rows"]):
        a_row = f["cpu_seconds"] / f["rows"]
        speed.append(
            (
                way.replace("_", " "),
                f"{f['rows']:,}",
                f"{1 / a_row:,.0f}",
                f"{f['rows'] / f['seconds']:,.0f}",
                f"{f['peak_mib']:,.0f}",
                f"{a_row / ours:.1f}" if ours else "",
            )
        )
        kept_rows.append((way.replace("_", " "), *_kept(way, f["guarantee"])))
    speeds = ("way", "rows", "rows/CPU s", "rows/s", "peak MiB", "CPU a row, ours = 1")
    names = ("way", "MPANs that met", "at 30 M, calculated", "serials that met", "check digit valid",
             "format kept", "left in clear", "two spellings, one pseudonym", "two files, one pseudonym")  # fmt: skip
    facts = about(kept["machine"]) if markdown else json.dumps(kept["machine"])
    used = ", ".join(f"{name} {number}" for name, number in sorted(kept["versions"].items()))
    missing = [f"Not measured: {way.replace('_', ' ')} ({why})." for way, why in kept["missing"].items()]
    told = f"Medians of {kept['runs']}, in turn. Three shares stand for MPAN / serial number / address."
    parts = [facts, used, told, table(speeds, speed, markdown=markdown), table(names, kept_rows, markdown=markdown)]
    return "\n\n".join(parts + missing)


def _kept(way: str, g: dict[str, Any]) -> tuple[str, ...]:
    def shares(*names: str) -> str:
        return " / ".join(f"{g[name]:.1%}".replace(".0%", "%") if name in g else "fails" for name in names)

    pairs = NATIONAL**2 / DISTRIBUTORS / 2 / 10**10
    return (
        f"{g['duplicate_mpans']:,}",
        f"{pairs:,.0f}" if way in SQUEEZED else ("0" if g["duplicate_mpans"] == 0 else ""),
        f"{g['duplicate_serials']:,}",
        shares("check_digit"),
        shares("mpan_format", "serial_format", "postcode_format"),
        shares("mpan_in_clear", "serial_in_clear", "address_in_clear"),
        shares(f"spelt_{MPAN}", f"spelt_{SERIAL}", "spelt_address_text"),
        shares(f"elsewhere_{MPAN}", f"elsewhere_{SERIAL}", "elsewhere_address_text"),
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000, help="at most so many")
    parser.add_argument("--seconds", type=float, default=20.0, help="rows are chosen to take about this long")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what OUT.json holds and measure nothing")
    given = parser.parse_args()
    if given.show:
        kept = json.loads(given.json.read_text(encoding="utf-8"))
    else:
        if given.scratch is None:
            parser.error("give --scratch")
        given.scratch = given.scratch.resolve()
        given.scratch.mkdir(parents=True, exist_ok=True)
        kept = measure(given)
        if given.json:
            given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(show(kept, markdown=given.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
