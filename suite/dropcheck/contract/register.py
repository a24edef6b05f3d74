"""Registered implementations: those of the entry points of one group, by name."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points

from dropcheck.contract.adapter import Implementation

GROUP = "dropcheck.implementations"


@dataclass(frozen=True)
class Registered:
    """An implementation of a register, with the entry point that it came from."""

    name: str
    implementation: Implementation
    source: str


def register() -> dict[str, Registered]:
    """All registered implementations by name; a broken third-party register is skipped, not fatal."""
    found: dict[str, Registered] = {}
    for source, entry in _entries():
        for name, implementation in entry.items():
            found.setdefault(name, Registered(name, implementation, source))
    return found


OURS = "spatial_dropouts:implementations"


@functools.cache
def _sources(path: tuple[str, ...]) -> tuple[str, ...]:
    """Where registers are, ours first. ``path``: what is read takes 30 ms, so that it is read again only where this changes."""
    # the built-in register uses the same group; from a checkout that is not installed it is found by import
    found = {point.value for point in entry_points(group=GROUP)} | {OURS}
    return tuple(sorted(found, key=lambda s: (s != OURS, s)))


def _entries() -> Iterator[tuple[str, dict[str, Implementation]]]:
    for source in _sources(tuple(sys.path)):
        module, _, attr = source.partition(":")
        try:
            entry = getattr(__import__(module, fromlist=[attr]), attr)
            yield source, dict(entry() if callable(entry) else entry)
        except Exception as error:  # somebody else's register must not stop ours
            if source == OURS:
                raise
            print(f"dropcheck: the register {source} cannot be read: {error}", file=sys.stderr)
