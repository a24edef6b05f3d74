"""What an audit inside of somebody's process leaves as it was: generators, gradient mode and configuration."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# one generator for all: two audits at once in one process would take each other's numbers
_alone = threading.RLock()


@contextmanager
def untouched() -> Iterator[None]:
    """Restore at the end, however it ends, what an audit changes of Python, NumPy, and the frameworks imported by now.

    A framework that the audit imports first is restored by its adapter to the state after its import. Audits in one process
    wait for each other.
    """
    with _alone, contextlib.ExitStack() as restored:
        for keep in (_python, _numpy, _torch, _tensorflow, _jax):
            restore = keep()
            if restore is not None:
                restored.callback(restore)
        yield


def _python() -> Callable[[], None]:
    state, path, variables = random.getstate(), list(sys.path), dict(os.environ)

    def restore() -> None:
        random.setstate(state)
        sys.path[:] = path
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)

    return restore


def _numpy() -> Callable[[], None]:
    import numpy as np

    state, errors = np.random.get_state(), np.geterr()

    def restore() -> None:
        np.random.set_state(state)
        np.seterr(**errors)

    return restore


def _torch() -> Callable[[], None] | None:
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "get_rng_state"):
        return None
    state, recording, default = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
    on_device = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    strict, warning = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )

    def restore() -> None:
        torch.set_rng_state(state)
        if on_device:
            torch.cuda.set_rng_state_all(on_device)
        torch.set_default_dtype(default)
        torch.set_grad_enabled(recording)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        now = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        if now != (strict, warning):  # it imports inductor, for seconds
            torch.use_deterministic_algorithms(strict, warn_only=warning)

    return restore


def _tensorflow() -> Callable[[], None] | None:
    """TensorFlow's global seed and how far it has come: there is no public way to read it (nor need Keras' own: its global
    generator and its dtype policy belong to a thread, and an audit runs in one of its own).
    """
    module: Any = sys.modules.get("tensorflow.python.eager.context")
    if module is None:
        return None
    with contextlib.suppress(AttributeError):
        context = module.context()
        seed = context._seed
        drawn = context._rng.getstate() if seed is not None else None

        def restore() -> None:
            with contextlib.suppress(AttributeError):
                context._set_global_seed(seed)
                if drawn is not None:
                    context._rng.setstate(drawn)

        return restore
    return None


def _jax() -> Callable[[], None] | None:
    jax: Any = sys.modules.get("jax")
    if not hasattr(jax, "config"):
        return None
    values = dict(getattr(jax.config, "values", {}))

    def restore() -> None:
        for name, value in values.items():
            if jax.config.values.get(name, value) != value:
                jax.config.update(name, value)

    return restore
