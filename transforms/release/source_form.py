"""The form in which a backup came, and rows put back into it: names, order and dates as its owner writes them.

Source: Q62 and Q63 (what was augmented goes back to participants for loading); domain 7.1 (DTC user files).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contracts.evidence_inputs import InputEvidence, SourceFormEvidence
from contracts.model import Contract
from contracts.vocabulary import Form
from transforms.column_map import ColumnMap
from transforms.dates import ISO, spelt, written_as

SEEN = 1000  # values that tell how dates are written


@dataclass(frozen=True, slots=True)
class SourceForm:
    """The form of one source, in which its rows go back.

    Attributes:
        form: ``csv``, ``parquet``, ``dtc`` or ``database``.
        delimiter: ``comma``, ``tab`` or ``pipe``; empty where there is none.
        encoding: ``utf-8`` or ``cp1252``.
        flow: flow and version of a DTC file, as ``D0150002``; empty for other forms.
        order: contract columns in the order of the source.
        names: contract column -> its name in the source.
        dates: contract column -> how its dates are written, as ``transforms.dates`` names it.
        quote: how cells that hold a delimiter are protected: ``double``, ``none`` or ``backslash``.
    """

    form: str
    delimiter: str
    encoding: str
    flow: str
    order: tuple[str, ...]
    names: Mapping[str, str]
    dates: Mapping[str, str]
    quote: str = "double"

    def evidence(self) -> SourceFormEvidence:
        """Return what the evidence keeps beside ``form`` and ``columns``."""
        return SourceFormEvidence(
            delimiter=self.delimiter,
            encoding=self.encoding,
            flow=self.flow,
            order=self.order,
            dates=dict(self.dates),
            quote=self.quote,
        )


def form_of(source: InputEvidence) -> SourceForm:
    """Return how a source is written, from its entry in the evidence's ``inputs``."""
    how = source.source_form or SourceFormEvidence()
    return SourceForm(
        form=source.form,
        delimiter=how.delimiter or "",
        encoding=how.encoding or "utf-8",
        flow=how.flow or "",
        order=how.order or tuple(source.columns),
        names=source.columns,
        dates=how.dates or {},
        quote=how.quote or "double",
    )


def written_dates(batch: pl.DataFrame, contract: Contract, columns: ColumnMap) -> dict[str, str]:
    """Return how each date column of a batch of text is written, as ``transforms.dates`` names it."""
    found = {}
    for physical, name in columns.names.items():
        if contract.column(name).form is not Form.DATE:
            continue
        texts = batch[physical].drop_nulls().head(SEEN).str.strip_chars().unique(maintain_order=True)
        if texts.len() and (how := written_as(texts, contract.spelling, columns.order(name))) is not None:
            found[name] = how
    return found


def as_text(frame: pl.DataFrame, how: SourceForm) -> pl.DataFrame:
    """Return the columns of the source, in its order and under the contract's names, as the texts it would hold."""
    out = []
    for name in how.order:
        kind = frame.schema.get(name)
        if kind is None:
            out.append(pl.lit(None, pl.String).alias(name))
        elif kind == pl.Date:
            out.append(spelt(pl.col(name), how.dates.get(name, ISO)).alias(name))
        else:
            out.append(pl.col(name).cast(pl.String))
    return frame.select(out)


def dtc_header(file_id: str, flow: str, sender: Sequence[str], receiver: Sequence[str], stamp: str) -> bytes:
    """Return the ZHV record. The test flag says that the file is no live one (domain 7.1)."""
    fields = ["ZHV", file_id, flow, *sender, *receiver, stamp, "", "", "", TEST_FLAG, ""]
    return ("|".join(fields) + "\n").encode("ascii")


def dtc_trailer(file_id: str, records: int, stamp: str) -> bytes:
    """Return the ZPT record with the number of records, header and trailer excluded."""
    return f"ZPT|{file_id}|{records}||1|{stamp}|\n".encode("ascii")


TEST_FLAG = "TR01"  # never OPER: what leaves is test data
