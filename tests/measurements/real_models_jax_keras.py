"""Models of Flax, Equinox and Keras, measured: a walk over the calls that draw masks beside what dropcheck sees of the same model.

    python tests/measurements/real_models_jax_keras.py jax                       Flax and Equinox
    KERAS_BACKEND=torch python tests/measurements/real_models_jax_keras.py keras    Keras on one backend (or jax, tensorflow)

The walk replaces the function of the framework that draws masks, and runs the model once in training. Models have random weights.
"""

from __future__ import annotations

import argparse
import collections
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dropcheck.contract.sites import Sites
from dropcheck.judge.checks import CHECK

Log = list[tuple[tuple[int, ...], float]]


def of_jax() -> dict[str, tuple[str, Any, Any]]:
    """Library, model and input by name."""
    import equinox as eqx
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool) -> Any:
            for n in (32, 16):
                x = nn.Dropout(0.3)(nn.relu(nn.Dense(n)(x)), deterministic=not train)
            return nn.Dense(4)(x)

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, words: Any, train: bool) -> Any:
            x = nn.Embed(40, 16)(words)
            for _ in range(2):
                y = nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.1)(x, x, deterministic=not train)
                x = nn.LayerNorm()(x + nn.Dropout(0.15)(y, deterministic=not train))
                y = nn.Dense(16)(nn.gelu(nn.Dense(32)(x)))
                x = nn.LayerNorm()(x + nn.Dropout(0.2)(y, deterministic=not train))
            return nn.Dense(3)(x)

    class Nnx(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.embed, self.head = nnx.Embed(40, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(2, 16, dropout_rate=0.1, decode=False, rngs=rngs)
            self.drop = nnx.Dropout(0.2, rngs=rngs)

        def __call__(self, words: Any) -> Any:
            x = self.embed(words)
            return self.head(self.drop(x + self.attention(x)))

    class Eqx(eqx.Module):
        layers: list[Any]
        drops: list[Any]

        def __init__(self) -> None:
            a, b, c = jax.random.split(jax.random.key(0), 3)
            self.layers = [eqx.nn.Linear(8, 32, key=a), eqx.nn.Linear(32, 32, key=b), eqx.nn.Linear(32, 2, key=c)]
            self.drops = [eqx.nn.Dropout(0.25), eqx.nn.Dropout(0.4)]

        def __call__(self, x: Any, *, key: Any = None) -> Any:
            keys = (None, None) if key is None else jax.random.split(key)
            for layer, drop, one in zip(self.layers, self.drops, keys, strict=False):
                x = drop(jax.nn.relu(layer(x)), key=one)
            return self.layers[2](x)

    words = jnp.arange(40).reshape(4, 10)
    return {
        "linen MLP": ("linen", Mlp(), jnp.linspace(-1, 1, 32).reshape(4, 8)),
        "linen Transformer": ("linen", Transformer(), words),
        "nnx Transformer": ("nnx", Nnx(), words),
        "equinox MLP": ("equinox", Eqx(), jnp.linspace(-1, 1, 8)),
    }


def of_keras() -> dict[str, tuple[str, Any, Any]]:
    """The same for Keras; its models tell what they take."""
    import keras
    from keras import layers

    words = keras.Input((10,), dtype="int32")
    x = layers.Embedding(40, 16)(words)
    for _ in range(2):
        y = layers.Dropout(0.15)(layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x))
        x = layers.LayerNormalization()(x + y)
        y = layers.Dense(16)(layers.Dense(32, "gelu")(x))
        x = layers.LayerNormalization()(x + layers.Dropout(0.2)(y))
    tagger = [
        keras.Input((12,), dtype="int32"),
        layers.Embedding(500, 32),
        layers.SpatialDropout1D(0.2),
        layers.GRU(24, dropout=0.2, recurrent_dropout=0.2),
        layers.RepeatVector(12),
        layers.GRU(24, return_sequences=True),
        layers.TimeDistributed(layers.Dense(9)),
        layers.Activation("softmax"),
    ]
    small = {"input_shape": (32, 32, 3), "weights": None, "classes": 10}
    return {
        "MobileNet": ("keras", keras.applications.MobileNet(alpha=0.25, dropout=0.3, **small), None),
        "tagger": ("keras", keras.Sequential(tagger), None),
        "Transformer": ("keras", keras.Model(words, layers.Dense(3)(x)), None),
        "EfficientNetB0": ("keras", keras.applications.EfficientNetB0(**small), None),
    }


@contextmanager
def replaced(owner: Any, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, around(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def walked(library: str, model: Any, given: Any) -> Log:
    """Shape and rate of every mask that is drawn in one pass in training."""
    log: Log = []

    def note(shape: Any, rate: float) -> None:
        log.append((tuple(int(n) for n in shape), round(float(rate), 4)))

    def bernoulli(original: Any) -> Any:
        def drawn(key: Any, p: float = 0.5, shape: Any = None, *more: Any, **given: Any) -> Any:
            note(shape, 1 - p)
            return original(key, p, shape, *more, **given)

        return drawn

    def stateless(original: Any) -> Any:
        def drawn(x: Any, rate: float, seed: Any, noise_shape: Any = None) -> Any:
            note(x.shape if noise_shape is None else noise_shape, rate)
            return original(x, rate=rate, seed=seed, noise_shape=noise_shape)

        return drawn

    def dropout(original: Any) -> Any:
        def drawn(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
            if training and p:
                note(x.shape, p)
            return original(x, p, training, inplace)

        return drawn

    def matrix(original: Any) -> Any:
        def drawn(p: Any, **given: Any) -> Any:
            note(p.shape, 1 - float(p.flatten()[0]))
            return original(p, **given)

        return drawn

    backend = "jax"
    if library == "keras":
        import keras

        backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with replaced(tf.nn.experimental, "stateless_dropout", stateless):
            model(given, training=True)
    elif backend == "torch":
        import torch

        with replaced(torch.nn.functional, "dropout", dropout), replaced(torch, "bernoulli", matrix):
            model(given, training=True)
    else:
        import jax

        first, second, third = jax.random.split(jax.random.key(0), 3)
        weights = model.init({"params": first, "dropout": second}, given, train=False) if library == "linen" else None
        with replaced(jax.random, "bernoulli", bernoulli):
            if library == "linen":
                model.apply(weights, given, train=True, rngs={"dropout": third})
            elif library == "keras":
                model(given, training=True)
            else:
                if library == "nnx":
                    model.train()
                model(given, **({"key": third} if library == "equinox" else {}))
    return log


def main(which: str, *names: str) -> None:
    """A table on the standard output."""
    print("| model | draws: walk / dropcheck | in inference | agree | results |\n| --- | --- | --- | --- | --- |")
    for name, (library, model, given) in (of_jax() if which == "jax" else of_keras()).items():
        if names and name not in names:
            continue
        part = importlib.import_module(f"spatial_dropouts.adapters.models_{library}")
        taken = given if given is not None else part._input(model, None, None)[0]
        log = collections.Counter(walked(library, model, taken))
        uses, _ = part.survey(model, given, None, 8, 5.0)
        audited = tuple(dict.fromkeys(use.name for use in uses if use.found_by == "class" and use.rate))
        sites = Sites.from_answer(part.sites(model, given, None, audited), library, audited)
        seen = collections.Counter((d.shape, round(d.rate, 4) if d.rate is not None else None) for d in sites.training)
        found = [f for n in ("site.reached", "site.gradient") for f in CHECK[n].sites(CHECK[n], sites, "")]  # type: ignore[misc]
        results = ", ".join(f"{n} {v}" for v, n in collections.Counter(f.verdict for f in found).items())
        agree = "yes" if log == seen else f"no: {dict(log - seen)} {dict(seen - log)}"
        counts = f"{log.total()} / {seen.total()}"
        print(f"| {name} | {counts} | {len(sites.inference)} | {agree} | {results} |", flush=True)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("which", choices=("jax", "keras"))
    words.add_argument("model", nargs="*", help="only these; all without one")
    asked = words.parse_args()
    main(asked.which, *asked.model)
