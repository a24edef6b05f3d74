"""What a NaN in a dropped channel becomes: PyTorch multiplies by 0 and lets it through, Keras selects. Without dropcheck."""

import os
import sys

os.environ["KERAS_BACKEND"] = sys.argv[1] if len(sys.argv) > 1 else "jax"
import keras
import numpy as np
import torch

x = np.full((1000, 3, 1), np.nan, "float32")
torch.manual_seed(1)
keras.utils.set_random_seed(1)
ours = torch.nn.Dropout1d(0.5)(torch.tensor(x))
theirs = np.asarray(keras.ops.convert_to_numpy(keras.layers.SpatialDropout1D(0.5)(x.transpose(0, 2, 1), training=True)))
print(f"torch.nn.Dropout1d: {int(torch.isnan(ours).sum())} of 3000 are NaN, {int((ours == 0).sum())} are 0")
found = f"{np.isnan(theirs).sum()} of 3000 are NaN, {(theirs == 0).sum()} are 0"
print(f"keras.layers.SpatialDropout1D on {keras.backend.backend()}: {found}")
