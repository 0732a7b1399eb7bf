"""What lies in a pack's folder against what its manifests say: nothing changed, added or missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import EvidenceError
from flows.pack import bag
from flows.pack.bag import Listing, PackFault

FIXED = (bag.DECLARATION, bag.INFO, bag.MANIFEST, bag.TAGMANIFEST, bag.SIGNATURE, bag.EVIDENCE)

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its name, the finding in plain words, and the files that do not hold."""

    name: str
    words: str
    faults: tuple[PackFault, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenPack:
    """A pack's folder and what lies in it."""

    root: Path
    listing: Listing

    def read(self, name: str, limit: int = bag.MAX_MANIFEST) -> bytes | None:
        """Read a file whole; ``None`` when it is absent, which the structure has told already.

        Raises:
            EvidenceError: it cannot be read, or is larger than ``limit`` bytes.
        """
        if name not in self.listing.files:
            return None
        try:
            return bag.read_small(self.root / name, limit)
        except OSError as fault:
            raise EvidenceError(f"cannot be read: {fault.strerror}", where=name) from None


def open_pack(root: Path) -> OpenPack | PackFault:
    """List a pack's folder, or say why it cannot be listed."""
    name = root.absolute().name
    try:
        if root.is_symlink() or not root.is_dir():
            return PackFault(name, "is not a folder")
        return OpenPack(root, bag.listing(root))
    except OSError as fault:
        return PackFault(name, f"cannot be read: {fault.strerror}")


def structure_check(pack: OpenPack) -> Check:
    """Look at names and kinds of files alone."""
    absent = [PackFault(name, "is missing") for name in FIXED if name not in pack.listing.files]
    words = f"{len(pack.listing.files)} files; no link, no unsafe path, no two names equal but for case"
    return Check("structure", words, (*pack.listing.faults, *absent))


def contents_check(pack: OpenPack, signed_digest: str, seen: Progress | None) -> Check:
    """Hold every file against its digest, from the tag manifest outwards.

    Args:
        signed_digest: SHA-256 that the tag manifest must have; empty when no signature vouches for one.
    """
    faults: list[PackFault] = []
    counted = 0
    listed = {bag.SIGNATURE, bag.TAGMANIFEST}
    complete = True
    for name in (bag.TAGMANIFEST, bag.MANIFEST):
        # A manifest that is itself at fault vouches for nothing: what it lists is not blamed on its word.
        spoilt = any(fault.file == name for fault in faults)
        digests = None if spoilt else _manifest(pack, name, signed_digest, faults)
        if digests is None:
            complete = False
            continue
        listed |= set(digests)
        stated = _stated_octets(pack) if name == bag.MANIFEST and not faults else None
        wrong, read = _digests(pack, digests, seen, stated)
        faults += wrong
        counted += read
    if complete:
        faults += [PackFault(name, "is in no manifest") for name in sorted(set(pack.listing.files) - listed)]
    vouched = "the signed manifests" if signed_digest else "the manifests, which no signature vouches for"
    words = f"{len(listed)} files, {counted:,} bytes: SHA-256 of each as in {vouched}; nothing added, nothing missing"
    return Check("contents", words, tuple(faults))


def _manifest(pack: OpenPack, name: str, signed_digest: str, faults: list[PackFault]) -> dict[str, str] | None:
    """Read one manifest; ``None``, and perhaps a fault, when it cannot vouch for anything."""
    try:
        data = pack.read(name)
        if data is None:
            return None
        digest = hashlib.sha256(data).hexdigest()
        if name == bag.TAGMANIFEST and digest != (signed_digest or digest):
            raise EvidenceError("is not the one that was signed")
        digests = bag.parse_manifest(data, where=name)
        if trouble := _wrong_rooms(name, digests):
            raise EvidenceError(trouble)
    except EvidenceError as fault:
        faults.append(PackFault(name, fault.what))
        return None
    return digests


def _wrong_rooms(name: str, digests: Mapping[str, str]) -> str:
    payload = name == bag.MANIFEST
    if any(path.startswith(f"{bag.PAYLOAD}/") != payload for path in digests):
        return "lists a file that belongs in the other manifest"
    if payload:
        return ""
    if {bag.TAGMANIFEST, bag.SIGNATURE} & set(digests):
        return "lists itself or the signature over it"
    needed = set(FIXED) - {bag.TAGMANIFEST, bag.SIGNATURE}
    return "" if needed <= set(digests) else "does not list every file that a pack must have"


def _stated_octets(pack: OpenPack) -> int | None:
    """Return how many bytes the bag says its payload has; its own digest held already. None where it says nothing."""
    try:
        octets, _, _ = bag.parse_info(pack.read(bag.INFO) or b"").get("Payload-Oxum", "").partition(".")
    except EvidenceError:  # told by whoever reads it for itself
        return None
    return int(octets) if octets.isascii() and octets.isdigit() else None


def _digests(
    pack: OpenPack, digests: Mapping[str, str], seen: Progress | None, most: int | None
) -> tuple[list[PackFault], int]:
    """Hold files against their digests; one that is larger than all of them together is not read."""
    faults, counted = [], 0
    for path, digest in digests.items():
        if path not in pack.listing.files:
            if path not in FIXED:  # those the structure has told already
                faults.append(PackFault(path, "is missing"))
            continue
        if most is not None and pack.listing.files[path] > most:
            faults.append(PackFault(path, f"is not the file that was sealed: the whole payload had {most:,} bytes"))
            continue
        try:
            actual, size = bag.digest_file(pack.root / path, seen=seen)
        except (OSError, EvidenceError):
            faults.append(PackFault(path, "cannot be read"))
            continue
        counted += size
        if actual != digest:
            faults.append(PackFault(path, "is not the file that was sealed: its digest differs"))
    return faults, counted
