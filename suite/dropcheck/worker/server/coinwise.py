"""Coins from marks: one bool a coin from one an element, the count of coins whose elements disagree, and bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

import numpy as np

if TYPE_CHECKING:
    from dropcheck.worker.server.probe import Probe


@dataclass
class Proof:
    """What the proof over all calls so far found: counts, and the first example of each kind."""

    violations: int = 0
    wrong_values: int = 0
    nonfinite: int = 0
    nan: int = 0
    changed_inputs: int = 0
    example: Optional[Dict[str, Any]] = None
    wrong_example: Optional[Dict[str, Any]] = None
    malformed: Optional[Dict[str, Any]] = None
    bare_s: float = 0.0

    def report(self) -> Dict[str, Any]:
        """Plain data for the pipe."""
        return dict(self.__dict__)


def coins_of(probe: Probe, drops: Any, proof: Proof) -> Any:
    """One bool a coin, from a bool an element (calls, *shape), and the count of coins whose elements disagree."""
    calls, shared = len(drops), probe.shared
    if drops.size == 0:
        return np.zeros((calls * probe.rows, probe.channels), dtype=bool)
    order = (0, *(i + 1 for i in probe.order))
    if shared == 1:
        return drops.transpose(order).reshape(-1, probe.channels)
    coins = calls * probe.rows * probe.channels
    if not probe.trailing and coins >= 2048:
        return _coins_of_planes(probe, drops, order, proof)
    runs = drops if probe.trailing else drops.transpose(order)
    return coins_of_runs(probe, runs.reshape(-1), shared, calls, drops, proof)


def coins_of_runs(probe: Probe, drops: Any, length: int, calls: int, elements: Any, proof: Proof) -> Any:
    """Coins whose ``length`` marks stand one behind the other."""
    flat = drops.reshape(-1, length)
    if length in (2, 4, 8):
        # all marks of a coin are one machine word of bools: 0 or all ones
        word = {2: np.uint16, 4: np.uint32, 8: np.uint64}[length]
        words = flat.reshape(-1).view(word)
        coins = words == word(int.from_bytes(b"\x01" * length, "little"))
        disagree = np.count_nonzero(flat) - length * np.count_nonzero(coins)  # marks that stand in no full coin
    else:
        # neighbours in one long run, not in many short ones: ten times as fast
        coins = np.ascontiguousarray(flat[:, 0])
        marks = flat.reshape(-1)
        differ = marks[1:] != marks[:-1]
        differ &= probe.inside(length, len(differ))
        disagree = np.count_nonzero(differ)
    if disagree:
        coins, wrong = flat.all(axis=1), flat.any(axis=1)
        _note(probe, flat, length, wrong != coins, proof)
    return coins.reshape(-1, probe.channels)


def _coins_of_planes(probe: Probe, drops: Any, order: Tuple[int, ...], proof: Proof) -> Any:
    """Coins whose elements stand in planes, as in channels-last layouts: plane by plane, without a copy."""
    view = drops.transpose(order)
    sizes = [probe.shape[i] for i in probe.order[len(probe.pattern.coins) :]]
    first = np.ascontiguousarray(view[(..., *([0] * len(sizes)))])
    wrong = np.zeros(first.shape, bool)
    for place in np.ndindex(*sizes):
        wrong |= view[(..., *place)] != first
    if wrong.any():
        flat = view.reshape(-1, probe.shared)
        _note(probe, flat, probe.shared, wrong.ravel(), proof)
        first = flat.all(axis=1)
    return first.reshape(-1, probe.channels)


def _note(probe: Probe, flat: Any, length: int, wrong: Any, proof: Proof) -> None:
    """Count disagreeing coins; keep a small block around the first one for the picture."""
    proof.violations += int(np.count_nonzero(wrong))
    if proof.example is not None:
        return
    row = int(np.flatnonzero(wrong)[0]) // probe.channels
    block = flat.reshape(-1, probe.channels, length)[row, :16, :16]
    proof.example = {"row": row % max(1, probe.rows), "block": block.astype(np.uint8)}


def pack(coins: Any) -> Any:
    """(rows, channels) bool to (rows, ceil(channels / 8)) uint8, little bit order, padding bits 0."""
    rows, channels = coins.shape
    if channels % 8 == 0 or channels > 256:
        # whole bytes a row: one long run packs ten times as fast as many short ones
        if coins.flags.c_contiguous and channels % 8 == 0 and channels:
            return np.packbits(coins.reshape(-1), bitorder="little").reshape(rows, channels // 8)
        return np.packbits(coins, axis=-1, bitorder="little")
    if channels < 8:
        marks = coins.view(np.uint8)
        byte = marks[:, 0].copy()
        for i in range(1, channels):
            byte |= marks[:, i] << np.uint8(i)
        return byte[:, None]
    padded = np.zeros((rows, -(-channels // 8) * 8), bool)
    padded[:, :channels] = coins
    return np.packbits(padded.reshape(-1), bitorder="little").reshape(rows, padded.shape[1] // 8)
