"""Writes a pack beside its final place, seals it, moves it there in one rename: a pack is whole or absent.

A writer works in a partial folder (:mod:`flows.files`) next to the final one. It holds the growing pack, and, while an
older pack is being replaced, that older pack. What a crashed writer left, the next one removes, putting an older pack
back where it stood.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from contracts.errors import EvidenceError, PlaceError
from contracts.evidence import Evidence, PackReference
from flows.files import GROWING, REPLACED, begin_partial, clean_stale, end_partial, sync_folder, whole_folder
from flows.keys import dsse
from flows.keys.signing_key import PublicKey, Signer
from flows.pack import bag
from flows.pack.schema import schema_faults
from transforms.release.attestation import accounting_faults, canonical_bytes, gate_faults, statement

_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENAMETOOLONG}


@contextmanager
def private_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that only its owner can read, and rename it into place when all went well.

    It holds raw identifiers: what a stopped restore left beside ``out`` is removed first, whether ``out`` is there or
    not.

    Raises:
        PlaceError: ``out`` exists already, or the disk is unfit.
    """
    try:
        with whole_folder(out, private=True) as files:
            yield files
    except FileExistsError:
        raise PlaceError("already exists", where=out.name, remedy="name a new folder") from None
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=out.name) from None


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A published pack: its folder and its tag manifest's SHA-256, which the next pack's evidence names."""

    path: Path
    tagmanifest_sha256: str

    @property
    def reference(self) -> PackReference:
        """The ``previous`` entry of a pack made from this one."""
        return PackReference(pack=self.path.name, tagmanifest_sha256=self.tagmanifest_sha256)


class PackWriter:
    """Writes one pack; use as a context manager and call :meth:`seal` last.

    Args:
        final_dir: the pack's folder; must not exist, or be a pack when ``replace`` is true.
        replace: put the new pack in the place of an existing one.
        hold: leave a sealed pack aside until :meth:`publish` is called, so that several appear together.
        digests: of files that other packs hold too, under second names.
    """

    def __init__(
        self, final_dir: Path, *, replace: bool = False, hold: bool = False, digests: bag.FileDigests | None = None
    ) -> None:
        self.digests = digests or bag.FileDigests()
        self.final = Path(os.path.abspath(final_dir))
        self.replace, self.hold = replace, hold
        self._partial: tuple[Path, IO[bytes]] | None = None
        self._sealed = False

    def __enter__(self) -> Self:
        """Clean up after crashed writers and begin.

        Raises:
            PlaceError: the final place is taken, or the disk is unfit.
        """
        try:
            with _disk(self.final):
                self.final.parent.mkdir(parents=True, exist_ok=True)
                clean_stale(self.final.parent)
                self._refuse_taken()
                self._partial = begin_partial(self.final)
                (self.root / bag.PAYLOAD).mkdir(parents=True)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        of_disk = isinstance(fault, OSError) and (fault.errno in _DISK_FAULTS or self._is_ours(fault.filename))
        self._discard()
        if of_disk and isinstance(fault, OSError):
            raise _place_error(fault, self.final) from None
        if fault is None and not self._sealed:
            raise EvidenceError("was not sealed", where=self.final.name)

    @property
    def root(self) -> Path:
        """The growing pack's folder."""
        return self._work / GROWING

    @property
    def _work(self) -> Path:
        if self._partial is None:
            raise EvidenceError("is not open", where=self.final.name)
        return self._partial[0]

    def path(self, relpath: str) -> Path:
        """Return where to write a file of the pack; its folder exists.

        Raises:
            EvidenceError: the path leaves the pack's rooms or has characters that a pack does not know.
            PlaceError: the folder cannot be made.
        """
        room, slash, _ = relpath.partition("/")
        trouble = bag.path_fault(relpath)
        if trouble or not slash or room not in bag.ROOMS:
            remedy = f"letters, digits, '.', '_', '-' under {', '.join(bag.ROOMS)}"
            raise EvidenceError(trouble or "cannot go into a pack", where=bag.shown(relpath), remedy=remedy)
        target = self.root / relpath
        with _disk(self.final):
            target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def seal(
        self,
        bag_info: Mapping[str, str],
        evidence: Evidence,
        signers: Sequence[Signer],
        awaiting: Sequence[PublicKey] = (),
    ) -> SealedPack:
        """Write evidence, manifests and signature, sync everything to disk, and publish.

        Every file is read once: digest and sync share one descriptor.

        Args:
            bag_info: labels of ``bag-info.txt``; nothing that varies between two equal runs.
            evidence: what the pack says of itself; ``signers`` is added here.
            signers: whose signatures the envelope carries, operator first; the others are approvers.
            awaiting: approvers who sign later (``datacut approve``); until then the pack does not verify.

        Raises:
            EvidenceError: the evidence breaks its schema or does not balance, a file is unfit, or nobody
            signs. PlaceError: the disk is full or fails, or somebody took the final place meanwhile.
        """
        if self._sealed or self._partial is None:
            raise EvidenceError("a pack is sealed once, while it is open", where=self.final.name)
        declared = dsse.declared([*(signer.public for signer in signers), *awaiting])
        full = evidence.model_copy(update={"signers": declared}) if declared else evidence
        if faults := schema_faults(full.document()) or accounting_faults(full) or gate_faults(full):
            raise EvidenceError("; ".join(map(bag.shown, faults)), where=bag.EVIDENCE)
        with _disk(self.final):
            digest = self._close_bag(bag_info, full, signers)
            if not self.hold:
                self._publish()
        self._sealed = True
        return SealedPack(self.final, digest)

    def _close_bag(self, bag_info: Mapping[str, str], evidence: Evidence, signers: Sequence[Signer]) -> str:
        """Write the tag files from the inside out; return the tag manifest's SHA-256."""
        root = self.root
        self.path(bag.EVIDENCE).write_bytes(canonical_bytes(evidence.document()))
        found = bag.listing(root)
        if found.faults:
            raise EvidenceError(found.faults[0].what, where=bag.shown(found.faults[0].file))
        digests = {path: self.digests.of(root / path, sync=True) for path in sorted(found.files)}
        payload = {path: digest for path, digest in digests.items() if path.startswith(f"{bag.PAYLOAD}/")}
        tags = {path: digest for path, digest in digests.items() if path not in payload}
        info = {bag.CUT_LABEL: evidence.cut.id, **bag_info}
        octets = sum(found.files[path] for path in payload)
        written = {
            bag.DECLARATION: bag.DECLARATION_BYTES,
            bag.INFO: bag.info_bytes(info, octets=octets, files=len(payload)),
            bag.MANIFEST: bag.manifest_bytes(payload),
        }
        for name, data in written.items():
            tags[name] = _write_synced(root / name, data)
        digest = _write_synced(root / bag.TAGMANIFEST, bag.manifest_bytes(tags))
        payload_bytes = canonical_bytes(statement(evidence.document(), tagmanifest_sha256=digest))
        _write_synced(root / bag.SIGNATURE, dsse.sign(payload_bytes, signers).to_bytes())
        _sync_folders(root)
        return digest

    def publish(self) -> None:
        """Put a sealed pack that was held in its place.

        Raises:
            EvidenceError: it is not sealed. PlaceError: the disk fails, or somebody took the final place meanwhile.
        """
        if not self._sealed or self._partial is None:
            raise EvidenceError("a pack is published once, after it is sealed", where=self.final.name)
        with _disk(self.final):
            self._publish()

    def withdraw(self) -> None:
        """Take a published pack back while its writer is open, and put back what stood there before."""
        aside = self._work / REPLACED
        with _disk(self.final):
            os.rename(self.final, self._work / GROWING)
            if aside.exists():
                os.rename(aside, self.final)

    def _publish(self) -> None:
        """Rename into place; on any failure put back what stood there before."""
        growing, aside = self._work / GROWING, self._work / REPLACED
        self._refuse_taken()
        if os.path.lexists(self.final):
            os.rename(self.final, aside)
        try:
            os.rename(growing, self.final)
            sync_folder(self.final.parent)
        except OSError:
            if not growing.exists():
                os.rename(self.final, growing)
            if aside.exists():
                os.rename(aside, self.final)
            raise

    def _refuse_taken(self) -> None:
        if not os.path.lexists(self.final):
            return
        if not self.replace:
            remedy = "choose another folder, or ask for the old pack to be replaced"
            raise PlaceError("already exists", where=self.final.name, remedy=remedy)
        if self.final.is_symlink() or not (self.final / bag.TAGMANIFEST).is_file():
            remedy = "only a pack can be replaced; choose another folder"
            raise PlaceError("exists and is not a pack", where=self.final.name, remedy=remedy)

    def _is_ours(self, name: object) -> bool:
        return (
            self._partial is not None
            and isinstance(name, str)
            and Path(os.path.abspath(name)).is_relative_to(self._partial[0])
        )

    def _discard(self) -> None:
        if self._partial is None:
            return
        folder, marker = self._partial
        if (folder / REPLACED).exists() and not os.path.lexists(self.final):
            marker.close()  # an older pack that could not be put back stays, for the next writer to put back
        else:
            end_partial(folder, marker)
        self._partial = None


def publish_together(writers: Sequence[PackWriter]) -> None:
    """Put sealed packs in their places, all of them or none.

    Raises:
        PlaceError: one cannot be put there; those before it were taken back.
    """
    done: list[PackWriter] = []
    try:
        for writer in writers:
            writer.publish()
            done.append(writer)
    except BaseException:
        for writer in reversed(done):
            writer.withdraw()
        raise


def _write_synced(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return bag.digest_file(path, sync=True)[0]


def _sync_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        sync_folder(Path(folder))


def _place_error(fault: OSError, final: Path) -> PlaceError:
    full = fault.errno in {errno.ENOSPC, errno.EDQUOT}
    remedy = "free some space and run again; nothing was published" if full else "nothing was published"
    return PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=final.name, remedy=remedy)


@contextlib.contextmanager
def _disk(final: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise _place_error(fault, final) from None
