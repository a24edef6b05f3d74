"""mode.toggle of a layer that writes into its input: a recorded call raises alone, without any inference; T/bin/python."""

import importlib.util
import sys

import torch


def lone(package, inside):
    """A file of a package, run by itself: the packages do not all import beside this framework."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(inside.replace("/", "_"), f"{folder}/{inside}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(layer, inference):
    """What a recorded training call does, alone or after inference."""
    layer.eval()
    if inference:
        layer(torch.ones(4, 5, 6))
    layer.train()
    try:
        y = layer(torch.ones(4, 5, 6, requires_grad=True))
    except RuntimeError as error:
        return f"RuntimeError: {str(error)[:60]}"
    return "works" if y.requires_grad else "no gradient"


kinds = {
    "hanlp's SharedDropout": lambda: lone("hanlp", "layers/dropout.py").SharedDropout(0.5),
    "control, torch.nn.Dropout": lambda: torch.nn.Dropout(0.5),
    "control, torch.nn.Dropout(inplace=True)": lambda: torch.nn.Dropout(0.5, inplace=True),
}
found = {name: [outcome(make(), inference) for inference in (False, True)] for name, make in kinds.items()}
for name, (alone, after) in found.items():
    print(f"{name}: alone {alone}; after inference {after}")
layer, plain, inplace = found.values()
raises = all(text.startswith("RuntimeError") for text in layer + inplace)
sys.exit(0 if raises and plain == ["works", "works"] else 1)
