"""pandas, for those who ask for a table: an extra, since an audit, a gate and a report do without it."""

from __future__ import annotations

from importlib.util import find_spec

from dropcheck.contract.errors import UsageError


def need_pandas() -> None:
    """Raises UsageError where pandas is not installed."""
    if find_spec("pandas") is None:
        raise UsageError("tables need pandas: pip install 'dropcheck[pandas]'")
