"""Where a framework computes: the device that was asked for, or a refusal that says what is missing."""

from __future__ import annotations

import os
from importlib.util import find_spec

from dropcheck.contract.adapter import Unsupported


def torch(device: str) -> None:
    """Raises Unsupported where PyTorch has no such device on this machine."""
    import torch as framework

    if framework.device(device).type == "cuda" and not framework.cuda.is_available():
        raise Unsupported(
            "PyTorch finds no CUDA device here; run this where torch.cuda.is_available() is true, with a CUDA build of PyTorch"
        )


def jax(device: str) -> None:
    """Have arrays live on JAX's first device of that kind from now on. Raises Unsupported where it finds none."""
    import jax as framework

    # asking which backend there is starts it, and two host devices can be asked for before that only: see jax_modes.py
    alone = find_spec("jax_plugins") is None or os.environ.get("JAX_PLATFORMS") == "cpu"
    if device == "cpu" and (alone or framework.default_backend() == "cpu"):
        return
    try:
        (first, *_) = framework.devices(device)
    except RuntimeError as error:
        raise Unsupported(
            f"JAX finds no {device.upper()} device here; install a build of jaxlib for it, or leave out --device"
        ) from error
    framework.config.update("jax_default_device", first)


def tensorflow(device: str) -> None:
    """TensorFlow itself computes on the first GPU that it finds. Raises Unsupported where that is not what was asked for."""
    import tensorflow as framework

    visible = framework.config.get_visible_devices("GPU")
    if device == "cpu" and visible:
        try:
            framework.config.set_visible_devices([], "GPU")
        except RuntimeError as error:  # it has begun to compute
            raise Unsupported(
                "TensorFlow computes on a GPU in this process already; set CUDA_VISIBLE_DEVICES=-1 before it starts"
            ) from error
    if device != "cpu" and not visible:
        raise Unsupported(
            f"TensorFlow finds no {device.upper()} device here; install a build for it, or leave out --device"
        )


BACKENDS = {"torch": torch, "jax": jax, "tensorflow": tensorflow}
