"""Copies and dependence of blocks of 3: neighbours depend by the law, positions three apart do not; T/bin/python."""

import importlib.util
import sys

import numpy as np
import torch


def lone(package, inside):
    """A file of a package, run by itself: the packages do not all import beside this framework."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(inside.replace("/", "_"), f"{folder}/{inside}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def correlations(gone):
    """Correlation of positions one and three apart, in standard errors of independence; axes call, height, width."""
    found = {}
    for apart in (1, 3):
        one, two = gone[:, 5, 3:8].astype(float), gone[:, 5, 3 + apart : 8 + apart].astype(float)
        r = [np.corrcoef(one[:, i], two[:, i])[0, 1] for i in range(5)]
        found[apart] = float(np.mean(r)), float(np.max(np.abs(r)) * np.sqrt(len(gone)))
    return found


torch.manual_seed(3)
x = torch.ones(40000, 1, 12, 12)
layer = (lone("timm", "layers/drop.py").DropBlock2d(0.3, 3).train()(x) == 0)[:, 0].numpy()
rng = np.random.default_rng(3)
seeds = rng.random((40000, 12, 12)) < 0.3 / 9
control = np.zeros_like(seeds)
for i in (-1, 0, 1):
    for j in (-1, 0, 1):
        control |= np.roll(seeds, (i, j), (1, 2))
right = True
for name, gone in (("timm's DropBlock2d", layer), ("control, seeds grown to blocks by NumPy", control)):
    found = correlations(gone)
    for apart, (mean, worst) in found.items():
        print(f"{name}: positions {apart} apart correlate by {mean:+.3f}, the largest is {worst:.1f} standard errors")
    right &= found[1][0] > 0.3 and found[3][1] < 5
sys.exit(0 if right else 1)
