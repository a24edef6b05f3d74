"""What only those need who ask for a table: extras, since an audit, a gate and a report do without them."""

from __future__ import annotations

import importlib.util

from dropcheck.contract.errors import UsageError


def need(what: str, module: str, extra: str) -> None:
    """Raises UsageError with the extra to install where the module is not there. ``what``: asks for it, with its verb."""
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{what} {module}: pip install 'dropcheck[{extra}]'")


def need_pandas() -> None:
    """Raises UsageError where pandas is not installed."""
    need("tables need", "pandas", "pandas")
