"""INTAKE: every physical form of a participant's backup, read as a stream of text batches. Nothing is written.

Raw identifiers live in the batches and nowhere else: no temporary file, no error text, no log line. Whatever polars,
Arrow, zlib or a database driver complain about is replaced by a sentence of ours before it leaves this package.
"""

from __future__ import annotations

import hmac

from contracts.dtc.layout import DtcLayout
from flows.intake.detect import open_reader
from flows.intake.joined import FILE
from flows.intake.read_files import SourceFiles, key_digest
from flows.intake.reader import Reader
from flows.intake.source import FirstRows, Limits, SourceSpec

__all__ = ["FILE", "FirstRows", "Limits", "Reader", "SourceFiles", "SourceSpec", "key_digest", "open_source"]


def open_source(
    spec: SourceSpec,
    *,
    layout: DtcLayout | tuple[DtcLayout, ...] | None = None,
    digest: hmac.HMAC | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Reader:
    """Open a source and read its header.

    Args:
        spec: where it is and what it is declared to be.
        layout: where a contract's columns stand in a DTC user file; of several, the one for the file's flow.
        digest: takes in the bytes of the file as they lie on disk; for a database, its rows as text.
        limits: what it may ask of the machine.

    Returns:
        A reader, to be used as a context manager.

    Raises:
        ConfigurationError: the specification contradicts itself.
        IntakeError: the source cannot be read as what it is declared to be.
        RefusedError: it can be read and is refused: a bomb, a path trick, encryption, false totals.
        PlaceError: disk, database or driver are unfit.
    """
    return open_reader(spec, layout=layout, digest=digest, limits=limits)
