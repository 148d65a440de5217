"""What all workers of a machine have in common, imported once: they are forked from the process that imported this.

Importing it has the effect that it is there for: the memory of libraries and of compiled code is shared, not private.
"""

from __future__ import annotations

import gc

# As the command itself does: importing makes no garbage worth the time of looking for it.
gc.disable()

import serving.http.app  # noqa: E402, F401 - to have it
from serving.warm_up import warm_up  # noqa: E402

warm_up()
gc.collect()
gc.freeze()
