"""What a run costs in time, disk and memory, as measured: ``datacut plan`` adds it up for a cut."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.documents.rates import KindNode, RatesDocument
from contracts.load import read_document
from contracts.rates.model import Expected, KindRates, Rates, expected

__all__ = ["RATES", "Expected", "KindRates", "Rates", "expected", "rates"]

RATES = Path(__file__).parent / "rates.yaml"


@cache
def rates(path: Path = RATES) -> Rates:
    """Read the rates.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(path, RatesDocument)
    return Rates(
        measured=document.measured,
        cores_used=document.cores_used,
        margin=document.margin,
        text_row_bytes=MappingProxyType(document.text_row_bytes),
        flow_row_bytes=MappingProxyType(document.flow_row_bytes),
        packed=document.packed,
        kinds=MappingProxyType({kind: _kind(node) for kind, node in document.kinds.items()}),
    )


def _kind(node: KindNode) -> KindRates:
    stages = {name: tuple(zip(node.rows, figures, strict=True)) for name, figures in node.stages.items()}
    return KindRates(
        stages=MappingProxyType(stages),
        work=tuple(zip(node.rows, node.work_mb, strict=True)),
        packs=tuple(zip(node.rows, node.packs_mb, strict=True)),
        memory=tuple(sorted((point.rows, float(point.mib)) for point in node.memory)),
    )
