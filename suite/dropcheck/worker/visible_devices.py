"""The devices that a worker may see: those of its request, so that nothing said of a CPU was computed on a GPU."""

from __future__ import annotations

from dropcheck.contract.modes import EAGER

# Keras on PyTorch, JAX and TensorFlow compute on the first GPU that they find, whatever they are asked for. What a user has set
# of these for all programs gives way: it would contradict the device that was asked for. JAX warns where it has a GPU's plugin
# and finds no GPU, unless it is told not to look.
_CPU_ONLY = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "JAX_PLATFORM_NAME": "",
    "KERAS_TORCH_DEVICE": "cpu",
}
# several workers share one device: JAX would take three quarters of its memory at once, TensorFlow all of it
_SHARED = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "JAX_PLATFORM_NAME": "",
    "KERAS_TORCH_DEVICE": "cuda",
}
_BRINGS_ITS_DEVICE = ("cuda-graph",)


def variables(device: str, mode: str = EAGER) -> dict[str, str]:
    """Environment variables of a worker whose target runs on ``device`` (``cpu``, ``cuda``) in ``mode``."""
    return dict(_CPU_ONLY if device == "cpu" and mode not in _BRINGS_ITS_DEVICE else _SHARED)
