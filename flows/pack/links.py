"""Walks the chain from a pack to those it was made from, and on from these, as far as the packs are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.errors import EvidenceError
from flows.pack import bag
from flows.pack.bag import Fault
from flows.pack.checks import Check, contents_check, open_pack, structure_check
from transforms.release.attestation import strict_json


def links_check(previous: Sequence[Path], evidence: Mapping[str, Any]) -> Check:
    """Check packs at hand against the chain: a link vouches for a tag manifest, that for every file of the pack.

    The evidence of a pack that holds names further links, so a return leads to its release and that to the
    submissions, with no key but the one that signed the return.
    """
    links = _named(evidence)
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


def _named(evidence: Mapping[str, Any]) -> set[str]:
    named = evidence.get("previous")
    entries = named if isinstance(named, list) else []
    return {str(entry.get("tagmanifest_sha256")) for entry in entries if isinstance(entry, dict)}


def _follow(root: Path, links: set[str]) -> list[Fault] | None:
    """Return a linked pack's faults, adding its own links to ``links``; ``None`` while no link leads to it."""
    pack = open_pack(root)
    if isinstance(pack, Fault):
        return [pack]
    name = root.absolute().name
    try:
        digest = bag.pack_reference(root)["tagmanifest_sha256"]
        if digest not in links:
            return None
        checks = (structure_check(pack), contents_check(pack, digest, None))
        faults = [Fault(f"{name}/{fault.file}", fault.what) for check in checks for fault in check.faults]
        if not faults:
            document = strict_json(bag.read_small(root / bag.EVIDENCE), where=bag.EVIDENCE)
            links |= _named(document) if isinstance(document, dict) else set()
    except EvidenceError as fault:
        return [Fault(f"{name}/{bag.TAGMANIFEST}", fault.what)]
    return faults


def _unlinked(root: Path) -> Fault:
    return Fault(f"{root.absolute().name}/{bag.TAGMANIFEST}", "is not a pack that this one was made from")
