"""What a process can do for the keys in its memory: leave no core dump, and be read by no debugger of the same user.

Python cannot wipe a key: ``docs/keys.md`` says what that means.
"""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def guard_memory() -> bool:
    """Forbid core dumps of this process, for good; tell whether the system let it.

    The limit stops the kernel's own core files; a piped handler ignores it, so on Linux the process is also marked
    as not dumpable, which closes ``/proc/<pid>/mem`` and ``ptrace`` to other processes of the same user as well.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit, and writes no dump unless somebody switched it on
        return False
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
    except (OSError, ValueError, AttributeError):
        return False
    return True
