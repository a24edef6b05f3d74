"""gradient.scale of torchvision's DropBlock: an input of 0 shows no factor, and has that of all others; T/bin/python."""

import importlib.util
import sys
import types

import torch

# its compiled part may belong to another PyTorch: the operations are read without it
folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
for name in ("torchvision", "torchvision.ops"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder + "/ops" * name.count(".")]
from torchvision.ops.drop_block import DropBlock2d  # noqa: E402

torch.manual_seed(2)
x = torch.randn(8, 6, 7, 7)
x[:, :, 3, 3] = 0
x.requires_grad_(True)
y = DropBlock2d(0.3, 1).train()(x)
y.sum().backward()
shown = (y / x)[(x != 0) & (y != 0)]
factor = float(shown.detach().median())
zero = x == 0
wrong = int(((x.grad != 0) & (x.grad - factor).abs().gt(1e-5)).sum())
print(f"factor of the values that show one: {float(shown.detach().min()):.6f} to {float(shown.detach().max()):.6f}")
print(f"gradients that are neither 0 nor that factor: {wrong} of {x.numel()}")
print(
    f"inputs of 0: {int(zero.sum())}, all outputs 0; with gradient 0: {int((x.grad[zero] == 0).sum())}, the factor: "
    f"{int((x.grad[zero] != 0).sum())}"
)
# control: the same mask times the same number, by hand
mask = (x.grad != 0).float()
z = x.detach().clone().requires_grad_(True)
(z * mask * (mask.numel() / mask.sum())).sum().backward()
off = float((z.grad - x.grad).abs().max())
print(f"control, x * mask * numel / kept: gradients differ by at most {off:.2g}")
alone = int((x.grad[zero] == 0).sum())
sys.exit(0 if wrong == 0 and off < 1e-5 and 0 < alone < int(zero.sum()) else 1)
