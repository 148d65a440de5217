"""Giving way to others on the same machine."""

from __future__ import annotations

import os
import shutil
import subprocess

LOWEST = 19


def give_way() -> None:
    """This process, and what it starts from now on, computes when nobody else wants to, and reads and writes the disk
    when nobody else does where the system can do that."""
    os.nice(LOWEST)
    ionice = shutil.which("ionice")
    if ionice is not None:
        # Where the disk has no such order the wish is without effect, and that is no reason not to train.
        subprocess.run([ionice, "-c", "3", "-p", str(os.getpid())], check=False, capture_output=True)  # noqa: S603
