"""Where a framework computes: the device that was asked for, or a refusal that says what is missing."""

from __future__ import annotations

from dropcheck.adapter import Unsupported


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

    try:
        (first, *_) = framework.devices(device)
    except RuntimeError as error:
        raise Unsupported(
            f"JAX finds no {device.upper()} device here; install a build of jaxlib for it, or leave out --device"
        ) from error
    framework.config.update("jax_default_device", first)


def tensorflow(device: str) -> None:
    """TensorFlow itself computes on the first GPU that it finds. Raises Unsupported where it finds none."""
    import tensorflow as framework

    if not framework.config.list_physical_devices("GPU"):
        raise Unsupported(
            f"TensorFlow finds no {device.upper()} device here; install a build for it, or leave out --device"
        )


BACKENDS = {"torch": torch, "jax": jax, "tensorflow": tensorflow}
