"""What remains of a target's audit, in seconds, from what its finished units, judgements and exact questions took."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case

Vector = np.ndarray[Any, np.dtype[np.float64]]

LEAST_UNITS = 4  # before so many have finished, their seconds tell less about others than the usual costs
# seconds of a layer made, a call, a coin and an element, of PyTorch on one core: their ratios, until units say otherwise
_USUAL = np.array([1e-3, 1.5e-4, 6e-8, 1.5e-8])
_TRUST = 0.1  # what one of the usual costs weighs, beside a finished unit
_ENOUGH = 0.5  # share of the exact questions from which on their seconds tell of the others


def features(case: Case, calls: int) -> tuple[float, ...]:
    """What the seconds of ``calls`` calls of a case depend on: layers made, calls, coins, and elements."""
    coins = case.coins * calls / max(1, case.calls)
    made = calls / 2 if case.regime == "seeds" else 1
    return float(made), float(calls), coins, coins * case.shared


class Remaining:
    """Seconds of units as a sum of so much a layer, a call, a coin and an element, none negative: least squares.

    Beside them the judging of every case, which takes longest where failing cases are shrunk.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.seconds: list[float] = []
        self.judging: list[float] = []

    def add(self, case: Case, calls: int, seconds: float) -> None:
        """One finished unit."""
        self.rows.append(features(case, calls))
        self.seconds.append(seconds)

    def judged(self, seconds: float) -> None:
        """One case was judged."""
        self.judging.append(seconds)

    def units(self, left: list[tuple[Case, int]]) -> float | None:
        """Seconds of what is left to be counted, as (case, calls), one after the other; None while nothing is done."""
        if not self.rows:
            return None
        rest = np.array([features(*one) for one in left]).reshape(-1, len(_USUAL))
        return float((rest @ self._costs()).sum())

    def to_judge(self, cases: int) -> float:
        """Seconds for judging so many cases."""
        return cases * sum(self.judging) / len(self.judging) if self.judging else 0.0

    def _costs(self) -> Vector:
        done, seconds = np.array(self.rows), np.array(self.seconds)
        usual = float(seconds.sum() / (done @ _USUAL).sum()) * _USUAL
        if len(done) < LEAST_UNITS or not usual.any():
            return usual
        # relative errors count, else one long unit would decide alone
        scale = 1 / np.maximum(seconds, seconds.max() / 100 + 1e-9)
        rows = np.vstack([done * usual * scale[:, None], _TRUST * np.eye(len(usual))])
        return _least_squares(rows, np.concatenate([seconds * scale, _TRUST * np.ones(len(usual))])) * usual


def _least_squares(rows: Vector, values: Vector) -> Vector:
    """The least squares solution without a negative part, of independent columns: of the few columns, every choice is tried.

    scipy.optimize has the same; its import alone takes longer than all such solutions of an audit.
    """
    square, right = rows.T @ rows, rows.T @ values
    best, least = np.zeros(len(right)), 0.0  # what the columns leave, but for what the values are by themselves
    for size in range(1, len(right) + 1):
        for chosen in map(list, combinations(range(len(right)), size)):
            found = np.linalg.solve(square[np.ix_(chosen, chosen)], right[chosen])
            rest = -float(found @ right[chosen])
            if (found >= 0).all() and rest < least:
                best, least = np.zeros(len(right)), rest
                best[chosen] = found
    return best


def together(left: float, exact_done: float, elapsed: float) -> float:
    """Seconds until the end of counting and judging, and of the exact questions, which run beside them.

    ``left``: of the former. ``exact_done``: the share of questions that is answered; ``elapsed``: seconds since they began.
    """
    exact = elapsed * (1 - exact_done) / exact_done if _ENOUGH <= exact_done < 1 else 0.0
    return max(left, exact)
