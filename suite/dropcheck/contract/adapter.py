"""The narrow bridge between the suite and a framework: what adapters fulfil and what implementations declare."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    Mapping,
    Optional,
    Protocol,
    Tuple,
    Union,
    runtime_checkable,
)

from dropcheck.contract import constructing, node_packages, outputs
from dropcheck.contract.promise import Contract, Pattern

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.

DTYPES: Tuple[str, ...] = ("float32", "float64", "float16", "bfloat16")
DIRECTIONS = ("inference", "forward", "backward")
LAYOUTS: Tuple[str, ...] = ("contiguous", "strided", "transposed")
# the extras of this distribution that bring a framework or a library of layers, named as its module
EXTRAS: Tuple[str, ...] = (
    "torch",
    "keras",
    "tensorflow",
    "jax",
    "flax",
    "equinox",
    "haiku",
    "haliax",
    "penzai",
    "brainstate",
    "monai",
    "transformers",
    "torchnlp",
    "mlx",
    "onnx",
)


class Unsupported(Exception):
    """The adapter's framework has no such thing (a layout, gradients, a dtype): the case does not apply."""


class Lost(Exception):
    """What a layer runs on has ended, or makes no sense any more: nothing further can be asked, and the layer is not to blame."""


def _options() -> Dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Implementation:
    """A layer to check, with its contract: what a register holds and what users write beside their own code.

    ``make``             a class, a plain function, a factory, or where one of these is (``"torch.nn:Dropout1d"``).
    ``contract``         a Contract, a pattern such as ``"n l c -> n c"``, or None for the framework's default.
    ``framework``        ``"torch"``, ``"keras"``, ``"numpy"``, ``"torch-function"``, or None: recognised from the object.
    ``adapter``          the class of an adapter that is not one of the suite's own, or where it is (``"module:Class"``).
    ``rate_argument``    keyword that takes the rate; None: the first positional argument, or the keyword that is called like
                         a rate (p, rate, drop_prob, ...) where the first one is not and everything else has a default.
    ``keep_probability`` the layer is given 1 - rate instead of rate.
    ``options``          further keyword arguments of the constructor.
    ``output``           the part of what the layer returns that is its output, where it returns more: a place (``0``), a key or
                         an attribute (``"y"``), or a function of what is returned.
    ``seed_argument``    keyword of the constructor that takes a seed; the seed way is then ``"constructor"``.
    ``seed``             a function of one integer that seeds the layer's own global source of randomness.
    ``requires``         modules that must be importable for this implementation to run, or packages of Node.js that must be
                         installed (``npm:NAME@VERSION``).
    ``unimported``       those of them that must be installed and are not imported, as a file of theirs is run by itself.
    ``install``          what pip installs it from, or a whole ``pip install ...``; empty: the extra of that name, or
                         the package itself.
    ``apart``            it shares no environment with the other frameworks and runs through an interpreter of its own.
    ``backends``         Keras backends that it runs on.
    ``default``          part of an audit that names no target.
    ``withheld``         modes of its framework that its adapter refuses, and why; ``mode@backend`` for one backend of Keras.
    """

    make: Union[str, Callable[..., Any]]
    contract: Union[Contract, str, None] = None
    framework: Optional[str] = None
    adapter: Union[str, Callable[..., Any], None] = None
    rate_argument: Optional[str] = None
    keep_probability: bool = False
    options: Mapping[str, Any] = field(default_factory=_options)
    seed_argument: Optional[str] = None
    seed: Optional[Callable[[int], Any]] = None
    requires: Tuple[str, ...] = ()
    unimported: Tuple[str, ...] = ()
    install: str = ""
    apart: bool = False
    backends: Tuple[str, ...] = ()
    default: bool = True
    summary: str = ""
    output: Optional[outputs.Output] = None
    withheld: Mapping[str, str] = field(default_factory=_options)

    def construct(self, obj: Callable[..., Any], rate: float, extra: Optional[Mapping[str, Any]] = None) -> Any:
        """Call ``obj`` (the loaded ``make``) for a layer that drops with probability ``rate``.

        Raises Undeclared where its arguments want more than a rate, or something else first.
        """
        value = 1 - rate if self.keep_probability else rate
        keywords: Dict[str, Any] = {**self.options, **(extra or {})}
        named = self.rate_argument
        if named is None and not self.keep_probability:
            named = constructing.rate_keyword(obj, keywords)
        positional = () if named is not None else (value,)
        if named is not None:
            keywords[named] = value
        constructing.check(obj, value, positional, keywords, named)
        made = obj(*positional, **keywords)
        return made if self.output is None else outputs.of_layer(made, self.output)

    def missing(self, module: str) -> str:
        """That a required module is not installed and what to run so that it is: one sentence."""
        if node_packages.is_npm(module):
            return node_packages.missing(module)
        if self.apart:
            return (
                f"{module} is not installed here and shares no environment with the rest: python -m venv DIR && "
                f"DIR/bin/pip install numpy {self.install}, then --python DIR/bin/python"
            )
        wanted = self.install or (f"'dropcheck[{module}]'" if module in EXTRAS else module)
        return f"{module} is not installed: " + (wanted if wanted.startswith("pip ") else f"pip install {wanted}")

    def resolve_contract(self, default: Pattern, seeds: Tuple[str, ...]) -> Contract:
        """The declared contract, completed by a framework's default pattern and way of seeding."""
        if isinstance(self.contract, Contract):
            declared = self.contract.seeds
            if self.seed_argument and self.seed is None and declared and "constructor" not in declared:
                return replace(self.contract, seeds=("constructor",))  # seeds of a Contract have a default
            return self.contract
        pattern = default if self.contract is None else Pattern.parse(self.contract)
        return Contract(pattern=pattern, seeds=seeds)


