#!/bin/sh
# Ivy 1.0.0.5 on NumPy: dropout1d drops single elements, not channels.
#
# Its documentation says that whole channels are set to zero, and that a channel is a 1D feature map. The NumPy backend draws
# one number for each element: np.random.binomial(1, 1 - prob, x.shape). So it is plain dropout under another name. The function
# is the same call on every backend, so a program that moves to NumPy loses its regularisation of channels without a word.
#
# Valid input: ones of shape (64, 32, 10), data_format "NCW", prob = .5. The control is a mask of one number a channel, made with
# NumPy and counted alike: none of its channels is torn. By elements, all but 1 in 512 of the 2048 channels are torn.
#
# Seen with ivy 1.0.0.5, numpy 2.4.6, Python 3.11, CPU:
#   dropout1d drops 0.5064 of all elements; 2048 of 2048 channels have both dropped and kept elements
#   one number a channel: 0 of 2048
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet numpy==2.4.6 astor dill diskcache einops gast networkx packaging psutil requests tqdm || exit 2
"$folder/venv/bin/python" -m pip install --quiet --no-deps ivy==1.0.0.5 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import sys

import ivy
import numpy as np

ivy.set_backend("numpy")
np.random.seed(0)
x = np.ones((64, 32, 10), np.float32)
y = ivy.to_numpy(ivy.dropout1d(ivy.array(x), 0.5, training=True, data_format="NCW"))
control = x * (np.random.default_rng(0).random((64, 32, 1)) >= 0.5) * 2


def torn(values):
    """Channels of which some elements are dropped and others kept."""
    gone = values == 0
    return int((gone.any(axis=2) & ~gone.all(axis=2)).sum())


share = float((y == 0).mean())
print(f"dropout1d drops {share:.4f} of all elements; {torn(y)} of 2048 channels have both dropped and kept elements")
print(f"one number a channel: {torn(control)} of 2048")
# 19 deviations of the mean of 20480 elements; of 2048 channels 4 are whole by chance, above 48 with probability below 1e-30
as_seen = 0.43 < share < 0.57 and torn(y) > 2000 and torn(control) == 0
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
