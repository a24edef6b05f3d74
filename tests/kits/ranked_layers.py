"""Layers that split their batch over ranks as DTensors, for tests of the mode ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from dropcheck import Contract, Implementation, Pattern


class _Sharded(torch.nn.Module):
    """Takes its part of the batch for a shard of a DTensor, which is how such layers get their input."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p}")
        self.p = p

    def forward(self, x: Any) -> Any:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Shard

        global _MESH
        if _MESH is None:
            _MESH = init_device_mesh("cpu", (2,))
        whole = DTensor.from_local(x, _MESH, [Shard(0)], run_check=False)
        return self.drop(whole).to_local()

    def drop(self, whole: Any) -> Any:
        raise NotImplementedError


_MESH: Any = None


class Elementwise(_Sharded):
    """F.dropout draws from each rank's own generator: under one seed, shards share their mask."""

    def drop(self, whole: Any) -> Any:
        return F.dropout(whole, self.p, self.training)


class Channels(_Sharded):
    """F.dropout1d draws the noise of the whole batch on every rank."""

    def drop(self, whole: Any) -> Any:
        return F.dropout1d(whole, self.p, self.training)


class Replicated(_Sharded):
    """Every rank holds the whole tensor, as a DTensor that is replicated."""

    def forward(self, x: Any) -> Any:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Replicate

        global _MESH
        if _MESH is None:
            _MESH = init_device_mesh("cpu", (2,))
        whole = DTensor.from_local(x, _MESH, [Replicate()], run_check=False)
        return F.dropout1d(whole, self.p, self.training).to_local()


class SeededByRank(_Sharded):
    """Draws from a generator of its rank, as shards should, where replicas should not."""

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        seed = int(torch.randint(2**31, ())) + torch.distributed.get_rank()
        coins = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(seed))
        keep = (coins >= self.p).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
        return torch.where(keep, x / (1 - self.p) if self.p < 1 else x, torch.zeros((), dtype=x.dtype))


class ScaledByRank(_Sharded):
    """The same coins on every rank, and another factor on rank 1."""

    def forward(self, x: Any) -> Any:
        y = F.dropout1d(x, self.p, self.training)
        return y * 1.5 if self.training and torch.distributed.get_rank() else y


_REPLICAS = Contract(Pattern.parse("n c l -> n c"), replicas=True)
replicated, seeded_by_rank, scaled_by_rank = (
    Implementation(make=kind, framework="torch", contract=_REPLICAS)
    for kind in (Replicated, SeededByRank, ScaledByRank)
)
