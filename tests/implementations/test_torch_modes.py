"""Modes of PyTorch: each is really entered, what lives in one alone is caught through it, and right layers pass there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from kits.fewer_cases import accused, each_check_once

import dropcheck
from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.results.audit import TargetResult
from dropcheck.worker.server.answers import Worker
from spatial_dropouts.adapters import torch_modes
from spatial_dropouts.adapters.torch_layers import TorchFunctions, TorchLayers
from spatial_dropouts.broken.records.torch_modes import DEFECTS, TorchModeDefect

# large enough for the check, and few different calls, since each may be a compilation
CASES = {
    "mask.distinct-calls": ("float32 rate=0.5 9,65,4 calls=64",),
    "mask.distinct-channels": ("float32 rate=0.5 257,64,4 calls=16", "float32 rate=0.5 17,64,4 calls=64"),
    "mask.distinct-samples": ("float32 rate=0.5 64,65,4 calls=16",),
    "mask.whole-channels": ("float32 rate=0.3 33,65,4 calls=8",),
    "scale.kept-values": ("float32 rate=0.3 1,650,4 calls=16",),
    "rate.marginal": ("float32 rate=0.001 4097,65,4 calls=6",),
    "gradient.mask": (),
    "gradient.recompute": (),
}


def audited(target: str, check: str) -> list[str]:
    result = dropcheck.audit(
        target, select=(check,), cases=CASES[check], dtypes=("float32",), in_process=True, jobs=1, causes=False
    )
    (one,) = result.targets
    assert one.error is None, one.error
    assert one.skipped is None, one.skipped
    return [f.verdict for f in one.findings if f.check == check]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.attr}@{d.mode}")
def test_a_defect_of_one_mode_is_caught_through_it(defect: TorchModeDefect) -> None:
    assert "fail" in audited(defect.target, defect.check)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.attr}@{d.mode}")
def test_in_plain_calls_it_is_right(defect: TorchModeDefect) -> None:
    assert set(audited(defect.eager, defect.check)) == {"pass"}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.twin.rpartition(':')[2]}@{d.mode} {d.check}")
def test_a_right_twin_passes_in_that_mode(defect: TorchModeDefect) -> None:
    verdicts = set(audited(f"{defect.twin}@{defect.mode}", defect.check))
    # what PyTorch itself would make of ranks seeded alike is asked of distributed code alone
    assert verdicts - ({"skipped"} if defect.mode == "ranks" else set()) == {"pass"}


def test_every_mode_that_runs_here_has_a_defect_of_its_own() -> None:
    elsewhere = {"cuda-graph": "a fake graph below", "checkpoint-unpreserved": "every layer, below"}
    elsewhere |= dict.fromkeys(("dtensor-shard", "dtensor-replicate"), "test_torch_dtensor.py")
    assert {d.mode for d in DEFECTS} | set(elsewhere) == set(torch_modes.MODES)


@pytest.mark.parametrize("mode", ["checkpoint", "checkpoint-unpreserved"])
def test_a_recomputed_pass_draws_other_coins_only_where_the_random_state_is_not_preserved(mode: str) -> None:
    assert set(audited(f"torch.Dropout1d@{mode}", "gradient.mask")) == ({"pass"} if mode == "checkpoint" else {"fail"})
    # the key of its coins is kept, and nothing that a checkpoint would make anew
    assert set(audited(f"custom.torch@{mode}", "gradient.mask")) == {"pass"}


# Each mode is really entered


def adapter(make: Any = torch.nn.Dropout1d, pattern: str = "n c l -> n c", **more: Any) -> TorchLayers:
    contract = Contract(pattern=Pattern.parse(pattern))
    return TorchLayers(make, Implementation(make=make, framework="torch", contract=contract, **more))


class Watched(torch.nn.Dropout1d):
    """Notes how each of its calls is made."""

    seen: list[Any] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
        self.seen.append(
            {
                "autocast": torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"),
                "mapped": torch._C._functorch.peek_interpreter_stack() is not None,
                "shape": tuple(x.shape),
                "hooked": hooks is not None,
                "address": x.data_ptr() if not torch._C._functorch.is_batchedtensor(x) else 0,
                "inplace": self.inplace,
            }
        )
        return super().forward(x)


@pytest.fixture
def watched() -> Iterator[list[Any]]:
    Watched.seen.clear()
    with torch.random.fork_rng():
        yield Watched.seen


def called(mode: str, training: bool = True) -> tuple[TorchLayers, Any, Any]:
    driver = adapter(Watched)
    driver.use(mode)
    layer = driver.make(0.5, "float32", 3, "global")
    x = torch.ones(6, 40, 3)
    return driver, x, driver.apply(layer, x, training)


def test_autocast_is_on_during_the_call(watched: list[Any]) -> None:
    _, x, y = called("autocast")
    assert watched[0]["autocast"] == torch.bfloat16 and y.dtype == x.dtype


@pytest.mark.parametrize("mode", ["vmap-different", "vmap-same"])
def test_mapped_calls_see_batches_of_one(watched: list[Any], mode: str) -> None:
    _, _, y = called(mode)
    assert len(watched) == 1 and watched[0]["mapped"] and watched[0]["shape"] == (1, 40, 3)
    same = bool(((y == 0) == (y[:1] == 0)).all())
    assert same == (mode == "vmap-same") and 0 < float((y == 0).float().mean()) < 1


def test_vmap_refuses_to_draw_where_randomness_is_an_error() -> None:
    driver = adapter()
    mode = torch_modes.Vmapped(driver)
    mode.randomness = "error"  # type: ignore[misc]
    mode.enter()
    with pytest.raises(RuntimeError, match="randomness"):
        driver.apply(driver.make(0.5, "float32", 3, "global"), torch.ones(6, 40, 3), True)


@pytest.mark.parametrize(
    ("pattern", "axis", "same"),
    [("n c l -> n c", 0, "n c l -> c"), ("t b h -> b h", 1, "t b h -> h"), ("n c l -> n c l", 0, "n c l -> c l")],
)
def test_the_mapped_axis_is_the_first_that_indexes_rows(pattern: str, axis: int, same: str) -> None:
    driver = adapter(pattern=pattern)
    driver.use("vmap-same")
    assert driver.mode is not None and getattr(driver.mode, "axis", None) == axis
    assert str(driver.contract.pattern) == same


@pytest.mark.parametrize(("pattern", "mode"), [("n c l -> c", "vmap-different"), ("n c l -> n", "vmap-same")])
def test_without_samples_to_map_there_is_no_vmap(pattern: str, mode: str) -> None:
    with pytest.raises(Unsupported, match="samples"):
        adapter(pattern=pattern).use(mode)


def test_checkpointing_runs_the_forward_pass_again(watched: list[Any]) -> None:
    driver = adapter(Watched)
    driver.use("checkpoint")
    layer = driver.make(0.5, "float32", 3, "global")
    y, gradient = driver.gradient(layer, torch.ones(6, 40, 3), torch.ones(6, 40, 3))
    assert gradient is not None and len(watched) == 2 and watched[0]["hooked"]
    assert torch.equal(y == 0, gradient == 0)


@pytest.mark.parametrize("mode", ["checkpoint", "checkpoint-unpreserved"])
def test_a_layer_with_a_source_of_its_own_is_not_checkpointed(mode: str) -> None:
    with pytest.raises(Unsupported, match="generator"):
        adapter(seed=lambda seed: None).use(mode)


def test_in_place_the_input_of_the_layer_holds_the_output(watched: list[Any]) -> None:
    driver, x, y = called("in-place")
    assert watched[0]["inplace"] and watched[0]["address"] == y.data_ptr() != x.data_ptr()
    assert bool((x == 1).all()) and getattr(driver, "overwrites", False)


def test_in_place_keeps_the_strides() -> None:
    driver = adapter()
    driver.use("in-place")
    layer = driver.make(0.5, "float32", 3, "global")
    for layout in ("strided", "transposed"):
        x = driver.tensor(np.ones((4, 8, 6)), "float32", layout)
        assert driver.apply(layer, x, True).stride() == x.stride()


class ReturnsAnother(torch.nn.Module):
    """Returns another mask than it leaves in its input."""

    def __init__(self, p: float, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = p, inplace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.nn.functional.dropout1d(x, self.p, self.training, inplace=self.inplace)
        return torch.nn.functional.dropout1d(x, self.p, self.training)


def test_in_place_the_returned_tensor_must_be_what_is_left() -> None:
    driver = adapter(ReturnsAnother)
    driver.use("in-place")
    with pytest.raises(RuntimeError, match="something else"):
        driver.apply(driver.make(0.5, "float32", 3, "global"), torch.ones(6, 40, 3), True)


def test_without_an_in_place_variant_the_target_is_skipped_with_the_reason() -> None:
    (target,) = dropcheck.audit("unusual.keyed-generator@in-place", in_process=True, jobs=1).targets
    assert target.verdict == "skipped" and "no in-place variant" in str(target.skipped)


def test_a_function_is_called_in_place_too() -> None:
    def function(x: Any, rate: float, training: bool, inplace: bool = False) -> Any:
        assert inplace
        return torch.nn.functional.dropout1d(x, rate, training, inplace)

    driver = TorchFunctions(function, Implementation(make=function, framework="torch-function"))
    driver.use("in-place")
    y = driver.apply(driver.make(0.5, "float32", 3, "global"), torch.ones(6, 40, 3), True)
    assert bool((y == 0).any())


# Compiled


@pytest.fixture
def compiled() -> Iterator[TorchLayers]:
    driver = adapter()
    driver.use("compiled")
    yield driver
    assert driver.mode is not None
    driver.mode.leave()


def test_compiled_code_runs_in_every_training_call(compiled: Any) -> None:
    layer = compiled.make(0.5, "float32", 3, "global")
    before = compiled.mode.runs
    for rows in (3, 4, 700, 3):
        compiled.apply(layer, torch.ones(rows, 20, 3), True)
    assert compiled.mode.runs == before + 4
    x = torch.ones(3, 20, 3)
    assert torch.equal(compiled.apply(layer, x, False), x)


def test_a_large_input_has_a_kernel_of_its_own_and_small_ones_share_one(compiled: Any) -> None:
    layer = compiled.make(0.37, "float32", 3, "global")
    counts = []
    for rows in (5, 6, 700, 701):
        before = compiled.mode.compilations
        compiled.apply(layer, torch.ones(rows, 20, 3), True)
        counts.append(compiled.mode.compilations - before)
    assert counts == [1, 0, 1, 1]


def test_reseeding_reaches_the_compiled_generator(compiled: Any) -> None:
    layer = compiled.make(0.5, "float32", 3, "global")
    x = torch.ones(3, 200, 3)
    first = [compiled.apply(layer, x, True) for _ in range(2)]
    again = [compiled.apply(compiled.reseed(layer, 3, "global"), x, True), compiled.apply(layer, x, True)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and not torch.equal(*first)


def test_many_shapes_rates_and_layers_never_fall_back_to_eager(compiled: Any) -> None:
    """More than the eight recompilations after which PyTorch gives up by default."""
    for number in range(12):
        layer = compiled.make(0.3 + number / 100, "float32", 3, "global")
        assert bool((compiled.apply(layer, torch.ones(3, 50 + number, 3), True) == 0).any())
    assert compiled.mode.compilations >= 12


class Escapes(torch.nn.Module):
    """A layer that refuses to be compiled."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout1d(x, self.rate, self.training)


