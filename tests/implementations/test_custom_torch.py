"""Our PyTorch layer: the compiled pass is bit for bit what PyTorch's own operations make, in every layout and wrapper."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kits import strided_inputs  # noqa: E402
from kits.strided_inputs import values  # noqa: E402

from spatial_dropouts.custom import exact, selecting, torch_layer, torch_operator  # noqa: E402
from spatial_dropouts.custom.torch_layer import SpatialDropout  # noqa: E402

ALL = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
built = pytest.mark.skipif(torch.float32 not in selecting.DTYPES, reason="the compiled pass is not built here")


KEY = (0x1234567890ABCDEF, 0x7EDCBA0987654321)


def drops(*shape: int) -> Any:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2)) < 0.3


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, all NaN alike."""
    missing = torch.isnan(a)
    if (a.dtype, a.shape) != (b.dtype, b.shape) or not torch.equal(missing, torch.isnan(b)):
        return False
    return torch.equal(a[~missing], b[~missing]) and torch.equal(torch.signbit(a[~missing]), torch.signbit(b[~missing]))


def near(a: Any, b: Any) -> bool:
    """Equal but for two roundings of float64."""
    return torch.allclose(a, b, rtol=4.5e-16, atol=5e-324, equal_nan=True) and torch.equal(a == 0, b == 0)


LAYOUTS = strided_inputs.LAYOUTS | {
    "four groups": (lambda dtype: values(3, 4, 5, 6, dtype=dtype), (3, 1, 5, 1)),
    "more than a piece": (lambda dtype: values(2, 3, 40_000, dtype=dtype), (2, 3, 1)),
}


