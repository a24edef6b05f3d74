"""The register of libraries on Keras, JAX and NumPy whose layers were measured in reports/third-party, each with its release."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern

_KERAS = "spatial_dropouts.libraries.made_keras:"
_ARRAYS = "spatial_dropouts.libraries.made_arrays:"
_EACH, _PATH = "n c l -> n c l", "n c l -> n"
_HUB, _ONNX = "keras-hub==0.32.0", "onnx==1.23.2"


def _keras(make: str, pin: str, summary: str, **options: Any) -> Implementation:
    """Measured on Keras' PyTorch backend. Its seed generator is made with the layer."""
    module = pin.partition("==")[0].replace("-", "_")
    return Implementation(
        make=_KERAS + make,
        framework="keras",
        contract=Contract(pattern=Pattern.parse(_PATH), seeds=("global",)),
        options=options,
        requires=("keras", module),
        unimported=(module,),
        backends=("torch",),
        install=f"pip install --no-deps {pin} (only one file of it is run)",
        default=False,
        summary=summary,
    )


def _function(
    make: str, pattern: str, pin: str, summary: str, seeds: Tuple[str, ...], *, one_file: bool = False, **more: Any
) -> Implementation:
    """``seeds``: a key is of JAX, anything else of NumPy."""
    module = pin.partition("==")[0].replace("-", "_")
    framework = "jax" if "key" in seeds else "numpy"
    needed = ("jax", module) if framework == "jax" and module != "jax" else (module,)
    return Implementation(
        make=_ARRAYS + make,
        framework=framework,
        contract=Contract(pattern=Pattern.parse(pattern), seeds=seeds),
        requires=(*needed, *more.get("requires", ())),
        unimported=(module,) if one_file else (),
        install=more.get("install", f"pip install {pin}"),
        default=False,
        summary=summary,
    )


_OBJAX = "pip install --no-deps objax==1.8.0 tensorboard parameterized, and pillow protobuf absl-py six"
_EQUIMO = "pip install --no-deps equimo==1.1.0 (only one file of it is run)"
_IVY = "ivy==1.0.0.5"
_IVY_NEEDS = "pip install --no-deps ivy==1.0.0.5 astor dill diskcache einops gast networkx packaging psutil requests"

REGISTER: Mapping[str, Implementation] = {
    "keras_cv.DropPath": _keras("keras_cv", "keras-cv==0.9.0", "KerasCV's drop path: whole samples"),
    "keras_hub.mit.DropPath": _keras(
        "keras_hub", _HUB, "KerasHub's drop path of MiT", file="mit/mit_layers", name="DropPath"
    ),
    "keras_hub.swin.DropPath": _keras(
        "keras_hub",
        _HUB,
        "KerasHub's drop path of Swin",
        file="swin_transformer/swin_transformer_layers",
        name="DropPath",
    ),
    "keras_hub.DINOV2DropPath": _keras(
        "keras_hub", _HUB, "KerasHub's drop path of DINOv2", file="dinov2/dinov2_layers", name="DINOV2DropPath"
    ),
    "jax.stax.Dropout": _function(
        "stax", _EACH, "jax==0.10.2", "Dropout of jax.example_libraries.stax, each element by itself", ("key",)
    ),
    "objax.Dropout": _function(
        "objax", _EACH, "objax==1.8.0", "Objax' Dropout, each element by itself", ("key",), install=_OBJAX
    ),
    "equimo.DropPath": _function(
        "equimo",
        _PATH,
        "equimo==1.1.0",
        "Equimo's drop path of a whole array",
        ("key",),
        one_file=True,
        requires=("equinox",),
        install=_EQUIMO,
    ),
    "onnx.reference.Dropout": _function(
        "onnx_reference", _EACH, _ONNX, "Dropout (opset 12) of onnx.reference, each call seeded anew", ("generator",)
    ),
    # its seed is an attribute of the node, as exporters write it: no seed from outside reaches it
    "onnx.reference.Dropout.seed": _function(
        "onnx_reference_seed", _EACH, _ONNX, "the same, a seed as an attribute of its node", ()
    ),
    "thinc.Dropout": _function("thinc", _EACH, "thinc==9.1.1", "Thinc's Dropout, each element by itself", ("global",)),
    "ivy.dropout": _function(
        "ivy", _EACH, _IVY, "Ivy's dropout on NumPy, each element by itself", ("global",), install=_IVY_NEEDS
    ),
    "ivy.dropout1d": _function(
        "ivy_channels", "n c l -> n c", _IVY, "Ivy's dropout1d on NumPy", ("global",), install=_IVY_NEEDS
    ),
    "numpy_ml.Dropout": _function(
        "numpy_ml",
        "n c -> n c",
        "numpy-ml==0.1.2",
        "numpy-ml's Dropout around a layer that does nothing",
        ("global",),
        one_file=True,
        install="pip install --no-deps numpy-ml==0.1.2 (only one file of it is run)",
    ),
}
