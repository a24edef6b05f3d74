"""Which framework a plain function is of: by its arguments, by what its code uses, by what it makes of an array."""

from __future__ import annotations

import dis
import inspect
import sys
from types import CodeType, ModuleType
from typing import Any, Callable, Iterator, List, Optional, Set, Tuple

# framework by the root of what a function's code uses, in the order in which they count: a function on tensors may use NumPy
_ROOTS = (
    ("tensorflow", "tensorflow"),
    ("torch", "torch-function"),
    ("jax", "jax"),
    ("jaxlib", "jax"),
    ("numpy", "numpy"),
)
_DEPTH = 3  # helpers of helpers whose code is looked at
OTHERWISE = "Implementation(make=..., framework=...) says otherwise"


def parameters(function: Any) -> List[str]:
    """Names of the arguments; none where no signature can be seen."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def framework_of(function: Callable[..., Any]) -> Optional[Tuple[str, str]]:
    """(framework, why, where that is a guess; else an empty text); None for what is no dropout on arrays."""
    names = parameters(function)
    roots = used(function)
    if "key" in names:
        return "jax", ""
    if "rng" in names:
        return ("jax", "") if _keyed(function, roots) else ("numpy", "")
    if len(names) < 2:
        return None
    for root, framework in _ROOTS:
        if root in roots:
            return framework, ""
    seen = _tried(function, names)
    if seen is not None:
        framework, what = seen
        return framework, f"taken for a function on {what}, which it takes and returns; {OTHERWISE}"
    around = {str(getattr(v, "__name__", "")).partition(".")[0] for v in getattr(function, "__globals__", {}).values()}
    for root, framework in _ROOTS:
        if root in around:
            return framework, f"taken for {framework}, as its module imports {root}; {OTHERWISE}"
    if "torch" in sys.modules and "training" in names:
        return "torch-function", f"taken for torch-function, as torch is imported and it takes training; {OTHERWISE}"
    return None


def _keyed(function: Any, roots: Set[str]) -> bool:
    """Whether ``rng`` is a key of JAX: by its annotation, else by what the code uses."""
    note = inspect.signature(function).parameters["rng"].annotation
    words = note if isinstance(note, str) else f"{getattr(note, '__module__', '')}.{getattr(note, '__name__', note)}"
    if note is not inspect.Parameter.empty:
        if "Generator" in words or words.startswith(("numpy", "np.")):
            return False
        if "jax" in words or "Key" in words:
            return True
    return bool(roots & {"jax", "jaxlib"})


def used(function: Any, depth: int = _DEPTH, seen: Optional[Set[int]] = None) -> Set[str]:
    """Roots of the packages that a function's code names, with the helpers of its own module that it calls."""
    seen = set() if seen is None else seen
    whole = inspect.unwrap(getattr(function, "__func__", function))
    code, around = getattr(whole, "__code__", None), getattr(whole, "__globals__", {})
    if not isinstance(code, CodeType) or id(code) in seen:
        return set()
    seen.add(id(code))
    found: Set[str] = set()
    known = {root for root, _ in _ROOTS}
    cells = [_content(c) for c in getattr(whole, "__closure__", None) or ()]
    for name, imported in _names(code):
        if imported:
            found.add(name.partition(".")[0])
        elif name in around:
            cells.append(around[name])
    for value in cells:
        if isinstance(value, ModuleType):
            found.add(value.__name__.partition(".")[0])
            continue
        root = str(getattr(value, "__module__", None) or type(value).__module__).partition(".")[0]
        found.update({root} & known)
        if depth and callable(value) and getattr(value, "__globals__", None) is around:
            found |= used(value, depth - 1, seen)
    return found & known


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _names(code: CodeType) -> Iterator[Tuple[str, bool]]:
    """(name, whether it is imported there) in a piece of code and in what it defines inside."""
    yield from ((name, False) for name in code.co_names)
    yield from ((str(step.argval), True) for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _tried(function: Callable[..., Any], names: List[str]) -> Optional[Tuple[str, str]]:
    """(framework, its arrays in words) by a call on a small NumPy array, then on a tensor of PyTorch where that is imported."""
    import numpy as np

    from dropcheck.contract.adapter import global_generators_kept

    given = {"training": True} if "training" in names else {}
    plain = np.ones((2, 3, 4), np.float32)

    def made(x: Any) -> str:
        """The package of the output, where that has the input's shape."""
        y = function(x, 0.5, **given)
        return type(y).__module__.partition(".")[0] if tuple(getattr(y, "shape", ())) == plain.shape else ""

    with global_generators_kept():
        try:
            root = made(plain)
        except Exception:  # it takes other arrays
            root = ""
        if root in ("numpy", "jaxlib", "jax", "tensorflow"):
            return dict(_ROOTS)[root], {"numpy": "NumPy arrays", "tensorflow": "TensorFlow tensors"}.get(
                root, "JAX arrays"
            )
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        state = torch.get_rng_state()
        try:
            return ("torch-function", "PyTorch's tensors") if made(torch.from_numpy(plain)) == "torch" else None
        except Exception:
            return None
        finally:
            torch.set_rng_state(state)


def method_without_object(function: Any) -> str:
    """What to write for a method that is named by its class, whose first argument would be the object; empty for others."""
    names = parameters(function)
    owner, dot, name = getattr(function, "__qualname__", "").rpartition(".")
    if not (inspect.isfunction(function) and dot and names[:1] == ["self"] and not owner.endswith("<locals>")):
        return ""
    short = owner.rpartition(".")[2]
    return (
        f"{short}.{name} is a method and needs an object of {short}: write `layer = {short}(...)` in the file and name "
        f"layer.{name}, or layer itself where calling it drops"
    )
