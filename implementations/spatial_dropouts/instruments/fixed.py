"""What an instrument decides itself: checks that would say something about the instrument, and nothing about the layer."""

from __future__ import annotations

from typing import Dict

_INPUT = "the instrument fixes the input of the layer"

INPUT: Dict[str, str] = {
    "mask.ignores-values": f"{_INPUT}: its values are constants",
    "form.nonfinite": f"{_INPUT}: it is finite",
    "form.input-untouched": f"{_INPUT}: it is made anew for each call",
    "form.strides": f"{_INPUT}: it is contiguous",
}

RATE: Dict[str, str] = {"rate.set-later": "the instrument builds the layer anew for each rate"}

# two first calls at once would build two layers, and an instrument that watches a part of the layer would see the other thread's
THREADS: Dict[str, str] = {
    "mode.threads": "the instrument builds the layer in its first call and watches it in each: one thread at a time"
}

BACKWARD: Dict[str, str] = dict.fromkeys(
    ("gradient.two-passes", "gradient.cotangents", "gradient.second-derivative"),
    "the instrument fixes the gradients that enter the layer: one backward pass of unit gradients",
)

# where the gradient of what is shown is read from the backward pass of the real layer, call by call
PULLED: Dict[str, str] = {
    **INPUT,
    **RATE,
    **{name: BACKWARD[name] for name in BACKWARD if name != "gradient.two-passes"},
}

# modes of the framework that an instrument does not have
TORCH: Dict[str, str] = {
    **dict.fromkeys(("vmap-different", "vmap-same"), f"{_INPUT}: vmap has nothing of it to map over"),
    **dict.fromkeys(("dtensor-shard", "dtensor-replicate"), f"{_INPUT}: it is a plain tensor"),
    "in-place": "what the instrument shows is no input that a layer could write into",
}
QUERIES: Dict[str, str] = dict.fromkeys(
    ("vmap", "vmap-rbg", "vmap-unsafe-rbg", "ranks"),
    "self-attention has as many queries as keys: no query is run without the others",
)
COMPILED: Dict[str, str] = {"compiled@torch": "on this backend Keras compiles training steps, and no layer by itself"}
