"""rate.one of blocks of one, rate.zero of drop_connect: right in float32, wrong in half precision; T/bin/python (PyTorch)."""

import importlib.util
import sys

import torch


def lone(package, inside):
    """A file of a package, run by itself: the packages do not all import beside this framework."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(inside.replace("/", "_"), f"{folder}/{inside}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drop_connect(x, rate):
    from efficientnet_pytorch.utils import drop_connect as layer

    return layer(x, rate, True)


def control(x, rate):
    """Rows by a comparison in float32, which neither divides by 0 nor rounds 1 plus a number below 1 to 2."""
    keep = (torch.rand(x.shape[0], 1, 1, 1) >= rate).to(x.dtype)
    return torch.zeros_like(x) if rate == 1 else x * keep / (1 - rate)


torch.manual_seed(1)
blocks = lone("timm", "layers/drop.py")
seen = {}
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    x = torch.full((6000, 4, 2, 2), 2.0, dtype=dtype)
    y = blocks.DropBlock2d(1.0, 1).train()(x)
    seen["one", dtype] = int((~torch.isfinite(y)).sum())
    seen["zero", dtype] = int((drop_connect(x, 0.0) != x).sum())
    seen["control", dtype] = int((control(x, 0.0) != x).sum()) + int((control(x, 1.0) != 0).sum())
    print(
        f"{dtype}: of {x.numel()} elements timm's DropBlock2d makes {seen['one', dtype]} not finite at rate 1, "
        f"efficientnet_pytorch's drop_connect changes {seen['zero', dtype]} at rate 0; the control's wrong ones: "
        f"{seen['control', dtype]}"
    )
right = seen["one", torch.float32] == 0 < seen["one", torch.float16]
right &= seen["zero", torch.float32] == 0 < seen["zero", torch.bfloat16]
right &= not any(n for (what, _), n in seen.items() if what == "control")
sys.exit(0 if right else 1)
