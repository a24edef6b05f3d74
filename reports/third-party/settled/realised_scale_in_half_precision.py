"""scale.* of blocks in float16: a number over a count is its reciprocal times the number, below float16's normal ones."""

import sys

import numpy as np
import torch

worst = {}
for name, dtype in (("float16", torch.float16), ("float32", torch.float32)):
    unit = torch.finfo(dtype).eps / 2
    off = []
    for kept in range(20000, 60000, 16):
        count = torch.tensor(kept, dtype=dtype)
        exact = 40000 / float(count)
        off.append(abs(float(40000 / count) - exact) / exact / unit)
    worst[name] = max(off)
    print(f"{name}: 40000 / count is off by up to {worst[name]:.1f} unit roundoffs")
counts = np.arange(20000, 60000, 16).astype(np.float16)
exact = 40000 / counts.astype(np.float64)
control = float(np.max(np.abs((40000 / counts.astype(np.float32)).astype(np.float16) - exact) / exact) / 2**-11)
print(f"control, divided in float32 and rounded once: up to {control:.1f}")
sys.exit(0 if 1.5 < worst["float16"] <= 8 and control <= 1.01 else 1)
