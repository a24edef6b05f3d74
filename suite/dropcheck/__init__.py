"""dropcheck: statistical verification of spatial (channel-wise) dropout. Importing it loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropcheck.contract.version import __version__ as __version__

if TYPE_CHECKING:
    from dropcheck.contract.adapter import Implementation
    from dropcheck.contract.errors import UsageError
    from dropcheck.contract.promise import Contract, Pattern
    from dropcheck.library import Broken, Tolerated, Unproven, audit, bench, check, frame, load
    from dropcheck.plan.request import AuditRequest
    from dropcheck.pytest_claims import parametrize_with_checks
    from dropcheck.report.python_result import AuditResult

__all__ = [
    "AuditRequest",
    "AuditResult",
    "Broken",
    "Contract",
    "Implementation",
    "Pattern",
    "Tolerated",
    "Unproven",
    "UsageError",
    "audit",
    "bench",
    "check",
    "frame",
    "load",
    "parametrize_with_checks",
]

_PLACES = {
    "AuditRequest": "dropcheck.plan.request",
    "AuditResult": "dropcheck.report.python_result",
    "Broken": "dropcheck.library",
    "Contract": "dropcheck.contract",
    "Implementation": "dropcheck.adapter",
    "Pattern": "dropcheck.contract",
    "Tolerated": "dropcheck.library",
    "Unproven": "dropcheck.library",
    "UsageError": "dropcheck.contract.errors",
    "audit": "dropcheck.library",
    "bench": "dropcheck.library",
    "check": "dropcheck.library",
    "frame": "dropcheck.library",
    "load": "dropcheck.library",
    "parametrize_with_checks": "dropcheck.pytest_claims",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        try:
            return getattr(importlib.import_module(_PLACES[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "pytest":
                raise
            raise ModuleNotFoundError(
                f"dropcheck.{name} makes tests of pytest, which is not installed: pip install pytest", name="pytest"
            ) from None
    raise AttributeError(f"module 'dropcheck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
