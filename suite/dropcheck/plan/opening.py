"""How a target is opened: the session that an audit, or a look beside one, asks for."""

from __future__ import annotations

import secrets

from dropcheck.plan import shared_imports
from dropcheck.plan.request import AuditRequest
from dropcheck.plan.targets import Target
from dropcheck.worker.sessions import SessionSpec

LIMIT_S = 180.0  # for loading a framework and some hundred small calls


def of_request(target: Target, request: AuditRequest) -> SessionSpec:
    """How an audit opens a target."""
    return SessionSpec(
        locator=target.locator,
        source=target.source,
        pattern=request.pattern or target.pattern,
        inference=request.inference,
        mode=target.mode,
        device=request.device,
        python=target.python or request.python,
        environment=target.environment,
        path=target.path,
        packages=target.packages,
        timeout_s=request.timeout_s,
        memory_mb=request.memory_mb,
        in_process=request.in_process,
        token=secrets.token_hex(4),
        stem=() if request.in_process else shared_imports.modules(target),
    )


def spec_of(
    target: Target,
    pattern: str | None = None,
    python: str | None = None,
    in_process: bool = False,
    device: str = "cpu",
    inference: str | None = None,
) -> SessionSpec:
    """How a target is opened for a look, outside of an audit."""
    return SessionSpec(
        locator=target.locator,
        source=target.source,
        pattern=pattern,
        inference=inference,
        mode=target.mode,
        device=device,
        python=target.python or python,
        environment=target.environment,
        path=target.path,
        packages=target.packages,
        timeout_s=LIMIT_S,
        in_process=in_process,
    )