@built
@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9999, 1.0])
def test_the_pass_is_what_the_operations_make(layout: str, dtype: Any, rate: float) -> None:
    make, shape = LAYOUTS[layout]
    x, drawn = make(dtype), selecting.coins(shape, rate, KEY)
    expected = torch_operator.composed(x, drawn, rate)
    for y in (selecting.in_one_pass(x, shape, rate, KEY), selecting.by_coins(x, drawn, rate)):
        assert y is not None and (same if dtype != torch.float64 else near)(y, expected)
        assert y.stride() == torch.empty_like(x).stride()
    if 0 not in x.stride():
        assert selecting.in_one_pass(x, shape, rate, KEY, into=x) is x
        assert (same if dtype != torch.float64 else near)(x, expected)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 in whole numbers, as its paper has it."""
    word = 2**32
    a, b, c, d = counter
    left, right = key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = q // word ^ b ^ left, q % word, p // word ^ d ^ right, p % word
        left, right = (left + 0x9E3779B9) % word, (right + 0xBB67AE85) % word
    return [a, b, c, d]


@built
@pytest.mark.parametrize("rate", [0.3, 0.5, 5e-324, 1.0])
def test_coins_are_those_of_philox(rate: float) -> None:
    counter, key = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    assert philox(counter, key) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1], "its authors' known answer"
    expected = []
    for block in range(101):
        a, b, c, d = philox([block, 0, KEY[1] % 2**32, KEY[1] >> 32], [KEY[0] % 2**32, KEY[0] >> 32])
        expected += [Fraction(high << 32 | low) // 2**11 < Fraction(rate) * 2**53 for high, low in ((a, b), (c, d))]
    assert selecting.coins((201,), rate, KEY).tolist() == expected[:201]


@built
def test_coins_follow_the_generator_and_nothing_is_stored_but_their_key() -> None:
    layer, x = SpatialDropout(0.3), torch.ones(16, 33, 2, requires_grad=True)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first) and torch.equal(layer(x), second) and not torch.equal(first, second)
    assert first.grad_fn.saved_tensors == ()
    with torch.inference_mode():
        torch.manual_seed(1)
        assert torch.equal(layer(x), first)


@built
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_work_without_a_gap(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for shape, coins in (((64, 33, 129), (64, 33, 1)), ((3, 90_001), (3, 90_001)), ((2, 200_003), (2, 1))):
            x, drawn = values(*shape), selecting.coins(coins, 0.3, KEY)
            assert same(selecting.in_one_pass(x, coins, 0.3, KEY), torch_operator.composed(x, drawn, 0.3))
    finally:
        torch.set_num_threads(before)


def test_loops_merge_what_is_one() -> None:
    contiguous = (231, 33, 1)
    assert selecting.loops((5, 7, 33), contiguous, contiguous, (7, 1, 0)) == [(35, 33, 33, 1), (33, 1, 1, 0)]
    assert selecting.loops((5, 7, 33), contiguous, contiguous, contiguous) == [(1155, 1, 1, 1)]
    assert selecting.loops((5, 7, 33), contiguous, contiguous, (0, 0, 0)) == [(1155, 1, 1, 0)]
    assert selecting.loops((1, 1), (1, 1), (1, 1), (0, 0)) == [(1, 1, 1, 0)]
    assert selecting.runs([(35, 33, 33, 1), (33, 1, 1, 0)]) == ([(1155, 1, 1, 1)], 33)
    assert selecting.runs([(35, 1000, 1000, 1), (1000, 1, 1, 0)])[1] == 1
    assert selecting.runs([(35, 66, 33, 1), (33, 1, 1, 0)])[1] == 1


def test_a_layout_of_too_many_loops_is_composed() -> None:
    x = values(*[2] * 10)
    shape = (2, 1) * 5
    expected = torch_operator.composed(x, selecting.coins(shape, 0.3, KEY), 0.3)
    assert selecting.in_one_pass(x, shape, 0.3, KEY) is None
    assert same(torch_layer.select(x, (shape, 0.3, KEY)), expected)


def trained(layer: Any, x: Any, cotangent: Any) -> tuple[Any, Any]:
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(cotangent)
    return y.detach(), x.grad


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("stretched", [False, True])
@built
def test_with_and_without_the_pass_outputs_and_gradients_are_equal(dtype: Any, stretched: bool) -> None:
    x = values(6, 8, 33, dtype=dtype)
    cotangent = torch.ones((), dtype=dtype).expand(6, 8, 33) if stretched else values(6, 8, 33, dtype=dtype).flip(0)
    drawn = selecting.coins((6, 8, 1), 0.3, KEY)
    once = trained(lambda x: torch_layer.select(x, ((6, 8, 1), 0.3, KEY)), x, cotangent)
    for a, b in zip(once, trained(lambda x: torch_operator.composed(x, drawn, 0.3), x, cotangent), strict=True):
        assert (same if dtype != torch.float64 else near)(a, b)


RATES = (0.3, 0.1, 0.25, 0.5, 0.7, 1e-4, 0.999, 1 / 3, 5e-324, 2.0**-60, 1 - 2.0**-53)


@pytest.mark.parametrize("rate", RATES)
def test_the_two_numbers_make_the_factor(rate: float) -> None:
    up, down = exact.fraction(rate)
    assert abs(Fraction(up) * (1 - Fraction(rate)) / Fraction(down) - 1) <= Fraction(2) ** -55
    assert 0.5 < down <= 1 and up > 0.5
    for dtype, digits in ((np.float32, 46), (np.float64, 104)):
        most, rest = exact.in_two(rate, dtype)
        assert abs((Fraction(most) + Fraction(rest)) * (1 - Fraction(rate)) - 1) <= Fraction(2) ** -digits
        assert dtype(most) == most and dtype(rest) == rest and rest >= 0


@built
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_each_kept_quotient_is_rounded_once(dtype: Any, rate: float) -> None:
    x = torch.randn(1, 300, generator=torch.Generator().manual_seed(3), dtype=dtype)
    y = selecting.by_coins(x, torch.zeros(1, 1, dtype=torch.bool), rate)
    assert y is not None
    for one, seen in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True):
        if dtype == torch.float64:
            assert seen == float(Fraction(one) / (1 - Fraction(rate))), one
        else:  # by way of float64, of which it is the nearest
            assert seen == float(np.float32(one / (1 - rate))), one


@built
@pytest.mark.parametrize("rate", [0.04, 0.12, 0.3])  # by the first two, middles are met
def test_quotients_near_the_middle_of_two_numbers(rate: float) -> None:
    """Those that are hardest to round: the numbers whose quotients lie nearest to a middle of neighbours, and subnormal ones."""
    many = torch.arange(2**23, 2**23 + 2**19, dtype=torch.int64)  # significands
    x = many.to(torch.float32)
    exact_quotients = x.double() / (1 - rate)
    below = exact_quotients.view(torch.int64) % 2**29 - 2**28
    hardest = x[below.abs().argsort()[:64]]
    tried = torch.cat([hardest, -hardest, hardest * 2.0**-149, x[:16] * 2.0**-150, hardest * 2.0**104, x[:5] * 0])[None]
    y = selecting.by_coins(tried, torch.zeros(1, 1, dtype=torch.bool), rate)
    assert y is not None and torch.equal(y, (tried.double() / (1 - rate)).float())


def test_gradients_of_gradients() -> None:
    layer = SpatialDropout(0.3)

    def again(x: Any) -> Any:
        torch.manual_seed(3)
        return layer(x) ** 2

    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(again, x) and torch.autograd.gradgradcheck(again, x)


def test_in_place_the_input_holds_the_result_and_autograd_is_told() -> None:
    x = values(6, 8, 33)
    torch.manual_seed(5)
    expected = SpatialDropout(0.3)(x)
    torch.manual_seed(5)
    written = x.clone()
    version = written._version
    assert SpatialDropout(0.3, inplace=True)(written) is written and same(written, expected)
    assert written._version > version
    leaf = torch.ones(2, 3, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        SpatialDropout(0.3, inplace=True)(leaf)
    assert bool((leaf == 1).all()), "a refused call wrote all the same"
    with pytest.raises(RuntimeError, match="memory location"):
        SpatialDropout(0.3, inplace=True)(torch.ones(2, 3, 1).expand(2, 3, 4))


def test_under_vmap_and_forward_differentiation() -> None:
    layer = SpatialDropout(0.5)
    y = torch.vmap(layer, randomness="different")(torch.ones(4, 3, 5, 7))
    assert set(y.unique().tolist()) <= {0.0, 2.0} and len({tuple(one.flatten().tolist()) for one in y}) > 1
    torch.manual_seed(1)
    y, tangent = torch.func.jvp(layer, (torch.ones(3, 5, 7),), (torch.full((3, 5, 7), 3.0),))
    assert torch.equal(tangent, 3 * y)


def test_compiled_it_is_one_operator_and_exported_it_is_none_of_ours() -> None:
    torch.compiler.reset()
    layer, x = SpatialDropout(0.3), values(6, 8, 33)
    seen: list[Any] = []

    def keep_graph(module: Any, inputs: Any) -> Any:
        seen.extend(node.target for node in module.graph.nodes)
        return module.forward

    compiled = torch.compile(layer, backend=keep_graph, fullgraph=True)
    torch.manual_seed(5)
    y = compiled(x)
    torch.manual_seed(5)
    assert same(y, torch_operator.composed(x, torch.rand(6, 8, 1, dtype=torch.float64) < 0.3, 0.3))
    ours = [one for one in seen if "spatial_dropouts" in str(one)]
    assert len(ours) == int(torch.float32 in selecting.DTYPES)
    program = torch.export.export(layer, (x,))
    assert "spatial_dropouts" not in str(program.graph)


@built
def test_the_operator_keeps_the_rules_of_pytorch() -> None:
    x = torch.randn(3, 4, 5, requires_grad=True)
    torch.library.opcheck(torch_operator.select, (x, drops(3, 4, 1), 0.3))


def test_without_the_pass_it_is_made_of_pytorchs_own_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "DTYPES", frozenset())
    x = values(6, 8, 33)
    torch.manual_seed(7)
    y, gradient = trained(SpatialDropout(0.3), x, torch.ones(6, 8, 33))
    torch.manual_seed(7)
    drawn = torch.rand(6, 8, 1, dtype=torch.float64) < 0.3
    assert same(y, torch_operator.composed(x, drawn, 0.3))
    assert same(gradient, torch_operator.composed(torch.ones(6, 8, 33), drawn, 0.3))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_keep_what_was_set(copied: Callable[[Any], Any]) -> None:
    layer = copied(SpatialDropout(0.25, "n l c -> n c", inplace=True))
    assert repr(layer) == "SpatialDropout(rate=0.25, pattern='n l c -> n c', inplace=True)"


def test_in_inference_and_at_rate_0_nothing_is_computed() -> None:
    x = values(2, 3, 4)
    assert SpatialDropout(0.0)(x) is x and SpatialDropout(0.5).eval()(x) is x


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_recomputed_forward_pass_has_the_same_mask_where_it_alone_is_watched(reentrant: bool, inplace: bool) -> None:
    """A dispatch mode, as profilers and FLOP counters are, may be on in the backward pass only."""
    from torch.utils.checkpoint import checkpoint
    from torch.utils.flop_counter import FlopCounterMode

    layer = SpatialDropout(0.5, inplace=inplace)
    x = torch.ones(4, 64, 8, requires_grad=True)
    y = checkpoint(lambda given: layer(given * 1.0), x, use_reentrant=reentrant)
    with FlopCounterMode(display=False):
        y.sum().backward()
    assert 0 < int((y == 0).sum()) < y.numel()
    assert torch.equal(x.grad == 0, y == 0)
