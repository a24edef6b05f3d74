"""Errors that mean "could not run", and the words that name the nearest valid thing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What was asked for cannot be run; the text is one sentence for the user, and the exit code is 2."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """``"; the nearest is 'x'"`` for the valid word most like ``word``, or an empty text when there is none."""
    choices = list(dict.fromkeys(valid))
    if not choices:
        return ""
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.0)
    return f"; the nearest is {lowered[near[0]]!r}" if near else ""
