"""What a look at a model costs, in forward passes: the passes that `explain` and `audit` run before any check, and their time.

    python tests/measurements/look_cost.py torch gpt2 vit           models of real_models.py and real_models_more.py
    python tests/measurements/look_cost.py jax                      those of real_models_jax_keras.py
    KERAS_BACKEND=torch python tests/measurements/look_cost.py keras Transformer

``sites`` is what the record of all random draws adds. Its processor time is divided by that of one forward pass in training, the
median of 20 (JAX traces a pass instead of running it, which is dearer than the pass itself: one trace is the unit there).
"""

from __future__ import annotations

import functools
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]


def spent(run: Callable[[], Any]) -> float:
    """Seconds of processor time of this process."""
    began = time.process_time()
    run()
    return time.process_time() - began


def counted(owner: Any, name: str, run: Callable[[], Any]) -> int:
    """How often ``owner.name`` is called by ``run``."""
    original, count = getattr(owner, name), [0]

    @functools.wraps(original)
    def call(*args: Any, **given: Any) -> Any:
        count[0] += 1
        return original(*args, **given)

    setattr(owner, name, call)
    try:
        run()
    finally:
        setattr(owner, name, original)
    return count[0]


def row(part: Any, model: Any, given: Any, owner: Any, name: str, once: Callable[[], Any]) -> list[str]:
    """Passes of the survey and of the sites, and what the sites cost in passes by processor time."""
    reached: list[str] = []

    def survey() -> None:
        reached[:] = list(dict.fromkeys(use.name for use in part.survey(model, given, None, 100, 10.0)[0]))

    def sites() -> None:
        part.sites(model, given, None, reached)

    looked = counted(owner, name, survey)
    drawn = counted(owner, name, sites)
    once()
    unit = statistics.median(spent(once) for _ in range(20))
    return [
        str(looked),
        str(drawn),
        f"{1e3 * unit:.1f}",
        f"{statistics.median(spent(sites) for _ in range(3)) / unit:.1f}",
    ]


def of_torch(names: list[str]) -> Any:
    import real_models
    import real_models_more
    import torch

    from spatial_dropouts.adapters import models_torch

    for name in names:
        here = vars(real_models_more) if name in real_models.MORE else vars(real_models)
        model, sample = here[name](), here[f"{name}_input"]
        model.train()

        def once(model: Any = model, sample: Any = sample) -> None:
            with torch.no_grad():
                real_models._call(model, sample)

        yield name, row(models_torch, model, sample, type(model), "forward", once)


def of_others(which: str, names: list[str]) -> Any:
    import real_models_jax_keras as kit

    for name, (library, model, given) in (kit.of_jax() if which == "jax" else kit.of_keras()).items():
        if names and name not in names:
            continue
        part = importlib.import_module(f"spatial_dropouts.adapters.models_{library}")
        taken = given if given is not None else part._input(model, None, None)[0]
        owner, call = type(model), "call" if library == "keras" else "__call__"

        def once(library: str = library, model: Any = model, taken: Any = taken) -> None:
            if library == "keras":
                model(taken, training=True)
                return
            import jax

            key = jax.random.key(0)
            if library == "linen":
                weights = model.init({"params": key, "dropout": key}, taken, train=False)
                jax.make_jaxpr(lambda: model.apply(weights, taken, train=True, rngs={"dropout": key}))()
            elif library == "nnx":
                jax.make_jaxpr(lambda: model(taken))()
            else:
                jax.make_jaxpr(lambda: model(taken, key=key))()

        yield name, row(part, model, given, owner, call, once)


def main(which: str, *names: str) -> None:
    head = ("model", "passes of the look", "passes of the sites", "one pass, ms", "sites, in passes by time")
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    for name, cells in of_torch(list(names)) if which == "torch" else of_others(which, list(names)):
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
