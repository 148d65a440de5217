"""Other processes of this machine."""

from __future__ import annotations

import os


def runs(pid: int) -> bool:
    """Whether a process is there, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It is somebody else's, but it is there.
    return True
