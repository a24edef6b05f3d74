"""What all modes of PyTorch share."""

from __future__ import annotations

from typing import Any, Callable

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.promise import Pattern


class Mode:
    """What all modes share. ``enter`` may change the adapter, or raise Unsupported; ``leave`` restores what is global.

    From ``enter`` on the adapter's own ``apply`` is the mode's, so that gradients and recomputation run in it, too, and
    also where a subclass has an ``apply`` of its own.
    """

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.eager: Callable[[Any, Any, bool], Any] = adapter.apply

    def enter(self) -> None:
        """Have the adapter run its layers in this mode."""
        self.adapter.apply = self.apply

    def leave(self) -> None:
        """Restore what is not the adapter's own."""

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        """One call in this mode."""
        raise NotImplementedError

    def without_recomputing(self, reason: str) -> None:
        """``gradient.recompute`` is not asked in this mode, for that reason."""

        def recompute(*given: Any) -> Any:
            raise Unsupported(reason)

        self.adapter.recompute = recompute


def sample_axis(pattern: Pattern) -> int:
    """The position of the first axis that indexes rows. Raises Unsupported where a call has one row only."""
    if not pattern.row_axes:
        raise Unsupported(
            f"under '{pattern}' a call has no samples with coins of their own: no axis to split or to map over"
        )
    return pattern.axes.index(pattern.row_axes[0])
