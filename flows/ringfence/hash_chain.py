"""The hash chain: every batch seals itself, all its events and the batch before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from flows.ringfence.schema import CHAIN, EVENT

SEPARATOR, END = "\x1f", "\n"
HEADER = (
    "campaign", "number", "kind", "idempotency_key", "request_sha256", "base", "actor", "at", "reason", "events",
)  # fmt: skip


def genesis(campaign: str) -> str:
    """Return what stands for the batch before a campaign's first."""
    return hashlib.sha256(f"datacut ringfence ledger {CHAIN}/{campaign}".encode()).hexdigest()


def events_digest(parts: Iterable[pl.DataFrame]) -> tuple[str, int]:
    """Return digest and number of events given in their order.

    Args:
        parts: frames with the columns of ``tables.EVENT``.
    """
    digest, number = hashlib.sha256(), 0
    for part in parts:
        text = part.select(pl.concat_str([pl.col(name).cast(pl.String) for name in EVENT], separator=SEPARATOR))
        lines = text.to_series().to_list()
        number += len(lines)
        digest.update("".join(line + END for line in lines).encode())
    return digest.hexdigest(), number


def seal(header: Mapping[str, str | int], previous: str, events: str, body: str) -> str:
    """Return the digest of a batch.

    Args:
        header: the fields of ``HEADER``.
        previous: digest of the batch before; ``events``: of its events; ``body``: its summary as JSON text.
    """
    document = {name: header[name] for name in HEADER}
    document |= {"previous_sha256": previous, "events_sha256": events}
    document["body_sha256"] = hashlib.sha256(body.encode()).hexdigest()
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def canonical(document: Any) -> str:
    """Return JSON text that is the same for equal documents."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
