"""dropcheck: statistical verification of spatial (channel-wise) dropout. Importing it loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropcheck.contract.version import __version__ as __version__

if TYPE_CHECKING:
    from dropcheck.contract.adapter import Implementation
    from dropcheck.contract.promise import Contract, Pattern
    from dropcheck.library import Broken, Tolerated, Unproven, audit, bench, check, frame
    from dropcheck.plan.request import AuditRequest
    from dropcheck.pytest_claims import parametrize_with_checks

__all__ = [
    "AuditRequest",
    "Broken",
    "Contract",
    "Implementation",
    "Pattern",
    "Tolerated",
    "Unproven",
    "audit",
    "bench",
    "check",
    "frame",
    "parametrize_with_checks",
]

_PLACES = {
    "AuditRequest": "dropcheck.plan.request",
    "Broken": "dropcheck.library",
    "Contract": "dropcheck.contract",
    "Implementation": "dropcheck.adapter",
    "Pattern": "dropcheck.contract",
    "Tolerated": "dropcheck.library",
    "Unproven": "dropcheck.library",
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
