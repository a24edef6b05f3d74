"""What remains of a target's counting, in seconds, from what its finished units took."""

from __future__ import annotations

import numpy as np

from dropcheck.contract.cases import Case

LEAST_UNITS = 4  # before so many have finished, their seconds tell less about others than the number of coins


def features(case: Case, calls: int) -> tuple[float, ...]:
    """What the seconds of ``calls`` calls of a case depend on: layers made, calls, coins, and elements."""
    coins = case.coins * calls / max(1, case.calls)
    made = calls / 2 if case.regime == "seeds" else 1
    return float(made), float(calls), coins, coins * case.shared


class Remaining:
    """Seconds of units as a sum of so much a layer, a call, a coin and an element, none negative: least squares."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.seconds: list[float] = []

    def add(self, case: Case, calls: int, seconds: float) -> None:
        """One finished unit."""
        self.rows.append(features(case, calls))
        self.seconds.append(seconds)

    def ratio(self, left: list[tuple[Case, int]]) -> float | None:
        """What is left, as (case, calls), over what is done; None while nothing is done."""
        if not self.rows:
            return None
        done = np.array(self.rows)
        rest = np.array([features(*one) for one in left]).reshape(-1, done.shape[1])
        weights = np.array([0.0, 0.0, 1.0, 0.0])
        if len(done) >= LEAST_UNITS:
            from scipy.optimize import nnls  # slow to import, and short audits end before

            size = done.max(axis=0)
            seconds = np.array(self.seconds)
            # relative errors count, else one long unit would decide alone
            scale = 1 / np.maximum(seconds, seconds.max() / 100 + 1e-9)
            found, _ = nnls(done / size * scale[:, None], seconds * scale)
            weights = found / size if found.any() else weights
        whole = float((done @ weights).sum())
        return float((rest @ weights).sum()) / whole if whole > 0 else None
