"""One rate while its coins still come: two likelihood ratios that may be looked at after every batch, in closed form.

theta is the true rate, |theta - p| <= delta0 is right, |theta - p| >= delta1 is the defect. With q0 = p +- delta0 and
q1 = p +- delta1 on either side,

    log L(k, n) = k log(q1/q0) + (n - k) log((1 - q1)/(1 - q0)).

One coin multiplies L by a factor whose mean under theta is linear in theta and 1 at theta = q0, so that L is a non-negative
supermartingale under every right theta of its side; 1/L likewise has a mean factor linear in theta, 1 at theta = q1 and below
1 beyond it, so that 1/L is one under every defect of its side. Ville's inequality (P(sup L >= c) <= 1/c) then bounds, over
the whole run and wherever the batches end:

- false alarms: both L reach 2/((1 - CAP) alpha) with probability at most (1 - CAP) alpha together; the exact test that
  judges what is undecided at the cap has level CAP alpha. In all at most alpha, whatever the dependence of the two.
- misses: a pass needs 1/L >= 1/((1 - CAP) beta) on both sides, one of which is the defect's: at most (1 - CAP) beta; what
  the exact test accepts at the cap under a defect of delta1 is at most CAP beta (the cap is raised until this holds).

Wald 1945 (sequential probability ratio test); Ville 1939; Howard et al. arXiv:1808.03204 for the anytime-valid reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dropcheck.statistics import binomial

CAP = 0.01  # share of alpha and of beta that is kept for the exact test at the cap
MOST = 3  # the cap, in coins of the fixed plan

Decision = Literal["fail", "pass"]


@dataclass(frozen=True)
class Sides:
    """The two tests of one rate. Build it with ``plan``, which computes the cap.

    ``cap``: coins at which the exact test judges what is still open; ``low`` and ``high``: the counts that it accepts there.
    """

    p: float
    delta0: float
    delta1: float
    alpha: float
    beta: float
    cap: int
    low: int
    high: int

    def log_ratios(self, k: Any, n: Any) -> tuple[Any, Any]:
        """Natural logarithms of L+ and L- for ``k`` drops of ``n`` coins, elementwise.

        A side on which no rate lies as far as delta1 is not tested: its ratio is nan.
        """
        return self._log_ratio(k, n, 1), self._log_ratio(k, n, -1)

    def tested(self) -> tuple[bool, bool]:
        """Whether a rate can be delta1 too high, and too low."""
        return self.p + self.delta1 <= 1, self.p - self.delta1 >= 0

    def _log_ratio(self, k: Any, n: Any, sign: int) -> Any:
        k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
        right, defect = self.p + sign * self.delta0, self.p + sign * self.delta1
        if not 0 <= defect <= 1:
            return np.full(np.broadcast(k, n).shape, np.nan)
        return _times(k, defect, right) + _times(n - k, 1 - defect, 1 - right)

    @property
    def log_fail(self) -> float:
        """log L at which a side fails: 2/((1 - CAP) alpha); false alarms of both sides together (1 - CAP) alpha."""
        return math.log(2 / ((1 - CAP) * self.alpha))

    @property
    def log_pass(self) -> float:
        """log 1/L at which a side is passed: 1/((1 - CAP) beta)."""
        return -math.log((1 - CAP) * self.beta)


@dataclass(frozen=True)
class State:
    """What has been seen: counts, and the highest and lowest log L of each side after any batch so far (0 at the start)."""

    k: int = 0
    n: int = 0
    highest: tuple[float, float] = (0.0, 0.0)
    lowest: tuple[float, float] = (0.0, 0.0)


def plan(p: float, coins: int, alpha: float, beta: float, delta0: float = 0.0, delta1: float | None = None) -> Sides:
    """The sequential form of a fixed plan of ``coins`` coins: same alpha and beta, same resolution unless it is given.

    The cap is MOST times ``coins``, or more where the exact test needs it for CAP alpha and CAP beta. Raises ValueError
    where no number of coins resolves the deviation (delta1 not above delta0, or no rate lies that far off).
    """
    if delta1 is None:
        delta1 = binomial.resolution(coins, p, alpha, beta, delta0)
    if not (math.isfinite(delta1) and 0 <= delta0 < delta1 and (p + delta1 <= 1 or p - delta1 >= 0)):
        raise ValueError(f"a rate of {p:g} cannot be distinguished from one {delta1:g} away (tolerated: {delta0:g})")
    # a deviation at the very end of the range, to the last bit
    if abs(p - delta1) < 1e-12:
        delta1 = p
    cap = MOST * coins
    # a resolution of inf on the far side (no rate lies there) must not raise the cap for ever
    for _ in range(24):
        if binomial.resolution(cap, p, CAP * alpha, CAP * beta, delta0) <= delta1:
            break
        cap = cap * 5 // 4 + 1
    low, high = binomial.acceptance(cap, p, CAP * alpha, delta0)
    return Sides(p, delta0, delta1, alpha, beta, cap, low, high)


def after(sides: Sides, state: State, k: int, n: int) -> State:
    """The state after a batch of ``k`` drops among ``n`` more coins."""
    total = State(state.k + k, state.n + n)
    ratios = [float(r) for r in sides.log_ratios(total.k, total.n)]
    highest = tuple(h if math.isnan(r) else max(h, r) for h, r in zip(state.highest, ratios, strict=True))
    lowest = tuple(w if math.isnan(r) else min(w, r) for w, r in zip(state.lowest, ratios, strict=True))
    return State(total.k, total.n, (highest[0], highest[1]), (lowest[0], lowest[1]))


def decide(sides: Sides, state: State) -> Decision | None:
    """What the coins so far decide; None: go on. A function of the stored state alone.

    At or beyond the cap there is always a decision: the exact test's. A run must stop there: later coins are not judged.
    """
    if max(state.highest) >= sides.log_fail:
        return "fail"
    tested = sides.tested()
    if all(-w >= sides.log_pass for w, one in zip(state.lowest, tested, strict=True) if one):
        return "pass"
    if state.n >= sides.cap:
        return "fail" if log10_at_cap(sides, state) <= math.log10(sides.alpha) else "pass"
    return None


def log10_at_cap(sides: Sides, state: State) -> float:
    """log10 p of the exact test at the cap, already divided by its share CAP; 0 before the cap."""
    if state.n < sides.cap:
        return 0.0
    return min(0.0, binomial.log10_outside(state.k, state.n, sides.p, sides.delta0) - math.log10(CAP))


def log10_evidence(sides: Sides, state: State) -> float:
    """log10 of an anytime-valid p-value against |theta - p| <= delta0, at most 0.

    The smaller of 2/((1 - CAP) max L) and, at the cap, the exact p-value over CAP: valid by the union bound above.
    """
    running = math.log10(2 / (1 - CAP)) - max(state.highest) / math.log(10)
    return min(0.0, running, log10_at_cap(sides, state))


def drift(sides: Sides, theta: float) -> tuple[float, float]:
    """Mean growth of log L+ and log L- a coin when coins drop with probability ``theta``; nan where a side is not tested."""
    up, down = sides.log_ratios(theta, 1.0)
    return float(up), float(down)


def wald_coins(sides: Sides, theta: float) -> float:
    """Coins on average until the decision, by Wald's identity without overshoot, for theta well on one side.

    A defect: the threshold over the drift of the side that rises. A right layer: both sides must fall; their thresholds over
    the slower drift, which is a lower bound (the later of two times is later than either), about three quarters of the truth.
    """
    drifts = [d for d in drift(sides, theta) if not math.isnan(d)]
    rising = max(drifts)
    if rising > 0:
        return sides.log_fail / rising
    return sides.log_pass / -rising if rising < 0 else math.inf


def _times(count: Any, top: float, bottom: float) -> Any:
    """count * log(top/bottom) with 0 log 0 = 0; a count that ``top`` rules out gives -inf, one that ``bottom`` does inf."""
    if top == bottom:
        return np.zeros(np.shape(count))
    if top <= 0:
        return np.where(count > 0, -np.inf, 0.0)
    if bottom <= 0:
        return np.where(count > 0, np.inf, 0.0)
    return count * math.log(top / bottom)
