"""Functions of one TensorFlow tensor that draw by themselves, as models without layers: their draws are read from their graph."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from spatial_dropouts.adapters import draws_tensorflow, functions, sites_base
from spatial_dropouts.adapters.models_base import Use, wanted
from spatial_dropouts.adapters.unspecified import FLAGLESS, flags, title, words

_SEED = 20141110


def is_model(thing: Any) -> bool:
    return True


def framework(thing: Any) -> str:
    """As results name it."""
    return "tensorflow"


def inputs(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> List[Tuple[Any, ...]]:
    """Inputs to try. Raises NoDropout where none is given: a function does not tell what it takes."""
    if sample is not None:
        return [
            tuple(tf.convert_to_tensor(one) for one in (sample if isinstance(sample, (tuple, list)) else (sample,)))
        ]
    if shape is None:
        raise wanted(f"{title(model)} is a model without a sample input", "a function does not tell what it takes")
    values = np.random.default_rng(5).standard_normal(tuple(shape)).astype("float32")
    return [(tf.constant(values),), (tf.zeros(tuple(shape), tf.int32),)]


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """A function has no layers: it is traced once. Raises NoDropout where it does not run."""
    _running(model, sample, shape)
    return [], []


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. Three traces, and nothing is run."""
    args, pair = _running(model, sample, shape)

    def drawn(training: bool, number: int) -> Any:
        return _traced(model, args, training, number, pair)

    (training, _, seeds), (_, inference, _) = drawn(True, 0), drawn(False, 0) if flags(model) else ([], [], [])
    again = drawn(True, 1)[2] if sites_base.to_repeat(training, reached) else []
    how = "the same random seed, so they use the same random numbers"
    return {
        "version": str(tf.__version__),
        "training": training,
        "inference": inference,
        "unreached": [],
        "backward": [],
        "unasked": "no layer of the model is audited in place: a backward pass has nothing to show",
        "uninferred": "" if flags(model) else FLAGLESS,
        "shared": sites_base.shared(training, seeds, sites_base.last(again, seeds), reached, how),
    }


def _running(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> Tuple[Tuple[Any, ...], bool]:
    """The first inputs on which it runs, and whether its seed is a pair of numbers. Raises NoDropout where it runs on none."""
    said = ""
    for args in inputs(model, sample, shape):
        for pair in (True, False):
            try:
                _traced(model, args, True, 0, pair)
                return args, pair
            except Exception as error:
                said = said or sites_base.error_in_words(error)
    raise wanted("the model does not run on its input", said)


def _traced(model: Any, args: Tuple[Any, ...], training: bool, number: int, pair: bool) -> Any:
    states: Dict[str, Any] = {"seed": (_SEED + number, number) if pair else _SEED + number}
    if "rng" in functions.parameters(model):
        states["rng"] = tf.random.Generator.from_seed(_SEED + number)

    def run() -> Any:
        return _pass_of_the_model(model, args, training, states)

    return draws_tensorflow.traced(run, draws_tensorflow.Scopes(type(model).__name__), False)


def _pass_of_the_model(model: Any, args: Tuple[Any, ...], training: bool, states: Dict[str, Any]) -> Any:
    return model(*args, **words(model, training, states))
