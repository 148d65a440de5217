"""What holds for all tests."""

import os

from hypothesis import settings

# Tests run side by side on all processors: threads of the linear algebra would wait for each other, and busily. Numpy
# reads this when it is imported, and processes that tests start inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A busy machine is no fault of the code: how fast things are is for the benchmarks to say.
settings.register_profile("bookmatch", deadline=None)
settings.load_profile("bookmatch")