def test_what_runs_outside_compiled_code_is_no_compiled_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    # here, not where the class stands: the decorator imports the compiler, in each process that collects this file
    monkeypatch.setattr(Escapes, "forward", torch.compiler.disable(Escapes.forward))
    driver = adapter(Escapes)
    driver.use("compiled")
    assert driver.mode is not None
    try:
        with pytest.raises(RuntimeError, match="outside compiled code"):
            driver.apply(driver.make(0.5, "float32", 3, "global"), torch.ones(3, 20, 3), True)
    finally:
        driver.mode.leave()


def test_checkpoints_around_and_inside_of_compiled_code_keep_the_coins() -> None:
    (one,) = dropcheck.audit(
        "torch.Dropout1d@compiled", select=("gradient.recompute",), dtypes=("float32",), in_process=True, jobs=1
    ).targets
    ways = {f.case.split(" recompute ")[1].partition(" call")[0]: f.verdict for f in one.findings}
    assert ways == dict.fromkeys(("checkpoint", "reentrant-checkpoint", "checkpoint-in-compiled"), "pass")


class RefusesReentrant(torch.nn.Module):
    """A right layer that the reentrant way of checkpointing cannot run: it records no gradients in the forward pass."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad and not torch.is_grad_enabled():
            raise RuntimeError("no second pass\nin two lines")
        return torch.nn.functional.dropout1d(x, self.rate, self.training)


def test_a_way_of_recomputing_that_raises_is_named_and_the_others_are_judged() -> None:
    (one,) = dropcheck.audit(
        RefusesReentrant, select=("gradient.recompute",), dtypes=("float32",), in_process=True, jobs=1
    ).targets
    failed = [f for f in one.findings if f.verdict == "fail"]
    assert {f.case.split(" recompute ")[1] for f in failed} == {"reentrant-checkpoint call 1"}
    assert failed[0].message == "the recomputed forward pass raises RuntimeError: no second pass"
    assert {f.verdict for f in one.findings if " checkpoint call " in f.case} == {"pass"}


def test_the_configuration_of_the_compiler_comes_back() -> None:
    import torch._dynamo.config as configured

    names = [n for n in ("recompile_limit", "cache_size_limit") if hasattr(configured, n)]
    before = [getattr(configured, n) for n in names]
    audited("torch.Dropout1d@compiled", "mask.whole-channels")
    assert [getattr(configured, n) for n in names] == before


def test_without_a_compiler_the_mode_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Any) -> Any:
        def backend(graph: Any, inputs: Any) -> Any:
            raise RuntimeError("no working C++ compiler")

        return backend

    monkeypatch.setattr(torch_modes.Compiled, "_backend", nothing)
    with pytest.raises(Unsupported, match=r"no working C\+\+ compiler\); on a CPU it takes"):
        adapter().use("compiled")


# Ranks


def test_ranks_draw_different_masks_and_end_with_the_session() -> None:
    worker = Worker()
    opened = worker.handle(
        {"ask": "open", "locator": "torch.nn:Dropout1d", "source": "user", "pattern": None, "mode": "ranks"}
    )
    assert "error" not in opened, opened
    driver: Any = worker.driver
    mode = driver.mode
    try:
        assert torch.distributed.get_world_size() == 2 and mode.child.pid != os.getpid()
        layer = driver.make(0.5, "float32", 3, "global")
        x = torch.ones(9, 200, 3)
        y = driver.apply(layer, x, True)
        # rank 0 as it would be alone, and rank 1 under its own seed
        alone = torch.nn.Dropout1d(0.5)
        torch.manual_seed(3)
        assert torch.equal(y[:5], alone(x[:5]))
        torch.manual_seed(3 + (1 << 31))
        assert torch.equal(y[5:], alone(x[5:]))
        y, gradient = driver.gradient(layer, x, x)
        assert torch.equal(y, gradient)
        mode.child.kill()
        with pytest.raises(RuntimeError, match="rank 1 has ended"):
            driver.apply(layer, x, True)
        # a new layer cannot be asked for either
        with pytest.raises((RuntimeError, OSError)):
            driver.make(0.5, "float32", 3, "global")
    finally:
        mode.leave()
    assert mode.child is None and not torch.distributed.is_initialized()


def test_a_worker_that_is_killed_takes_its_second_rank_along() -> None:
    from dropcheck.worker.client import ProcessSession, ask

    psutil = pytest.importorskip("psutil")
    session = ProcessSession()
    try:
        ask(session, "open", locator="torch.nn:Dropout1d", source="user", pattern=None, mode="ranks")
        (child,) = psutil.Process(session.process.pid).children()
    finally:
        session.close()
    for _ in range(200):
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("rank 1 is still there")


class FailsOnRankOne(torch.nn.Dropout1d):
    """Raises where the second rank calls it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise ValueError("not here")
        return super().forward(x)


