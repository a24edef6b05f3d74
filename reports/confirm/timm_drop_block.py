"""timm's DropBlock2d scales by what the batch really kept; at rate 1 in float16 it is NaN. Without dropcheck."""

import importlib.util
import pathlib

import torch

folder = pathlib.Path(importlib.util.find_spec("timm").submodule_search_locations[0])
spec = importlib.util.spec_from_file_location("drop", folder / "layers" / "drop.py")
drop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drop)

layer = drop.DropBlock2d(0.3, block_size=1).train()
torch.manual_seed(1)
for _ in range(3):
    y = layer(torch.ones(4, 2, 8, 8))
    print(
        f"kept values are {y.max().item():.6f} times x; 1 / (1 - rate) is {1 / 0.7:.6f}, dropped {(y == 0).float().mean():.4f}"
    )
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    y = drop.DropBlock2d(1.0, block_size=1).train()(torch.ones(1, 1, 2, 2, dtype=dtype))
    print("rate 1", dtype, y.flatten().tolist())
