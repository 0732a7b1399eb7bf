"""Takes a participant's submission pack in place of a backup: believed only once signature, digests and key hold.

What the pack releases is staged as if it had just been pseudonymised. What it excludes stays excluded, for everybody,
with the participant's own reasons, and is counted: rows in = rows released + rows excluded, here too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow.parquet as pq

from contracts.errors import IntakeError, KeyMaterialError, RefusedError
from contracts.evidence import Accounting, Evidence, PolicyEvidence
from contracts.evidence_inputs import InputEvidence
from contracts.model import Contract, Rule
from contracts.scheme import scheme_lists
from contracts.vocabulary import Classification, Method, RuleStage
from flows.cut.config import Cut, ExtractConfig, Job, Participant
from flows.cut.partitions import ROW, STAGED, SUBMITTED, TOLD, ParticipantExtract, PartitionWriter, write_exclusions
from flows.cut.progress import Progress, silent
from flows.cut.records import SourceFacts, TreatedColumns
from flows.cut.registers import successors
from flows.cut.workspace import Workspace
from flows.keys.signing_key import load_public
from flows.pack import bag
from flows.pack.held_files import HeldFiles
from flows.pack.verify import VerificationPolicy, verify_pack
from flows.pseudonymise.source import check_cut_date
from transforms.pseudonymise.keys import SCHEME, FieldKeys
from transforms.quality import exclusions
from transforms.quality.blame import BLAMED
from transforms.quality.rules import fault_masks, judged_again
from transforms.release.submission_check import TOLD as COLUMNS_TOLD
from transforms.release.submission_check import unlike_excluded, unlike_staged, unlike_told
from transforms.succession import carried_over

BATCH = 131_072
CHANGED = tuple(method for method in Method if method not in (Method.KEEP, Method.PSEUDONYMISE))
EXCLUDED_COLUMNS = ("mpan_core", "token", "first_cause", "reasons")
Entry = TypeVar("Entry", Accounting, InputEvidence)


@lru_cache(maxsize=64)
def verified(pack: Path, public_key: Path, cut_id: str) -> tuple[Evidence, HeldFiles]:
    """Return the evidence and the files of a pack that holds; each pack is verified once per process.

    Raises:
        PackFaultError: it does not hold. KeyMaterialError: the public key cannot be read.
    """
    found = verify_pack(pack, [load_public(public_key)], VerificationPolicy(cut_id=cut_id))
    return found.sealed, HeldFiles.of(pack, found.tagmanifest_sha256)


def refuse_foreign(evidence: Evidence, cut: Cut, keys: FieldKeys, *, where: str) -> None:
    """Refuse a pack of another kind, day, scheme or key.

    Raises:
        RefusedError: it is no submission of this cut. KeyMaterialError: it was made under another key.
    """
    if evidence.kind != "submission":
        raise RefusedError(f"is a {evidence.kind} pack, not a submission", where=where, remedy="ask for the submission")
    check_cut_date(evidence.cut.date, cut.date, where=where)
    if evidence.scheme != SCHEME:
        raise RefusedError("was made under another pseudonym scheme", where=where)
    if evidence.key_fingerprint != keys.fingerprint():
        raise KeyMaterialError(
            f"was made under another key: its fingerprint is {evidence.key_fingerprint}, not {keys.fingerprint()}",
            where=where,
            remedy="all participants of a cut use one key",
        )


def take_submission(
    job: Job,
    participant: Participant,
    extract: ExtractConfig,
    *,
    keys: FieldKeys,
    workspace: Workspace,
    contract: Contract,
    progress: Progress = silent,
    **_: object,
) -> SourceFacts:
    """Verify a submission pack and stage one extract of it; the counterpart of ``pseudonymise_source``.

    Rules of intake that need no raw value are judged again. Records the others, and which columns the participant's
    policy hid or changed: what rules say that read them is the participant's word, and is told as such.

    Columns out: room ``staged`` as there; room ``submitted``: rows that the participant excluded (pseudonym or keyed
    token, and reasons); room ``told``: which rules its own rows break, as it tells.

    Raises:
        PackFaultError, RefusedError, KeyMaterialError: the pack is not to be believed or not of this cut.
        IntakeError: it lacks the extract.
    """
    where = f"{participant.mpid}/{extract.contract}"
    source = extract.source
    if source.pack is None or source.public_key is None:
        raise IntakeError("names no pack", where=where)
    pack = job.path(source.pack)
    evidence, files = verified(pack, job.path(source.public_key), job.model.cut.id)
    refuse_foreign(evidence, job.model.cut, keys, where=where)
    counts = _entry(evidence.accounting, participant, extract, where)
    inputs = _entry(evidence.inputs, participant, extract, where)
    _same_contract(evidence, contract, where)
    changed = treated_columns(evidence.policy, contract, where)
    again = judged_again(contract, changed)
    taken = successors(job.model.succession, job.model.cut.date)
    read = partial(_read, files, contract, taken, where)
    staged = _stage(read, contract, again, workspace, where, progress)
    gone = _keep_excluded(files, workspace, where)
    _keep_told(files, contract, workspace, where)
    stated = tuple(rule.id for rule in contract.rules_at(RuleStage.INTAKE) if rule not in again)
    workspace.record(TreatedColumns(columns=changed, stated=stated), participant.mpid, extract.contract)
    if (staged, gone) != (counts.released, counts.excluded):
        raise RefusedError("holds other numbers of rows than its evidence says", where=where)
    return SourceFacts.of(inputs, rows=staged + gone)


def _entry(entries: Sequence[Entry], participant: Participant, extract: ExtractConfig, where: str) -> Entry:
    for entry in entries:
        if (entry.participant, entry.extract) == (participant.mpid, extract.contract):
            return entry
    raise IntakeError("is not in the pack", where=where, remedy="see what the pack's evidence says of its inputs")


def treated_columns(policy: PolicyEvidence | None, contract: Contract, where: str) -> tuple[str, ...]:
    """Return the columns of a pack that are not what rules were judged on, by the policy that its evidence states.

    An identifier that the contract itself replaces by a token is judged as that token, there as here.

    Raises:
        RefusedError: the evidence does not state the treatment of a column.
    """
    stated = ((policy and policy.extracts) or {}).get(contract.extract, {})
    found = []
    for column in contract.staged:
        if column.name not in stated:
            raise RefusedError(
                f"does not state what was done to {column.name}",
                where=where,
                remedy="ask for a pack made by datacut anonymise",
            )
        said = stated[column.name]
        words = said if isinstance(said, str) else said.treatment
        own = column.classification is Classification.IDENTIFIER and words == column.treatment.describe()
        if words.partition(" ")[0] in CHANGED and not own:
            found.append(column.name)
    return tuple(found)


def _same_contract(evidence: Evidence, contract: Contract, where: str) -> None:
    theirs = {c.extract: (c.version, c.sha256) for c in evidence.contracts or ()}
    version, digest = theirs.get(contract.extract, (None, None))
    remedy = "use one release of the product on both sides"
    if version != contract.version:
        told = f"was made under version {version} of the contract, here it is {contract.version}"
        raise RefusedError(told, where=where, remedy=remedy)
    if digest != contract.digest:
        told = f"was made under another contract that calls itself version {version} too"
        raise RefusedError(told, where=where, remedy=remedy)


def _frames(
    files: HeldFiles, room: str, where: str, fits: Callable[[Sequence[str]], bool], otherwise: str
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a verified file, if the pack has it, through the descriptor that was verified."""
    path = f"{room}/{where}.parquet"
    if path not in files:
        return
    with files.open(path) as stream:
        file = pq.ParquetFile(stream)
        if not fits(file.schema_arrow.names):
            raise RefusedError(otherwise, where=where)
        for batch in file.iter_batches(batch_size=BATCH):
            yield pl.DataFrame(batch)


