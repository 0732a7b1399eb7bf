"""A pack's evidence against the ledger it came from: the head noted in the one must be in the chain of the other."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from contracts.errors import ConfigurationError
from flows.pack.bag import PackFault
from flows.pack.checks import Check
from flows.pack.verify import Verification
from flows.ringfence.audit import audit
from flows.ringfence.ledger import Ledger

FILE = "ledger"


def check_ledger(found: Verification, url: str) -> Check:
    """Check the ledger of a verified pack: its chain, its states, and the head that the evidence notes.

    Raises:
        ConfigurationError: the pack has no ring-fence, or the URL is unfit or holds a password.
        PlaceError, EvidenceError: the ledger cannot be opened.
    """
    evidence = found.evidence
    head = evidence.ring_fence.ledger_head if evidence and evidence.ring_fence else None
    if evidence is None or head is None:
        raise ConfigurationError("the pack has no ledger head", where=found.pack)
    refuse_password(url)
    wanted = evidence.ring_fence.ledger_id if evidence.ring_fence else None
    with Ledger(url, make=False) as ledger:
        if wanted and wanted != ledger.id:
            fault = PackFault(FILE, f"names ledger {wanted[:8]}, and this is ledger {ledger.id[:8]}")
            return Check("ledger", "", (fault,))
        seen = audit(ledger, evidence.cut.id, [head])
    words = f"{seen.batches:,} changes and {seen.events:,} events are chained, the head in the evidence among them"
    return Check("ledger", words, tuple(PackFault(FILE, fault) for fault in seen.faults))


def refuse_password(url: str) -> None:
    """Refuse a URL with a password in it: a command line can be read by others.

    Raises:
        ConfigurationError: it holds one, or is no URL.
    """
    try:
        password = make_url(url).password
    except ArgumentError:
        raise ConfigurationError("is not a database URL", where="ledger") from None
    if password is not None:
        raise ConfigurationError(
            "do not give a password on the command line", where="ledger", remedy="put it into ~/.pgpass"
        )
