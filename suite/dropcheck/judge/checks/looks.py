"""What a few training calls show, held against a control: calls of the same layer, or of one like it, as other checks ask them.

A fault that the control has, too, belongs to the check that owns it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.judge.checks.base import Bench, Check, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, by_coin, dropped, familiar, kept_bounds, ladder
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding

COINS = 4000  # at least so many of each look
# Two shares of that many coins at one rate differ by more than SHARE with probability below 4 exp(-2 * 4000 * 0.1^2) = 10^-34
# (Hoeffding 1963, theorem 1, half of the difference to each).
SHARE = 0.2
FEW = 0.01  # a share of elements at fault that a situation must show: rarer faults have checks of their own, with more coins
# Words of coins are compared only where two independent ones are equal with probability below 10^-14; a question compares
# fewer than 10^5 pairs of them, so that a chance coincidence has probability below 10^-9.
_WORD_LOG10 = 14.0
# Layers that share a source share whole calls. A few words in common come by chance where coins of one row are tied, which is
# told elsewhere: at least 2 % of the words must be shared, and two of them.
SHARED = 0.02
EAGER = "eager"
# parts of sentences by which ``judge.following`` knows what chance explains where a layer makes few decisions
OFF, ONE_MASK, IN_COMMON = "of the decisions drop, expected", "calls have one mask", "mask rows in common"


def only_eager(check: Check, bench: Bench, what: str) -> list[Finding] | None:
    """Skipped in a mode: it changes how a call runs, and the eager layer is asked the rest."""
    mode = bench.info.get("mode", EAGER)
    if mode == EAGER:
        return None
    return [skipped(check, what, f"the check tests eager layers only, not mode {mode}")]


def sizes(rate: float) -> tuple[int, int, int]:
    """(rows, channels, shared) so long that a row, or a column of rows, is a word of coins that does not recur by chance."""
    # half as long again: a word counts by its own share of drops, which may be more telling or less
    word = math.ceil(1.5 * _WORD_LOG10 / -math.log10(rate * rate + (1 - rate) * (1 - rate))) if 0 < rate < 1 else 1
    return max(33, word if word > 65 else 33), max(65, word), 3


def word_sizes(bench: Bench, rate: float) -> tuple[int, int, int]:
    """``sizes``, or what other questions ask as well where a new shape is compiled and these are as long."""
    found = sizes(rate)
    return familiar(bench, found, (128, 128, 2)) if max(found) <= 128 else found


def times(bench: Bench, x: Any) -> int:
    """Calls after which COINS coins were flipped."""
    rows, channels = bench.contract.pattern.matrix_shape(np.shape(x))
    return max(2, math.ceil(COINS / (rows * channels)))


@dataclass(frozen=True)
class Look:
    """Counts of some calls. ``torn``: elements that disagree with their coin; ``wrong``: kept values out of bounds."""

    form: str  # what is wrong with shape or dtype
    coins: int = 0
    elements: int = 0
    share: float = 0.0
    torn: int = 0
    wrong: int = 0
    kept: int = 0
    factor: float = math.nan
    masks: tuple[NDArray[np.bool_], ...] = ()

    def tallies(self) -> dict[str, Any]:
        """The counts for a finding."""
        return {"torn": self.torn, "wrong": self.wrong, "kept": self.kept, "factor": self.factor}


def look(bench: Bench, raw: Sequence[Any], kind: str, x: Any, rate: float, dtype: str) -> Look:
    """Counts of outputs ``raw`` (as an adapter returns them, of dtype ``kind``) on the input ``x`` at ``rate``."""
    shapes = {tuple(np.shape(one)) for one in raw}
    if kind != dtype or shapes != {tuple(np.shape(x))}:
        return Look(f"an input of {dtype} {tuple(np.shape(x))} gives an output of {kind} {sorted(shapes)[0]}")
    pattern = bench.contract.pattern
    realised, low, high = bench.contract.scale == "realised", None, None
    masks, torn, wrong, kept, factors = [], 0, 0, 0, []
    for one in raw:
        y = rounding.to_float64(one, dtype)
        low, high = kept_bounds(bench.contract, x, rate, dtype, of=y) if one is raw[0] or realised else (low, high)
        gone = dropped(y, bench, rate, dtype)
        columns = by_coin(pattern, gone)
        coin = columns.mean(axis=1) > 0.5
        torn += int(np.count_nonzero(columns != coin[:, None]))
        with np.errstate(invalid="ignore"):
            right = (y >= low) & (y <= high)
        held = ~gone
        wrong += int(np.count_nonzero(held & ~right))
        kept += int(np.count_nonzero(held))
        if held.any():
            factors.append(float(np.median(y[held] / x[held])))
        masks.append(coin)
    coins = sum(len(m) for m in masks)
    return Look(
        form="",
        coins=coins,
        elements=sum(int(np.size(one)) for one in raw),
        share=sum(int(m.sum()) for m in masks) / max(1, coins),
        torn=torn,
        wrong=wrong,
        kept=kept,
        factor=float(np.median(factors)) if factors else math.nan,
        masks=tuple(masks),
    )


def faults(seen: Look, control: Look, rate: float, scale: float) -> list[str]:
    """What is wrong in ``seen`` and not in ``control``, in words with the number measured and the number expected."""
    if seen.form:
        return [] if control.form else [seen.form]
    if control.form:
        return []
    found = []
    if _more(seen.torn, seen, control.torn, control):
        found.append(f"{seen.torn} elements are not dropped or kept together with their channel, expected 0")
    if (
        abs(seen.share - control.share) > _telling_difference(min(seen.coins, control.coins))
        and abs(seen.share - rate) > SHARE / 2
    ):
        found.append(f"{seen.share:.0%} {OFF} {rate:.0%}")
    if _more(seen.wrong, seen, control.wrong, control):
        found.append(
            f"{seen.wrong} of {seen.kept} kept values are wrong: the median factor is {differing(seen.factor, scale)}"
        )
    if _frozen(seen) and not _frozen(control):
        found.append(f"{len(seen.masks)} {ONE_MASK}, expected a new mask for each call")
    return found


def _telling_difference(coins: int) -> float:
    """A difference of two shares of at least that many coins each, above SHARE, that chance shows with probability below 10^-12.

    By the bound at SHARE: 4 exp(-2 n (d / 2)^2). Calls of one coin, or of one a sample, have few.
    """
    return max(SHARE, math.sqrt(2 * math.log(4e12) / max(1, coins)))


def _more(count: int, seen: Look, before: int, control: Look) -> bool:
    """Whether a share of above FEW of the elements is at fault where next to none was in the control."""
    return count > FEW * seen.elements and before <= FEW / 2 * control.elements


def _frozen(seen: Look) -> bool:
    """Whether all calls show one mask that is long enough not to recur by chance."""
    first = seen.masks[0] if seen.masks else np.zeros(0, bool)
    return len(seen.masks) > 1 and _telling(first) and all(np.array_equal(first, one) for one in seen.masks[1:])


def _telling(mask: NDArray[np.bool_]) -> bool:
    p = np.count_nonzero(mask) / len(mask) if len(mask) else 0.0
    return 0 < p < 1 and -len(mask) * math.log10(p * p + (1 - p) * (1 - p)) >= _WORD_LOG10


def _telling_rows(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``_telling`` of every row of (rows, channels)."""
    p = np.count_nonzero(masks, axis=1) / max(1, masks.shape[1])
    same = p * p + (1 - p) * (1 - p)
    telling: NDArray[np.bool_] = (p > 0) & (p < 1) & (-masks.shape[1] * np.log10(same) >= _WORD_LOG10)
    return telling


