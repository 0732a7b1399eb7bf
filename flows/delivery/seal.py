"""Seal a raw backup for its recipient: one age file with a tar in it, written in a stream; nothing readable outside.

The manifest is the tar's last member: sizes and digests are known when everything was read once. Who has the
recipient's identity reads the backup without writing it down (:mod:`flows.intake.sealed_stream`).
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyrage import encrypt_io

from contracts.errors import ConfigurationError, PlaceError
from flows.delivery.statements import SealedFile, SealManifest, signed
from flows.intake.files import beside
from flows.intake.raw_file import RawFile
from flows.intake.source import safe_name
from flows.intake.zip_stream import judge_name
from flows.keys.age_files import recipients_of
from flows.keys.signing_key import Signer

MANIFEST = "datacut-manifest.dsse.json"
_KEYS = (".key", ".pem", ".age", ".pub")
_PIECE = 1 << 20
_RECORD = tarfile.BLOCKSIZE
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was sealed.

    Attributes:
        file: the sealed file. sha256: its digest, by which a receipt names it.
        manifest: what it holds.
        left_out: files of the folders that are not sealed: what lies beside backups, and keys.
    """

    file: Path
    sha256: str
    manifest: SealManifest
    left_out: tuple[str, ...]


def seal(
    backups: Sequence[Path],
    out: Path,
    *,
    to: Sequence[str],
    cut: str = "",
    participant: str = "",
    signer: Signer | None = None,
    progress: Progress | None = None,
) -> Sealed:
    """Write the files of a backup into one sealed file, for the holders of some age identities.

    Args:
        backups: files, and folders with all files in them but keys and what lies beside backups.
        to: age recipients, or files of recipients.

    Raises:
        ConfigurationError: nothing to seal, two files of one name, or the sealed file is there already.
        IntakeError, RefusedError: a file cannot be read, is a link, or changed meanwhile.
        KeyMaterialError: a recipient is none. PlaceError: the sealed file cannot be written.
    """
    recipients = [recipient for argument in to for recipient in recipients_of(argument)]
    files, left_out = _files(backups)
    if os.path.lexists(out):
        raise ConfigurationError("is there already", where=str(out), remedy="choose another name for the sealed file")
    source = _Tar(files, cut=cut, participant=participant, signer=signer, progress=progress or (lambda _: None))
    part = out.with_name(f"{out.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            sink = _Hashed(stream.write)
            encrypt_io(source, sink, recipients)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(out)
    except OSError as fault:
        raise PlaceError("cannot be written", where=str(out), remedy=fault.strerror or "check the disk") from None
    finally:
        source.close()
        part.unlink(missing_ok=True)
    assert source.manifest is not None  # noqa: S101 - the tar was read to its end
    return Sealed(out, sink.digest.hexdigest(), source.manifest, tuple(left_out))


def _files(backups: Sequence[Path]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return the files to seal, by the names they get, in the order of these; and the names of those left out."""
    found: dict[str, Path] = {}
    left_out, names = [], set[str]()
    for backup in backups:
        inside = sorted(p for p in backup.rglob("*") if p.is_file()) if backup.is_dir() else [backup]
        for file in inside:
            name = file.relative_to(backup).as_posix() if backup.is_dir() else file.name
            if backup.is_dir() and (beside(name) or file.suffix in _KEYS):
                left_out.append(name)
                continue
            judge_name(name, names if name not in found else set(), safe_name(name))  # who opens it judges so too
            if name in found:
                raise ConfigurationError(
                    "two files would have one name", where=safe_name(name), remedy="seal the folder that holds both"
                )
            found[name] = file
    if not found:
        raise ConfigurationError("there is nothing to seal", where=", ".join(map(str, backups)))
    return sorted(found.items()), left_out


class _Hashed:
    """Writes on and digests what it writes."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write, self.digest = write, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._write(data)

    def flush(self) -> None:
        """The file is flushed by its owner."""


class _Tar:
    """The tar of a backup as a stream to read from: POSIX.1-2001, no owner, no time."""

    def __init__(
        self,
        files: list[tuple[str, Path]],
        *,
        cut: str,
        participant: str,
        signer: Signer | None,
        progress: Progress,
    ) -> None:
        self._cut, self._participant, self._signer, self._progress = cut, participant, signer, progress
        self.manifest: SealManifest | None = None
        self._pieces = self._tar(files)
        self._left = b""

    def read(self, count: int = -1) -> bytes:
        """Return up to ``count`` bytes, empty only at the end."""
        while not self._left:  # a piece may be empty, which is not the end
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        data, self._left = (self._left, b"") if count < 0 else (self._left[:count], self._left[count:])
        return data

    def close(self) -> None:
        """Let go of the file at hand."""
        self._pieces.close()

    def _tar(self, files: list[tuple[str, Path]]) -> Generator[bytes]:
        sealed = []
        for name, path in files:
            digest = hashlib.sha256()
            raw = RawFile(path, root=None, label=safe_name(name), digest=digest)
            try:
                yield _header(name, raw.size)
                while piece := raw.read(_PIECE):
                    self._progress(len(piece))
                    yield piece
                raw.finish()
                yield _padding(raw.size)
            finally:
                raw.close()
            sealed.append(SealedFile(name=name, bytes=raw.size, sha256=digest.hexdigest()))
        self.manifest = SealManifest(
            cut=self._cut,
            participant=self._participant,
            day=datetime.now(UTC).date().isoformat(),
            files=tuple(sealed),
        )
        data = signed(self.manifest, self._signer)
        yield _header(MANIFEST, len(data)) + data + _padding(len(data)) + b"\0" * (2 * _RECORD)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _RECORD)
