"""Reproduction: a script of a few lines for every failing finding, with the framework and NumPy alone."""

from dropcheck.report.reproduction.confirm import Confirmed, NotConfirmed, confirm, failing, told
from dropcheck.report.reproduction.script import write
from dropcheck.report.reproduction.table import Script, together

__all__ = ["Confirmed", "NotConfirmed", "Script", "confirm", "failing", "together", "told", "write"]
