"""Spoilt flows of every kind that an extract is read from: by the reader, and a share of them by the command.

``python -m tests.dtc.spoilt --files 10000`` spoils that many files, tells each fault when it is found, and prints how
they ended. A file's number alone decides what is done to it. One file in a hundred goes through ``datacut anonymise``;
the others through what reads the files of a source, and a fifth of them on to the pseudonyms of its rows.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import DataCutError
from contracts.load import load_all
from contracts.scheme import scheme_lists
from flows.intake import Limits, SourceFiles, SourceSpec
from flows.pseudonymise.source import pseudonymise_batch, source_columns
from tests.dtc import flow_files
from tests.dtc.test_mask_mutations import spoilt
from tests.pipeline.mutated import Form, Place, past_python, texts
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

FIELD = Path(__file__).parent / "flows"
EXTRACTS = {
    ("D0010", "002"): ("meter_reading",),
    ("D0019", "001"): ("annual_consumption",),
    ("D0036", "001"): ("half_hourly",),
    ("D0052", "001"): ("annual_consumption",),
    ("D0086", "002"): ("meter_reading",),
    ("D0149", "001"): ("register",),
    ("D0150", "002"): ("metering", "register"),
    ("D0204", "002"): ("registration",),
    ("D0217", "002"): ("registration",),
    ("D0268", "002"): ("metering", "register"),
    ("D0313", "002"): ("register",),
    ("D0379", "001"): ("half_hourly",),
}
COMMAND = 100  # every so many files one goes through the command
HIDDEN = 0.2  # share of the others whose rows are put under pseudonyms
READ, WHOLE = {0, 11, 12}, {0, 11, 12, 14, 20}  # the codes that a reader, and a run, may end with
# What of a flow may come out nowhere; an address is a pseudonym's too in some of its lines.
KINDS = frozenset({"mpan", "meter_serial", "esme_id", "name", "telephone", "email", "secret", "sensitive", "free_text"})
TELLING = 8  # characters: a shorter value may be anything


@dataclass
class Campaign:
    """What came of many spoilt files."""

    faults: list[str] = field(default_factory=list)
    codes: dict[str, Counter[int]] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    by_command: int = 0

    @property
    def total(self) -> Counter[int]:
        """Exit code -> how many files."""
        return sum(self.codes.values(), Counter())


def originals() -> list[tuple[tuple[str, ...], bytes]]:
    """Return sound flows of every kind with the extracts that they give: from the field, and made by layout."""
    found = []
    for path in sorted(FIELD.iterdir()):
        raw = path.read_bytes()
        flow = re.search(rb"ZHV\|[^|]*\|(D\d{4})(\d{3})", raw)
        assert flow is not None
        found.append((EXTRACTS[flow[1].decode(), flow[2].decode()], raw))
    for key, extracts in EXTRACTS.items():
        found += [(extracts, flow_files.make(key, random.Random(seed))) for seed in range(3)]
    return found


def identifiers(raw: bytes) -> set[str]:
    """Return what of a sound flow may not come out."""
    kind_of, label = flow_files.kinds(), ""
    found: set[str] = set()
    others: set[str] = set()
    for line in raw.decode().splitlines():
        group, *fields = line.rstrip().split("|")
        label = fields[1].strip() if group == "ZHV" else label
        for place, value in enumerate(fields, 1):
            secret = kind_of.get((label, group, place)) in KINDS
            (found if secret else others).add(value.strip())
    return {value for value in found - others if len(value) >= TELLING and any(map(str.isdigit, value))}


class Reading:
    """Reads files as a run does, up to their pseudonyms."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._contracts = folder, load_all()
        self._pseudonymiser = Pseudonymiser(FieldKeys(bytes(range(32)), "FUZZ"), lists=scheme_lists())

    def run(self, files: Sequence[bytes], extract: str, block: int, *, hide: bool) -> tuple[int, str]:
        """Return the code that a run would end with, and what it would say."""
        contract = self._contracts[extract]
        paths = [self._folder / f"{number}.usr" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        spec = SourceSpec("x", paths=tuple(paths), root=self._folder)
        try:
            source = SourceFiles([spec], layouts=contract.dtc_layouts, limits=Limits(block_bytes=block))
            with closing(source.readers()) as readers:
                for reader in readers:
                    columns = source_columns(contract, reader) if hide else None
                    for batch in reader.batches():
                        if columns is not None:
                            rows = pseudonymise_batch(batch, contract, columns, self._pseudonymiser, reader.spec)
                            assert rows.height == batch.height
        except DataCutError as fault:
            return fault.exit_code, fault.line()
        return 0, " ".join((*source.not_joined, *source.skipped))


def campaign(folder: Path, numbers: Sequence[int], heard: Callable[[], str], told: Callable[[str], object]) -> Campaign:
    """Spoil the files of some numbers and read them."""
    sound = [(extracts, raw, identifiers(raw)) for extracts, raw in originals()]
    found, reading = Campaign(), Reading(folder)
    place: Place | None = None
    for number in numbers:
        choice = random.Random(number)
        extracts, raw, names = choice.choice(sound)
        data = spoilt(raw, "mixed", choice)
        command = number % COMMAND == 0
        try:
            if command:
                (folder / "place").mkdir(exist_ok=True)
                place = place or Place(folder / "place")
                code, said, left = _by_command(place, extracts, data)
            else:
                files = [data, raw] if choice.random() < 0.2 else [data]
                block, hide = choice.choice((64, 300, 1 << 20)), choice.random() < HIDDEN
                code, said = reading.run(files, choice.choice(extracts), block, hide=hide)
                left = said
        except Exception:  # noqa: BLE001 - what may never be is told with the file's number
            code, said, left = -1, traceback.format_exc(), ""
        found.by_command += command
        found.codes.setdefault("command" if command else "reader", Counter())[code] += 1
        found.lines[re.sub("[0-9]+", "#", said)] += 1
        for fault in _faults(code, said, left + heard(), names, WHOLE if command else READ):
            found.faults.append(f"{number}: {fault}")
            told(found.faults[-1])
    return found


def _by_command(place: Place, extracts: tuple[str, ...], data: bytes) -> tuple[int, str, str]:
    form = Form("flow", extracts, "flow.usr", ([], []), lambda *_: b"")
    done = place.run(form, data)
    left = "\n".join(text for name in ("out", "work", "temporary") for _, text in texts(place.folder / name))
    return done.code, "\n".join(done.told), done.out + done.err + left


def _faults(code: int, said: str, left: str, names: set[str], allowed: set[int]) -> Iterator[str]:
    if code not in allowed:
        yield f"ended with {code}: {said[-300:]}"
    if "Traceback" in left or "panicked" in left:
        yield "a traceback"
    if any(name in left for name in names):
        yield "a raw identifier is left"


def main() -> int:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, past_python() as heard:
        numbers = range(asked.first, asked.first + asked.files)
        found = campaign(Path(folder), numbers, heard, lambda fault: print(fault, flush=True))
    took = time.monotonic() - began
    print(f"{asked.files:,} files in {took:,.0f} s, {found.by_command:,} by the command")
    for way, codes in found.codes.items():
        print(f"{way:<8} exit codes {dict(sorted(codes.items()))}")
    print(f"{len(found.faults)} faults, {len(found.lines)} different lines")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
