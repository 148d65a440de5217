"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no fault of the code: how fast things are is for the benchmarks to say.
settings.register_profile("bookmatch", deadline=None)
settings.load_profile("bookmatch")
