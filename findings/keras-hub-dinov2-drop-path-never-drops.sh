#!/bin/sh
# keras-hub 0.32.0: the drop path of DINOv2 and DINOv3 drops nothing, and makes every branch about half as large again in training.
#
# Drop path multiplies a whole sample of a residual branch by 0 or by 1 / (1 - rate), and leaves the mean as it is. Both layers
# draw a uniform number for each sample, add 1 - rate to it, and multiply by that sum: the step that makes it 0 or 1 is missing.
# So no sample is ever 0, and the factors lie evenly between 1 and 1 + 1 / (1 - rate). At rate .1 their mean is 1.556 where 1 is
# right: a model that is trained with drop_path_rate > 0 has other branches than in inference. The Swin layer of the same package,
# which draws in the same way, has the step, and is the control.
#
# Valid input: ones of shape (20000, 4, 8), training, rate .1, Keras on PyTorch, on the CPU. 2000 dropped samples are expected
# (standard deviation 42), and a mean factor of 1 (standard deviation .0024).
#
# Seen with keras 3.15.1, torch 2.13.0, Python 3.11:
#   DINOV2DropPath: 0 of 20000 samples dropped, factors 1.000 to 2.111, mean 1.557
#   DINOV3DropPath: 0 of 20000 samples dropped, factors 1.000 to 2.111, mean 1.556
#   Swin's DropPath: 1955 of 20000 samples dropped, factors 0.000 to 1.111, mean 1.003
#
# Exits with 0 while this is so (numbers within 10 standard deviations), with 1 where it has changed, with 2 where the packages
# cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 keras==3.15.1 packaging tokenizers sentencepiece regex rich kagglehub absl-py || exit 2
# keras-hub asks for TensorFlow, which its layers on PyTorch do not use
"$folder/venv/bin/python" -m pip install --quiet --no-deps keras-hub==0.32.0 || exit 2
cd "$folder"
KERAS_BACKEND=torch "$folder/venv/bin/python" - <<'END'
import sys

import keras
import numpy as np
from keras_hub.src.models.dinov2.dinov2_layers import DINOV2DropPath
from keras_hub.src.models.dinov3.dinov3_layers import DINOV3DropPath
from keras_hub.src.models.swin_transformer.swin_transformer_layers import DropPath

N, RATE = 20_000, 0.1
keras.utils.set_random_seed(0)


def factors(layer, *shape):
    """The factor of each sample; a sample has one throughout, or the layer is none of this kind."""
    y = keras.ops.convert_to_numpy(layer(keras.ops.ones((N, *shape)), training=True)).reshape(N, -1)
    assert (y == y[:, :1]).all()
    return y[:, 0]


as_seen = True
for name, made in (("DINOV2DropPath", DINOV2DropPath), ("DINOV3DropPath", DINOV3DropPath), ("Swin's DropPath", DropPath)):
    control = made is DropPath
    seen = factors(made(RATE), *((2, 2, 8) if control else (4, 8)))
    dropped, mean = int((seen == 0).sum()), float(seen.mean())
    print(f"{name}: {dropped} of {N} samples dropped, factors {seen.min():.3f} to {seen.max():.3f}, mean {mean:.3f}")
    if control:
        as_seen &= abs(dropped - N * RATE) < 10 * (N * RATE * (1 - RATE)) ** 0.5 and abs(mean - 1) < 0.024
    else:
        expected = 1 + 0.5 / (1 - RATE)
        as_seen &= dropped == 0 and abs(mean - expected) < 10 * (1 / 12 / N) ** 0.5 / (1 - RATE) and np.unique(seen).size > N / 2
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
