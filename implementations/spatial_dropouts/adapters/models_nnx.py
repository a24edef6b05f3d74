"""Flax nnx models: the calls of their modules are watched by identity."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from flax import nnx

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use
from spatial_dropouts.adapters.models_jax import Watch, called, inputs, last


def _named(model: Any) -> Dict[str, Any]:
    return {".".join(map(str, path)): one for path, one in nnx.iter_modules(model) if path}


def is_model(thing: Any) -> bool:
    """A module with modules inside."""
    return bool(_named(thing))


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
