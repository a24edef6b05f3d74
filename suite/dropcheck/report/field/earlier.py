"""Sentences that earlier releases stored, in the words of today: a field report is also made of results that are years old."""

from __future__ import annotations

import re

_TODAY = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^not interpretable while ([\w.-]+) fails.*", r"\1 fails first"),
        (r"\bits coin\b", "its drop decision"),
        (r"^coins drop with probability", "the drop rate is"),
        (r"\brepeats coins of\b", "repeats drop decisions of"),
        (r"\bcoins\b", "drop decisions"),
        (r"\bis no probability, yet it is obeyed\b", "is accepted"),
        (r"\bobeyed\b", "accepted"),
        (r"\brefuses\b", "rejects"),
        (r"\brefused\b", "rejected"),
        (r"\bas the contract promises nothing\b", "as the contract declares nothing"),
        (r"\bpromises\b", "declares"),
    )
)


def today(text: str) -> str:
    """A stored sentence with the words of today for those of earlier releases."""
    for pattern, words in _TODAY:
        text = pattern.sub(words, text)
    return text
