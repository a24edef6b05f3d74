"""From the words of an option to its value: durations, lists, rates, shapes, seeds."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from dropcheck.contract.errors import UsageError, nearest

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(text: str, option: str) -> float:
    """``90``, ``90s``, ``2m`` or ``1h30m`` in seconds."""
    whole = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", whole):
        value = float(whole)
    elif re.fullmatch(r"(\d+(\.\d+)?(ms|h|m|s))+", whole):
        value = sum(float(n) * _UNITS[u] for n, _, u in re.findall(r"(\d+(\.\d+)?)(ms|h|m|s)", whole))
    else:
        raise UsageError(f"{option} takes a time such as 90s, 2m or 1h30m, not {text!r}")
    if value <= 0:
        raise UsageError(f"{option} takes a time above 0, such as 90s, not {text!r}")
    return value


def listed(values: Iterable[str]) -> tuple[str, ...]:
    """Repeated and comma separated words as one list."""
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def rates(values: Iterable[str]) -> tuple[float, ...]:
    """Rates, each a probability."""
    from dropcheck.contract.cases import parse_rate

    return tuple(parse_rate(word) for word in listed(values))


def shape(text: str, option: str = "--shape") -> tuple[int, ...]:
    """``256,64,3`` as sizes of the input axes."""
    words = [w.strip() for w in re.split(r"[,x]", text.strip("() ")) if w.strip()]
    if not words or not all(w.isdigit() and int(w) > 0 for w in words):
        raise UsageError(f"{option} takes the sizes of the input axes, such as 256,64,3, not {text!r}")
    return tuple(int(w) for w in words)


def seed(text: str | None, default: int) -> tuple[int, bool]:
    """The root seed, and whether it was drawn (``fresh``)."""
    if text is None:
        return default, False
    if text == "fresh":
        return secrets.randbelow(2**31 - 1), True
    if not text.lstrip("+").isdigit():
        raise UsageError(f"--seed takes a whole number of at least 0, or 'fresh', not {text!r}")
    return int(text), False


def inference(word: str | None) -> str | None:
    """What inference returns, a word of ``contract.INFERENCE``; None: what the contract says."""
    from dropcheck.contract.promise import INFERENCE

    if word is not None and word not in INFERENCE:
        raise UsageError(
            f"inference is {', '.join(INFERENCE[:-1])} or {INFERENCE[-1]}, not {word!r}{nearest(word, INFERENCE)}"
        )
    return word
