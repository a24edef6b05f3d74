"""Programs of torch.export: the operators in them that drop are fed in real runs, and are targets of their own."""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use, expected_of, neighbours, timed

# operator -> (axes with decisions of their own, or all; whether kept values are a multiple of the input)
_OPERATORS = {
    "dropout": ("all", True),
    "native_dropout": ("all", True),
    "feature_dropout": ("batch channel", True),
    "alpha_dropout": ("all", False),
    "feature_alpha_dropout": ("batch channel", False),
}
_LAST, _SECOND = ("linear", "layer_norm", "embedding"), ("conv1d", "conv2d", "conv3d", "batch_norm")


class Operator(torch.nn.Module):
    """One dropout operator of a program as a layer, which refuses eval() as the program does."""

    of_a_program = True

    def __init__(self, function: Any, p: float, train: bool) -> None:
        super().__init__()
        self.function, self.p, self.train_argument = function, p, train

    def forward(self, x: Any) -> Any:
        y = self.function(x, self.p, self.train_argument)
        return y[0] if isinstance(y, tuple) else y

    def train(self, mode: bool = True) -> Any:
        if not mode:
            raise NotImplementedError("Calling eval() is not supported yet.")
        return super().train(mode)


def is_model(thing: Any) -> bool:
    return True


def framework(thing: Any) -> str:
    """As results name it."""
    return "torch"


def _name(node: Any) -> str:
    """The operator without its library and overload: ``feature_dropout``."""
    return str(getattr(node.target, "_schema", None) and node.target._schema.name).rpartition("::")[2].rstrip("_")


def _kind(node: Any) -> str:
    """The class of the module that the operator stands in, where that is a dropout; else the operator."""
    for _, kind in reversed(list(node.meta.get("nn_module_stack", {}).values())):
        word = str(getattr(kind, "__name__", kind)).rpartition(".")[2]
        return word if "drop" in word.lower() else _name(node)
    return _name(node)


def _drops(module: Any) -> Tuple[List[Any], List[Any]]:
    """Dropout operators that train, and those that were exported in inference."""
    found = [n for n in module.graph.nodes if n.op == "call_function" and _name(n) in _OPERATORS]
    return [n for n in found if n.args[2] is not False], [n for n in found if n.args[2] is False]


def _module(thing: Any) -> Any:
    return thing.module()


def survey(
    thing: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout operators in runs of the program. Raises NoDropout with a sentence where there are none."""
    module = _module(thing)
    train, still = _drops(module)
    if not train:
        if still:
            raise NoDropout(
                f"the exported program drops nothing: all {len(still)} dropout operators were exported in inference; call "
                "train() before torch.export.export"
            )
        raise NoDropout(f"the exported program has no dropout among its {len(module.graph.nodes)} nodes")
    args, kwargs = _example(thing, sample, shape)
    uses = {}
    for node in train:
        value = node.args[0].meta.get("val")
        if value is None or not value.is_floating_point():
            continue
        use = Use(node.name, _kind(node), "class", float(node.args[1]), [int(s) for s in value.shape])
        use.expected, use.plain = _OPERATORS[_name(node)]
        use.expected = expected_of(use.kind) or use.expected
        neighbours(use, _trace(module, node), _convention)
        uses[node.name] = use

    class Fed(torch.fx.Interpreter):
        """Runs the program with another input at each dropout operator."""

        def run_node(self, n: Any) -> Any:
            use = uses.get(n.name)
            if use is None:
                return super().run_node(n)
            given = self.map_nodes_to_values(n.args[0], n)
            fed = torch.as_tensor(use.x).to(given.dtype)
            y = n.target(fed, *n.args[1:], **n.kwargs)
            first = y[0] if isinstance(y, tuple) else y
            use.take(first.detach().double().numpy())
            return y

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        runner = Fed(module)
        timed(lambda: runner.run(*flat), calls, seconds)
    notes = ["a program of torch.export runs as it was exported: it drops in inference, too, and eval() is refused"]
    notes += [f"{n.name} ({_kind(n)}) was exported in inference: it drops nothing" for n in still]
    return list(uses.values()), notes


def _example(thing: Any, sample: Any, shape: Optional[Sequence[int]]) -> Tuple[Any, Any]:
    if sample is not None:
        return (sample if isinstance(sample, tuple) else (sample,)), {}
    if shape is not None:
        return (torch.randn(*shape),), {}
    given = thing.example_inputs
    if given is None:
        raise NoDropout("the exported program holds no example input; give --input 8,16,32")
    args, kwargs = given
    return args, kwargs


def inside(thing: Any, path: str) -> Any:
    """The operator of that name as a layer of its own."""
    train, _ = _drops(_module(thing))
    found = {n.name: n for n in train}
    if path not in found:
        near = difflib.get_close_matches(path, list(found), 1, 0.0)
        raise NoDropout(
            f"the exported program has no node {path!r} that drops" + (f"; the nearest is {near[0]!r}" if near else "")
        )
    node = found[path]
    return Operator(node.target, float(node.args[1]), bool(node.args[2]))


def _trace(module: Any, node: Any) -> List[Tuple[str, Any, Any, Any]]:
    """Operators that say where channels are, in order, as ``neighbours`` takes them."""
    rows: List[Tuple[str, Any, Any, Any]] = []
    for n in module.graph.nodes:
        value = n.meta.get("val")
        if n is node or (n.op == "call_function" and _name(n) in (*_LAST, *_SECOND)):
            x = getattr(n.args[0], "meta", {}).get("val")
            if hasattr(value, "shape") and hasattr(x, "shape"):
                rows.append((n.name, type(_name(n), (), {})(), x, value))
    return rows


def _convention(layer: Any) -> Optional[int]:
    kind = type(layer).__name__
    return -1 if kind in _LAST else 1 if kind in _SECOND else None


def loaded(path: str) -> Dict[str, Any]:
    """The program of a file, by name. Raises NoDropout where it is none."""
    try:
        return {"program": torch.export.load(path)}
    except Exception as error:
        words = " ".join(str(error).split())[:120]
        raise NoDropout(
            f"{path} is no program of torch.export, or is damaged: {type(error).__name__}: {words}"
        ) from error
