"""The release stage: per participant its own rows, the excluded ones with their reasons, and the accounting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from contracts.errors import QualityError
from contracts.evidence import Accounting
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, SUBMITTED, ParticipantExtract, read_exclusions
from flows.cut.workspace import disk
from flows.quality import coincident
from flows.release import half_hours
from transforms.pseudonymise.pseudonymiser import treat
from transforms.pseudonymise.sealed_series import SEALED
from transforms.quality import exclusions

ROW_GROUP = 131_072
Place = Callable[[str], Path]


def sink(parts: Sequence[pl.LazyFrame], place: Place, relpath: str, form: str = "parquet") -> None:
    """Write frames one after another as one file, streamed; equal rows give equal bytes however they are parted."""
    path = place(f"{relpath}.{form}")
    whole = pl.concat(parts)
    with disk(path):
        if form == "csv":
            whole.sink_csv(path, maintain_order=True)
        else:
            # zstd's first level: on these columns smaller and quicker than the default, its third
            whole.sink_parquet(
                path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP, maintain_order=True
            )


def sink_table(frame: pl.LazyFrame, path: Path) -> None:
    """Write one table as a release's Parquet files are written."""
    sink([frame], lambda _: path, path.stem)


def release_extract(
    known: Context, source: ParticipantExtract, rows_in: int, place: Place, formats: Sequence[str]
) -> Accounting:
    """Write one extract of one participant: released rows under the policy in force, and excluded rows.

    Returns:
        Its accounting: rows in, released, excluded, and excluded by the first cause's reason code.

    Raises:
        QualityError: a row was lost or made.
    """
    contract, workspace = known.contracts[source.extract], known.workspace
    released, gone, submitted = [], [], []
    mix = half_hours.mixes(contract)
    for number in range(workspace.partitions):
        frame = workspace.scan(JUDGED, source.participant, source.extract, number)
        if frame is not None:
            more = (SEALED,) if mix else ()
            kept, out = exclusions.split(frame, contract, read_exclusions(workspace, number).lazy(), more)
            released.append((number, treat(kept, contract, known.pseudonymiser)))
            gone.append(out.collect())
        already = workspace.scan(SUBMITTED, source.participant, source.extract, number)
        if already is not None:
            submitted.append(already.select("mpan_core", "token", "first_cause", "reasons").collect())
    rows_out = rows_gone = 0
    by_reason: Counter[str] = Counter()
    if released:
        rows = half_hours.mixed_parts(known, source, released) if mix else [frame for _, frame in released]
        for form in formats:
            sink(rows, place, f"data/{source.participant}/{source.extract}", form)
        rows_out = _rows(place, f"data/{source.participant}/{source.extract}", formats)
        excluded = unnamed(pl.concat([*in_one_order(gone), *in_one_order(submitted)]), known)
        sink([excluded.lazy()], place, f"excluded/{source.participant}/{source.extract}")
        by_reason.update(dict(excluded.group_by("first_cause").len().sort("first_cause").iter_rows()))
        rows_gone = sum(by_reason.values())
    if rows_out + rows_gone != rows_in:
        raise QualityError(
            f"{rows_in} rows came in, {rows_out} are released and {rows_gone} excluded",
            where=f"{source.participant}/{source.extract}",
            remedy="please report it: rows must balance",
        )
    return Accounting(
        participant=source.participant,
        extract=source.extract,
        rows_in=rows_in,
        released=rows_out,
        excluded=rows_gone,
        by_reason=dict(sorted(by_reason.items())),
    )


def in_one_order(parts: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the excluded rows of all partitions with those that have no pseudonym last.

    They lie in the first partition, so that their place would tell how many partitions there are.
    """
    nameless = pl.col("mpan_core").is_null()
    return [*(part.filter(~nameless) for part in parts), *(part.filter(nameless) for part in parts)]


def unnamed(gone: pl.DataFrame, known: Context) -> pl.DataFrame:
    """Return excluded rows in which no coincident pseudonym stands: it is the real MPAN of somebody else.

    Such a row has a keyed token instead, as a row without a pseudonym has.
    """
    hidden = gone["mpan_core"].is_in(coincident.found(known.workspace).implode()).fill_null(value=False)
    if not hidden.any():
        return gone
    token = known.pseudonymiser.tokens(gone["mpan_core"].set(~hidden, None), exclusions.COINCIDENT)
    named = gone["token"].zip_with(~hidden, token)
    return gone.with_columns(gone["mpan_core"].set(hidden, None), named.alias("token"))


def _rows(place: Place, relpath: str, formats: Sequence[str]) -> int:
    """Return how many rows were written: as the Parquet footer says, or by counting the lines of a CSV."""
    if "parquet" in formats:
        return int(pq.read_metadata(place(f"{relpath}.parquet")).num_rows)
    return int(pl.scan_csv(place(f"{relpath}.csv"), infer_schema=False).select(pl.len()).collect().item())
