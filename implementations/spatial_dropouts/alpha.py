"""The register of alpha dropout: kept values are affine, dropped ones a function of the rate (self-normalizing networks)."""

from __future__ import annotations

from typing import Any, Mapping

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, patterns


def _torch(make: str, pattern: str, summary: str, *ranks: str) -> Implementation:
    return Implementation(
        make=make,
        framework="torch",
        contract=Contract.alpha(pattern, ranks=patterns(ranks)),
        requires=("torch",),
        default=False,
        summary=summary,
    )


def _keras(pattern: str, summary: str, **options: Any) -> Implementation:
    return Implementation(
        make="keras.layers:AlphaDropout",
        framework="keras",
        contract=Contract.alpha(pattern, seeds=("global", "constructor")),
        options=options,
        requires=("keras",),
        backends=("tensorflow", "jax", "torch"),
        default=False,
        summary=summary,
    )


REGISTER: Mapping[str, Implementation] = {
    "torch.FeatureAlphaDropout": _torch(
        "torch.nn:FeatureAlphaDropout",
        "n c l -> n c",
        "PyTorch's FeatureAlphaDropout, channels first",
        "n c h w -> n c",
        "n c d h w -> n c",
    ),
    "torch.AlphaDropout": _torch(
        "torch.nn:AlphaDropout", "n c l -> n c l", "PyTorch's AlphaDropout, each element by itself", "n c -> n c"
    ),
    "torch.feature_alpha_dropout": Implementation(
        make="torch.nn.functional:feature_alpha_dropout",
        framework="torch-function",
        contract=Contract.alpha("n c l -> n c", ranks=patterns(("n c h w -> n c",))),
        requires=("torch",),
        default=False,
        summary="PyTorch's functional feature_alpha_dropout, channels first",
    ),
    "keras.AlphaDropout": _keras("n l c -> n l c", "Keras' AlphaDropout, each element by itself"),
    "keras.AlphaDropout.noise_shape": _keras(
        "n l c -> n c",
        "Keras' AlphaDropout with noise_shape (None, 1, None), channels last",
        noise_shape=(None, 1, None),
    ),
}
