"""Cases: one concrete situation each, with a one-line text that repeats it."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any

from dropcheck.contract.adapter import DTYPES, LAYOUTS
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.promise import ContractError, Pattern, check_rate

REGIMES = ("stream", "values", "seeds", "exact")


@dataclass(frozen=True)
class Case:
    """One situation.

    ``rows``, ``channels``, ``shared``: sizes of the coin matrix of a call, and elements that share a coin.
    ``calls``: how many calls the case makes; ``batches``: rows of successive calls, in turn, where they vary.
    ``regime``: ``stream`` (successive calls of one layer), ``values`` (inputs whose values vary coin by coin),
    ``seeds`` (a fresh seed every few calls), ``exact`` (a few questions with exact answers).
    ``infer``: an inference call after every so many training calls.
    """

    dtype: str
    rate: float
    rows: int
    channels: int
    shared: int
    calls: int
    regime: str = "stream"
    layout: str = "contiguous"
    grad: bool = False
    batches: tuple[int, ...] = ()
    way: str = ""
    infer: int = 0
    drawn: bool = False

    @property
    def coins(self) -> int:
        """Coins that the case flips."""
        if self.batches:
            turns, rest = divmod(self.calls, len(self.batches))
            return (turns * sum(self.batches) + sum(self.batches[:rest])) * self.channels
        return self.calls * self.rows * self.channels

    @property
    def row_count(self) -> int:
        """Rows over all calls."""
        return self.coins // max(1, self.channels)

    def shapes(self, pattern: Pattern) -> list[tuple[int, ...]]:
        """Input shapes of successive calls, in turn."""
        rows = self.batches or (self.rows,)
        return [pattern.shape(r, self.channels, self.shared) for r in rows]

    def __str__(self) -> str:
        words = [self.dtype, f"rate={self.rate:g}" if float(f"{self.rate:g}") == self.rate else f"rate={self.rate!r}"]
        words.append(f"{self.rows},{self.channels},{self.shared}")
        words.append(f"calls={self.calls}")
        if self.regime != "stream":
            words.append(self.regime)
        if self.layout != "contiguous":
            words.append(self.layout)
        if self.grad:
            words.append("grad")
        if self.batches:
            words.append("batches=" + ",".join(map(str, self.batches)))
        if self.way:
            words.append(f"way={self.way}")
        if self.infer:
            words.append(f"infer={self.infer}")
        return " ".join(words)


def parse_case(text: str) -> Case:
    """Read the text of a case. Raises UsageError that names the word and what was expected."""
    fields: dict[str, Any] = {"dtype": "float32", "regime": "stream", "calls": 64}
    sizes: tuple[int, ...] | None = None
    for word in text.split():
        key, _, value = word.partition("=")
        if word in DTYPES:
            fields["dtype"] = word
        elif word in LAYOUTS:
            fields["layout"] = word
        elif word in REGIMES:
            fields["regime"] = word
        elif word == "grad":
            fields["grad"] = True
        elif re.fullmatch(r"\d+(,\d+){2}", word):
            sizes = tuple(int(n) for n in word.split(","))
        elif key == "rate":
            fields["rate"] = parse_rate(value)
        elif key in ("calls", "infer") and value.isdigit():
            fields[key] = int(value)
        elif key == "batches" and re.fullmatch(r"\d+(,\d+)*", value):
            fields["batches"] = tuple(int(n) for n in value.split(","))
        elif key == "way" and value:
            fields["way"] = value
        else:
            known = [
                *DTYPES,
                *LAYOUTS,
                *REGIMES,
                "grad",
                "rate=.3",
                "calls=64",
                "batches=5,1,9",
                "way=global",
                "infer=8",
            ]
            raise UsageError(
                f"case {text!r}: the word {word!r} is not understood; expected words such as "
                f"'float32 rate=.3 257,64,4 calls=64' (rows,channels,shared){nearest(word, known)}"
            )
    if sizes is None or "rate" not in fields:
        raise UsageError(
            f"case {text!r} lacks {'its rate' if sizes else 'its sizes'}; expected 'float32 rate=.3 257,64,4 calls=64' "
            "(rows,channels,shared)"
        )
    if fields["regime"] == "values" and "batches" in fields:
        raise UsageError(
            f"case {text!r}: inputs whose values vary have one batch size; leave out 'values' or 'batches'"
        )
    return Case(rows=sizes[0], channels=sizes[1], shared=sizes[2], **fields)


def parse_rate(text: str) -> float:
    """A rate from the command line, with its sentence where it is none."""
    try:
        return check_rate(float(text))
    except (ValueError, ContractError):
        given = text.strip() or "nothing"
        try:
            near = min(max(float(text), 0.0), 1.0)
        except ValueError:
            near = 0.5
        hint = "" if math.isnan(near) else f"; the nearest is {near:g}"
        raise UsageError(f"a rate is a probability from 0 to 1, {given} was given{hint}") from None


def seed_of(root: int, *parts: object) -> int:
    """A 31-bit seed from the root seed and a stable hash: the same for a target and a case wherever they stand."""
    text = "\x1f".join([str(root), *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % (2**31 - 1)


LADDER = (0.001, 0.01, 0.1, 0.15, 0.3, 0.5, 0.9)
