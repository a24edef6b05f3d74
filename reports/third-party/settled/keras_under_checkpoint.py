"""gradient.recompute of Keras layers on PyTorch: checkpointing restores PyTorch's generator, not Keras' own; T/bin/python."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras  # noqa: E402
import torch  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402


class DropPath(keras.layers.Layer):
    """The drop path of keras-cv and keras-hub in short: a number a row of its own seed generator."""

    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(seed=3)

    def call(self, x):
        keep = keras.random.uniform((x.shape[0], 1), seed=self.generator) > 0.3
        return x / 0.7 * keras.ops.cast(keep, x.dtype)


def disagree(layer):
    """Rows whose gradient is not 0 exactly where their output is, of ten calls with a forward pass run again."""
    wrong = 0
    for _ in range(10):
        x = torch.ones(200, 4, requires_grad=True)
        y = checkpoint(layer, x, use_reentrant=False)
        y.sum().backward()
        wrong += int(((y == 0) != (x.grad == 0)).any(1).sum())
    return wrong


found = disagree(DropPath())
control = disagree(torch.nn.Dropout(0.3).train())
print(f"rows of 2000 whose gradient is of other coins: a Keras layer {found}, expected 840 of two independent masks")
print(f"control, torch.nn.Dropout: {control}")
sys.exit(0 if 700 < found < 980 and control == 0 else 1)
