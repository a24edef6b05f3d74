"""Layers that take a DTensor, for tests of its modes."""

from __future__ import annotations

from typing import Any

import torch


class ByRank(torch.nn.Module):
    """Adds the rank to the seed of each call: right for shards, where replicas then differ."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p}")
        self.p = p

    def forward(self, x: Any) -> Any:
        from torch.distributed.tensor import DTensor

        if not self.training or self.p == 0:
            return x
        seed = int(torch.randint(2**31, ())) + torch.distributed.get_rank()
        local = x.to_local()
        coins = torch.rand(local.shape[:2], generator=torch.Generator().manual_seed(seed))
        keep = (coins >= self.p).reshape(*local.shape[:2], 1)
        made = torch.where(keep, local / (1 - self.p), torch.zeros((), dtype=local.dtype))
        return DTensor.from_local(made, x.device_mesh, x.placements, run_check=False, shape=x.shape, stride=x.stride())
