"""Functions of one JAX array that draw by themselves, as models without layers: their draws are read from their trace."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import jax

from spatial_dropouts.adapters import sites_jax
from spatial_dropouts.adapters.models_base import Use
from spatial_dropouts.adapters.models_jax import inputs, runs
from spatial_dropouts.adapters.unspecified import FLAGLESS, flags, words


def is_model(thing: Any) -> bool:
    return True


def framework(thing: Any) -> str:
    """As results name it."""
    return "jax"


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """A function has no layers: it is run once. Raises NoDropout where it does not run."""
    runs(inputs(model, sample, shape), lambda *args: _pass_of_the_model(model, args, True, 0))
    return [], []


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``."""
    args, _ = runs(inputs(model, sample, shape), lambda *some: _pass_of_the_model(model, some, True, 0))

    def forward(watch: sites_jax.Layers, training: bool) -> Any:
        return _pass_of_the_model(model, args, training, int(watch.again))

    return sites_jax.found(forward, model, dict, reached, "" if flags(model) else FLAGLESS)


def _pass_of_the_model(model: Any, args: Tuple[Any, ...], training: bool, number: int) -> Any:
    key = jax.random.fold_in(jax.random.key(20141110), number)
    return model(*args, **words(model, training, {"key": key, "rng": key, "seed": 20141110 + number}))
