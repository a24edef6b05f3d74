"""dropcheck: statistical verification of spatial (channel-wise) dropout. Importing it loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropcheck.contract.version import __version__ as __version__

if TYPE_CHECKING:
    from dropcheck.contract.adapter import Implementation
    from dropcheck.contract.promise import Contract, Pattern
    from dropcheck.library import audit, bench, check, frame
    from dropcheck.plan.request import AuditRequest
    from dropcheck.pytest_claims import parametrize_with_checks

__all__ = [
    "AuditRequest",
    "Contract",
    "Implementation",
    "Pattern",
    "audit",
    "bench",
    "check",
    "frame",
    "parametrize_with_checks",
]

_PLACES = {
    "AuditRequest": "dropcheck.plan.request",
    "Contract": "dropcheck.contract",
    "Implementation": "dropcheck.adapter",
    "Pattern": "dropcheck.contract",
    "audit": "dropcheck.library",
    "bench": "dropcheck.library",
    "check": "dropcheck.library",
    "frame": "dropcheck.library",
    "parametrize_with_checks": "dropcheck.pytest_claims",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'dropcheck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
