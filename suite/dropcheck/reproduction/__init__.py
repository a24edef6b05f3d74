"""Reproduction: a script of a few lines for every failing finding, with the framework and NumPy alone."""

from dropcheck.reproduction.confirm import Confirmed, NotConfirmed, confirm, failing
from dropcheck.reproduction.script import write

__all__ = ["Confirmed", "NotConfirmed", "confirm", "failing", "write"]
