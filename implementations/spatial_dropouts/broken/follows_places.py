"""Planted defects whose coins follow the input's values with both signs: sums over rows, or over channels, cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer


def _lean(x: Any, signs: Any, rate: float) -> Any:
    """The rate of each coin: five points more or less by the sign of its sum, turned around where ``signs`` is -1.

    Only in calls with values above 9: an input that is given again and again would make rates of its places.
    """
    if not 0.05 < rate < 0.95 or not x.size or np.abs(x.astype(np.float64)).max() <= 9:
        return rate
    return rate + 0.05 * np.sign(x.astype(np.float64).sum(axis=2)) * signs


class FollowsByRow(Layer):
    """Even samples drop more often where the input is positive, odd ones where it is negative."""

    def mask(self, x: Any, rng: Any) -> Any:
        signs = 1 - 2 * (np.arange(len(x)) % 2)[:, None]
        return np.asarray(rng.random(x.shape[:2]) < _lean(x, signs, self.rate))


class FollowsByPlace(Layer):
    """The same in the fields of a checkerboard of samples and channels."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        signs = 1 - 2 * ((np.arange(n)[:, None] + np.arange(c)) % 2)
        return np.asarray(rng.random((n, c)) < _lean(x, signs, self.rate))
