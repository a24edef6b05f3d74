#!/bin/sh
# numpy-ml 0.1.2: the backward pass of Dropout forgets the mask, so that elements that were dropped are given gradients.
#
# Its backward() scales the gradient of the output by 1 / (1 - p), passes it on to the wrapped layer and returns what comes back. The
# mask of the forward pass is stored, and is not used. So what stands in front of the layer learns from inputs that the loss does not
# depend on; half of all gradients at p = .5. The gradient that it is given is scaled in place, too: the caller's array changes.
# And unfreeze() freezes: a layer that was frozen for an evaluation never drops again.
#
# Valid input: ones of shape (200, 64), p = .5, a fully connected layer of 8 units without activation. The control is the loss itself:
# one element of the input at a time grows by 1, with the same mask. Of 400 elements 200 are dropped on average, 120 to 280 with all
# but 10^-15 of the probability.
#
# Seen with numpy-ml 0.1.2, numpy 2.4.6, scipy 1.17.1, Python 3.11, CPU:
#   of 400 elements 193 are dropped: the loss does not depend on them, and 193 of these have a gradient that is not 0
#   of 207 that are kept 207 have the gradient that the loss has
#   the gradient that backward() is given is changed in place
#   after freeze() and unfreeze() it drops no more
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet numpy==2.4.6 scipy==1.17.1 || exit 2
"$folder/venv/bin/python" -m pip install --quiet --no-deps numpy-ml==0.1.2 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import collections.abc
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
collections.Hashable = collections.abc.Hashable  # which the package takes from where older Pythons had it
from numpy_ml.neural_nets.layers import FullyConnected  # noqa: E402
from numpy_ml.neural_nets.wrappers import Dropout  # noqa: E402

np.random.seed(0)
layer = Dropout(FullyConnected(n_out=8, act_fn=None, init="glorot_uniform"), 0.5)
x, cotangent = np.ones((200, 64)), np.random.randn(200, 8)


def loss(x):
    """The output weighed by the cotangent, with one mask."""
    np.random.seed(5)
    return float((layer.forward(x, retain_derived=False) * cotangent).sum())


np.random.seed(5)
layer.forward(x)
given = cotangent.copy()
gradient = layer.backward(given)
changed = not np.array_equal(given, cotangent)
right = wrong = dropped = 0
for n in range(400):  # the control: what the loss does when one element of the input grows
    place = (n % 200, (7 * n) % 64)
    more = x.copy()
    more[place] += 1.0
    slope = loss(more) - loss(x)  # the layer is linear
    if abs(slope) < 1e-9:
        dropped += 1
        wrong += abs(gradient[place]) > 1e-6
        continue
    right += abs(gradient[place] - slope) < 1e-6
print(f"of 400 elements {dropped} are dropped: the loss does not depend on them, and {wrong} of these have a gradient that is not 0")
print(f"of {400 - dropped} that are kept {right} have the gradient that the loss has")
print(f"the gradient that backward() is given is {'changed in place' if changed else 'left alone'}")
layer.freeze()
layer.unfreeze()
after = not np.array_equal(layer.forward(x, retain_derived=False), layer.forward(x, retain_derived=False))
print(f"after freeze() and unfreeze() it {'drops' if after else 'drops no more'}")
as_seen = 120 < dropped < 280 and wrong == dropped and right == 400 - dropped and changed and not after
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
