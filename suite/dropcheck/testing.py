"""To test your own checker: layers with known defects, correct layers that look unusual, and the reference.

    from dropcheck.testing import correct_layers, planted_defects, reference

    for planted in planted_defects(check="mask.whole-channels"):
        layer = planted.build(rate=0.3, seed=1)       # NumPy array in, NumPy array out, whatever the framework
        assert my_checker(layer), f"{planted.name} is missed: {planted.summary}, {planted.size}, {planted.regime}"
    for correct in correct_layers():
        assert not my_checker(correct.build(rate=0.3, seed=1)), f"{correct.name} fails: {correct.summary}"
    y = reference(0.3, "n c l -> n c", seed=1)(x)

Importing this loads no framework; a layer's framework is imported when it is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.promise import Contract

__all__ = ["Built", "ZooLayer", "correct_layers", "planted_defects", "reference"]

DTYPES = ("float32", "float64", "float16")  # of arrays that NumPy has


@dataclass(frozen=True)
class ZooLayer:
    """One layer of the collection.

    ``target``    what ``dropcheck.check`` and ``dropcheck audit`` take.
    ``check``     the check that must catch it; None for a correct layer, which must pass every check.
    ``size``      the smallest size at which it is a defect, in words: points, correlation, share of decisions, sizes.
    ``regime``    where it lives: everywhere, or the dtype, size class, call or input that shows it.
    ``quick``     whether the profile quick must detect it.
    ``strict``    only ``--strict`` calls it a defect.
    ``backend``   the Keras backend, and ``mode`` the mode that it lives in; empty for most.
    """

    name: str
    target: str
    summary: str
    framework: str
    implementation: Implementation
    check: str | None = None
    size: str = ""
    regime: str = ""
    quick: bool = True
    strict: bool = False
    backend: str = ""
    mode: str = ""

    @property
    def missing(self) -> str:
        """The first module that it needs and that is not installed; an empty text if it runs here."""
        return next((m for m in self.implementation.requires if find_spec(m) is None), "")

    @property
    def constructor(self) -> Callable[..., Any]:
        """The layer itself as it stands in its framework: a class, a factory, or a function of input and rate."""
        from spatial_dropouts.adapters import load

        make = self.implementation.make
        found: Callable[..., Any] = load(make) if isinstance(make, str) else make
        return found

    @property
    def contract(self) -> Contract:
        """What it declares: pattern, scale, dropped value, ways of seeding, declarations."""
        found: Contract = self._adapter().contract
        return found

    def build(self, rate: float, *, seed: int | None = None, dtype: str = "float32") -> Built:
        """The layer at a rate, in training on arrays of ``dtype``; its framework's own generator is seeded, if at all.

        Raises UsageError where it cannot be built here, and whatever the layer itself raises.
        """
        if dtype not in DTYPES:
            raise UsageError(f"there are no {dtype!r} arrays in NumPy; expected one of {', '.join(DTYPES)}")
        if self.missing:
            raise UsageError(f"{self.target}: {self.implementation.missing(self.missing)}")
        if self.backend or self.mode:
            lives = " and ".join(
                w for w in (self.backend and f"Keras on {self.backend}", self.mode and f"mode {self.mode}") if w
            )
            raise UsageError(f"{self.target} shows in {lives} only: audit it, as in dropcheck.audit({self.target!r})")
        adapter = self._adapter()
        ways = adapter.contract.seeds or ("global",)
        return Built(adapter, adapter.make(rate, dtype, seed, ways[0]), dtype)

    def _adapter(self) -> Any:
        from spatial_dropouts.adapters import adapter_for

        return adapter_for(self.constructor, self.implementation)


@dataclass(frozen=True)
class Built:
    """A layer that is called with NumPy arrays, shaped as its contract's pattern says, and returns one."""

    adapter: Any
    layer: Any
    dtype: str

    def __call__(self, x: Any, training: bool = True) -> Any:
        """One call. Raises what the layer raises."""
        import numpy as np

        given = self.adapter.tensor(np.asarray(x, self.dtype), self.dtype)
        return np.array(self.adapter.array(self.adapter.apply(self.layer, given, training)))


def planted_defects(*, check: str | None = None, framework: str | None = "numpy") -> tuple[ZooLayer, ...]:
    """Layers with a known defect each. ``check``: those that this check or family must detect; ``framework`` None: all.

    Those of NumPy are restatements of published defects that run everywhere. Raises UsageError for a check that there is not.
    """
    from dropcheck.judge.checks import matching
    from spatial_dropouts import broken

    wanted = {one.name for one in matching([check])} if check is not None else None
    found = [
        ZooLayer(
            name=one.name,
            target=one.target,
            summary=one.summary,
            framework=one.framework,
            implementation=broken.REGISTER[f"broken.{one.name}"],
            check=one.check,
            size=one.size,
            regime=one.regime,
            quick=one.quick,
            strict=one.strict,
            backend=one.backend,
            mode=one.mode,
        )
        for one in broken.DEFECTS
    ]
    return tuple(one for one in _of(found, framework) if wanted is None or one.check in wanted)


def correct_layers(*, framework: str | None = "numpy") -> tuple[ZooLayer, ...]:
    """Correct layers that look unusual: other generators, orders, patterns, scales and declarations. All must pass."""
    from spatial_dropouts import REGISTER, unusual

    reference_layer = ("custom.reference", REGISTER["custom.reference"])
    found = [
        ZooLayer(
            name=name.partition(".")[2],
            target=name,
            summary=implementation.summary,
            framework=implementation.framework or next(iter(implementation.requires), "numpy"),
            implementation=implementation,
        )
        for name, implementation in (*unusual.REGISTER.items(), reference_layer)
    ]
    return _of(found, framework)


def reference(rate: float, pattern: str = "n c l -> n c", *, seed: int = 0) -> Built:
    """The reference at a rate: inverted dropout in plain NumPy, with drop decisions from Philox, as the pattern says.

    Called with an array shaped as the pattern says. Raises ValueError for a rate that is no probability, ContractError for
    a pattern that cannot be read.
    """
    from spatial_dropouts.adapters import adapter_for
    from spatial_dropouts.custom.reference import Reference

    implementation = Implementation(make=Reference, contract=pattern, framework="numpy", options={"pattern": pattern})
    adapter = adapter_for(Reference, implementation)
    return Built(adapter, adapter.make(rate, "float64", seed, "generator"), "float64")


def _of(found: list[ZooLayer], framework: str | None) -> tuple[ZooLayer, ...]:
    known = dict.fromkeys(one.framework for one in found)
    if framework is not None and framework not in known:
        raise UsageError(
            f"there are no layers of {framework!r}{nearest(framework, known)}; expected one of {', '.join(known)}, or None"
        )
    return tuple(one for one in found if framework is None or one.framework == framework)
