"""The participant's side of a return: its own records, and what was added to them, under its real MPANs again.

Nothing is decrypted. The pseudonyms of the own backup are computed anew under the cut key and met with the pack's, so
a participant gets back what it sent and nothing else. Load files are readable by their owner alone; they appear
together or not at all.

Source: domain 9.2 (the mapping is the participant's own), Q62, Q63.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, EvidenceError, IntakeError, RefusedError
from contracts.evidence import Evidence
from contracts.evidence_inputs import InputEvidence, SourceFormEvidence
from contracts.evidence_results import ItemCountsEvidence
from contracts.json_types import JsonObject
from contracts.model import plain
from contracts.profiles import amount_steps
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from contracts.vocabulary import PostcodePolicy
from flows.cleanse.listing import CleanseList
from flows.cut.config import load_cut
from flows.cut.progress import Progress, silent
from flows.intake import SourceSpec
from flows.intake.files import CLEANSE
from flows.keys.signing_key import PublicKey
from flows.pack.held_files import StillPack
from flows.pack.previous import read_evidence
from flows.pack.verify import VerificationPolicy, hold_together, verify_pack
from flows.pack.writer import private_folder
from flows.restore.augmented import restore_items
from flows.restore.backup import RestoredExtract
from flows.restore.extracts import RestoredRows, restore_extract
from flows.restore.real_values import RealValues
from flows.restore.step_names import StepNames
from transforms.pseudonymise.keys import SCHEME, FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.succession import latest
from transforms.treatment.companions import heads

REPORT = "restore.json"


@dataclass(slots=True)
class Restored:
    """What came back.

    Attributes:
        participant: whose records they are.
        extracts: per extract, rows in the backup, returned, excluded by reason, and what did not match.
        items: per item, how many values are present by source, absent or undecided.
        files: names of the load files.
        faults: lines of ``cleanse.csv``.
        precise: dates and amounts of tables that are as they really are again, and those that stay as released.
        verified: whether the pack's signature was checked.
    """

    participant: str
    cut: str
    verified: bool
    extracts: list[RestoredRows] = field(default_factory=list)
    items: tuple[ItemCountsEvidence, ...] = ()
    files: list[str] = field(default_factory=list)
    faults: int = 0
    precise: dict[str, int] = field(default_factory=dict)

    @property
    def mismatches(self) -> int:
        """How many records of pack and backup did not match."""
        return sum(e.differing + e.only_in_pack for e in self.extracts)

    def document(self) -> JsonObject:
        """Return the report as plain values; it holds counts and names of columns alone."""
        return {
            "participant": self.participant,
            "cut": self.cut,
            "verified": self.verified,
            "extracts": [entry.model_dump(mode="json") for entry in self.extracts],
            "items": [item.model_dump(mode="json") for item in self.items],
            "files": [*sorted(self.files)],
            "faults": self.faults,
            "dates_and_amounts": {**self.precise},
        }


def open_return(pack: Path, public_keys: list[PublicKey]) -> tuple[Evidence, bool]:
    """Return the evidence of a return pack, and whether a signature vouches for it.

    Raises:
        PackFaultError, EvidenceError: the pack does not hold. RefusedError: it is no return pack.
    """
    if public_keys:
        evidence = verify_pack(pack, public_keys, VerificationPolicy()).sealed
    else:
        hold_together(pack)
        evidence = read_evidence(pack)
    if evidence.kind != "return":
        raise RefusedError(f"is a {evidence.kind} pack, not a return", where=pack.name)
    if evidence.scheme != SCHEME:
        raise RefusedError("was made under another pseudonym scheme", where=pack.name)
    if len({entry.participant for entry in evidence.inputs}) != 1:
        raise EvidenceError("is not about one participant", where=pack.name)
    return evidence, bool(public_keys)


def restore(
    pack: Path,
    backup: Path,
    out: Path,
    read_keys: Callable[[str, str], FieldKeys],
    public_keys: list[PublicKey],
    progress: Progress = silent,
) -> Restored:
    """Write load files of a return pack into a new folder.

    Args:
        backup: the folder that holds the files of the backup, or the ``cut.yaml`` they were read by.
        read_keys: cut id and fingerprint -> the cut's keys; a wrong key is refused before a row is read.

    Raises:
        PlaceError: the folder exists already, or the disk is unfit.
        IntakeError: a file of the backup is missing or cannot be read.
        KeyMaterialError, EvidenceError, RefusedError: key or pack are not to be used, or the backup is another's.
    """
    still = StillPack(pack)
    evidence, verified = open_return(pack, public_keys)
    cut = evidence.cut.id
    keys = read_keys(cut, evidence.key_fingerprint)
    stated = evidence.policy.postcode if evidence.policy else None
    policy = PostcodePolicy(stated or PostcodePolicy.OUTWARD)
    precision = ReleasedPrecision(date.fromisoformat(evidence.cut.date), amount_steps())
    pseudonymiser = Pseudonymiser(keys, policy, lists=scheme_lists(), precision=precision)
    participant = evidence.inputs[0].participant
    augmented = pack / "data" / participant / "augmented.parquet"
    if augmented.is_file():  # dates of metering points that share a meter were moved together
        pseudonymiser = pseudonymiser.together(heads(pl.scan_parquet(augmented)))
    sources = {entry.extract: sources_of(backup, participant, entry) for entry in evidence.inputs}
    found = Restored(participant, cut, verified)
    with private_folder(out) as folder, CleanseList(folder / CLEANSE) as cleanse:
        real, values = None, RealValues(StepNames.of(pack, participant))
        for entry in evidence.inputs:
            as_of = date.fromisoformat(evidence.cut.date)
            taken = latest({one.mpid: one.successor for one in evidence.succession or ()})
            specs = tuple(replace(spec, as_of=as_of, successors=taken) for spec in sources[entry.extract])
            extract = RestoredExtract(pack, participant, entry, evidence, specs)
            rows = restore_extract(extract, folder, pseudonymiser, progress, cleanse, values)
            found.extracts.append(rows.facts)
            found.files += rows.files
            if not rows.facts.returned and rows.facts.only_in_pack:
                remedy = "name the backup that this return was made from"
                where = f"{participant}/{extract.name}"
                raise RefusedError("no record of the pack is of this backup", where=where, remedy=remedy)
            real = rows.real if real is None else real.joined(rows.real)
        found.files, found.faults = [*_once(folder, found.files), CLEANSE], cleanse.found.lines
        if real is not None:
            items, files = restore_items(pack, participant, evidence, real, values, folder)
            found.items, found.files = items, [*found.files, *files]
        found.precise = {"back": values.back, "as_released": values.left}
        text = json.dumps(found.document(), indent=2, sort_keys=True)
        (folder / REPORT).write_text(f"{text}\n", encoding="utf-8")
        still.require()
    return found


def _once(folder: Path, files: list[str]) -> list[str]:
    """Keep one load file of a DTC file from which several extracts were read, under the names of all of them.

    What came as several files stays file for file, in the folder of its extract, or of its extracts.
    """
    kept: list[str] = []
    for name in files:
        place = _place_of(name)
        twin = next((k for k in kept if _place_of(k) == place and _same_flow(folder / k, folder / name)), None)
        if twin is None:
            kept.append(name)
            continue
        joined = f"{_extracts_of(twin)}-{_extracts_of(name)}{place}"
        (folder / joined).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / name).unlink()
        (folder / twin).rename(folder / joined)
        _tidy(folder, name, twin)
        kept[kept.index(twin)] = joined
    return kept


def _place_of(name: str) -> str:
    """Return what follows the extract in the name of a load file: its ending, or its place below the folder."""
    return name[len(_extracts_of(name)) :]


def _extracts_of(name: str) -> str:
    first, divided, _ = name.partition("/")
    return first if divided else first.partition(".")[0]


def _same_flow(one: Path, other: Path) -> bool:
    """Tell whether two load files are the same flow; one of which nothing came back is empty."""
    with open(one, "rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \r\n")
    return (not head or head.startswith(b"ZHV|")) and filecmp.cmp(one, other, shallow=False)


def _tidy(folder: Path, *names: str) -> None:
    """Remove the folders that are empty now."""
    for name in names:
        for above in list((folder / name).relative_to(folder).parents)[:-1]:
            if not any((folder / above).iterdir()):
                (folder / above).rmdir()


def sources_of(backup: Path, participant: str, entry: InputEvidence) -> tuple[SourceSpec, ...]:
    """Return where one extract of the backup lies: beside each other in a folder, or as a ``cut.yaml`` says.

    Raises:
        IntakeError: the folder has no such file. ConfigurationError: the ``cut.yaml`` names no such source.
    """
    label = f"{participant}/{entry.extract}"
    if backup.is_file():
        job = load_cut(backup)
        specs = tuple(
            job.source(member, extract)
            for member in job.model.participants
            for extract in member.extracts
            if (member.mpid, extract.contract) == (participant, entry.extract) and not extract.source.pack
        )
        if specs:
            return specs
        raise ConfigurationError("names no backup of this extract", where=f"{backup.name}, {label}")
    how = entry.source_form or SourceFormEvidence()
    like = SourceSpec(
        name=label,
        form=entry.form,
        encoding=how.encoding or "auto",
        delimiter=(how.delimiter or "auto") if entry.form == "csv" else "auto",
        quote=how.quote or "double",
        dates=how.dates or {},
        root=backup,
        columns=_own_names(entry),
        harmless=entry.dropped,  # what was dropped once may be there again
    )
    if not entry.files:
        return (replace(like, path=_place(backup, participant, entry.file, label), file=entry.file),)
    files = {_on_disk(backup, participant, file.name, label): None for file in entry.files}
    return (replace(like, form="auto", encoding="auto", delimiter="auto", paths=tuple(files)),)


def _own_names(entry: InputEvidence) -> Mapping[str, str]:
    """Return the columns that only the participant's ``cut.yaml`` told: no name of our list led to their headings."""
    names = entry.columns.items()
    return {n: heading for n, heading in names if entry.aliases.get(n) == n and plain(heading) != plain(n)}


def _place(backup: Path, participant: str, name: str, label: str) -> Path:
    """Return the place of a file in the folder of a backup."""
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    for place in (backup / name, backup / participant / name) if inside else ():
        if place.exists():
            return place
    raise IntakeError(f"the backup has no file {name!r}", where=label, remedy="name its folder, or its cut.yaml")


def _on_disk(backup: Path, participant: str, name: str, label: str) -> Path:
    """Return the file on disk that a file of a source is or lies in: a member stands behind its archive's name."""
    parts = Path(name).parts
    for count in range(1, len(parts)):
        for folder in (backup, backup / participant):
            place = folder.joinpath(*parts[:count])
            if place.is_file() and ".." not in parts:
                return place
    return _place(backup, participant, name, label)
