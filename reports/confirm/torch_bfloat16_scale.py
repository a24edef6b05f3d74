"""PyTorch rounds the factor 1 / (1 - p) to the input's dtype before it multiplies: the mean of what is kept, without dropcheck."""

import torch

x = torch.linspace(1, 2, 100_001, dtype=torch.float64)[1:]
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    for rate in (0.1, 0.15, 0.3):
        inputs = x.to(dtype).reshape(-1, 1, 1)
        torch.manual_seed(1)
        y = torch.nn.Dropout1d(rate)(inputs)
        kept = y != 0
        shift = (y[kept].double() / (inputs[kept].double() / (1 - rate)) - 1).mean().item()
        u = torch.finfo(dtype).eps / 2
        print(
            f"{dtype!s:<15} p = {rate:<5g} kept values are off by {shift * 100:+.5f} % on average, {shift / u:+.2f} u"
        )
