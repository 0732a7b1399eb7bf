"""What a run would say of a cut, from the first rows of each source, before anything is published.

The same code reads, conforms, pseudonymises and judges as in the run, in a folder of its own that goes with the check.
Rules that look things up in an extract of which only the first rows were read are not judged, and said by name.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from contracts.errors import DataCutError
from contracts.evidence import RuleCountEvidence
from contracts.vocabulary import Effect
from flows.cleanse.listing import Cleansed, cleanse_file
from flows.cleanse.verdicts import write_cleanse
from flows.cut.config import Job, Participant, load_cut
from flows.cut.context import Context, load_context, partitions
from flows.cut.deliveries import note
from flows.cut.partitions import JUDGED, STAGED, ParticipantExtract
from flows.cut.progress import Progress, silent
from flows.cut.records import SourceFacts
from flows.cut.workspace import disk
from flows.files import partial_folder
from flows.intake import FirstRows
from flows.intake.files import expand
from flows.pipeline import require_ready
from flows.pseudonymise.source import pseudonymise_source
from flows.pseudonymise.submission import exclude_submitted, take_submission
from flows.quality import coincident, exclusions, rule_counts, verdicts
from flows.quality.cross_partition import ALL
from flows.quality.limits import require_enough, require_rows

ROWS = 100_000  # of each source
GIB = 1 << 30
REST_OF_RUN = 2.0  # seconds of a run for each second that reading and judging its rows takes; docs/performance.md
ON_DISK = 1.8  # bytes of work folder and pack for each byte of judged rows: 1.6 at 75,000 rows of all extracts
MEMORY = 2 * GIB  # what a participant's job takes at most (docs/performance.md)
START, A_ROW = 340 << 20, 1_600  # bytes of memory that it takes without rows, and for each row: 448 MB at 75,000
OLD = 120  # days after which a cut date is worth a word
OWN_MPID = {"portfolio": ("supplier_mpid", "supplier"), "registration": ("distributor_mpid", "distributor")}
MPID = "^[A-Z0-9]{4}$"


@dataclass(slots=True)
class CheckedSource:
    """One extract of one participant.

    Attributes:
        facts: what was read; ``None`` where it cannot be.
        fault: why it cannot be, or why a run would refuse it.
        first: what of it was read.
        rules: counts of the rules.
        size: bytes on disk. estimate: rows of the whole source, about.
        notes: what a person should look at.
    """

    source: ParticipantExtract
    first: FirstRows
    size: int = 0
    estimate: int = 0
    facts: SourceFacts | None = None
    fault: DataCutError | None = None
    rules: list[RuleCountEvidence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes:
        faults: what would end a run, in the order in which it would meet them.
        notes: what a person should look at, of the cut as a whole.
        cleanse: the participant's own list, where rows could be judged.
        seconds, disk, memory: what the run will need, about; memory and disk in bytes.
        free_disk, free_memory: what the machine has.
    """

    sources: list[CheckedSource] = field(default_factory=list)
    faults: list[DataCutError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cleanse: Cleansed | None = None
    fingerprint: str = ""
    seconds: float = 0.0
    disk: int = 0
    memory: int = MEMORY
    free_disk: int = 0
    free_memory: int = 0

    @property
    def exit_code(self) -> int:
        """The code that the run would end with, as far as these rows tell."""
        return self.faults[0].exit_code if self.faults else 0


def check(cut_file: Path, *, rows: int | None = ROWS, progress: Progress = silent) -> Checked:
    """Judge a cut without publishing anything.

    Args:
        rows: of each source; ``None`` for all.

    Raises:
        ConfigurationError, KeyMaterialError, IntakeError, PlaceError: no row can be read: cut.yaml, key, reference
            data or place are not in order.
    """
    began = time.monotonic()
    job = load_cut(cut_file)
    with _scratch(job) as folder:
        known = load_context(job, folder, 1 if rows is not None else partitions(job))
        found = Checked(fingerprint=known.keys.fingerprint())
        ready = time.monotonic()
        with disk(cleanse_file(job)):
            cleanse_file(job).unlink(missing_ok=True)
        found.notes += _of_cut(known)
        try:
            require_ready(known, "submission")
        except DataCutError as fault:
            found.faults.append(fault)
        for h in known.extracts:
            found.sources.append(_read(known, h, rows, progress))
        read = [each for each in found.sources if each.facts is not None]
        found.faults += [each.fault for each in found.sources if each.fault is not None]
        if read:
            _judge(known, found, read)
        _estimate(known, found, ready - began, time.monotonic() - ready)
    return found


@contextmanager
def _scratch(job: Job) -> Iterator[Path]:
    """Give a folder that its owner alone can look into; it goes with the check."""
    beside = job.path(job.model.work)
    with ExitStack() as held:
        with disk(beside):
            beside.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = held.enter_context(partial_folder(beside / f"{job.model.cut.id}-check"))
        yield folder


def _of_cut(known: Context) -> list[str]:
    """Return what the cut as a whole should be looked at for: its date against the clock, its key."""
    cut, today = known.job.model.cut, datetime.now(UTC).date()
    notes = []
    if cut.date > today:
        notes.append(f"the cut date {cut.date} is in the future, today is {today}")
    elif (today - cut.date).days > OLD:
        notes.append(f"the cut date {cut.date} is {(today - cut.date).days:,} days ago, today is {today}")
    if cut.expires is not None and cut.expires < today:
        notes.append(f"the cut expired on {cut.expires}")
    if cut.fingerprint is None:
        notes.append(
            "cut.fingerprint is not set: a wrong key would not be noticed; compare the fingerprint below with the one "
            "that the programme announced"
        )
    if known.job.model.reference.market_domain_data is None:
        notes.append("there is no reference.market_domain_data: codes are not held against Market Domain Data")
    return notes


def _read(known: Context, h: ParticipantExtract, rows: int | None, progress: Progress) -> CheckedSource:
    job = known.job
    participant = next(p for p in job.model.participants if p.mpid == h.participant)
    entries = job.entries(participant, h.extract)
    sizes = [p.stat().st_size for entry in entries for p in job.files(participant, entry) if p.is_file()]
    found = CheckedSource(h, FirstRows(rows), size=sum(sizes))
    found.notes += _of_role(participant, known.contracts[h.extract].role, h)
    take = take_submission if entries[0].source.pack else pseudonymise_source
    try:
        found.first.files = max(
            1, sum(len(expand(job.source(participant, e))[0]) for e in entries if not e.source.pack)
        )
        facts = take(
            job, participant, entries[0], keys=known.keys, pseudonymiser=known.pseudonymiser,
            workspace=known.workspace, contract=known.contracts[h.extract], progress=progress, first=found.first,
        )  # fmt: skip
    except DataCutError as fault:
        found.fault = fault
        note(job, participant, h.extract, "refused", line=fault.line())
        return found
    note(job, participant, h.extract, "checked", rows=facts.rows)
    known.workspace.record(facts, h.participant, h.extract)
    found.facts = facts
    found.estimate = facts.rows
    if found.first.cut and found.first.rows:
        packed = facts.form == "parquet" or (found.size and found.first.text > found.size)
        bytes_per_row = found.first.text / found.first.rows / (6 if packed else 1)
        found.estimate = max(facts.rows, int(found.size / max(bytes_per_row, 1)))
    return found


def _of_role(participant: Participant, role: str, h: ParticipantExtract) -> list[str]:
    if role.upper() in participant.sender_roles:
        return []
    return [f"{h.participant} has the role {participant.role}; {h.extract} is what a {role} sends"]


def _judge(known: Context, found: Checked, read: list[CheckedSource]) -> None:
    """Judge the rows that were read, count the rules, list what to cleanse, and hold the limits against them."""
    workspace, cut = known.workspace, known.job.model.cut
    extracts = [each.source for each in read]
    in_part = {each.source.extract for each in found.sources if each.facts is None or each.first.cut}
    names = verdicts.write_tables(workspace, extracts, known.reference.tables, cut.date)
    workspace.record(names)
    shared = verdicts.read_tables(workspace, known.reference.tables)
    shared = {name: table for name, table in shared.items() if name.removeprefix(ALL) not in in_part}
    for number in range(workspace.partitions):
        verdicts.judge_partition(workspace, extracts, number, shared, cut.date, in_part)
        workspace.discard(STAGED, number)
    exclude_submitted(workspace, extracts)
    workspace.record(coincident.exclude(workspace, extracts, known.pseudonymiser))
    exclusions.cascade(workspace, exclusions.stated_links(workspace, extracts))
    counts = rule_counts.count_rules(workspace, extracts, set(shared), in_part=in_part, twice=False)
    workspace.record(counts)
    for each in read:
        mine = (each.source.participant, each.source.extract)
        each.rules = [entry for entry in counts.entries if (entry.participant, entry.extract) == mine]
        each.notes += _of_mpids(known, each.source)
    found.cleanse = write_cleanse(known, {each.source: each.first for each in read})
    if all(each.facts is not None for each in found.sources):
        for require in (require_rows, require_enough):
            try:
                require(known)
            except DataCutError as fault:
                found.faults.append(fault)
                break


def _of_mpids(known: Context, h: ParticipantExtract) -> list[str]:
    """Hold the MPIDs that the rows of an extract give their sender against the participant."""
    column, what = OWN_MPID.get(h.extract, ("", ""))
    total, own, others = 0, 0, dict[str, int]()
    for number in range(known.workspace.partitions) if column else ():
        frame = known.workspace.scan(JUDGED, h.participant, h.extract, number)
        if frame is None or column not in frame.collect_schema().names():
            continue
        counts = frame.select(pl.col(column).drop_nulls()).collect()[column].value_counts()
        for mpid, count in counts.filter(pl.col(column).str.contains(MPID)).iter_rows():
            total += count
            own += count if mpid == h.participant else 0
            if mpid != h.participant:
                others[mpid] = others.get(mpid, 0) + count
    if own == total:
        return []
    most = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    named = ", ".join(f"{mpid} {count:,}" for mpid, count in most)
    doubt = ": is this the backup of another participant, or the MPID wrong?" if own * 2 < total else ""
    return [f"{own:,} of {total:,} rows have {h.participant} as {what}, others {named}{doubt}"]


def _estimate(known: Context, found: Checked, start: float, took: float) -> None:
    """Estimate what the run will need from what the check took: to start, and for the rows that it read."""
    rows = sum(each.facts.rows for each in found.sources if each.facts)
    every = sum(max(each.estimate, 1) for each in found.sources)
    judged = sum(path.stat().st_size for path in known.workspace.root.rglob("*.arrow"))
    share = every / max(rows, 1)
    found.seconds = start + took * share * REST_OF_RUN
    found.memory = min(MEMORY, START + A_ROW * every)
    found.disk = int(judged * share * ON_DISK)
    place = known.job.path(known.job.model.work)
    found.free_disk = shutil.disk_usage(place).free
    found.free_memory = _memory()
    if found.disk > found.free_disk:
        found.notes.append("the disk has less room than the run needs, about")
    if 0 < found.free_memory < found.memory:
        found.notes.append("the machine has less memory free than the run may need")


def _memory() -> int:
    """Return the memory that the machine has free, or all of it; 0 where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def excluded(entries: list[RuleCountEvidence]) -> list[RuleCountEvidence]:
    """Return the rules that some row breaks, those that exclude first, the most frequent first."""
    broken = [entry for entry in entries if entry.failed]
    return sorted(broken, key=lambda entry: (entry.effect != Effect.EXCLUDE.value, -entry.failed, entry.rule))
