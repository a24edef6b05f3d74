"""Two ranks whose batch is one DTensor: its samples in shards, or the whole of it on each rank."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters.torch_ranks import Ranks

SHARD, REPLICATE = "shard", "replicate"
_MESHES: List[Any] = []  # of this process's group, once it is made


def placed(eager: Callable[[Any, Any, bool], Any], adapter: Any, placement: str, axis: int) -> Callable[..., Any]:
    """Calls whose input and output are DTensors of two ranks; what goes in and comes out are this rank's parts.

    ``adapter.rows``: samples of the whole batch, of which a shard holds half.
    """

    def apply(layer: Any, x: Any, training: bool) -> Any:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Replicate, Shard

        if not _MESHES:
            _MESHES.append(init_device_mesh("cpu", (2,)))
        where: Any = Replicate() if placement == REPLICATE else Shard(axis)
        whole = list(x.shape)
        if placement == SHARD:  # a batch of one is given to both ranks, as a row of each
            whole[axis] = adapter.rows if adapter.rows > 1 else 2 * whole[axis]
        strides = tuple(math.prod(whole[i + 1 :]) for i in range(len(whole)))
        given = DTensor.from_local(
            x.contiguous(), _MESHES[0], [where], run_check=False, shape=torch.Size(whole), stride=strides
        )
        y = eager(layer, given, training)
        if not isinstance(y, DTensor):
            raise TypeError(f"the layer was given a DTensor and returned a {type(y).__name__}")
        local: Any = y.redistribute(placements=[where]).to_local()
        return local

    return apply


class Placed(Ranks):
    """Ranks as ``Ranks`` has them, whose parts are parts of one DTensor."""

    def __init__(self, adapter: Any, placement: str) -> None:
        super().__init__(adapter)
        self.placement = placement

    def enter(self) -> None:
        """Raises Unsupported as ``Ranks``, and where the layer takes no DTensor."""
        try:
            import torch.distributed.tensor  # noqa: F401
        except ImportError as error:
            raise Unsupported("this release of PyTorch has no torch.distributed.tensor") from error
        adapter = self.adapter
        adapter.contract = replace(adapter.contract, replicas=self.placement == REPLICATE)
        adapter.rows = 0
        self.settings = {"placement": self.placement}
        super().enter()
        self.eager = placed(self.eager, adapter, self.placement, self.axis)
        try:
            self._try()
        except Exception as error:
            self.leave()
            words = " ".join(str(error).split())[:160]
            raise Unsupported(f"the layer takes no DTensor: {type(error).__name__}: {words}") from error

    def _try(self) -> None:
        """One call, so that a layer that takes no DTensor is refused at once."""
        contract = self.adapter.contract
        sizes = dict(contract.pattern.sizes)
        x = torch.ones([sizes.get(a, 2) for a in contract.pattern.axes])
        rate = (contract.rates or (0.5,))[0]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            self.apply(self.made(rate, "float32", None, (contract.seeds or ("global",))[0]), x, True)

    def leave(self) -> None:
        super().leave()
        _MESHES.clear()

    def _ask(self, what: str, **request: Any) -> None:
        super()._ask(what, rows=self.adapter.rows, **request)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        self.adapter.rows = int(x.shape[self.axis])
        return super().apply(layer, x, training)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        self.adapter.rows = int(x.shape[self.axis])
        return super().gradient(layer, x, cotangent)


def serve_as(adapter: Any, settings: Dict[str, Any]) -> None:
    """Have rank 1's adapter run its layers as the mode of rank 0 does."""
    from spatial_dropouts.adapters.torch_mode import sample_axis

    adapter.rows = 0
    adapter.apply = placed(adapter.apply, adapter, settings["placement"], sample_axis(adapter.contract.pattern))