def words(bench: Bench, seen: Look, x: Any) -> dict[bytes, int]:
    """Words of coins by the call that has them: every row that is long enough, and every whole call that is."""
    rows, channels = bench.contract.pattern.matrix_shape(np.shape(x))
    found: dict[bytes, int] = {}
    for call, mask in enumerate(seen.masks):
        if not _telling(mask):
            continue
        found.setdefault(b"call" + mask.tobytes(), call)
        if rows > 1:
            some = mask.reshape(rows, channels)
            for row in some[_telling_rows(some)]:
                found.setdefault(row.tobytes(), call)
    return found


def alternating(
    bench: Bench, one: Layer, two: Layer, x: Any, rate: float, dtype: str, calls: int = 3
) -> tuple[Look, Look]:
    """Calls of two layers in turn."""
    raw: tuple[list[Any], list[Any]] = ([], [])
    kinds = ["", ""]
    for _ in range(calls):
        for i, layer in enumerate((one, two)):
            answer = layer.call(x)
            raw[i].extend(answer.raw)
            kinds[i] = answer.dtype
    return look(bench, raw[0], kinds[0], x, rate, dtype), look(bench, raw[1], kinds[1], x, rate, dtype)


def repeats(bench: Bench, seen: Look, x: Any) -> int:
    """How often a word of coins of one layer is that of an earlier row or call of its own."""
    rows, channels = bench.contract.pattern.matrix_shape(np.shape(x))
    every = [mask for mask in seen.masks if _telling(mask)]
    words = [mask.tobytes() for mask in every]
    if rows > 1:
        for mask in every:
            some = mask.reshape(rows, channels)
            words += [b"row" + row.tobytes() for row in some[_telling_rows(some)]]
    return len(words) - len(set(words))


def shared_words(bench: Bench, one: Look, two: Look, x: Any) -> tuple[int, int]:
    """(words of coins that both have, 0 for fewer than SHARED of them; words of the first)."""
    first, second = words(bench, one, x), words(bench, two, x)
    common = len(first.keys() & second.keys())
    return (common if common >= max(2, SHARED * len(first)) else 0), len(first)


def wrapped(layer: Layer, id: int) -> Layer:
    """Another layer of the session that is asked like ``layer``."""
    import copy

    other = copy.copy(layer)
    other.id = id
    return other


def unseeded(bench: Bench, rate: float, way: str) -> Layer:
    """A layer that nobody seeds."""
    layer = Layer(bench, rate, way=way)
    made = ask(bench.session, "make", rate=rate, dtype=layer.dtype, seed=None, way=layer.way)
    return wrapped(layer, int(made["id"]))


def life(bench: Bench, do: str, **request: Any) -> dict[str, Any]:
    """A question about daily use: see worker/server/life.py."""
    return ask(bench.session, "life", do=do, **request)


def standing(bench: Bench, wanted: float) -> float:
    """The wanted rate, or the one that the layer stands at."""
    return ladder(bench, (wanted,))[0]


def refused(check: Check, where: str, error: Refused, words: str) -> Finding:
    """Skipped where there is no such thing, else a failure in the layer's own words."""
    if error.where == "unsupported":
        return skipped(check, where, error.message)
    return finding(check, where, "fail", f"{words} {error}", log10_evidence=-math.inf)
