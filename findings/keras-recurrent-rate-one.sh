#!/bin/sh
# Keras 3.15.1: recurrent layers with a dropout of 1.0 drop everything or nothing, by layer, backend and option.
#
# The cells drop where 0 < rate < 1 only, so that a rate of 1 drops nothing. GRU and LSTM compute a whole sequence at once where
# they can, and that path drops at rate 1, as SimpleRNN does. So on JAX GRU(dropout=1.0) sees no input at all, and LSTM(dropout=1.0)
# sees all of it; recurrent_dropout=1.0 drops nothing in both. A rate just below 1 drops everything everywhere.
#
# Valid input: ones of shape (4, 3, 8), training=True, eager, random weights.
#
# Seen with keras 3.15.1, jax 0.10.2, numpy 2.4.6, Python 3.11, CPU.
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet keras==3.15.1 jax==0.10.2 numpy==2.4.6 || exit 2
cd "$folder"
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'END'
import sys

import keras
import numpy as np

x = np.ones((4, 3, 8), "float32")


def dropped(kind, name, rate):
    """What a training call is equal to: inference on the same input, or a training call that sees nothing of it."""
    keras.utils.set_random_seed(1)
    layer = getattr(keras.layers, kind)(8, bias_initializer="random_normal", **{name: rate})
    inference = np.asarray(layer(x))
    trained = np.asarray(layer(x, training=True))
    if name == "dropout":
        without = np.asarray(layer(0 * x))
    else:  # no state reaches a step
        kernel = layer.cell.recurrent_kernel
        kernel.assign(0 * kernel)
        without = np.asarray(layer(x))
    return ["nothing"] * np.allclose(trained, inference, atol=1e-6) + ["everything"] * np.allclose(trained, without, atol=1e-6)


expected = {
    ("SimpleRNN", "dropout"): ["everything"],
    ("GRU", "dropout"): ["everything"],
    ("LSTM", "dropout"): ["nothing"],
    ("SimpleRNN", "recurrent_dropout"): ["everything"],
    ("GRU", "recurrent_dropout"): ["nothing"],
    ("LSTM", "recurrent_dropout"): ["nothing"],
}
as_seen = True
for (kind, name), was in expected.items():
    at_one, below = dropped(kind, name, 1.0), dropped(kind, name, 0.999999)
    print(f"{kind}({name}=1.0) drops {' or '.join(at_one) or 'something'}; at .999999 it drops {' or '.join(below) or 'something'}")
    as_seen = as_seen and at_one == was and below == ["everything"]
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
