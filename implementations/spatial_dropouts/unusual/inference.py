"""Right layers that keep something by shape and mode, that are active in inference, or that scale in inference instead."""

from __future__ import annotations

from typing import Any, Mapping

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.broken.base import Layer, dropped
from spatial_dropouts.broken.inference import BranchByShape

_PLACE = "spatial_dropouts.unusual.inference:"


class BranchByShapeAndMode(BranchByShape):
    """A branch for each shape and each mode."""

    def key(self, x: Any, training: bool) -> Any:
        return x.shape, training


class KeepsItsLastMask(Layer):
    """The last mask is kept for whoever looks at it, and used nowhere else."""

    last: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        self.last = super().mask(x, rng)
        return self.last


class MonteCarlo(Layer):
    """Inference drops as training does."""

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, self.mask(x, rng)) if self.rate else x.copy()


class Classic(Layer):
    """The older convention: training does not scale, inference multiplies by 1 - rate."""

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate, 1.0)

    def infer(self, x: Any, rng: Any) -> Any:
        return (x * x.dtype.type(1 - self.rate)).astype(x.dtype)


def _np(attr: str, summary: str, contract: Any = None) -> Implementation:
    return Implementation(make=_PLACE + attr, framework="numpy", contract=contract, default=False, summary=summary)


def _contract(**more: Any) -> Contract:
    return Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("generator",), **more)


REGISTER: Mapping[str, Implementation] = {
    "unusual.branch-by-shape-and-mode": _np("BranchByShapeAndMode", "keeps a branch by shape and mode"),
    "unusual.keeps-its-last-mask": _np("KeepsItsLastMask", "keeps its last mask and uses it nowhere"),
    "unusual.monte-carlo": _np("MonteCarlo", "active in inference, as declared", _contract(inference="active")),
    "unusual.classic": _np(
        "Classic", "scales in inference instead, as declared", _contract(scale="none", inference="keep")
    ),
}