def _read(files: HeldFiles, contract: Contract, taken: Mapping[str, str], where: str) -> Iterator[pl.DataFrame]:
    """Yield the released rows; columns that the participant's policy dropped are empty."""
    fits = partial(_fits, {c.name for c in contract.staged})
    for held in _frames(files, bag.PAYLOAD, where, fits, "has other columns than its contract"):
        missing = [pl.lit(None, pl.String).alias(c.name) for c in contract.staged if c.name not in held.columns]
        frame = held.with_columns(missing).select(*(c.name for c in contract.staged))
        _refuse_foreign_values(unlike_staged(frame, contract, scheme_lists()), where)
        yield carried_over(frame, contract, taken)


def _stage(
    read: Callable[[], Iterator[pl.DataFrame]],
    contract: Contract,
    again: Sequence[Rule],
    workspace: Workspace,
    where: str,
    progress: Progress,
) -> int:
    """Stage the released rows, and judge some rules again."""
    participant, extract = where.split("/")
    writer = PartitionWriter(workspace, STAGED, participant, extract)
    rows = 0
    masks = [*fault_masks(contract, again), pl.lit(0, pl.UInt64).alias(BLAMED)]
    for frame in read():
        writer.add(
            frame.with_columns(pl.lit(None, pl.String).alias("_token"), *masks, pl.lit(None, pl.UInt64).alias(ROW))
        )
        rows += frame.height
        progress(where, rows)
    writer.close()
    return rows


def _fits(known: Collection[str], names: Sequence[str]) -> bool:
    return set(names) <= set(known) and "mpan_core" in names


def _refuse_foreign_values(columns: Sequence[str], where: str) -> None:
    if columns:
        raise RefusedError(
            f"holds values that datacut does not write, in {', '.join(columns)}",
            where=where,
            remedy="ask for a pack made by datacut anonymise",
        )


def _keep_excluded(files: HeldFiles, workspace: Workspace, where: str) -> int:
    participant, extract = where.split("/")
    writer = PartitionWriter(workspace, SUBMITTED, participant, extract)
    rows = 0
    odd = "has other columns of excluded rows than datacut writes"
    for frame in _frames(files, "excluded", where, lambda names: tuple(names) == EXCLUDED_COLUMNS, odd):
        _refuse_foreign_values(unlike_excluded(frame), where)
        writer.add(frame)
        rows += frame.height
    writer.close()
    return rows


def _keep_told(files: HeldFiles, contract: Contract, workspace: Workspace, where: str) -> None:
    """Take over which rules the participant's own rows break, for its feedback; nothing is decided by it."""
    writer = PartitionWriter(workspace, TOLD, *where.split("/"))
    odd = "has other columns of faults than datacut writes"
    for frame in _frames(files, bag.FEEDBACK, where, lambda names: tuple(names) == COLUMNS_TOLD, odd):
        _refuse_foreign_values(unlike_told(frame, contract), where)
        writer.add(frame)
    writer.close()


def exclude_submitted(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> None:
    """Exclude, for every participant, the metering points that participants excluded in their submissions."""
    for number in range(workspace.partitions):
        parts = [
            frame.filter(pl.col("mpan_core").is_not_null()).select(
                "mpan_core", "first_cause", "reasons", pl.lit(h.extract).alias("extract")
            )
            for h in sorted(extracts, key=lambda h: exclusions.precedence(h.extract))
            if (frame := workspace.scan(SUBMITTED, h.participant, h.extract, number)) is not None
        ]
        if parts:
            out = pl.concat(parts).unique("mpan_core", keep="first", maintain_order=True).sort("mpan_core").collect()
            write_exclusions(workspace, SUBMITTED, number, out)
