"""Which import a target's workers may share with those of other targets: PyTorch's, where nothing of a user runs before it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from dropcheck.contract.modes import EAGER
from dropcheck.contract.register import OURS, register
from dropcheck.plan.targets import Target

PYTORCH = ("torch",)
# PyTorch draws nothing while it is imported, keeps one thread and starts no device. Of other frameworks that is not known for
# every release, and NumPy is not worth it.
_EARLIER = ("numpy", *PYTORCH)


def modules(target: Target) -> tuple[str, ...]:
    """Modules that every worker of the target would import first, in their order; none where that is not sure."""
    if target.mode != EAGER:
        return ()
    if target.source == "user":
        return PYTORCH if _begins_with_pytorch(target) else ()
    if target.source != OURS:
        return ()
    entry = register().get(target.locator)
    return PYTORCH if entry is not None and tuple(entry.implementation.requires) == PYTORCH else ()


def _begins_with_pytorch(target: Target) -> bool:
    """Whether a file imports PyTorch, and before it nothing but the standard library and NumPy, and does nothing else.

    Variables that a framework reads when it is imported, and whatever else a file may set first, must be set when it is.
    """
    place = target.locator.partition("#")[0].rpartition(":")[0]
    if not place.endswith(".py"):
        return False
    try:
        tree = ast.parse(Path(place).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        names = _imported(node)
        roots = [name.partition(".")[0] for name in names]
        if not names or any(root not in sys.stdlib_module_names and root not in _EARLIER for root in roots):
            return False
        if any(root in PYTORCH for root in roots):
            return True
    return False


def _imported(node: ast.stmt) -> list[str]:
    """The modules of an import statement; none of any other, and of one that is relative."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
