"""torch.FeatureAlphaDropout in a checkpoint inside of torch.compile: a second layer uses the first layer's rate.

gradient.recompute, seen with torch 2.13.0+cpu: where the second layer's gradient is 0, its output is not what it makes of a
dropped channel at its own rate, but at the first layer's. A layer of another rate must have been compiled before.
Exits with status 1 where the defect shows and not in the control, a plain right layer; with 4 where it shows in both; else with 0.
"""

import sys

import torch
from torch.utils.checkpoint import checkpoint

DTYPE = getattr(torch, sys.argv[1] if len(sys.argv) > 1 else "float32")
ALPHA = -1.7580993408473766  # what a dropped element is before the affine correction


class Plain(torch.nn.Module):  # the control: a plain right layer
    def __init__(self, rate):
        super().__init__()
        self.rate, self.a = rate, ((1 - rate) * (1 + rate * ALPHA**2)) ** -0.5

    def forward(self, x):
        gone = torch.rand(*x.shape[:2], 1) < self.rate
        return (self.a * torch.where(gone, ALPHA, x.double()) - self.a * self.rate * ALPHA).to(x.dtype)


def measured(make):
    torch.manual_seed(0)
    said, wrong = [], 0
    for rate in (0.3, 0.15):
        layer = make(rate).train()
        compiled = torch.compile(lambda given, layer=layer: checkpoint(layer, given, use_reentrant=False), dynamic=True)
        # positive inputs: what is dropped becomes the one negative value, a * ALPHA + b
        x = torch.linspace(1, 2, 33 * 65 * 3).reshape(33, 65, 3).to(DTYPE).requires_grad_()
        y = compiled(x)
        (g,) = torch.autograd.grad(y, x, torch.ones_like(y))
        a = ((1 - rate) * (1 + rate * ALPHA**2)) ** -0.5
        value = a * ALPHA * (1 - rate)
        dropped = (abs(y.double() - value) < 0.02).all(dim=2)
        silent = (g == 0).all(dim=2)
        wrong += int((dropped != silent).sum())
        said.append(
            f"at rate {rate} the gradient is 0 in {int(silent.sum())} of 2145 channels, {int((dropped & silent).sum())} of them "
            f"hold the dropped value {value:.3f}, the smallest output is {float(y.min()):.3f}"
        )
    return wrong, "; ".join(said)


(wrong, observed), (same, control) = measured(torch.nn.FeatureAlphaDropout), measured(Plain)
print("expected: the gradient is 0 where the output was dropped, and only there")
print("observed:", observed)
print("control:", control)
sys.exit(4 if wrong and same else 1 if wrong else 0)
