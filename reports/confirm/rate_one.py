"""Rate 1 in locked dropout of PyTorch-NLP and flair, and in Keras' AlphaDropout: NaN or an exception, without dropcheck."""

import importlib.util
import os
import pathlib

import torch
from torchnlp.nn.lock_dropout import LockedDropout

os.environ.setdefault("KERAS_BACKEND", "torch")
x = torch.ones(2, 3, 4)
print("torchnlp.LockedDropout(1.0):", LockedDropout(1.0).train()(x).flatten()[:3].tolist())

folder = pathlib.Path(importlib.util.find_spec("flair").submodule_search_locations[0])
spec = importlib.util.spec_from_file_location("dropout", folder / "nn" / "dropout.py")
flair = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flair)
print("flair.LockedDropout(1.0):", flair.LockedDropout(1.0).train()(x).flatten()[:3].tolist())
print("torch.nn.Dropout1d(1.0):", torch.nn.Dropout1d(1.0).train()(x).flatten()[:3].tolist())

import keras  # noqa: E402

layer = keras.layers.AlphaDropout(1.0)  # the constructor takes it
try:
    print("keras.layers.AlphaDropout(1.0):", layer(x, training=True))
except ZeroDivisionError:
    print("keras.layers.AlphaDropout(1.0) raises ZeroDivisionError at its first call: (1 - rate) ** -0.5")
from transformers.models.sew_d.modeling_sew_d import StableDropout  # noqa: E402

try:
    print("transformers StableDropout(1.0):", StableDropout(1.0).train()(x))
except ZeroDivisionError:
    print("transformers StableDropout(1.0) raises ZeroDivisionError at its first call")
for rate in (-0.1, float("nan")):
    print(f"transformers StableDropout({rate}) changes nothing:", torch.equal(StableDropout(rate).train()(x), x))
print("torch.nn.AlphaDropout(1.0):", torch.nn.AlphaDropout(1.0).train()(x).flatten()[:3].tolist())
