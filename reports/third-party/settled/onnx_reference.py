"""mode.inference and seed.* of onnx.reference: inference draws nothing; a node with a seed repeats its calls; N/bin/python."""

import sys
import types

import numpy as np
from onnx.reference.ops.op_dropout import Dropout_12

NODE = types.SimpleNamespace(n_outputs=1)
x = np.ones((50, 40), np.float32)


def layer(seed, training):
    """One call of the reference."""
    return Dropout_12._private_run(NODE, x, seed=seed, ratio=0.5, training_mode=training)[0]


rng = np.random.default_rng(5)
before = np.random.get_state()[1].copy()
same = all(np.array_equal(layer(seed, False), x) for seed in range(20))
spent = not np.array_equal(before, np.random.get_state()[1])
fixed = sum(np.array_equal(layer(7, True), layer(7, True)) for _ in range(20))
drawn = sum(np.array_equal(*(layer(int(rng.integers(2**31)), True) for _ in range(2))) for _ in range(20))
print(f"inference returns its input in 20 of 20 calls: {same}; it spends NumPy's global numbers: {spent}")
print(f"two calls of a node with seed 7 are equal in {fixed} of 20 pairs")
print(f"control, a seed a call as exporters may write none: equal in {drawn} of 20 pairs")
sys.exit(0 if same and not spent and fixed == 20 and drawn == 0 else 1)
