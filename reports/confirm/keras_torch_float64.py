"""Keras on PyTorch multiplies float64 matrices in float32: recurrent layers and Dense of float64 round what they drop and keep.

    KERAS_BACKEND=torch python reports/confirm/keras_torch_float64.py

keras 3.15.1 on torch 2.13.0 prints an error of 8.3e-08 three times; on JAX with JAX_ENABLE_X64=1 it is 2.2e-16 or less.
Exit status 1 where no error on PyTorch is above 1e-12.
"""

import sys

import keras
import numpy as np

errors = []
rng = np.random.default_rng(0)
x, w = rng.normal(size=(2, 4)), rng.normal(size=(4, 4))
print(f"keras {keras.__version__} on {keras.backend.backend()}")


def tensor(values):
    return keras.ops.convert_to_tensor(values, dtype="float64")


def told(name, y):
    error = np.abs(keras.ops.convert_to_numpy(y).astype("float64") - x @ w).max()
    errors.append(error)
    print(f"{name}: dtype {keras.backend.standardize_dtype(y.dtype)}, largest error {error:.1e}")


told("ops.matmul", keras.ops.matmul(tensor(x), tensor(w)))
dense = keras.layers.Dense(4, use_bias=False, dtype="float64")
dense.build((2, 4))
dense.set_weights([w])
told("Dense", dense(tensor(x)))
recurrent = keras.layers.SimpleRNN(4, activation="linear", dtype="float64")
recurrent.build((2, 1, 4))
recurrent.set_weights([w, np.zeros((4, 4)), np.zeros(4)])
told("SimpleRNN", recurrent(tensor(x[:, None])))
sys.exit(bool(keras.backend.backend() == "torch" and max(errors) < 1e-12))
