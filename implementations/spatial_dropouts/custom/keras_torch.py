"""Our Keras layer's selection on PyTorch: the coins' key is the layer's seed and the number of the call."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
import torch

from spatial_dropouts.custom import selecting, torch_layer, torch_operator


def select(x: torch.Tensor, shape: Tuple[int, ...], rate: float, numbers: Any) -> torch.Tensor:
    """0 where a coin drops, ``x / (1 - rate)`` elsewhere. ``numbers``: two whole numbers that no other call has."""
    left, right = (int(one) % 2**63 for one in numbers.tolist())
    if x.dtype in selecting.DTYPES:
        if x.is_cpu:
            return torch_layer.select(x, (shape, rate, (left, right)))
        drops = selecting.coins(shape, rate, (left, right))
    else:  # not compiled here: by the generator that NumPy has
        drops = torch.from_numpy(np.random.Generator(np.random.Philox(key=[left, right])).random(shape) < rate)
    return torch_operator.composed(x, drops.to(x.device), rate)
