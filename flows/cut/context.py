"""What every stage of one cut needs: the job, its keys, its work folder, its reference data. Made once a run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from threading import RLock
from weakref import WeakKeyDictionary

import contracts
from contracts.augmentation import associations, services, tables
from contracts.augmentation.model import Associations, Services, Tables
from contracts.errors import KeyMaterialError
from contracts.load import RESULTS, load_all
from contracts.model import Contract
from contracts.overlay import NONE, Overlay, apply, read_overlay
from contracts.profiles import amount_steps, loosened, under_profile
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from flows.cut.build import source_digest, tool_version
from flows.cut.config import Job, load_cut
from flows.cut.partitions import ParticipantExtract
from flows.cut.readiness import require_unexpired
from flows.cut.records import Begun, SourceFacts
from flows.cut.secret_places import place_name
from flows.cut.self_test import self_test
from flows.cut.workspace import Workspace, partition_count
from flows.intake.market_domain_data import Reference, load_reference
from flows.keys.cut_key import REVOKED, opened_cut_key
from flows.keys.passphrase import Unlock
from flows.keys.secret_files import shown
from flows.keys.signing_key import Signer, opened_signer
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser


def cut_keys(job: Job) -> FieldKeys:
    """Read the key that ``cut.yaml`` names, in the way it names, and refuse one that is revoked.

    Raises:
        KeyMaterialError: it cannot be read or opened, is another, its fingerprint is on the list of revoked keys, or
            everybody has it.
        ConfigurationError: the cut has expired.
    """
    from flows.keys.destruction import refuse_revoked
    from flows.keys.published import refuse_published

    cut = job.model.cut
    require_unexpired(cut.expires)
    passphrase, identity = (job.path(f) if f else None for f in (cut.key_passphrase_file, cut.key_identity_file))
    given = partial(job.secret, cut.key_passphrase) if cut.key_passphrase else None
    unlock = Unlock(passphrase, identity, given)
    where = place_name(job.path(cut.key) if isinstance(cut.key, Path) else cut.key)
    keys = FieldKeys(opened_cut_key(job.secret(cut.key), cut.id, cut.fingerprint, unlock, where=where), cut.id)
    if not cut.test:
        refuse_published(keys, where)
    listed = job.path(cut.revoked_keys or Path(REVOKED))
    if cut.revoked_keys or listed.exists():
        refuse_revoked(keys.fingerprint(), listed)
    return keys


def cut_signer(job: Job) -> Signer:
    """Read the key that signs the packs of a cut.

    Raises:
        KeyMaterialError: it cannot be read or opened, or is not an Ed25519 key.
    """
    release = job.model.release
    key = job.path(release.signing_key) if isinstance(release.signing_key, Path) else release.signing_key
    passphrase = job.secret(release.signing_passphrase).strip() if release.signing_passphrase else None
    where = key.name if isinstance(key, Path) and shown(key) == str(key) else place_name(key)
    return opened_signer(job.secret(key), passphrase, where=where)


BYTES_PER_ROW = {".parquet": 60, ".gz": 40, ".tgz": 40, ".zip": 40}
PLAIN_BYTES_PER_ROW = 170


@dataclass(frozen=True, slots=True, repr=False, eq=False, weakref_slot=True)
class Context:
    """One cut in one process; never passed between processes, never stored. What is made of it once may hang from it.

    Attributes:
        contracts: of extracts, under the policy's overlay.
        released: of extracts, under its profile too, as release and return packs are treated.
        loosened: columns that the overlay lets through as they are, against the profile.
        results: of what the product makes.
        tables, associations, services: of augmentation, the cut's own where it names some.
    """

    job: Job
    keys: FieldKeys
    pseudonymiser: Pseudonymiser
    workspace: Workspace
    reference: Reference
    contracts: Mapping[str, Contract]
    released: Mapping[str, Contract]
    loosened: tuple[str, ...]
    results: Mapping[str, Contract]
    tables: Tables
    associations: Associations
    services: Services

    @property
    def extracts(self) -> list[ParticipantExtract]:
        """Every extract of every participant, in the order of the file."""
        return list(
            dict.fromkeys(
                ParticipantExtract(p.mpid, e.contract) for p in self.job.model.participants for e in p.extracts
            )
        )


def context(cut_file: str) -> Context:
    """Load ``cut.yaml``, the key and the reference data once per process and run: a worker outlives runs.

    Raises:
        ConfigurationError, KeyMaterialError, IntakeError: one of them is wrong; no row is read then.
    """
    with _LOADING:
        known = _loaded(cut_file)
        begun = _begun(known)
        if begun is not None and _OF_RUN.setdefault(known, begun) != begun:
            forget()
            known = _loaded(cut_file)
            _OF_RUN[known] = begun
        return known


@lru_cache(maxsize=1)
def _loaded(cut_file: str) -> Context:
    job = load_cut(Path(cut_file))
    return load_context(job, work_folder(job), partitions(job))


def _begun(known: Context) -> tuple[int, int] | None:
    """Return what tells the run in the work folder from others: each begins with a file of its own."""
    with contextlib.suppress(OSError):
        state = (known.workspace.root / Begun.file_name()).stat()
        return state.st_ino, state.st_mtime_ns
    return None


_LOADING = RLock()
_OF_RUN: WeakKeyDictionary[Context, tuple[int, int]] = WeakKeyDictionary()  # the run that a context was first used in


def contracts_of(job: Job) -> tuple[Mapping[str, Contract], Overlay]:
    """Return the contracts of extracts as they are written, and the overlay of the policy.

    Raises:
        ConfigurationError, ContractError: the overlay is wrong.
    """
    named, every = job.model.cut.policy.overlay, load_all()
    return every, read_overlay(job.path(named), every) if named else NONE


def load_context(job: Job, root: Path, count: int) -> Context:
    """Load what the stages of a cut need, to work in a folder of so many partitions.

    Raises:
        ConfigurationError, KeyMaterialError, IntakeError: as :func:`context`.
    """
    self_test()
    cut = job.model.cut
    keys = cut_keys(job)
    folder = job.model.reference.market_domain_data
    reference = load_reference(job.path(folder) if folder else None, cut.date)
    every, overlay = contracts_of(job)
    under = apply(every, overlay)
    profile = cut.policy.profile
    workspace = Workspace(root, count, under)
    precision = ReleasedPrecision(cut.date, amount_steps())
    pseudonymiser = Pseudonymiser(keys, cut.policy.postcode, lists=scheme_lists(), precision=precision)
    chosen = job.model.augmentation
    return Context(
        job=job,
        keys=keys,
        pseudonymiser=pseudonymiser,
        workspace=workspace,
        reference=reference,
        contracts=under,
        released=under_profile(every, profile, overlay),
        loosened=tuple(loosened(every, profile, overlay)),
        results=load_all(RESULTS),
        tables=tables(job.path(chosen.items)) if chosen.items else tables(),
        associations=associations(job.path(chosen.associations)) if chosen.associations else associations(),
        services=services(),
    )


def scan_key(known: Context) -> bytes:
    """Return the key of this run's digests of raw identifiers: from the cut key and the run's salt, and never written.

    Raises:
        KeyMaterialError: the run was begun under another key, or was not begun at all.
    """
    begun = known.workspace.recorded(Begun)
    if begun is None or begun.fingerprint != known.keys.fingerprint():
        raise KeyMaterialError(
            "this process has another cut key than the run was begun under",
            where=place_name(known.job.model.cut.key),
            remedy="give every worker the same key file",
        )
    return known.keys.field(f"leak-scan/{begun.salt}").material()


def work_folder(job: Job) -> Path:
    """Return the work folder of a cut."""
    return job.path(job.model.work) / job.model.cut.id


def partitions(job: Job) -> int:
    """Return how many partitions the cut is worked in, from the sizes of its registrations."""
    if job.model.partitions:
        return job.model.partitions
    rows = 0
    for participant in job.model.participants:
        for extract in participant.extracts:
            if extract.contract == "registration":
                sizes = [(p.suffix, p.stat().st_size) for p in job.files(participant, extract) if p.is_file()]
                rows += sum(size // BYTES_PER_ROW.get(suffix, PLAIN_BYTES_PER_ROW) for suffix, size in sizes)
    return partition_count(rows)


def run_digest(known: Context) -> str:
    """Return a digest of all that a run depends on: a work folder of the same digest is gone on with.

    It covers ``cut.yaml``, contracts, tables, the product's version, the key's fingerprint, and of each source its
    size and time of change; nothing of what a source holds.
    """
    root, model = Path(contracts.__file__).parent, known.job.model
    own = [model.cut.policy.overlay, model.augmentation.items, model.augmentation.associations]
    rules = {str(p.relative_to(root)): _digest(p) for p in sorted(root.rglob("*.yaml")) + sorted(root.rglob("*.csv"))}
    sources = []
    for participant in known.job.model.participants:
        for extract in participant.extracts:
            states = [path.stat() for path in known.job.files(participant, extract) if path.exists()]
            sources.append([participant.mpid, extract.contract, *([s.st_size, s.st_mtime_ns] for s in states)])
    whole = [
        tool_version(),
        source_digest(),
        _digest(known.job.file),
        [path and _digest(known.job.path(path)) for path in own],
        known.keys.fingerprint(),
        known.workspace.partitions,
        rules,
        dict(known.reference.digests),
        [_digest(path) for path in _given(known.job)],
        sources,
    ]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _given(job: Job) -> list[Path]:
    """Return the mapping tables and files of industry standing data that augmentation reads."""
    model = job.model
    named = [*model.augmentation.services, *model.augmentation.dip_ids]
    named += [path for p in model.participants for path in (p.services, p.dip_ids) if path]
    found = [job.path(path) for path in named]
    if model.reference.industry_standing_data:
        place = job.path(model.reference.industry_standing_data)
        found += sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    return [path for path in found if path.is_file()]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def now() -> str:
    """Return the time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def forget() -> None:
    """Drop the context of this process: keys and tables go with it."""
    _loaded.cache_clear()


def sources_of(known: Context) -> list[SourceFacts]:
    """Return the facts of every source that was read, in the order of the file."""
    found = [known.workspace.recorded(SourceFacts, h.participant, h.extract) for h in known.extracts]
    return [facts for facts in found if facts]
