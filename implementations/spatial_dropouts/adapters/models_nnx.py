"""Flax nnx models: the calls of their modules are watched by identity."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import flax
import jax
from flax import nnx

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import sites_jax
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use, rateless
from spatial_dropouts.adapters.models_jax import Watch, called, inputs, last, runs
from spatial_dropouts.adapters.unspecified import flags


def _named(model: Any) -> Dict[str, Any]:
    return {".".join(map(str, path)): one for path, one in nnx.iter_modules(model) if path}


def is_model(thing: Any) -> bool:
    """A module with modules inside, or one that tells no rate."""
    return bool(_named(thing)) or rateless(thing)


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in calls of the model after ``model.train()``."""
    named = {id(one): (name, one) for name, one in _named(model).items()}
    model.train()
    said: Optional[NoDropout] = None
    for args in inputs(model, sample, shape):
        watch = Watch((nnx.Dropout,))

        def forward(key: Any, args: Any = args) -> Any:
            return model(*args)  # its modules keep their keys themselves

        try:
            with called(named, watch):
                return watch.look(forward, calls, seconds, last), list(watch.hidden.values())
        except NoDropout as error:
            said = said or error
    assert said is not None
    raise said


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    structure, state = nnx.split(model)
    said = flags(type(model).__call__)

    def copied(training: bool) -> Any:
        one = nnx.merge(
            structure, jax.tree_util.tree_map(lambda leaf: leaf, state)
        )  # its keys move on, the model's do not
        (one.train if training else one.eval)()
        return one

    def run(one: Any, training: bool, args: Tuple[Any, ...]) -> Any:
        return _pass_of_the_model(one, args, said if training else {name: not on for name, on in said.items()})

    args, _ = runs(inputs(model, sample, shape), lambda *given: run(copied(True), True, given))

    def forward(watch: sites_jax.Layers, training: bool) -> Any:
        one = copied(training)
        named = _named(one)
        classes = list({type(layer) for layer in named.values()} | {nnx.Dropout})
        with sites_jax.called(one, {id(layer): name for name, layer in named.items()}, classes, watch, (nnx.Dropout,)):
            if watch.again:
                run(one, training, args)
            return run(one, training, args)

    dropouts = {name: layer for name, layer in _named(model).items() if isinstance(layer, nnx.Dropout)}
    return sites_jax.found(forward, model, lambda: dropouts, reached, library=flax)


def _pass_of_the_model(model: Any, args: Tuple[Any, ...], said: Dict[str, bool]) -> Any:
    return model(*args, **said)


def inside(model: Any, path: str) -> Any:
    """A factory of layers like the one at ``path``."""
    layer = _named(model).get(path)
    if not isinstance(layer, nnx.Dropout):
        raise NoDropout(
            f"at {path!r} stands {'nothing' if layer is None else type(layer).__name__}, expected an nnx.Dropout"
        )
    shared = layer.broadcast_dims

    def make(rate: float, rngs: Any = None) -> Any:
        return nnx.Dropout(rate, broadcast_dims=shared, rngs=rngs)

    return Implementation(make=make, framework="flax-nnx")
