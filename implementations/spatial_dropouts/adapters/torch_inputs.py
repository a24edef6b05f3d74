"""Arguments with which a PyTorch model runs: those that lie beside it, or guesses from the types of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from spatial_dropouts.adapters.models_base import wanted

Call = Tuple[Tuple[Any, ...], Dict[str, Any], str]  # positional, keyword, and a remark where they were guessed
_SIZES = (22, 26, 18)  # of pictures; they differ, so that axes can be told


def arguments(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> Call:
    """Arguments of a forward pass that runs, and a remark where they were guessed. Raises NoDropout where none does."""
    if sample is not None:
        choices = _of_sample(sample)
    elif shape is not None:
        choices = [((torch.randn(*shape),), {}, ""), ((torch.zeros(*shape, dtype=torch.long),), {}, "")]
    else:
        choices = guesses(model)
        if not choices and not any(True for _ in model.children()):
            choices = [_call(torch.randn(4, 8, 16))]  # no layer says what it takes, and perhaps nothing is asked of it
        if not choices:
            raise wanted(f"{type(model).__name__} is a model without a sample input", "its input cannot be guessed")
    said = ""
    for args, kwargs, how in choices:
        try:
            model(*args, **kwargs)
            return args, kwargs, how
        except Exception as error:
            said = said or f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    given = "the given input" if shape is not None or sample is not None else "an input guessed from its layers"
    raise wanted(f"the model {type(model).__name__} does not run on {given}", said)


def _of_sample(sample: Any) -> List[Call]:
    """A dictionary holds keywords, a tuple or a list positional arguments; a forward pass may take each as one argument."""
    if isinstance(sample, Mapping):
        return [((), {str(k): _tensor(v) for k, v in sample.items()}, ""), ((sample,), {}, "")]
    if isinstance(sample, (tuple, list)):
        return [(tuple(_tensor(v) for v in sample), {}, ""), ((sample,), {}, "")]
    return [((_tensor(sample),), {}, "")]


def _tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def guesses(model: Any) -> List[Call]:
    """Inputs that may fit, likeliest first: words if there is an embedding, then what the first layer takes, then its config."""
    found: List[Call] = []
    modules = list(model.modules())
    tables = [m for m in modules if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    if tables:
        fewest = min(int(m.num_embeddings) for m in tables if m.num_embeddings >= 11) if any(
            m.num_embeddings >= 11 for m in tables
        ) else int(tables[0].num_embeddings)  # fmt: skip
        for most in dict.fromkeys((int(tables[0].num_embeddings), fewest)):
            found.append(_call(torch.arange(4 * 11).reshape(4, 11) % most))
    dummy = _quiet(model, "dummy_inputs")
    if isinstance(dummy, Mapping) and dummy and all(torch.is_tensor(v) or v is None for v in dummy.values()):
        shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in dummy.items() if v is not None)
        found.append(((), {str(k): v for k, v in dummy.items()}, f"input guessed: its dummy_inputs, {shapes}"))
    pictures = None
    for module in modules:
        if isinstance(module, torch.nn.modules.conv._ConvNd):
            rank = len(module.kernel_size)
            found.append(_call(torch.randn(4, module.in_channels, *_SIZES[:rank])))
            pictures = module.in_channels if rank == 2 else None
            break
        size = getattr(module, "in_features", None) if isinstance(module, nn.Linear) else None
        size = module.input_size if isinstance(module, nn.RNNBase) else size
        size = module.embed_dim if isinstance(module, nn.MultiheadAttention) else size
        if size is not None:
            two = [_call(torch.randn(4, size)), _call(torch.randn(4, 11, size))]
            found += two if isinstance(module, nn.Linear) else two[::-1]
            break
    if pictures is not None:
        found += [_call(torch.randn(4, pictures, *size)) for size in _documented(model)]
    return found


def _call(x: Any) -> Call:
    return (x,), {}, f"input guessed: {tuple(x.shape)} {str(x.dtype)[6:]}"


def _quiet(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # a property that asks for what this model does not have
        return None


def _documented(model: Any) -> List[Tuple[int, int]]:
    """Sizes of pictures that the model's own configuration names."""
    some: List[Any] = [getattr(_quiet(model, "config"), "image_size", None)]
    for name in ("pretrained_cfg", "default_cfg"):
        words = _quiet(model, name)
        some.append(words.get("input_size", (None,))[-2:] if isinstance(words, Mapping) else None)
    found = []
    for size in some:
        pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()
        if len(pair) == 2 and all(isinstance(one, int) for one in pair):
            found.append((int(pair[0]), int(pair[1])))
    return list(dict.fromkeys(found))
