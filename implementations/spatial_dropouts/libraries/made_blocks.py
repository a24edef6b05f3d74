"""DropBlock and stochastic depth of packages that do not import beside every PyTorch, by their rate."""

from __future__ import annotations

import types
from typing import Any

from spatial_dropouts.libraries.one_file import module, nothing


def mmdet(rate: float, block_size: int) -> Any:
    """DropBlock of MMDetection, at its full rate from the first call."""
    registry = {"MODELS": types.SimpleNamespace(register_module=nothing)}
    made = module("mmdet", "models/layers/dropblock.py", {"mmdet.registry": registry}).DropBlock
    return made(rate, block_size, warmup_iters=0)


def _operations(file: str) -> Any:
    """A file of torchvision.ops; the package does not import where its compiled part belongs to another PyTorch."""
    utils = {"_log_api_usage_once": lambda thing: None}
    return module("torchvision", f"ops/{file}.py", {"torchvision.utils": utils}, f"torchvision.ops.{file}")


def torchvision_block(rate: float, block_size: int) -> Any:
    """DropBlock2d of torchvision."""
    return _operations("drop_block").DropBlock2d(rate, block_size)


def torchvision_depth(rate: float, mode: str) -> Any:
    """StochasticDepth of torchvision."""
    return _operations("stochastic_depth").StochasticDepth(rate, mode)
