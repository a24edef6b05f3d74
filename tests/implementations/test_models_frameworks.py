"""Models of Keras, Flax and Equinox: layers are found, run in place, and wrong data formats are named."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.keras

IN_KERAS = pytest.mark.workers("keras")
IN_JAX = pytest.mark.workers("equinox", "flax.linen", "flax.nnx", "jax.numpy")

KERAS = """
import keras
from keras import layers as L

def net(**options):
    return keras.Sequential([
        keras.Input((20, 22, 3)), L.Conv2D(8, 3, name="conv"), L.ReLU(), L.SpatialDropout2D(0.2, name="drop", **options),
        L.MaxPooling2D(), L.Flatten(), L.Dropout(0.5, name="end"), L.Dense(2),
    ])

wrong, right = net(data_format="channels_first"), net()
words = keras.Input((9,), dtype="int32")
x = L.SpatialDropout1D(0.2, name="drop")(L.Embedding(40, 24)(words))
tagger = keras.Model(words, L.Dense(3)(L.GRU(16, dropout=0.2)(x)))

class Sub(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = keras.Sequential([L.Conv1D(6, 3, name="conv"), L.Dropout(0.3, noise_shape=(None, 1, None), name="drop")],
                                      name="block")
        self.head = L.Dense(1)
    def call(self, x, training=False):
        return self.head(self.block(x, training=training))

sub, sub_input = Sub(), keras.ops.ones((4, 12, 5))
"""

JAX = """
import equinox as eqx, flax.linen as nn, jax, jax.numpy as jnp
from flax import nnx

class Net(nn.Module):
    @nn.compact
    def __call__(self, words, train: bool):
        x = nn.Embed(40, 24, name="emb")(words)
        x = nn.Dropout(0.3, broadcast_dims=(1,), name="drop", deterministic=not train)(x)
        x = nn.Conv(16, (3,), name="conv")(x)
        return nn.Dense(2)(nn.Dropout(0.5, name="end", deterministic=not train)(x.max(1)))

class Nx(nnx.Module):
    def __init__(self, rngs):
        self.emb, self.head = nnx.Embed(40, 24, rngs=rngs), nnx.Linear(24, 2, rngs=rngs)
        self.drop = nnx.Dropout(0.3, broadcast_dims=(1,), rngs=rngs)
    def __call__(self, x):
        return self.head(self.drop(self.emb(x)))

class Eq(eqx.Module):
    conv: eqx.nn.Conv1d
    drop: eqx.nn.Dropout
    tail: list
    def __init__(self, key):
        self.conv, self.drop = eqx.nn.Conv1d(5, 8, 3, key=key), eqx.nn.Dropout(0.3)
        self.tail = [eqx.nn.Dropout(0.5), eqx.nn.Linear(8, 2, key=key)]
    def __call__(self, x, *, key):
        a, b = jax.random.split(key)
        return self.tail[1](self.tail[0](self.drop(self.conv(x), key=a).mean(1), key=b))

net, nx, eq = Net(), Nx(nnx.Rngs(0)), Eq(jax.random.key(0))
net_input = nx_input = jnp.arange(44).reshape(4, 11) % 40
eq_input = jnp.ones((5, 13))
"""


@pytest.fixture
def keras_file(write: Callable[[str, str], Path]) -> Path:
    return write("nets.py", KERAS)


@IN_KERAS
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_wrong_data_format_is_named_in_one_sentence(call: Any, keras_file: Path, backend: str) -> None:
    done = call("explain", f"nets.py:wrong@{backend}", COLUMNS="140")
    flat = " ".join(done.out.split())
    assert (
        "SpatialDropout2D at drop: one drop decision per (batch, height); channels are on the last axis: did you mean "
        "data_format='channels_last'? (Conv2D at conv makes 8 channels on the last axis)" in flat
    )
    assert "Dropout at end: one drop decision per (batch, channel)." in flat


@IN_KERAS
def test_right_formats_noise_shapes_and_blocks(call: Any, keras_file: Path) -> None:
    right = call("explain", "nets.py:right@torch", COLUMNS="140").out
    assert "one drop decision per (batch, channel), shared along height and width." in right and "wrong" not in right
    tagger = call("explain", "nets.py:tagger@torch", COLUMNS="140").out
    assert "SpatialDropout1D at drop: one drop decision per (batch, channel), shared along time." in tagger
    assert "gru (GRU): keras.random.dropout, rate 0.2, 4 x 24: not audited in place" in tagger
    assert "The layer itself is a target: dropcheck audit 'keras.GRU#input'" in tagger
    sub = call("explain", "nets.py:sub@torch", COLUMNS="140").out
    assert "Dropout at block.drop: one drop decision per (batch, channel), shared along time." in sub


@IN_KERAS
def test_the_audit_of_a_keras_model(call: Any, keras_file: Path) -> None:
    done = call("audit", "nets.py:wrong@torch", "--dtype", "float32", "--select", "mask.whole-channels,rate.marginal",
                "--resolution", ".02", "--json", "r.json")  # fmt: skip
    assert done.code == 1
    drop, end = done.result()["targets"]
    assert drop["target"] == "nets.py:wrong#drop@torch" and drop["verdict"] == "fail" and end["verdict"] == "pass"
    assert drop["contract"]["pattern"] == "batch height width channel -> batch channel"
    (failed,) = [f for f in drop["findings"] if f["check"] == "mask.whole-channels" and f["verdict"] == "fail"][:1]
    assert "did you mean data_format='channels_last'?" in failed["cause"]


@IN_JAX
@pytest.mark.parametrize(
    ("name", "module", "sentences"),
    [
        (
            "net",
            "flax",
            [
                "Dropout at drop: one drop decision per (batch, channel), shared along time.",
                "Dropout at end: one drop decision",
            ],
        ),
        ("nx", "flax", ["Dropout at drop: one drop decision per (batch, channel), shared along time."]),
        (
            "eq",
            "equinox",
            [
                "Dropout at drop: one drop decision per (channel, time).",
                "Dropout at tail.0: one drop decision per (channel).",
            ],
        ),
    ],
)
def test_flax_and_equinox(call: Any, write: Any, name: str, module: str, sentences: list[str]) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    write("jax_nets.py", JAX)
    done = call("explain", f"jax_nets.py:{name}", COLUMNS="140")
    assert done.code == 0, done.err
    for sentence in sentences:
        assert sentence in done.out


@IN_JAX
@pytest.mark.parametrize(("name", "module", "adapter"), [
    ("net#drop", "flax", "flax_linen"), ("nx#drop", "flax", "flax_nnx"), ("eq#tail.0", "equinox", "equinox_layers"),
])  # fmt: skip
def test_flax_and_equinox_layers_are_audited_as_they_stand(
    call: Any, write: Any, name: str, module: str, adapter: str
) -> None:
    if find_spec(module) is None or find_spec(f"spatial_dropouts.adapters.{adapter}") is None:
        pytest.skip(f"{module} has no adapter here")
    write("jax_nets.py", JAX)
    few = (
        ("--resolution", ".02") if name == "eq#tail.0" else ("--case", "float32 rate=0.3 257,64,4 calls=84")
    )  # it shares no coin
    done = call("audit", f"jax_nets.py:{name}", "--dtype", "float32", "--rate", ".3", *few,
                "--select", "mask.whole-channels,rate.marginal")  # fmt: skip
    assert done.code == 0, done.out + done.err
