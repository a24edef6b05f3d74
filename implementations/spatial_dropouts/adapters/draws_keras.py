"""Every random draw of a Keras model on PyTorch: the operations of PyTorch, in the layers of Keras."""

from __future__ import annotations

import sys
from typing import Any, Callable, Collection, Dict, List, Tuple

import torch

from spatial_dropouts.adapters import draws_torch
from spatial_dropouts.adapters.draws_frames import caller, stack


class Draws(draws_torch.Draws):
    """``modules``, ``paths``, ``made``: the stack of layers that run, their names, and whether each was made during the pass.

    ``turned``: what is drawn by these draws, by number, is turned into its opposite (1 - x).
    """

    def __init__(self, model: Any, turned: Collection[int] = ()) -> None:
        super().__init__(model)
        self.modules, self.paths, self.made = [model], [""], [False]
        self.turned = frozenset(turned)

    def take(self, op: str, args: Tuple[Any, ...], out: Any, before: bytes = b"") -> None:
        """One draw, with its layer and its caller."""
        count = len(self.found)
        super().take(op, args, out, before)
        if len(self.found) == count:
            return
        row = self.found[-1]
        called = caller(stack(sys._getframe(1)))
        row.update(module=self.paths[-1], kind=type(self.modules[-1]).__name__, made=self.made[-1])
        row.update(file="", line=0, where="", via=[])
        if called is not None:
            row.update(file=called.file, line=called.line, where=called.where, via=list(called.via))
            row["function"] = called.function or row["function"]
        kept = args[0] if args and op == "bernoulli" and torch.is_tensor(args[0]) else None
        if row["rate"] is None and kept is not None and kept.numel() and bool((kept == kept.flatten()[0]).all()):
            row["rate"] = round(1 - float(kept.flatten()[0]), 6)
        self.turn(out)

    def turn(self, out: Any) -> None:
        """The opposite of the last draw, where that is asked."""
        if len(self.found) - 1 in self.turned:
            for one in out if isinstance(out, (tuple, list)) else (out,):
                if torch.is_tensor(one):
                    one.copy_(1 - one.to(torch.float32))


def watched(draws: Draws, run: Callable[[], Any]) -> List[Dict[str, Any]]:
    """All draws of one call of ``run``."""
    with draws_torch._Functions(draws), draws_torch._Operations(draws):
        run()
    return draws.found
