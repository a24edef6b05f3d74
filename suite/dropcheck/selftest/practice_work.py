"""The comparison with today's practice cut into pieces of work, and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dropcheck.results.selftest import Clock, Layer, Outcome, Practice
from dropcheck.selftest import practice, zoo
from dropcheck.selftest.work import Item

RUNS = 5  # of a battery on a defect
OFTEN = 20  # on a correct layer: accusations are rare
BLOCK = 20  # layers of a piece of work


def items(seed: int, scale: float) -> list[Item]:
    """One battery on a block of layers each. At a small scale fewer runs, of every so many layers."""
    share = max(1e-6, min(1.0, scale))
    named = zoo.names()
    # what only --strict calls a defect is none that anybody's assertions promise to see
    broken = [n for n in named if n.startswith("broken.") and n not in zoo.asked_strictly()]
    correct = [n for n in named if not n.startswith("broken.")]
    found = []
    for layers, runs in ((broken, RUNS), (correct, OFTEN)):
        chosen, times = layers[:: round(1 / share)], max(1, round(runs * share))
        here = [n for n in chosen if zoo.framework(n) in zoo.IN_PROCESS]
        blocks = [(here[i : i + BLOCK], 0.05 * BLOCK * times) for i in range(0, len(here), BLOCK)]
        # starting a process takes as long as many layers that need none
        blocks += [([n], 15.0) for n in chosen if n not in here]
        for battery in practice.BATTERIES:
            for block, cost in blocks:
                arguments = {"name": battery.name, "layers": block, "root": seed, "runs": times}
                found.append(Item(f"practice/{battery.name}/{block[0]}", "practice_work:asked", arguments, cost))
    return found


def asked(name: str, layers: Sequence[str], root: int, runs: int) -> list[dict[str, Any]]:
    """What the battery of that name says of each layer."""
    (battery,) = [b for b in practice.BATTERIES if b.name == name]
    return [msgspec.to_builtins(practice.ask(battery, layer, root, runs)) for layer in layers]


def conclude(
    values: Mapping[str, Any], layers: Sequence[Layer], clocks: Sequence[Clock], *, root: int, seconds: float
) -> Practice:
    """All batteries as one comparison, with our own audits of the same layers, where there are any, beside them."""
    said: dict[str, list[Outcome]] = {}
    for key, value in sorted(values.items()):
        said.setdefault(key.split("/")[1], []).extend(msgspec.convert(value, list[Outcome]))
    names = {o.layer for outcomes in said.values() for o in outcomes}
    if not names:
        return Practice(left_out="no battery was asked")
    correct = {n for n in names if not n.startswith("broken.")}
    made = practice.compared(said, root=root, correct=correct, seconds=seconds)
    ours = None
    mine = [one for one in layers if one.profile == "quick" and one.layer in names]
    if mine:
        took = {(c.layer, c.profile): c.wall_s for c in clocks}
        triples = [(one.layer, one.verdict, took[(one.layer, one.profile)]) for one in mine]
        ours = practice.ours_from(triples, made.layers, made.correct)
    try:
        drawn = practice.figure(made, ours)
    except ImportError as error:
        return Practice(table=practice.table(made, ours), left_out=f"no chart: {error}")
    return Practice(table=practice.table(made, ours), figure=drawn)
