"""The register: every implementation by name, imported only when it is used."""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Mapping, Optional, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern, patterns
from spatial_dropouts import alpha, elsewhere, instruments, libraries, tfjs, third_party

_KERAS = ("tensorflow", "jax", "torch")


def _torch(name: str, pattern: str, ranks: Tuple[str, ...]) -> Implementation:
    return Implementation(
        make=f"torch.nn:{name}",
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern), ranks=patterns(ranks)),
        requires=("torch",),
        summary=f"PyTorch's {name}, channels first",
    )


def _keras(name: str, pattern: str) -> Implementation:
    return Implementation(
        make=f"keras.layers:{name}",
        framework="keras",
        contract=Contract(pattern=Pattern.parse(pattern), seeds=("global", "constructor")),
        requires=("keras",),
        backends=_KERAS,
        summary=f"Keras' {name}, channels last",
    )


def _tensorflow(
    name: str, pattern: str, summary: str, seeds: Tuple[str, ...] = ("global",), default: bool = False
) -> Implementation:
    return Implementation(
        make=f"tensorflow.nn:{name}",
        framework="tensorflow",
        contract=Contract(pattern=Pattern.parse(pattern), seeds=seeds),
        requires=("tensorflow",),
        default=default,
        summary=summary,
    )


def _tf_keras(name: str, pattern: str) -> Implementation:
    return Implementation(
        make=f"tf_keras.layers:{name}",
        framework="tf_keras",
        contract=Contract(pattern=Pattern.parse(pattern)),
        requires=("tf_keras", "tensorflow"),
        # it asks for `tensorflow`, and would install it over `tensorflow-cpu`
        install="--no-deps tf_keras",
        default=False,
        summary=f"Keras 2's {name}, channels last",
    )


def _mlx(name: str, pattern: str, ranks: Tuple[str, ...] = (), default: bool = False) -> Implementation:
    return Implementation(
        make=f"mlx.nn:{name}",
        framework="mlx",
        contract=Contract(pattern=Pattern.parse(pattern), ranks=patterns(ranks)),
        requires=("mlx",),
        default=default,
        summary=f"MLX's {name}, channels last",
    )


# TensorFlow, Keras 2, MLX and ONNX Runtime; what needs an interpreter of its own is in elsewhere.py
_MORE: Mapping[str, Implementation] = {
    "tensorflow.dropout": _tensorflow("dropout", "n l c -> n l c", "tf.nn.dropout"),
    "tensorflow.spatial_dropout1d": _tensorflow(
        "dropout", "n l c -> n c", "tf.nn.dropout with noise_shape (n, 1, c)", default=True
    ),
    "tensorflow.spatial_dropout2d": _tensorflow(
        "dropout", "n h w c -> n c", "tf.nn.dropout with noise_shape (n, 1, 1, c)"
    ),
    "tensorflow.stateless_dropout": _tensorflow(
        "experimental.stateless_dropout",
        "n l c -> n c",
        "tf.nn.experimental.stateless_dropout with noise_shape (n, 1, c), seeded by (seed, call)",
        seeds=("key",),
    ),
    "tf_keras.Dropout": _tf_keras("Dropout", "n l c -> n l c"),
    "tf_keras.SpatialDropout1D": _tf_keras("SpatialDropout1D", "n l c -> n c"),
    "tf_keras.SpatialDropout2D": _tf_keras("SpatialDropout2D", "n h w c -> n c"),
    "tf_keras.SpatialDropout3D": _tf_keras("SpatialDropout3D", "n d h w c -> n c"),
    "mlx.Dropout": _mlx("Dropout", "n l c -> n l c"),
    "mlx.Dropout2d": _mlx("Dropout2d", "n h w c -> n c", ("h w c -> c",), default=True),
    "mlx.Dropout3d": _mlx("Dropout3d", "n d h w c -> n c", ("d h w c -> c",)),
    "onnxruntime.Dropout": Implementation(
        make="spatial_dropouts.adapters.onnx_runtime:dropout",
        framework="onnxruntime",
        contract=Contract(pattern=Pattern.parse("n c l -> n c l"), seeds=("constructor", "global"), gradient=False),
        requires=("onnx", "onnxruntime"),
        install="'dropcheck[onnx]'",
        default=False,
        summary="ONNX Runtime's Dropout (opset 13) with training_mode true",
    ),
}

REGISTER: Mapping[str, Implementation] = {
    "custom.reference": Implementation(
        make="spatial_dropouts.custom.reference:Reference",
        framework="numpy",
        contract=Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("generator",), promises=("nonfinite",)),
        summary="our plain NumPy oracle on Philox",
    ),
    "custom.torch": Implementation(
        make="spatial_dropouts.custom.torch_layer:SpatialDropout",
        framework="torch",
        contract=Contract(pattern=Pattern.parse("n c l -> n c"), promises=("nonfinite",)),
        requires=("torch",),
        summary="our own PyTorch layer: one pass over memory that selects and divides exactly",
    ),
    "custom.keras": Implementation(
        make="spatial_dropouts.custom.keras_layer:SpatialDropout",
        framework="keras",
        contract=Contract(
            pattern=Pattern.parse("n l c -> n c"), seeds=("global", "constructor"), promises=("nonfinite",)
        ),
        requires=("keras",),
        backends=_KERAS,
        default=False,
        summary="our own Keras layer: selects instead of multiplying, divides exactly, on every backend",
    ),
    "torch.Dropout1d": _torch("Dropout1d", "n c l -> n c", ("c l -> c",)),
    "torch.Dropout2d": _torch("Dropout2d", "n c h w -> n c", ("n c l -> n c",)),
    "torch.Dropout3d": _torch("Dropout3d", "n c d h w -> n c", ("c d h w -> c",)),
    "keras.SpatialDropout1D": _keras("SpatialDropout1D", "n l c -> n c"),
    "keras.SpatialDropout2D": _keras("SpatialDropout2D", "n h w c -> n c"),
    "keras.SpatialDropout3D": _keras("SpatialDropout3D", "n d h w c -> n c"),
    **_MORE,
    **alpha.REGISTER,
    **third_party.REGISTER,
    **libraries.REGISTER,
    **elsewhere.REGISTER,
    **tfjs.REGISTER,
    **instruments.REGISTER,
}


