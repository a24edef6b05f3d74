"""Our Keras layer's selection on JAX: the key is the layer's seed and the number of the call."""

from spatial_dropouts.custom.jax_function import select

__all__ = ["select"]
