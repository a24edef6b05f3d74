"""What the gate goes by: stored results by kind, and what it knows of the machine that decides."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dropcheck.results.audit import Result

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult


@dataclass(frozen=True)
class Evidence:
    """Results by kind, each with the name of its file."""

    audits: tuple[tuple[str, Result], ...] = ()
    benches: tuple[tuple[str, BenchResult], ...] = ()


@dataclass(frozen=True)
class Here:
    """What the gate knows of the machine that decides.

    ``sources``: digests of the users' own files, by target or model; empty for what is installed, None for an unreadable file.
    """

    now: datetime.datetime
    sources: Mapping[str, str | None] = field(default_factory=dict)