def _jax(
    make: str, framework: str, pattern: str, requires: str, summary: str, default: bool = False, **more: Any
) -> Implementation:
    promised = {name: more.pop(name) for name in ("seeds", "scale", "dropped") if name in more}
    contract = Contract(pattern=Pattern.parse(pattern), **{"seeds": ("key",), **promised})
    return Implementation(
        make=make,
        framework=framework,
        contract=contract,
        requires=("jax", requires) if requires != "jax" else ("jax",),
        summary=summary,
        default=default,
        **more,
    )


# rank, channels last: pattern and the places of the axes that share their coins
_RANKS = {
    "1D": ("n l c -> n c", (1,)),
    "2D": ("n h w c -> n c", (1, 2)),
    "3D": ("n d h w c -> n c", (1, 2, 3)),
}


def _broadcast(make: str, framework: str, name: str, requires: str) -> Dict[str, Implementation]:
    """A dropout with ``broadcast_dims``: plain, and as a spatial dropout of each rank."""
    short = make.partition(":")[2]
    plain = {f"{name}.Dropout": _jax(make, framework, "n l c -> n l c", requires, f"{short}, each element by itself")}
    spatial = {
        f"{name}.SpatialDropout{rank}": _jax(
            make,
            framework,
            pattern,
            requires,
            f"{short} with broadcast_dims={dims}, channels last",
            options={"broadcast_dims": dims},
            default=False,
        )
        for rank, (pattern, dims) in _RANKS.items()
    }
    return {**plain, **spatial}


_BRAINSTATE = {
    f"brainstate.Dropout{rank.lower()}": _jax(
        f"brainstate.nn:Dropout{rank.lower()}",
        "brainstate",
        pattern,
        "brainstate",
        f"BrainState's Dropout{rank.lower()}, channels last, by keep probability",
        keep_probability=True,
        seeds=("global",),
    )
    for rank, (pattern, _) in _RANKS.items()
}

_JAX: Mapping[str, Implementation] = {
    "custom.jax": _jax(
        "spatial_dropouts.custom.jax_function:spatial_dropout",
        "jax",
        "n c l -> n c",
        "jax",
        "our own function on JAX arrays: selects instead of multiplying, exact scale",
    ),
    **_broadcast("flax.linen:Dropout", "flax-linen", "flax.linen", "flax"),
    **_broadcast("flax.nnx:Dropout", "flax-nnx", "flax.nnx", "flax"),
    "equinox.Dropout": _jax(
        "equinox.nn:Dropout", "equinox-batch", "n c l -> n c l", "equinox", "Equinox' Dropout, each element by itself"
    ),
    **_broadcast("haiku:dropout", "haiku", "haiku", "haiku"),
    "haliax.Dropout": _jax(
        "haliax.nn:Dropout", "haliax", "n c l -> n c l", "haliax", "Haliax' Dropout, each element by itself"
    ),
    "haliax.SpatialDropout1D": _jax(
        "haliax.nn:Dropout", "haliax", "n c l -> n c", "haliax", "Haliax' Dropout with broadcast_axes=l"
    ),
    "penzai.StochasticDropout": _jax(
        "penzai.pz.nn:StochasticDropout",
        "penzai",
        "n c l -> n c l",
        "penzai",
        "Penzai's dropout, each element by itself",
    ),
    "penzai.SpatialDropout1D": _jax(
        "penzai.pz.nn:StochasticDropout",
        "penzai",
        "n c l -> n c",
        "penzai",
        "Penzai's dropout with share_across_axes=l",
    ),
    **_BRAINSTATE,
}
REGISTER = {**REGISTER, **_JAX}

_ZOO = {"broken.": "spatial_dropouts.broken", "unusual.": "spatial_dropouts.unusual"}


def implementations() -> Dict[str, Implementation]:
    """The entry point of the group ``dropcheck.implementations``."""
    return dict(REGISTER)


def names() -> List[str]:
    """Names of the registered implementations, without the zoo."""
    return list(REGISTER)


def zoo_names() -> List[str]:
    """Names of planted defects and of correct layers that look unusual."""
    return [name for module in _ZOO.values() for name in importlib.import_module(module).REGISTER]


def find(name: str) -> Optional[Implementation]:
    """The implementation of that name; the zoo is imported only for names that begin like it."""
    for prefix, module in _ZOO.items():
        if name.startswith(prefix):
            part = importlib.import_module(module)
            found: Optional[Implementation] = {**part.REGISTER, **getattr(part, "IN_MODES", {})}.get(name)
            return found
    return REGISTER.get(name)