@runtime_checkable
class Adapter(Protocol):
    """Drives one implementation in one framework. Arrays cross as NumPy; bfloat16 crosses as its uint16 bits.

    A new adapter is one file of about a page. ``layer`` objects are opaque to the suite: an adapter may return any
    object that it can call later. What an adapter may offer besides, and what holds where it does not: ``contract.offers``.
    """

    framework: str
    implementation: Implementation
    contract: Contract

    def version(self) -> str:
        """The framework's release, as it prints it."""
        ...

    def dtypes(self) -> Tuple[str, ...]:
        """The dtypes of DTYPES that the framework has, float32 first."""
        ...

    def layouts(self) -> Tuple[str, ...]:
        """The memory layouts of LAYOUTS that an input can have; just ("contiguous",) where arrays have no strides."""
        ...

    def gradients(self) -> bool:
        """Whether ``gradient`` works."""
        ...

    def tensor(self, values: Array, dtype: str, layout: str = "contiguous") -> Any:
        """A native tensor of its own memory with these values (float64 or narrower, exactly representable in dtype)."""
        ...

    def array(self, tensor: Any) -> Array:
        """The tensor's values, without a copy where possible; bfloat16 as uint16 bits. Waits for the device."""
        ...

    def dtype_of(self, tensor: Any) -> str:
        """The framework-independent name of the tensor's dtype: ``float32``, ``bfloat16``, ..."""
        ...

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        """A fresh layer in training use, seeded by ``way`` (one of contract.seeds); seed None: whatever it does itself.

        The constructor's own exception passes through.
        """
        ...

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        """The layer after reseeding: the same object where a global seed resets it, a new one elsewhere."""
        ...

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        """One call; for training and inference alike. Returns a native tensor, computed (not pending)."""
        ...

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        """One training call and the gradient of sum(output * cotangent) by the input: (output, gradient or None)."""
        ...

    def recording(self, on: bool) -> ContextManager[Any]:
        """A context in which the framework records for differentiation (on) or does not."""
        ...

    def track(self, x: Any) -> Any:
        """The input, marked as one whose gradient is wanted (requires_grad); the input itself elsewhere."""
        ...

    def preserved(self) -> ContextManager[Any]:
        """A context that restores the framework's global generator and modes at its end, for in-process use."""
        ...


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """A ``preserved`` or ``recording`` for frameworks that have nothing to restore or to record."""
    yield


@contextlib.contextmanager
def global_generators_kept() -> Iterator[None]:
    """A ``preserved`` for Python's and NumPy's global generators, which layers of any framework may draw from."""
    import random

    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
