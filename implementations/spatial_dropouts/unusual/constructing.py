"""A right layer whose constructor draws from the generator that is seeded, as weights do."""

from __future__ import annotations

from typing import Any, Mapping

from dropcheck.contract.adapter import Implementation


def with_weights(rate: float) -> Any:
    """Dropout1d beside weights that are drawn when it is built."""
    import torch

    class WithWeights(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 4)
            self.drop = torch.nn.Dropout1d(rate)

        def forward(self, x: Any) -> Any:
            return self.drop(x)

    return WithWeights()


REGISTER: Mapping[str, Implementation] = {
    "unusual.with-weights": Implementation(
        make="spatial_dropouts.unusual.constructing:with_weights",
        framework="torch",
        default=False,
        summary="weights are drawn by its constructor",
        requires=("torch",),
    ),
}
