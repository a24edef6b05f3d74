#!/bin/sh
# Keras 3.15.1 on PyTorch: under keras.remat recurrent layers with dropout have gradients of another mask from the second call on.
#
# keras.remat is torch.utils.checkpoint there, which runs the forward pass again in the backward pass and stops it as soon as it has
# what the backward pass needs. RNN.call makes the masks of its cell first and resets them last: the second run does not get that
# far. So the mask stays in the cell. The next training call finds it there, draws none, and drops by it; its own second run draws
# a new one, and the gradients belong to that. Half of the gradients are wrong at rate .5, in every call but the first. Nothing
# raises. keras.layers.Dropout in the same place is right, and so is the recurrent layer without keras.remat.
#
# Valid input: ones of shape (64, 2, 128), SimpleRNN(dropout=.5) with identity weights, whose output is the mask of its input. There
# are 8192 decisions a call, so that a share of .5 is met within .05 with all but 10^-18 of the probability.
#
# Seen with keras 3.15.1, torch 2.13.0, numpy 2.4.6, Python 3.11, CPU:
#   SimpleRNN: decisions that differ between forward and backward pass, by call: 0.000, 0.000, 0.000, 0.000, 0.000
#   keras.remat around Dropout: decisions that differ between forward and backward pass, by call: 0.000, 0.000, 0.000, 0.000, 0.000
#   keras.remat around SimpleRNN: decisions that differ between forward and backward pass, by call: 0.000, 0.494, 0.495, 0.492, 0.495
#   the cell holds a mask after the forward pass: False; after the backward pass: True
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet keras==3.15.1 torch==2.13.0 numpy==2.4.6 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
import torch

N, T, F = 64, 2, 128


def identity():
    """A recurrent layer whose output is its input times mask and scale."""
    layer = keras.layers.SimpleRNN(F, activation="linear", dropout=0.5, return_sequences=True)
    layer.build((N, T, F))
    layer.set_weights([np.eye(F), np.zeros((F, F)), np.zeros(F)])
    return layer


def passes(name, layer, wrap):
    """Five training calls and their backward passes, with a random number drawn between them, as another layer does."""
    differ = []
    for _ in range(5):
        x = torch.ones(N, T, F, requires_grad=True)
        y = wrap(lambda given: layer(given, training=True))(x)
        y.backward(torch.ones_like(y))
        differ.append(float(((y == 0) != (x.grad == 0)).double().mean()))
        torch.rand(1)
    print(f"{name}: decisions that differ between forward and backward pass, by call: {', '.join(f'{d:.3f}' for d in differ)}")
    return differ


keras.utils.set_random_seed(1)
plain = passes("SimpleRNN", identity(), lambda f: f)
dropout = passes("keras.remat around Dropout", keras.layers.Dropout(0.5), keras.remat)
remat = passes("keras.remat around SimpleRNN", identity(), keras.remat)
layer = identity()
output = keras.remat(lambda given: layer(given, training=True))(torch.ones(N, T, F, requires_grad=True))
before = layer.cell._dropout_mask is not None
output.sum().backward()
left = layer.cell._dropout_mask is not None
print(f"the cell holds a mask after the forward pass: {before}; after the backward pass: {left}")
as_seen = not any(plain) and not any(dropout) and remat[0] == 0 and all(abs(one - 0.5) < 0.05 for one in remat[1:])
as_seen = as_seen and left and not before
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
