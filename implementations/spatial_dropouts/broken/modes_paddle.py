"""A planted defect of Paddle's static graphs: right in dynamic calls, frozen once traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle


class FrozenByNumpy(paddle.nn.Layer):
    """NumPy draws the mask: at every dynamic call, but once a trace. Channels first, one coin per (sample, channel)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.p = rate

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        kept = np.random.random((x.shape[0], x.shape[1], *[1] * (len(x.shape) - 2))) >= self.p
        return x * paddle.to_tensor((kept / (1 - self.p)).astype("float32")).astype(x.dtype)
