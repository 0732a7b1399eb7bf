"""A sealed backup as a stream: an age file is decrypted into memory piece by piece, never onto a disk.

age authenticates each piece of 64 KiB and the end (C2SP age, section Payload), so what was changed or cut off ends the
reading. The library writes what it decrypts; a thread turns that into a stream to read from.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Protocol

from pyrage import DecryptError, decrypt_io

from contracts.errors import DataCutError, IntakeError, KeyMaterialError

AGE = b"age-encryption.org/v1\n"
_PIECE = 256 << 10
_WAITING = 8  # pieces that lie ready
_FOREIGN = "No matching keys"  # of several faults that the library has one class for
_LOOK = 0.2  # seconds after which a writer looks whether anybody still reads


class Readable(Protocol):
    """What a sealed file is read from."""

    label: str

    def read(self, count: int) -> bytes:
        """Return the next bytes."""

    def finish(self) -> None:
        """Check what can be checked only at the end."""


class _NobodyReadsError(Exception):
    """The reader has let go; the thread ends."""


class SealedStream:
    """The content of an age file; closed by whoever opened it."""

    def __init__(self, raw: Readable, identities: Sequence[object]) -> None:
        """Begin to decrypt.

        Args:
            identities: age identities, one of which opens the file; see ``flows.keys.age_files.identities_of``.

        Raises:
            KeyMaterialError: there is no identity.
        """
        if not identities:
            raise KeyMaterialError(
                "is sealed", where=raw.label, remedy="name your age identity: cut.seal_identity_file of cut.yaml"
            )
        self._raw, self._identities = raw, list(identities)
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_WAITING)
        self._left, self._held, self._ended, self._closed = b"", bytearray(), False, False
        self._thread = threading.Thread(target=self._decrypt, name="open sealed backup", daemon=True)
        self._thread.start()

    def read(self, count: int) -> bytes:
        """Return up to ``count`` decrypted bytes, empty only at the end.

        Raises:
            KeyMaterialError: sealed for somebody else. IntakeError: it was changed or cut off.
        """
        if not self._left and not self._ended:
            piece = self._pieces.get()
            if isinstance(piece, BaseException):
                self._ended = True
                raise self._fault(piece) from None
            self._left, self._ended = piece, not piece
        data, self._left = self._left[:count], self._left[count:]
        return data

    def finish(self) -> None:
        """See that the end was reached and the file did not change."""
        while self.read(_PIECE):
            pass
        self._raw.finish()

    def close(self) -> None:
        """Let the thread end; may be called twice."""
        self._closed = True
        self._thread.join()

    def write(self, data: bytes) -> int:
        """Take in decrypted bytes; called by the library, in the thread."""
        self._held += data
        if len(self._held) >= _PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand over what was taken in; called by the library, in the thread."""
        if self._held:
            self._put(bytes(self._held))
            self._held.clear()

    def _put(self, piece: bytes | BaseException) -> None:
        while not self._closed:
            try:
                self._pieces.put(piece, timeout=_LOOK)
            except queue.Full:
                continue
            return
        raise _NobodyReadsError

    def _decrypt(self) -> None:
        try:
            try:
                decrypt_io(_File(self._raw), self, self._identities)
                self.flush()
                self._put(b"")
            except _NobodyReadsError:
                raise
            except BaseException as fault:  # noqa: BLE001 - raised where the stream is read
                self._put(fault)
        except _NobodyReadsError:
            pass

    def _fault(self, fault: BaseException) -> BaseException:
        """Put what age says into our words."""
        if isinstance(fault, DataCutError):
            return fault
        if isinstance(fault, DecryptError) and _FOREIGN in str(fault):
            return KeyMaterialError(
                "is not sealed for your identity", where=self._raw.label, remedy="ask the sender to seal it for you"
            )
        return IntakeError(
            "is a sealed backup that was changed or cut off", where=self._raw.label, remedy="have it sent again"
        )


class _File:
    """A source as the library reads a file."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw

    def read(self, count: int = -1) -> bytes:
        return self._raw.read(count)
