"""How packs follow from one another: what a pack was made from, and what an earlier cut's pack counted."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from contracts.errors import EvidenceError
from contracts.evidence import Baseline, Evidence, PackReference, RowTotals, RuleTotals
from flows.pack import bag
from flows.pack.bag import PackFault
from flows.pack.checks import Check, contents_check, open_pack, structure_check
from flows.pack.schema import parse_evidence
from transforms.release.attestation import strict_json


def links_check(previous: Sequence[Path], evidence: Evidence) -> Check:
    """Check packs at hand against the chain: a link vouches for a tag manifest, that for every file of the pack.

    The evidence of a pack that holds names further links, so a return leads to its release and that to the
    submissions, with no key but the one that signed the return.
    """
    links = {made.tagmanifest_sha256 for made in evidence.previous or ()}
    direct = len(links)
    waiting, faults = dict.fromkeys(previous), []
    moved = True
    while waiting and moved:
        moved = False
        for root in list(waiting):
            found = _follow(root, links)
            if found is None:
                continue
            del waiting[root]
            moved = True
            faults += found
    for root in waiting:
        faults += [_unlinked(root)]
    words = f"made from {direct} other packs, by digest" if direct else "names no pack that it was made from"
    if previous:
        words += f"; {len(previous)} packs of the chain are at hand and unchanged"
    return Check("chain", words, tuple(faults))


def _follow(root: Path, links: set[str]) -> list[PackFault] | None:
    """Return a linked pack's faults, adding its own links to ``links``; ``None`` while no link leads to it."""
    pack = open_pack(root)
    if isinstance(pack, PackFault):
        return [pack]
    name = root.absolute().name
    try:
        digest = bag.pack_reference(root).tagmanifest_sha256
        if digest not in links:
            return None
        checks = (structure_check(pack), contents_check(pack, digest, None))
        faults = [PackFault(f"{name}/{fault.file}", fault.what) for check in checks for fault in check.faults]
        if not faults:
            document = strict_json(bag.read_small(root / bag.EVIDENCE), where=bag.EVIDENCE)
            known, _ = parse_evidence(document)
            links |= {made.tagmanifest_sha256 for made in (known.previous or () if known else ())}
    except EvidenceError as fault:
        return [PackFault(f"{name}/{bag.TAGMANIFEST}", fault.what)]
    return faults


def _unlinked(root: Path) -> PackFault:
    return PackFault(f"{root.absolute().name}/{bag.TAGMANIFEST}", "is not a pack that this one was made from")


def enclosing_pack(path: Path) -> Path | None:
    """Return the pack that a file lies in, or ``None`` when it lies in none."""
    for folder in Path(path).absolute().parents:
        if (folder / bag.TAGMANIFEST).is_file() and (folder / bag.SIGNATURE).is_file():
            return folder
    return None


def references(sources: Iterable[Path]) -> list[PackReference]:
    """Return the ``previous`` section of a pack made from these files: each pack that one of them lies in, once.

    Raises:
        EvidenceError: a pack has no readable tag manifest.
    """
    packs = {pack for source in sources if (pack := enclosing_pack(source)) is not None}
    return [bag.pack_reference(pack) for pack in sorted(packs)]


def read_evidence(pack: Path) -> Evidence:
    """Read the evidence of a pack that lies whole in its folder; no signature is looked at.

    Raises:
        EvidenceError: a file is missing, the evidence is not the one that the manifest lists, or breaks its schema.
    """
    where = f"{pack.name}/{bag.EVIDENCE}"
    try:
        data = bag.read_small(pack / bag.EVIDENCE)
        tags = bag.parse_manifest(bag.read_small(pack / bag.TAGMANIFEST), where=bag.TAGMANIFEST)
    except OSError as fault:
        raise EvidenceError(f"cannot be read: {fault.strerror}", where=where, remedy="name a pack's folder") from None
    if tags.get(bag.EVIDENCE) != hashlib.sha256(data).hexdigest():
        raise EvidenceError("is not the file that was sealed", where=where)
    evidence, faults = parse_evidence(strict_json(data, where=where))
    if evidence is None:
        raise EvidenceError(f"breaks its schema: {faults[0]}", where=where)
    return evidence


def baseline(pack: Path) -> Baseline:
    """Return the ``baseline`` section: what the pack of an earlier cut counted, by rule and by extract.

    Raises:
        EvidenceError: the pack cannot be read, or its evidence is not the sealed one.
    """
    evidence, made = read_evidence(pack), bag.pack_reference(pack)
    rules, rows = defaultdict[tuple[str, str], Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
    for rule in evidence.rules:
        rules[rule.extract, rule.rule].update(evaluated=rule.evaluated, failed=rule.failed)
    for row in evidence.accounting:
        rows[row.extract].update(rows_in=row.rows_in, released=row.released, excluded=row.excluded)
    return Baseline(
        pack=made.pack,
        tagmanifest_sha256=made.tagmanifest_sha256,
        cut=evidence.cut.id,
        date=evidence.cut.date,
        rules=tuple(RuleTotals(extract=e, rule=r, **sums) for (e, r), sums in sorted(rules.items())),
        rows=tuple(RowTotals(extract=extract, **sums) for extract, sums in sorted(rows.items())),
    )