def test_what_one_rank_raises_is_told_and_hangs_nothing() -> None:
    (target,) = dropcheck.audit(f"{__file__}:FailsOnRankOne@ranks", in_process=True, jobs=1).targets
    assert target.verdict == "error" and "on rank 1: ValueError: not here" in str(target.error)


def test_an_object_without_a_name_has_no_ranks() -> None:
    with pytest.raises(Unsupported, match="second process can load"):
        adapter().use("ranks")


@pytest.mark.parametrize(("target", "verdict"), [("torch.Dropout1d", "pass"), ("broken.seed-from-address", "fail")])
def test_two_workers_agree_under_one_seed_and_differ_under_two(target: str, verdict: str) -> None:
    (one,) = dropcheck.audit(target, select=("seed.reproducible",), dtypes=("float32",), jobs=1, causes=False).targets
    found = {f.case.partition("way=global ")[2]: f.verdict for f in one.findings}
    assert found["fresh process"] == "pass" and found["fresh process, another seed"] == verdict, one.findings


# Devices, and CUDA graphs by a graph that is none: no GPU runs these tests


def test_without_a_gpu_its_targets_are_skipped_with_the_reason() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for target, device in (("torch.Dropout1d", "cuda"), ("torch.Dropout1d@cuda-graph", "cpu")):
        (one,) = dropcheck.audit(target, device=device, in_process=True, jobs=1).targets
        assert one.verdict == "skipped" and "no CUDA device" in str(one.skipped)
    (one,) = dropcheck.audit("custom.reference", device="cuda", in_process=True, jobs=1).targets
    assert one.verdict == "skipped" and "numpy runs on the CPU only" in str(one.skipped)


