"""What the evidence says of the leak scan, and whether it really looked at everything."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from contracts.errors import ResidueError
from contracts.evidence_results import ChanceHits, LeakScan
from flows.cut.context import Context
from flows.cut.partitions import JUDGED
from flows.leak_scan.canaries import COUNT
from flows.leak_scan.digests_of_run import digests_file, unknown_sources
from flows.leak_scan.known import mpans_of
from flows.leak_scan.recall import recall
from flows.leak_scan.scan import Scanner

DECIMALS = 6


def leak_scan_section(known: Context, scanner: Scanner, canaries: dict[str, int]) -> LeakScan:
    """Return the scan's section of the evidence."""
    found = scanner.findings
    confirmed = found.confirmed
    unknown = tuple(unknown_sources(known))
    return LeakScan(
        files=found.files,
        bytes=found.bytes,
        identifiers=sum(scanner.identifiers.values()),
        confirmed=confirmed.total(),
        classes={kind: confirmed[kind] for kind in sorted({*confirmed, *scanner.identifiers})},
        known=scanner.identifiers,
        by_chance=tuple(
            ChanceHits(
                kind=kind,
                written=form,
                where=where,
                candidates=tally.candidates,
                hits=tally.hits,
                expected=round(tally.expected, DECIMALS),
                most=tally.most,
            )
            for (kind, form, where), tally in sorted(found.by_chance.items())
        ),
        canaries=canaries,
        recall=recall(),
        unknown=unknown or None,
    )


def require_known(known: Context, scanner: Scanner) -> None:
    """Hold what the scan knows against what was judged: there are no more pseudonyms of MPANs than raw ones.

    Raises:
        ResidueError: intake took no digests, or not of every row.
    """
    own = [h for h in known.extracts if f"{h.participant}/{h.extract}" not in unknown_sources(known)]
    for source in own:
        frames = [known.workspace.scan(JUDGED, source.participant, source.extract, n) for n in _numbers(known)]
        parts = [frame.select("mpan_core") for frame in frames if frame is not None]
        points = pl.concat(parts).select(pl.col("mpan_core").drop_nulls().n_unique()).collect().item() if parts else 0
        digests = mpans_of(digests_file(known.workspace, source.participant, source.extract))
        if digests < points + COUNT:
            raise ResidueError(
                f"{points} metering points were judged, and only {max(0, digests - COUNT)} raw MPANs are known",
                where=f"{source.participant}/{source.extract}",
                remedy="nothing was published; what is not known cannot be searched for",
            )


def _numbers(known: Context) -> range:
    return range(known.workspace.partitions)


def require_searched(scanner: Scanner, root: Path) -> None:
    """Hold what was searched against what lies there: every file, as it is now.

    Raises:
        ResidueError: a file was not searched, or is another than the one that was.
    """
    missing = [path for path in root.rglob("*") if path.is_file() and not scanner.has_seen(path)]
    if missing:
        raise ResidueError(
            f"{len(missing)} files were not searched, or changed since",
            where=f"leak scan, {missing[0].relative_to(root).as_posix()}",
            remedy="nothing was published; please report it",
        )
