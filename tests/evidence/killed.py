"""A process that seals a pack and is killed at the N-th step that it takes on the disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.keys.signing_key import load_signer
from flows.pack.writer import PackWriter
from tests.evidence.conftest import fill
from tests.evidence.specimen import model, specimen

# Everything a writer does to a disk goes through these; a fault or a kill at each call in turn leaves no gap.
STEPS = ("mkdir", "open", "fsync", "rename", "rmdir", "unlink")


def seal_until(final: Path, key: Path, last: int, replace: bool, said: Path) -> None:
    """Seal a small pack; at the end write how many steps it took.

    Args:
        last: the step that is not taken any more; 0 for none.
    """
    evidence, signer, count = specimen(1, 0, kind="submission", scheme="2"), load_signer(key), 0

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapped

    for name in STEPS:
        setattr(os, name, counting(getattr(os, name)))
    with PackWriter(final, replace=replace) as writer:
        fill(writer)
        writer.path("report/index.html").write_bytes(b"x")
        writer.seal({}, model(evidence), [signer])
    said.write_text(str(count))
