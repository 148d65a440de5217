"""A terminal for the tests that type commands."""

from tests.cli.conftest import terminal

__all__ = ["terminal"]