def test_tensors_and_layers_live_where_they_were_placed() -> None:
    driver = adapter(torch.nn.Linear)
    driver.device = torch.device("meta")  # has no values, but it tells where a tensor would be
    for layout in ("contiguous", "strided", "transposed"):
        x = driver.tensor(np.ones((2, 3, 4)), "bfloat16", layout)
        assert x.device.type == "meta"
        assert all(copy.device.type == "meta" for copy in driver.copies(x, 2))


class FakeGraph(torch_modes.CudaGraph):
    """Its graph runs the layer again into the static output; ``frozen``: it does nothing, as a graph without the generator."""

    frozen = False

    def capture(self, layer: Any, x: Any) -> Any:
        static = x.detach().clone()
        output = self.eager(layer, static, True).clone()
        if self.frozen:
            return static, output, lambda: None
        return static, output, lambda: output.copy_(self.eager(layer, static, True))


class FrozenGraph(FakeGraph):
    """Replays a graph that drew its mask when it was captured."""

    frozen = True


def replayed(monkeypatch: pytest.MonkeyPatch, kind: type[FakeGraph], check: str) -> TargetResult:
    monkeypatch.setattr(TorchLayers, "place", lambda self, device: None)
    monkeypatch.setattr(torch_modes, "MODES", {**torch_modes.MODES, "cuda-graph": kind})
    (target,) = dropcheck.audit("torch.Dropout1d@cuda-graph", select=(check,), in_process=True, jobs=1).targets
    return target


