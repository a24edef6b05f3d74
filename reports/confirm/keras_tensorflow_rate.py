"""Keras on TensorFlow draws its uniforms in the dtype of the input: the share that is dropped, without dropcheck."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

for dtype in ("float32", "float16", "bfloat16"):
    for rate in (0.001, 0.01, 0.1, 0.15, 0.3, 0.5, 0.9):
        keras.utils.set_random_seed(1)
        y = keras.layers.SpatialDropout1D(rate, dtype=dtype)(keras.ops.ones((4096, 1, 1024), dtype), training=True)
        share = np.mean(np.asarray(keras.ops.cast(y, "float32")) == 0)
        error = (rate * (1 - rate) / 4096 / 1024) ** 0.5
        print(f"{dtype:<9} asked for {rate:<6g} dropped {share:.5f}   {(share - rate) / error:+8.1f} standard errors")
