"""Layers that split their batch over ranks as DTensors, for tests of the mode ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


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
