"""Errors that mean "could not run", and the words that name the nearest valid thing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR = 0.6  # share of common letters from which a word may be meant; difflib's own default


class UsageError(ValueError):
    """What was asked for cannot be run; the text is one sentence for the user, and the exit code is 2."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """``"; the nearest is 'x'"`` for the valid word most like ``word``, or an empty text where none is near.

    Near is a word that shares most of its letters, in order, or that begins with ``word``.
    """
    lowered = {choice.lower(): choice for choice in reversed(list(dict.fromkeys(valid)))}
    given = word.lower()
    near = difflib.get_close_matches(given, list(lowered), n=1, cutoff=NEAR)
    begun = sorted((choice for choice in lowered if len(given) >= 3 and choice.startswith(given)), key=len)
    found = (near or begun)[:1]
    return f"; the nearest is {lowered[found[0]]!r}" if found else ""
