"""Reproduction: a script of a few lines for every failing finding, with the framework and NumPy alone."""

from dropcheck.reproduction.confirm import Confirmed, NotConfirmed, confirm, failing, told
from dropcheck.reproduction.script import write
from dropcheck.reproduction.table import Script, together

__all__ = ["Confirmed", "NotConfirmed", "Script", "confirm", "failing", "together", "told", "write"]
