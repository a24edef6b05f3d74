"""Keras: GRU and LSTM with implementation=1 and dropout raise at every training call; with use_cudnn=False they run.

    KERAS_BACKEND=torch python keras_gru_implementation_one.py

keras 3.15.1 on torch 2.13.0 prints (other backends were not run):

    GRU implementation=1: raises (RuntimeError)
    GRU implementation=1, use_cudnn=False: runs
    GRU implementation=2: runs
    LSTM ... the same

Exit status 1 where that is no longer so.
"""

import sys

import keras
import numpy as np

x, same = np.ones((2, 3, 4), "float32"), True
for kind in (keras.layers.GRU, keras.layers.LSTM):
    for words, expected in (
        ({"implementation": 1}, "raises"),
        ({"implementation": 1, "use_cudnn": False}, "runs"),
        ({"implementation": 2}, "runs"),
    ):
        layer = kind(4, dropout=0.3, **words)
        layer(x, training=False)
        try:
            layer(x, training=True)
            seen = "runs"
        except Exception as error:
            seen = f"raises ({type(error).__name__})"
        print(f"{kind.__name__} {', '.join(f'{k}={v}' for k, v in words.items())}: {seen}")
        same &= seen.startswith(expected)
sys.exit(not same)
