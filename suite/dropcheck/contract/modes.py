"""Modes: the ways in which a layer is run beside a plain eager call, by word, and the frameworks that have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EAGER = "eager"
RANKED = ("ranks", "dtensor-shard", "dtensor-replicate")  # two processes of PyTorch, or two devices
SHARDED = "jit-sharded"  # of JAX: one program whose input lies on two devices
MAPPED = ("vmap", "vmap-rbg", "vmap-unsafe-rbg")  # of JAX: samples with keys of their own
ALL = "all"  # what --mode takes for every mode that a target's framework has


@dataclass(frozen=True)
class Mode:
    """One way to run a layer. ``frameworks``: as adapters name them, ``keras`` for every backend."""

    word: str
    frameworks: tuple[str, ...]
    summary: str


MODES: dict[str, Mode] = {
    mode.word: mode
    for mode in (
        Mode(EAGER, (), "plain calls"),
        Mode("compiled", ("torch",), "torch.compile, the default backend"),
        Mode("reduce-overhead", ("torch",), "torch.compile, mode reduce-overhead: CUDA graphs; on a CPU, as compiled"),
        Mode("vmap-different", ("torch",), "torch.func.vmap over samples, randomness='different'"),
        Mode(
            "vmap-same", ("torch",), "torch.func.vmap over samples, randomness='same': all samples have the same mask"
        ),
        Mode("checkpoint", ("torch", "jax"), "activation checkpointing (rematerialisation), random state preserved"),
        Mode(
            "checkpoint-unpreserved",
            ("torch",),
            "activation checkpointing with preserve_rng_state=False: every layer that draws anew when it is recomputed fails "
            "gradient.mask there, as PyTorch documents",
        ),
        Mode("in-place", ("torch",), "the layer's own in-place variant, whose result is read where the input was"),
        Mode("autocast", ("torch",), "under torch.autocast to bfloat16"),
        Mode("cuda-graph", ("torch",), "replays of one captured CUDA graph; needs a GPU"),
        Mode(
            "ranks",
            ("torch", "jax", "keras@tensorflow", "tensorflow", "tf_keras"),
            "the batch split over two data-parallel ranks",
        ),
        Mode(
            "dtensor-shard", ("torch",), "the batch as one DTensor on two ranks, each with half of the samples (Shard)"
        ),
        Mode("dtensor-replicate", ("torch",), "the batch as one DTensor on two ranks, each with the whole (Replicate)"),
        Mode("jit", ("jax", "keras@jax", "mlx"), "the framework's just-in-time compiler around the call"),
        Mode(
            SHARDED,
            ("jax",),
            "inside jax.jit, the samples sharded over two host devices (in_shardings): masks must be those of an unsharded call",
        ),
        Mode("vmap", ("jax",), "jax.vmap over samples, one key a sample"),
        Mode("vmap-rbg", ("jax",), "as vmap, with keys of the implementation rbg"),
        Mode("vmap-unsafe-rbg", ("jax",), "as vmap, with keys of the implementation unsafe_rbg"),
        Mode("scan", ("jax",), "calls inside jax.lax.scan"),
        Mode("graph", ("tensorflow", "keras@tensorflow", "tf_keras"), "inside a tf.function"),
        Mode("xla", ("tensorflow", "keras@tensorflow", "tf_keras"), "inside a tf.function with jit_compile=True"),
        Mode("wasm", ("tfjs",), "on TensorFlow.js' WebAssembly backend, where plain calls are on the cpu backend"),
        Mode("mixed", ("keras", "tf_keras"), "under the mixed precision policy of the dtype"),
    )
}


# adapters that drive a library built on another framework name themselves; their modes are that framework's
FRAMEWORK_OF: dict[str, str] = {
    name: "jax"
    for name in ("flax-linen", "flax-nnx", "equinox", "equinox-batch", "haiku", "haliax", "penzai", "brainstate")
}


def of(framework: str) -> tuple[str, ...]:
    """The modes beside eager that a framework (``torch``, ``keras@jax``, ...) has."""
    framework = FRAMEWORK_OF.get(framework, framework)
    base = framework.partition("@")[0]
    return tuple(m.word for m in MODES.values() if framework in m.frameworks or base in m.frameworks)


def split(framework: str, withheld: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Of an implementation: the modes beside eager that it has, and those that it has not, each with the reason.

    ``framework``: with the backend of Keras. ``withheld``: as an Implementation declares it.
    """
    backend = framework.partition("@")[2]
    not_here = {
        word.partition("@")[0]: reason
        for word, reason in withheld.items()
        if not word.partition("@")[2] or word.partition("@")[2] == backend
    }
    return tuple(word for word in of(framework) if word not in not_here), not_here


def sentence(framework: str, withheld: Mapping[str, str]) -> str:
    """The same for a reader: ``eager, jit, scan; not vmap: the reason``."""
    has, not_here = split(framework, withheld)
    reasons: dict[str, list[str]] = {}
    for word, reason in not_here.items():
        reasons.setdefault(reason, []).append(word)
    refused = [f"not {', '.join(words)}: {reason}" for reason, words in reasons.items()]
    return "; ".join([", ".join((EAGER, *has)), *refused])
