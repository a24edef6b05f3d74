"""A framework of thirty lines: tensors that hold NumPy arrays, one global generator, layers without gradients."""

import numpy as np

VERSION = "1.0"
generator = np.random.default_rng(0)


def seed(value):
    """Restart the global generator."""
    global generator
    generator = np.random.default_rng(value)


class Tensor:
    """An array of a tiny framework."""

    def __init__(self, values):
        self.values = values


class ChannelDrop:
    """Drops whole channels; ``shared``: one mask for all samples, which is the mistake that the audit finds."""

    def __init__(self, rate, shared=False):
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is a probability, not {rate}")
        self.rate, self.shared = rate, shared

    def __call__(self, x, training):
        if not training or self.rate == 0:
            return x
        samples, channels = x.values.shape[:2]
        keep = generator.random((1 if self.shared else samples, channels, 1)) >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 0
        return Tensor(np.where(keep, x.values * scale, 0).astype(x.values.dtype))
