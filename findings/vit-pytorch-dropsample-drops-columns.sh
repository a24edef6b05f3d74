#!/bin/sh
# vit-pytorch 1.26.14: MaxViT's Dropsample, which means to drop samples, drops columns of a picture of width 4 and raises at all others.
#
# Its mask is torch.FloatTensor((x.shape[0], 1, 1, 1), device=device).uniform_() > prob. PyTorch takes the tuple for the values of a
# tensor of four elements and not for a shape. So the mask has shape (4,): it is one mask of the last axis, the same for all samples,
# where that axis has four elements (or one element, which becomes four), and a RuntimeError in training elsewhere. MBConv passes its
# dropout to this layer; MaxViT passes none, so that its dropout never reaches its convolutions, and nobody sees the error.
#
# Valid input: ones of shape (16, 3, 5, 4) at rate .5, training; random numbers of shape (8, 16, 14, 14) at rate .1. Samples that are
# dropped by decisions of their own would have one mask for all 16 samples with probability 2^-15 a call.
#
# Seen with vit-pytorch 1.26.14, torch 2.13.0, einops 0.8.2, numpy 2.4.6, Python 3.11, CPU:
#   Dropsample(.5) on (16, 3, 5, 4): one mask of the last axis for all samples in 200 of 200 calls
#   Dropsample(.5) on (16, 3, 5, 4): whole samples are dropped or kept in 19 of 200 calls
#   Dropsample(.5) on (16, 3, 6, 6) raises RuntimeError: The size of tensor a (6) must match the size of tensor b (4) at non-singleton dimension 3
#   MBConv(16, 16, downsample=False, dropout=.1) on (8, 16, 14, 14) in training raises RuntimeError: The size of tensor a (14) must match the size of tensor b (4) at non-singleton dimension 3
#   MBConv(16, 16, downsample=False, dropout=.1) on (8, 16, 14, 14) in inference gives (8, 16, 14, 14)
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 einops==0.8.2 || exit 2
"$folder/venv/bin/python" -m pip install --quiet --no-deps vit-pytorch==1.26.14 || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import importlib.util
import sys

import torch

# The package imports torchvision, whose compiled part has to match the build of torch; this file needs torch and einops alone.
place = importlib.util.find_spec("vit_pytorch").submodule_search_locations[0] + "/max_vit.py"
spec = importlib.util.spec_from_file_location("max_vit", place)
max_vit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(max_vit)


def said(run):
    """What a call comes to: the shape of its output, or the error."""
    try:
        return f"gives {tuple(run().shape)}"
    except RuntimeError as error:
        return f"raises RuntimeError: {str(error).splitlines()[0]}"


torch.manual_seed(0)
layer = max_vit.Dropsample(0.5)
columns = samples = calls = 0
for _ in range(200):  # a picture of width 4
    dropped = layer(torch.ones(16, 3, 5, 4)) == 0
    calls += 1
    columns += bool((dropped == dropped[:1, :1, :1]).all())  # one mask of the last axis for all samples, channels and rows
    samples += bool((dropped == dropped[:, :1, :1, :1]).all())  # samples as a whole, as the name says
print(f"Dropsample(.5) on (16, 3, 5, 4): one mask of the last axis for all samples in {columns} of {calls} calls")
print(f"Dropsample(.5) on (16, 3, 5, 4): whole samples are dropped or kept in {samples} of {calls} calls")
other = said(lambda: layer(torch.ones(16, 3, 6, 6)))
print(f"Dropsample(.5) on (16, 3, 6, 6) {other}")

block = max_vit.MBConv(16, 16, downsample=False, dropout=0.1)
picture = torch.randn(8, 16, 14, 14)
trained, inference = said(lambda: block(picture)), said(lambda: block.eval()(picture))
print(f"MBConv(16, 16, downsample=False, dropout=.1) on (8, 16, 14, 14) in training {trained}")
print(f"MBConv(16, 16, downsample=False, dropout=.1) on (8, 16, 14, 14) in inference {inference}")
as_seen = columns == 200 and samples < 65 and "raises" in other and "raises" in trained and inference == "gives (8, 16, 14, 14)"
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
