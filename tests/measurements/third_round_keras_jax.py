"""A third round of layers written to slip through: Keras and JAX, written before any of them was audited.

dropcheck selftest --part zoo --from tests/measurements/third_round_keras_jax.py --profile quick
"""

from __future__ import annotations

from typing import Any

from dropcheck import Implementation

EXPECTED = {
    "config_forgets": "form.copies",
    "seed_of_constructor": "seed",
    "key_of_22_bits": "mask",
    "zeros_have_no_gradient": "gradient.mask",
    "spatial": None,
    "key_of_each_sample": None,
}


def _layer(kind: str) -> Any:
    """A class of Keras layers ``n l c -> n c``, right but for one thing."""
    import keras

    class Spatial(keras.layers.Layer):
        def __init__(self, rate: float = 0.5, seed: Any = None, **options: Any) -> None:
            super().__init__(**options)
            if not 0 <= rate <= 1:
                raise ValueError(f"rate is a probability, not {rate!r}")
            self.rate = rate
            self.seed = 1337 if kind == "seed" and seed is None else seed
            self.seed_generator = keras.random.SeedGenerator(self.seed)
            self.built = True

        def call(self, inputs: Any, training: bool = False) -> Any:
            if not training or self.rate == 0:
                return inputs
            shape = keras.ops.shape(inputs)
            u = keras.random.uniform((shape[0], *[1] * (len(shape) - 2), shape[-1]), seed=self.seed_generator)
            zero = keras.ops.zeros_like(inputs)
            return keras.ops.where(u >= self.rate, inputs / (1 - self.rate) if self.rate < 1 else inputs, zero)

        def get_config(self) -> Any:
            config = super().get_config()
            return config if kind == "config" else {**config, "rate": self.rate, "seed": self.seed}

    return Spatial


def _config_forgets(rate: float = 0.5) -> Any:
    return _layer("config")(rate)


def _seed_of_constructor(rate: float = 0.5) -> Any:
    return _layer("seed")(rate)


def _spatial(rate: float = 0.5) -> Any:
    return _layer("")(rate)


config_forgets = Implementation(make=_config_forgets, framework="keras", contract="n l c -> n c", backends=("jax",))
seed_of_constructor = Implementation(
    make=_seed_of_constructor, framework="keras", contract="n l c -> n c", backends=("jax",)
)
spatial = Implementation(make=_spatial, framework="keras", contract="n l c -> n c", backends=("jax",))


def _keep(x: Any, rate: float, key: Any) -> Any:
    import jax

    return jax.random.uniform(key, (*x.shape[:2], *[1] * (x.ndim - 2))) >= rate


def _masked(x: Any, keep: Any, rate: float) -> Any:
    import jax.numpy as jnp

    return jnp.where(keep, x / (1 - rate) if rate < 1 else x, jnp.zeros_like(x))


def _checked(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a probability, not {rate!r}")


def key_of_22_bits(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """22 bits of the key are used."""
    import jax

    _checked(rate)
    if not training or rate == 0:
        return x
    few = jax.random.bits(key) >> 10
    return _masked(x, _keep(x, rate, jax.random.fold_in(jax.random.key(7), few)), rate)


def zeros_have_no_gradient(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """The backward pass takes the zeros of the output for what is dropped."""
    import jax
    import jax.numpy as jnp

    _checked(rate)
    if not training or rate == 0:
        return x

    @jax.custom_vjp
    def drop(x: Any) -> Any:
        return _masked(x, _keep(x, rate, key), rate)

    def forward(x: Any) -> Any:
        y = drop(x)
        return y, y

    def backward(y: Any, g: Any) -> Any:
        return (_masked(g, jnp.abs(y) > 0, rate),)

    drop.defvjp(forward, backward)
    return drop(x)


def key_of_each_sample(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Right: each sample has a key of its own."""
    import jax

    _checked(rate)
    if not training or rate == 0:
        return x
    keys = jax.random.split(key, x.shape[0])
    keep = jax.vmap(lambda one: jax.random.uniform(one, (x.shape[1],)))(keys) >= rate
    return _masked(x, keep.reshape(*x.shape[:2], *[1] * (x.ndim - 2)), rate)
