"""Classes and functions in a Python file that take no rate: what they draw is seen as the draws of a model are."""

from __future__ import annotations

import ast

from dropcheck.plan.finding_layers import CALLED, RATES, methods_of

_STATES = ("rngs", "key", "rng")  # random states of JAX
# what a function of one array may take besides: a random state, and whether it trains
_MORE = ("key", "rng", "seed", "training", "train", "is_training", "inference", "deterministic")
_BASES = ("Module", "Layer", "Model")  # as frameworks call what takes no rate


def function(node: ast.FunctionDef) -> bool:
    """Whether it may make a model of nothing, or is a function of one array that draws by itself."""
    wanted = node.args
    names = [one.arg for one in (*wanted.posonlyargs, *wanted.args)]
    free = len(names) - len(wanted.defaults) + wanted.kw_defaults.count(None)
    if free == 0:
        return True
    more = [*names[1:], *(one.arg for one in wanted.kwonlyargs)]
    rest = wanted.vararg is None and wanted.kwarg is None
    return rest and bool(names) and names[0] not in (*RATES, "self") and set(more) <= set(_MORE)


def layer(node: ast.ClassDef, tree: ast.Module) -> bool:
    """Whether it is called like a layer, and made of nothing but a random state."""
    classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
    found = methods_of(node, classes)
    if not found.keys() & set(CALLED):
        return False
    made = found.get("__init__")
    if made is not None:
        wanted = made.args
        names = [one.arg for one in (*wanted.posonlyargs, *wanted.args, *wanted.kwonlyargs)][1:]
        return wanted.vararg is None and set(names) <= set(_STATES)
    # a dataclass has its arguments as fields; a layer of a framework that is extended has its own
    fields = any(isinstance(one, ast.AnnAssign) for one in node.body)
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    return not fields and bool(bases) and all(base in _BASES for base in bases)
