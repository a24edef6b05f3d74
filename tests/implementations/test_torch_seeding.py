"""The short way of seeding PyTorch's CPU generator does what ``torch.manual_seed`` does, and gives way to whoever replaces that."""

from __future__ import annotations

import functools

import pytest

torch = pytest.importorskip("torch")


def test_the_short_way_draws_the_same_and_knows_the_same_seed() -> None:
    from spatial_dropouts.adapters import torch_tensors

    for seed in (0, 7, 2**31 - 2):
        torch.manual_seed(seed)
        expected = torch.rand(9), torch.randn(3), torch.initial_seed()
        torch_tensors.manual_seed(seed)
        seen = torch.rand(9), torch.randn(3), torch.initial_seed()
        assert torch.equal(expected[0], seen[0]) and torch.equal(expected[1], seen[1]) and expected[2] == seen[2]


def test_a_function_that_somebody_put_in_its_place_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial_dropouts.adapters import torch_tensors

    own, asked = torch.manual_seed, []

    @functools.wraps(own)
    def counting(seed: int) -> object:
        asked.append(seed)
        return own(seed)

    monkeypatch.setattr(torch, "manual_seed", counting)
    torch_tensors.manual_seed(3)
    assert asked == [3]


def test_with_another_device_every_device_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial_dropouts.adapters import torch_tensors

    asked: list[int] = []
    monkeypatch.setattr(torch_tensors, "_only_cpu", lambda: False)
    monkeypatch.setattr(torch.random, "_manual_seed_impl", asked.append, raising=False)
    torch_tensors.manual_seed(5)
    assert asked in ([5], [])  # older releases have no such function
