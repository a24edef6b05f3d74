"""The sites of a PyTorch model: its draws in training and in inference, what is never called, and one backward pass."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import torch

from spatial_dropouts.adapters import draws_torch, sites_base

_KNOWN = torch.nn.modules.dropout._DropoutNd


def found(model: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. Three forward passes and a backward pass; the model is left as it was.

    ``args``, ``kwargs``: of one call of the model. ``reached``: the layers that are audited in place.
    """

    def forward() -> Any:
        return model(*args, **kwargs)

    with left_alone(model):
        model.train()
        with torch.no_grad():
            first, again = draws_torch.watched(model, forward), draws_torch.watched(model, forward)
        training = first.found
        model.eval()
        with torch.no_grad():
            inference = draws_torch.watched(model, forward).found
        model.train()
        backward, unasked = _backward(model, args, kwargs, reached)
    return {
        "version": str(torch.__version__),
        "training": training,
        "inference": inference,
        "unreached": sites_base.unreached(_dropouts(model), training, reached, 1e-9),
        "backward": backward,
        "unasked": unasked,
        "shared": sites_base.shared(training, first.states, again.states, reached),
    }


@contextlib.contextmanager
def left_alone(model: Any) -> Iterator[None]:
    """Flags, gradients, buffers and generators are restored: batch statistics count no pass of ours."""
    modes = {module: module.training for module in model.modules()}
    gradients = [(p, p.grad) for p in model.parameters()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    for parameter, _ in gradients:
        parameter.grad = None  # a backward pass adds to what is there
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
        with torch.no_grad():
            for buffer, kept in buffers:
                if buffer.shape == kept.shape:
                    buffer.copy_(kept)


def _dropouts(model: Any) -> Iterator[Tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, _KNOWN))


class _Pass:
    """Masks and gradients of the watched layers in one forward and backward pass."""

    def __init__(self) -> None:
        self.forward = True
        self.first: Dict[str, List[Any]] = {}  # name -> masks of the forward pass
        self.again: Dict[str, List[Any]] = {}  # name -> masks of forward passes that ran inside of the backward pass
        self.gradients: List[Tuple[str, int, Any, Dict[str, Any]]] = []

    def before(self, _: Any, given: Any) -> Any:
        x: Any = given[0] if given else None
        if not torch.is_tensor(x) or x.is_nested or not x.is_floating_point() or not x.requires_grad:
            return None
        # an input that others use as well gets gradients from them, too: a copy has this layer's alone
        return (x.clone(), *given[1:])

    def after(self, name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_: Any, given: Any, y: Any) -> None:
            x: Any = given[0] if given else None
            if (
                not torch.is_tensor(x)
                or not torch.is_tensor(y)
                or x.is_nested
                or y.is_nested
                or x.shape != y.shape
                or not x.is_floating_point()
            ):
                return
            given_zero: Any = x == 0
            seen = ~given_zero.detach()
            zero: Any = y == 0
            mask = (seen & zero).detach()
            kept = self.first if self.forward else self.again
            kept.setdefault(name, []).append((seen, mask))
            if x.requires_grad and y.requires_grad:
                held: Dict[str, Any] = {"seen": seen, "mask": mask}
                x.register_hook(lambda g: held.__setitem__("x", g.detach()))
                y.register_hook(lambda g: held.__setitem__("y", g.detach()))
                self.gradients.append((name, len(kept[name]) - 1, x, held))

        return hook


def _recorded(value: Any) -> Any:
    """An argument whose gradient is wanted, as of a model that stands behind another; it is no leaf, so that it may be changed."""
    if torch.is_tensor(value) and value.is_floating_point():
        return value.detach().requires_grad_(True).clone()
    return value


def _backward(
    model: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any], reached: Sequence[str]
) -> Tuple[List[Dict[str, Any]], str]:
    """What one backward pass shows of every layer, and why there was none."""
    modules = dict(model.named_modules())
    watched = [n for n in dict.fromkeys(reached) if n in modules and not getattr(modules[n], "inplace", False)]
    seen = _Pass()
    handles = [modules[n].register_forward_pre_hook(seen.before) for n in watched]
    handles += [modules[n].register_forward_hook(seen.after(n)) for n in watched]
    try:
        with torch.enable_grad():
            made = model(*map(_recorded, args), **{name: _recorded(value) for name, value in kwargs.items()})
            outputs = [t for t in _tensors(made) if t.is_floating_point() and t.requires_grad]
            if not outputs:
                return [], "no output of the model can be differentiated"
            seen.forward = False
            total = sum((t * torch.randn_like(t)).sum() for t in outputs)
            total.backward()
    except Exception as error:  # a model that is used in inference alone, or differentiated by code of its own
        return [], sites_base.raised(error)
    finally:
        for handle in handles:
            handle.remove()
    return _read(seen), ""


def _read(seen: _Pass) -> List[Dict[str, Any]]:
    found: Dict[Tuple[str, int], Dict[str, Any]] = {}
    for name, masks in seen.first.items():
        for use, (_, mask) in enumerate(masks):
            found[name, use] = {"name": name, "use": use, "dropped": int(mask.sum()), "problem": ""}
        for known, again in seen.again.get(name, []):
            if not any(torch.equal(again & known & s, mask & known & s) for s, mask in masks if s.shape == known.shape):
                differ = max(int((again != mask).sum()) for _, mask in masks)
                found[name, 0]["problem"] = (
                    f"it runs again in the backward pass and draws another mask: {differ} elements differ from the forward pass"
                )
    for name, use, _, held in seen.gradients:
        row = found.get((name, use))
        if row is None or row["problem"] or "x" not in held or "y" not in held:
            continue
        flows = held["y"].abs() > 1e-30
        through = int((held["mask"] & (held["x"] != 0)).sum())
        lost = int((held["seen"] & ~held["mask"] & flows & (held["x"] == 0)).sum())
        if through or lost:
            row["problem"] = sites_base.uneven(through, lost)
    return list(found.values())


def _tensors(value: Any) -> Iterator[Any]:
    """All tensors of an output: of lists, dictionaries, dataclasses."""
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))
