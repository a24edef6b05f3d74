"""What is known of one planted defect, and the forms in which it is planted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

from dropcheck.contract.promise import Contract, Pattern

_PLACE = "spatial_dropouts.broken"


@dataclass(frozen=True)
class Defect:
    """One planted defect.

    ``check``    the check that must catch it.
    ``summary``  what is wrong, in a few words.
    ``size``     the smallest size at which it is a defect: points, correlation, share of coins, sizes.
    ``regime``   where it lives: ``everywhere``, or the dtype, size class, call or input that shows it.
    ``source``   the published defects that it restates.
    ``quick``    whether profile quick must catch it already; where not, ``size`` says which resolution that takes.
    ``strict``   only ``--strict`` calls it a defect: it is audited with it.
    ``backend``  the Keras backend that it is audited on; empty for other frameworks.
    ``mode``     the mode that it lives in; empty where the eager layer has it already.
    ``beside``   further checks whose claims it breaks in their own right; ``consequences`` has the reason of each.
    """

    name: str
    make: str
    check: str
    summary: str
    size: str
    regime: str
    source: str
    framework: str = "numpy"
    contract: Optional[Contract] = None
    quick: bool = True
    backend: str = ""
    strict: bool = False
    mode: str = ""
    beside: Tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What an audit is asked for; with the backend, which only a worker process of its own can choose."""
        return f"broken.{self.name}" + "".join(f"@{word}" for word in (self.backend, self.mode) if word)


def promise(pattern: str, **more: Any) -> Contract:
    """The contract of a NumPy form that promises more than the default, or something else."""
    return Contract(pattern=Pattern.parse(pattern), seeds=("generator",), **more)


def numpy_form(
    name: str,
    place: str,
    check: str,
    summary: str,
    size: str,
    regime: str,
    source: str,
    contract: Optional[Contract] = None,
    quick: bool = True,
    strict: bool = False,
) -> Defect:
    """A defect in NumPy form; ``place`` is ``file:attr`` in this folder."""
    make = f"{_PLACE}.{place}"
    return Defect(name, make, check, summary, size, regime, source, "numpy", contract, quick, strict=strict)


def torch_form(
    name: str,
    place: str,
    check: str,
    summary: str,
    size: str,
    regime: str,
    source: str,
    contract: Optional[Contract] = None,
    quick: bool = True,
) -> Defect:
    """A defect in PyTorch form; ``place`` is ``file:attr`` in this folder, or an attribute of torch_layers."""
    make = f"{_PLACE}.{place if ':' in place else 'torch_layers:' + place}"
    return Defect(name, make, check, summary, size, regime, source, "torch", contract, quick)


def keras_form(
    name: str,
    attr: str,
    check: str,
    summary: str,
    size: str,
    regime: str,
    source: str,
    backend: str,
    quick: bool = True,
) -> Defect:
    """A defect in Keras form, audited on one backend."""
    contract = Contract(pattern=Pattern.parse("n l c -> n c"), seeds=("global", "constructor"))
    make = f"{_PLACE}.keras_layers:{attr}"
    return Defect(name, make, check, summary, size, regime, source, "keras", contract, quick, backend)
