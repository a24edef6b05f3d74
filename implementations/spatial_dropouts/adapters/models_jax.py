"""Models of JAX libraries: what Flax linen, nnx and Equinox share in running a model and watching its layers."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import jax
import jax.numpy as jnp
import numpy as np

from spatial_dropouts.adapters.models_base import Use, expected_of, neighbours, rate_of, timed, wanted
from spatial_dropouts.adapters.unspecified import title

_CALL = "__call__"
_LAST = ("Embed", "Embedding", "Dense", "DenseGeneral", "Linear", "LinearGeneral", "LayerNorm", "RMSNorm", "BatchNorm")


def last(layer: Any) -> Optional[int]:
    """Where layers of Flax have their channels: last."""
    kind = type(layer).__name__
    return -1 if kind in _LAST or kind.startswith("Conv") or "Attention" in kind else None


def reason(layer: Any, dropout: Tuple[type, ...]) -> str:
    """What speaks for a dropout: its class, its name, a rate without anything else; empty if nothing does."""
    if isinstance(layer, dropout):
        return "class"
    kind = type(layer).__name__
    if "drop" in kind.lower():
        return "name"
    return "rate" if rate_of(layer) is not None and not jax.tree_util.tree_leaves(_arrays(layer)) else ""


def _arrays(layer: Any) -> List[Any]:
    found = vars(layer).values() if hasattr(layer, "__dict__") else ()
    return [v for v in found if hasattr(v, "shape") or hasattr(v, "value")]


def _holds(layer: Any) -> bool:
    """Whether modules or parameters are inside of a module: a dropout holds neither."""
    if getattr(getattr(layer, "_state", None), "children", None):  # of linen
        return True
    parts = vars(layer).values() if hasattr(layer, "__dict__") else ()
    return any(kind.__name__ == "Module" for part in parts for kind in type(part).__mro__ if part is not layer)


class Watch:
    """Stands around the calls of layers: their order, and the outputs of those that may drop."""

    def __init__(self, dropout: Tuple[type, ...], batch: int = 0) -> None:
        self.dropout, self.batch = dropout, batch
        self.uses: Dict[Tuple[str, int], Use] = {}
        self.seen: Dict[str, int] = {}
        self.trace: List[Tuple[str, Any, Any, Any]] = []
        self.tracing = True
        self.hidden: Dict[str, str] = {}
        self.whole: Set[str] = set()  # layers with layers or parameters inside, known after their first call

    def call(self, name: str, layer: Any, x: Any, forward: Callable[[Any], Any]) -> Any:
        """One call of a layer at ``name`` on ``x``."""
        if isinstance(x, jax.core.Tracer):
            if reason(layer, self.dropout):
                self.hidden[name] = (
                    f"{name} ({type(layer).__name__}) is called inside a transformation (jit, vmap, scan): not seen"
                )
            return forward(x)
        if self.tracing:
            y = forward(x)
            if _holds(layer):
                self.whole.add(name)
            if hasattr(x, "shape") and hasattr(y, "shape"):
                self.trace.append((name, layer, x, y))
            return y
        use = self._use(name, layer, x)
        if use is None:
            return forward(x)
        y = forward(jnp.asarray(use.x).astype(x.dtype))
        if tuple(getattr(y, "shape", ())) == use.shape:
            use.take(np.asarray(y.astype("float32")))
        return y

    def _use(self, name: str, layer: Any, x: Any) -> Optional[Use]:
        by = reason(layer, self.dropout)
        if by == "rate" and name in self.whole:  # attention holds the rate of its weights
            return None
        if not by or not (hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)):
            return None
        key = (name, self.seen.get(name, 0))
        self.seen[name] = key[1] + 1
        if key not in self.uses:
            use = self.uses[key] = Use(name, type(layer).__name__, by, rate_of(layer), x.shape)
            use.use, use.batch = key[1], self.batch
            use.expected = expected_of(use.kind)
            shared = [d % max(1, x.ndim) for d in getattr(layer, "broadcast_dims", ())]
            if shared:
                use.noise = [i for i in range(x.ndim) if i not in shared]
        use = self.uses[key]
        return use if use.shape == tuple(x.shape) else None

    def look(self, forward: Callable[[Any], Any], calls: int, seconds: float, convention: Any) -> List[Use]:
        """Run ``forward(key)`` once for the order of layers, then often. Raises NoDropout where it does not run."""
        keys = iter(jax.random.split(jax.random.key(20141110), calls + 1))
        try:
            forward(next(keys))
        except Exception as error:
            said = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
            raise wanted("the model does not run on its input", said) from error
        self.tracing = False

        def once() -> None:
            self.seen.clear()
            forward(next(keys))

        timed(once, calls, seconds)
        for use in self.uses.values():
            neighbours(use, self.trace, convention)
        return list(self.uses.values())


def inputs(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> List[Tuple[Any, ...]]:
    """Inputs to try. Raises NoDropout where none is given: these libraries do not tell what a model takes."""
    if sample is not None:
        some = sample if isinstance(sample, (tuple, list)) else (sample,)
        return [tuple(jnp.asarray(one) for one in some)]
    if shape is None:
        raise wanted(f"{title(model)} is a model without a sample input", "this framework does not tell what it takes")
    return [
        (jnp.asarray(np.random.default_rng(5).standard_normal(tuple(shape)), "float32"),),
        (jnp.zeros(tuple(shape), "int32"),),
    ]


def runs(choices: Sequence[Tuple[Any, ...]], run: Callable[..., Any]) -> Tuple[Tuple[Any, ...], Any]:
    """The first inputs on which something runs, and what it makes. Raises NoDropout where it runs on none."""
    said = ""
    for args in choices:
        try:
            return args, run(*args)
        except Exception as error:
            said = said or f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    raise wanted("the model does not run on its input", said)


def still(without: Callable[[], Any], given: Callable[[], Any]) -> Any:
    """Inference as it is run: without a random key where the model can do without one."""
    try:
        return without()
    except Exception:  # whatever a missing key leads to in the code of the user
        return given()


@contextlib.contextmanager
def called(names: Dict[int, Tuple[str, Any]], watch: Watch) -> Iterator[None]:
    """Calls of these objects (by identity) go through the watch: ``__call__`` of their classes is wrapped meanwhile."""
    originals = {cls: cls.__dict__.get(_CALL) for cls in {type(layer) for _, layer in names.values()}}

    def wrapped(original: Any) -> Any:
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
            known = names.get(id(self))
            if known is None or not args:
                return original(self, *args, **kwargs)
            return watch.call(known[0], self, args[0], lambda x: original(self, x, *args[1:], **kwargs))

        return __call__

    try:
        for cls in originals:
            setattr(cls, _CALL, wrapped(getattr(cls, _CALL)))
        yield
    finally:
        for cls, original in originals.items():
            if original is None:
                delattr(cls, _CALL)
            else:
                type.__setattr__(cls, _CALL, original)
