"""The command line."""

from ngdiff.cli.main import main

__all__ = ["main"]
