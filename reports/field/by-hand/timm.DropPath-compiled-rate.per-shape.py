"""timm.DropPath under torch.compile: from the third layer on, layers drop at the second layer's rate.

rate.per-shape, seen with torch 2.13.0+cpu. It takes several layers in one process, as the stochastic depth of a model has them
(its rates grow with the depth); one layer alone is right. The same without timm: reports/confirm/torch_compile_bernoulli_rate.py.
Exits with status 1 where the defect shows and not in the control, a plain right layer; with 4 where it shows in both; else with 0.
"""

import importlib.util
import sys

import torch

# timm.layers imports torchvision: the file is run by itself
folder = importlib.util.find_spec("timm").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("drop", f"{folder}/layers/drop.py")
drop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drop)

DTYPE = getattr(torch, sys.argv[1] if len(sys.argv) > 1 else "float32")


class Plain(torch.nn.Module):  # the control: a plain right layer
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return torch.where(torch.rand(x.shape[0], 1, 1, 1) < self.rate, 0.0, x.double() / (1 - self.rate)).to(x.dtype)


def measured(make):
    torch.manual_seed(0)
    said = []
    for rate in (0.5, 0.3, 0.1, 0.7):
        layer, x = make(rate).train(), torch.ones(1000, 2, 1, 1, dtype=DTYPE)
        compiled = torch.compile(layer)
        dropped = sum(int((compiled(x)[:, 0] == 0).sum()) for _ in range(100))
        z = (dropped - 100_000 * rate) / (100_000 * rate * (1 - rate)) ** 0.5
        if abs(z) > 8:  # a right layer: 10^-15
            said.append(f"the layer of rate {rate} drops at {dropped / 100_000:.4f} ({z:+.0f} standard deviations)")
    return "; ".join(said)


wrong, same = measured(drop.DropPath), measured(Plain)
print("expected: every compiled layer drops at its own rate")
print("observed:", wrong or "they do")
print("control:", same or "they do")
sys.exit(4 if wrong and same else 1 if wrong else 0)
