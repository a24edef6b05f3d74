"""Attention of Keras: with equal scores and one-hot values the output is the mask of the attention weights.

Queries and keys are 0, so each of k weights is 1 / k; values are unit vectors, so element j of an output is weight j after
dropout. Exact where k is a power of two. A backward pass with unit gradients shows the weights that it uses, transposed.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import keras
import numpy as np
from keras import ops

from spatial_dropouts.instruments.keras_shown import Shown, unit


class Single(Shown):
    """``keras.layers.Attention`` or ``AdditiveAttention``: x is (n, q, k)."""

    kind = "Attention"

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (shape[-1],)

    def bare(self) -> Any:
        return getattr(keras.layers, self.kind)(dropout=self.rate, seed=self.seed, dtype=self.dtype_policy)

    def dress(self, real: Any) -> None:
        (k,) = self.sizes
        real.build([(None, 1, k), (None, k, k), (None, k, k)])
        real.built = True

    def carrier(self, x: Any) -> Any:
        k = x.shape[-1]
        return ops.tile(unit(k, k, x.dtype)[None], (ops.shape(x)[0], 1, 1))

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        n, q, _ = ops.shape(x)
        queries = ops.zeros((n, q, x.shape[-1]), carrier.dtype)
        return self.real([queries, carrier, ops.zeros_like(carrier)], training=training)

    def read(self, output: Any, x: Any) -> Any:
        return output * x.shape[-1]

    def cotangents(self, x: Any) -> List[Any]:
        n, q, k = x.shape
        return [ops.tile(unit(q, k, x.dtype, first)[None], (n, 1, 1)) for first in range(0, q, k)]

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        k = x.shape[-1]
        return ops.concatenate([ops.transpose(g, (0, 2, 1)) for g in gradients], axis=1)[:, : x.shape[1]] * k


class Additive(Single):
    """``keras.layers.AdditiveAttention``."""

    kind = "AdditiveAttention"


class Multihead(Shown):
    """``keras.layers.MultiHeadAttention``: x is (n, h, q, k); each head has values and outputs of its own."""

    groups = 1  # heads of queries that share one head of values

    def needs(self, shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (shape[1], shape[3])

    def bare(self) -> Any:
        h, k = self.sizes
        return keras.layers.MultiHeadAttention(
            h, k, value_dim=k, output_shape=h * k, dropout=self.rate, seed=self.seed, dtype=self.dtype_policy,
            kernel_initializer="zeros",
        )  # fmt: skip

    def widths(self) -> Tuple[int, int]:
        """Features of queries, and of values."""
        h, k = self.sizes
        return h * k, h * k // self.groups

    def dress(self, real: Any) -> None:
        _, k = self.sizes
        queries, values = self.widths()
        real.build((None, 1, queries), (None, k, values), (None, k, values))
        for variable in real.weights:
            if "value/kernel" in variable.path:
                variable.assign(np.eye(values).reshape(variable.shape))
            elif "attention_output/kernel" in variable.path:
                variable.assign(np.eye(queries).reshape(variable.shape))

    def carrier(self, x: Any) -> Any:
        _, h, _, k = x.shape
        return ops.tile(unit(k, k, x.dtype)[None], (ops.shape(x)[0], 1, h // self.groups))

    def run(self, carrier: Any, x: Any, training: Any) -> Any:
        n, _, q, _ = ops.shape(x)
        queries = ops.zeros((n, q, self.widths()[0]), carrier.dtype)
        return self.real(queries, carrier, training=training)

    def read(self, output: Any, x: Any) -> Any:
        n, h, q, k = ops.shape(x)
        return ops.transpose(ops.reshape(output, (n, q, h, k)), (0, 2, 1, 3)) * x.shape[-1]

    def cotangents(self, x: Any) -> List[Any]:
        n, h, q, k = x.shape
        found = []
        for member in range(self.groups):
            heads = ops.reshape(ops.cast(ops.arange(h) % self.groups == member, x.dtype), (1, 1, h, 1))
            for first in range(0, q, k):
                one = ops.reshape(unit(q, k, x.dtype, first), (1, q, 1, k)) * heads
                found.append(ops.tile(ops.reshape(one, (1, q, h * k)), (n, 1, 1)))
        return found

    def read_back(self, gradients: List[Any], x: Any) -> Any:
        n, h, q, k = x.shape
        parts = [ops.transpose(ops.reshape(g, (n, k, h // self.groups, k)), (0, 2, 3, 1)) for g in gradients]
        times = -(-q // k)  # (n, heads of values, queries, keys) of each member of a group
        members = [ops.concatenate(parts[m * times : (m + 1) * times], axis=2)[:, :, :q] for m in range(self.groups)]
        return ops.reshape(ops.stack(members, axis=2), (n, h, q, k)) * k


class Grouped(Multihead):
    """``keras.layers.GroupQueryAttention`` with two heads of queries for one of keys and values."""

    groups = 2

    def bare(self) -> Any:
        h, k = self.sizes
        return keras.layers.GroupQueryAttention(
            k,
            h,
            h // self.groups,
            dropout=self.rate,
            seed=self.seed,
            dtype=self.dtype_policy,
            kernel_initializer="zeros",
        )
