"""``python -m dropcheck``."""

from dropcheck.cli import entry

entry()
