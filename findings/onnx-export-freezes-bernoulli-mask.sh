#!/bin/sh
# torch.onnx 2.13.0 with onnxscript 0.7.2: a mask of torch.bernoulli(torch.full(...)) becomes a constant of the exported file.
#
# In eager mode and in the exported program the layer draws a new mask in each call. The optimiser of torch.onnx.export computes
# what depends on constants alone, and takes the random node for such a computation: it runs it once, and stores the mask as an
# initializer. The file then drops the same channels in each run, and no random node is left. No warning.
# optimize=False keeps the random node. So does nn.Dropout1d (its node RandomUniformLike is left alone), which is the control.
#
# Valid input: ones of shape (8, 16, 5), a module in training mode, export with dynamo=True and training=TRAINING.
#
# Seen with torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11:
#   eager: 20 distinct masks in 20 calls
#   Bernoulli: random nodes [], 1 distinct masks in 20 runs
#   Bernoulli, optimize=False: random nodes ['Bernoulli'], 20 distinct masks in 20 runs
#   Dropout1d: random nodes ['RandomUniformLike'], 20 distinct masks in 20 runs
#
# Exits with 0 while this is so, with 1 where it has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 || exit 2
cd "$folder"
"$folder/venv/bin/python" - 2>errors <<'END' || { code=$?; cat errors; exit $code; }
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn


class Bernoulli(nn.Module):
    """Whole channels by a Bernoulli mask, as many projects write their own spatial dropout."""

    def forward(self, x):
        return x * torch.bernoulli(torch.full((x.shape[0], x.shape[1], 1), 0.5)) / 0.5


def distinct(outputs):
    return len({(y == 0).tobytes() for y in outputs})


def exported(name, module, **options):
    """Random nodes of the file, and how many masks 20 runs of one session have."""
    x = torch.ones(8, 16, 5)
    training = torch.onnx.TrainingMode.TRAINING
    torch.onnx.export(module.train(), (x,), "m.onnx", dynamo=True, training=training, verbose=False, **options)
    nodes = sorted({n.op_type for n in onnx.load("m.onnx").graph.node if n.op_type.startswith(("Random", "Bernoulli"))})
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x.numpy()}
    masks = distinct([session.run(None, given)[0] for _ in range(20)])
    print(f"{name}: random nodes {nodes}, {masks} distinct masks in 20 runs")
    return nodes, masks


eager = distinct([np.asarray(Bernoulli()(torch.ones(8, 16, 5))) for _ in range(20)])
print(f"eager: {eager} distinct masks in 20 calls")
seen = [
    exported("Bernoulli", Bernoulli()),
    exported("Bernoulli, optimize=False", Bernoulli(), optimize=False),
    exported("Dropout1d", nn.Dropout1d(0.5)),
]
as_seen = eager == 20 and seen[0] == ([], 1) and seen[1][0] and seen[1][1] == 20 and seen[2][0] and seen[2][1] == 20
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
