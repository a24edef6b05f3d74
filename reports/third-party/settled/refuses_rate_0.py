"""rate.zero of mmdet's DropBlock: rate 0 is refused by an assertion; rates like others are taken; T/bin/python."""

import importlib.util
import sys
import types

import torch


def lone(package, inside):
    """A file of a package, run by itself: the packages do not all import beside this framework."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(inside.replace("/", "_"), f"{folder}/{inside}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Nothing:
    """A registry that registers nothing, in the place of OpenMMLab's."""

    def register_module(self, *words, **more):
        return lambda thing: thing


sys.modules["mmdet"] = types.ModuleType("mmdet")
sys.modules["mmdet"].__spec__ = None
sys.modules["mmdet.registry"] = types.ModuleType("mmdet.registry")
sys.modules["mmdet.registry"].MODELS = Nothing()
del sys.modules["mmdet"]
DropBlock = lone("mmdet", "models/layers/dropblock.py").DropBlock
found = {}
for rate in (0.0, 0.1, 0.5):
    try:
        y = DropBlock(rate, 1, warmup_iters=0).train()(torch.ones(64, 3, 5, 5))
        found[rate] = f"drops {float((y == 0).float().mean()):.3f}"
    except AssertionError:
        found[rate] = "AssertionError"
    print(f"mmdet's DropBlock at rate {rate:g}: {found[rate]}")
x = torch.randn(64, 3, 5, 5)
control = bool(torch.equal(torch.nn.Dropout(0.0).train()(x), x))
print(f"control, torch.nn.Dropout at rate 0: returns its input: {control}")
sys.exit(0 if control and found[0.0] == "AssertionError" and found[0.1].startswith("drops") else 1)
