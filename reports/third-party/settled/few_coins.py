"""form.copies and mode.threads of one coin a batch: equal calls are chance; T/bin/python (PyTorch)."""

import importlib.util
import sys
import types

import numpy as np
import torch

# its compiled part may belong to another PyTorch: the operations are read without it
folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
for name in ("torchvision", "torchvision.ops"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder + "/ops" * name.count(".")]
from torchvision.ops.stochastic_depth import StochasticDepth  # noqa: E402

torch.manual_seed(4)
x = torch.ones(3, 2)
pairs, calls = 4000, 3
one, two = (StochasticDepth(0.5, "batch").train() for _ in range(2))
same = sum(all(bool((one(x) == two(x)).all()) for _ in range(calls)) for _ in range(pairs))
coins = np.random.default_rng(4).random((pairs, 2, calls)) < 0.5
control = int((coins[:, 0] == coins[:, 1]).all(1).sum())
expected, sd = pairs / 2**calls, (pairs / 2**calls * (1 - 1 / 2**calls)) ** 0.5
print(f"two layers of torchvision's StochasticDepth fall alike {calls} times in a row in {same} of {pairs} tries")
print(f"control, NumPy's coins: {control}; expected {expected:g}, standard deviation {sd:.0f}")
sys.exit(0 if max(abs(same - expected), abs(control - expected)) < 5 * sd else 1)
