"""Keras: MultiHeadAttention returns its scores before dropout, Attention and AdditiveAttention after it.

    KERAS_BACKEND=torch python keras_attention_scores.py

keras 3.15.1 prints, on torch 2.13.0 and on jax 0.10.2:

    MultiHeadAttention: 0 of 4096 returned scores are 0, training
    Attention: about half of 4096 returned scores are 0, training
    AdditiveAttention: about half of 4096 returned scores are 0, training

Exit status 1 where that is no longer so.
"""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(1)
x, same = np.random.default_rng(1).standard_normal((4, 32, 8)).astype("float32"), True
for kind, options, dropped in (
    (keras.layers.MultiHeadAttention, {"num_heads": 1, "key_dim": 8}, False),
    (keras.layers.Attention, {}, True),
    (keras.layers.AdditiveAttention, {}, True),
):
    layer = kind(dropout=0.5, **options)
    given = (x, x) if options else ([x, x],)
    _, scores = layer(*given, return_attention_scores=True, training=True)
    zero = int((keras.ops.convert_to_numpy(scores) == 0).sum())
    # half of 4096 within seven standard errors
    half = abs(zero - 2048) < 7 * 32
    words = "about half" if half else str(zero)
    print(f"{kind.__name__}: {words} of {scores.shape[0] * 32 * 32} returned scores are 0, training")
    same &= half if dropped else zero == 0
sys.exit(not same)
