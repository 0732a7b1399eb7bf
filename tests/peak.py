"""Peak memory of this process, for children that a test starts to measure.

``getrusage`` will not do: its ``ru_maxrss`` outlives ``exec``, so a child reports at least what its parent held when it
was started, and a test would pass alone and fail after a memory-hungry one.
"""

from __future__ import annotations

from pathlib import Path


def peak_rss_kib() -> int:
    """Return the largest resident set of this process since it was started, in KiB (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise OSError("the system does not tell the peak of a process")
