"""Stochastic depth in transformers draws and adds in the dtype of the input: shares and factors, without dropcheck."""

import torch
from transformers.models.convnext.modeling_convnext import ConvNextDropPath
from transformers.models.swin.modeling_swin import SwinDropPath

for layer in (SwinDropPath, ConvNextDropPath):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for rate in (0.001, 0.1, 0.15, 0.3):
            torch.manual_seed(1)
            y = layer(rate).train()(torch.ones(1_000_000, 1, 1, dtype=dtype)).flatten().float()
            share, error = (y == 0).float().mean().item(), (rate * (1 - rate) / len(y)) ** 0.5
            twice = (y > 1.5 / (1 - rate)).float().mean().item()
            print(
                f"{layer.__name__:<17} {dtype!s:<15} asked for {rate:<6g} dropped {share:.5f} "
                f"{(share - rate) / error:+8.1f} standard errors, scaled twice {twice:.5f}"
            )
    y = layer(1.0).train()(torch.tensor([0.0, 1.0, -2.0]).reshape(3, 1, 1))
    print(layer.__name__, "rate 1:", y.flatten().tolist())
    for rate in (-0.1, 1.5, float("nan")):
        torch.manual_seed(1)
        print(layer.__name__, "rate", rate, "gives", layer(rate).train()(torch.ones(6, 1, 1)).flatten().tolist())