@pytest.mark.parametrize("check", ["mask.distinct-calls", "seed.reset", "form.batch-change", "form.input-untouched"])
def test_replays_with_an_input_of_their_own_pass(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    assert replayed(monkeypatch, FakeGraph, check).verdict == "pass"


def test_a_graph_with_a_frozen_mask_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replayed(monkeypatch, FrozenGraph, "mask.distinct-calls").verdict == "fail"


# The whole, as users ask for it


WHOLE = ["vmap-different", "vmap-same", "checkpoint", "in-place", "autocast", "ranks"]


@pytest.mark.long
@pytest.mark.parametrize("mode", WHOLE)
def test_dropout_passes_in_its_modes(mode: str) -> None:
    (target,) = dropcheck.audit(f"torch.Dropout2d@{mode}", dtypes=("float32",), rates=(0.3,), jobs=1).targets
    assert target.verdict == "pass", [(f.check, f.message) for f in target.findings if f.verdict != "pass"]


@pytest.mark.parametrize("mode", WHOLE)
def test_no_check_accuses_dropout_in_its_modes(mode: str) -> None:
    name, asked = f"torch.Dropout2d@{mode}", {"dtypes": ("float32",), "rates": (0.3,)}
    cases = each_check_once(name, **asked)
    (target,) = dropcheck.audit(name, cases=tuple(cases), dtypes=("float32",), in_process=True, jobs=1).targets
    assert target.error is None and not accused(target.findings, cases)
    passed = {f.check for f in target.findings if f.verdict == "pass"}
    assert {"mask.whole-channels", "rate.marginal", "scale.kept-values", "gradient.mask", "mode.inference"} <= passed
