"""Functions of one NumPy array that draw by themselves, as models without layers: their generators are watched."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from spatial_dropouts.adapters import draws_numpy, followed_arrays, sites_base
from spatial_dropouts.adapters.models_base import Use, wanted
from spatial_dropouts.adapters.unspecified import FLAGLESS, flags, title, words

_SEED = 20141110
_DEPTH = 3  # objects inside of objects whose generators are watched


def is_model(thing: Any) -> bool:
    return True


def framework(thing: Any) -> str:
    """As results name it."""
    return "numpy"


def inputs(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> List[Tuple[Any, ...]]:
    """Inputs to try. Raises NoDropout where none is given: a function does not tell what it takes."""
    if sample is not None:
        return [tuple(np.asarray(one) for one in (sample if isinstance(sample, (tuple, list)) else (sample,)))]
    if shape is None:
        raise wanted(f"{title(model)} is a model without a sample input", "a function does not tell what it takes")
    values = np.random.default_rng(5).standard_normal(tuple(shape))
    return [(values.astype("float32"),), (values,), (np.zeros(tuple(shape), "int32"),)]


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """A function has no layers: it is run once. Raises NoDropout where it does not run."""
    _running(model, sample, shape)
    return [], []


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. Raises NotImplementedError for draws that cannot be seen."""
    args = _running(model, sample, shape)
    (training, first), (again, second) = _seen(model, args, True), _seen(model, args, True, passes=2)
    if not training.found and not _equal(first, second):
        raise NotImplementedError("its output changes from call to call, by no generator of NumPy that can be watched")
    inference, uninferred = [], FLAGLESS
    if flags(model):
        inference, uninferred = _used(model, args), ""
    return {
        "version": str(np.__version__),
        "training": training.found,
        "inference": inference,
        "unreached": [],
        "backward": [],
        "unasked": "no layer of the model is audited in place: a backward pass has nothing to show",
        "uninferred": uninferred,
        "shared": sites_base.shared(
            training.found, training.states, sites_base.last(again.states, training.states), reached
        ),
    }


def _running(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> Tuple[Any, ...]:
    """The first inputs on which it runs. Raises NoDropout where it runs on none."""
    said = ""
    for args in inputs(model, sample, shape):
        try:
            _seen(model, args, True)
            return args
        except Exception as error:
            said = said or sites_base.error_in_words(error)
    raise wanted("the model does not run on its input", said)


def _seen(
    model: Any, args: Tuple[Any, ...], training: bool, turned: Collection[int] = (), passes: int = 1
) -> Tuple[draws_numpy.Draws, Any]:
    """The draws and the output of the last of some passes, which start from one random state."""
    try:
        return _run(model, args, training, turned, passes, True)
    except Exception:  # code that takes NumPy's own arrays only: rates of its masks are not seen
        return _run(model, args, training, turned, passes, False)


def _run(
    model: Any, args: Tuple[Any, ...], training: bool, turned: Collection[int], passes: int, followed: bool
) -> Tuple[draws_numpy.Draws, Any]:
    sources = draws_numpy.Sources(draws_numpy.Draws(type(model).__name__, turned), followed)
    rng = sources.generator(_SEED)
    whole = inspect.unwrap(model)
    code = getattr(whole, "__globals__", None) or getattr(type(model).__call__, "__globals__", {})
    output: Any = None
    with draws_numpy.watched(sources, code, list(_holders(model, _DEPTH))):
        for number in range(passes):
            sources.draws.found.clear()
            sources.draws.states.clear()
            given = [followed_arrays.tracked(one, sources.draws) if followed else np.array(one) for one in args]
            output = _pass_of_the_model(model, given, training, {"rng": rng, "seed": _SEED + number})
    return sources.draws, output


def _pass_of_the_model(model: Any, args: Sequence[Any], training: bool, states: Dict[str, Any]) -> Any:
    return model(*args, **words(model, training, states))


def _holders(thing: Any, depth: int) -> Iterator[Any]:
    """Objects of the user's whose attributes may be generators: the model, and what it holds."""
    if (
        inspect.isfunction(thing)
        or not hasattr(thing, "__dict__")
        or isinstance(thing, type)
        or inspect.ismodule(thing)
    ):
        return
    yield thing
    if depth:
        for value in list(vars(thing).values()):
            for one in value if isinstance(value, (list, tuple)) else (value,):
                yield from _holders(one, depth - 1)


def _used(model: Any, args: Tuple[Any, ...]) -> List[Dict[str, Any]]:
    """Draws in inference that the output depends on: what is drawn and thrown away is not dropped."""
    draws, output = _seen(model, args, False)
    if not draws.found or _equal(output, _seen(model, args, False, range(len(draws.found)))[1]):
        return []
    groups: Dict[Any, List[int]] = {}
    for number, row in enumerate(draws.found):
        groups.setdefault((row["op"], row["file"], row["line"]), []).append(number)
    used: List[int] = []
    for some in groups.values():
        if not _equal(output, _seen(model, args, False, some)[1]):
            used += some
    return [draws.found[number] for number in sorted(used)]


def _equal(first: Any, second: Any) -> bool:
    """Whether two outputs are the same, bit for bit."""
    some, others = list(_leaves(first)), list(_leaves(second))
    return len(some) == len(others) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(some, others)
    )


def _leaves(value: Any) -> Iterator[Any]:
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            for one in value:
                yield from _leaves(one)
        elif value is not None:
            yield np.asarray(value)
