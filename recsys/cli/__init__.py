"""The `bookmatch` command: it wires the parts together and computes nothing. Each noun has a module."""

from recsys.cli.app import main

__all__ = ["main"]
