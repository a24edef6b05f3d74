"""The GPU pass of our PyTorch layer: its plans, its check and what happens without it; the kernel itself where Triton is.

Triton is no dependency of the project, and no GPU is needed. In an environment that has Triton besides:

    TRITON_INTERPRET=1 pytest tests/implementations/test_custom_triton.py    # the kernel computes, on the CPU
    pytest tests/implementations/test_custom_triton.py                       # the kernel is compiled for a GPU
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import struct
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kits import strided_inputs  # noqa: E402
from kits.strided_inputs import values  # noqa: E402

from spatial_dropouts.custom import on_gpu, selecting, torch_layer, torch_operator  # noqa: E402
from spatial_dropouts.custom.torch_layer import SpatialDropout  # noqa: E402

INSTALLED = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not (INSTALLED and INTERPRETED), reason="needs Triton and TRITON_INTERPRET=1")
compiled = pytest.mark.skipif(not INSTALLED or INTERPRETED, reason="needs Triton, without TRITON_INTERPRET")
built = pytest.mark.skipif(torch.float32 not in selecting.DTYPES, reason="the compiled pass is not built here")
# by NumPy, of which the interpreter is made
ignored = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")

ALL = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
CPU = torch.device("cpu")
NUMBERS = (0x1234567890ABCDEF, 0x7EDCBA0987654321)
KEY = torch.tensor(NUMBERS)


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, all NaN alike."""
    numbers = ~torch.isnan(b)
    if (a.dtype, a.shape) != (b.dtype, b.shape) or not torch.equal(torch.isnan(a), ~numbers):
        return False
    return torch.equal(a[numbers], b[numbers]) and torch.equal(torch.signbit(a[numbers]), torch.signbit(b[numbers]))


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: nothing was checked, nothing warned of, no plan made."""
    monkeypatch.setattr(on_gpu, "_usable", {})
    monkeypatch.setattr(on_gpu, "_plans", {})
    monkeypatch.setattr(on_gpu, "_warned", False)


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer draws the key as it does on a GPU, and so takes that pass."""
    monkeypatch.setattr(selecting, "key", lambda: on_gpu.key(CPU))


# the coins


@built
@pytest.mark.parametrize("rate", [0.3, 0.5, 5e-324, 1.0])
def test_coins_of_a_key_are_those_of_the_cpu(rate: float) -> None:
    for numbers in (NUMBERS, (0, 0), (2**63 - 1, 2**63 - 1)):
        for shape in ((67, 3, 1), (), (0, 4), (1,)):
            seen = on_gpu.coins(shape, rate, torch.tensor(numbers))
            assert torch.equal(seen, selecting.coins(shape, rate, numbers))


def test_a_key_is_of_the_generator() -> None:
    torch.manual_seed(4)
    first, second = on_gpu.key(CPU), on_gpu.key(CPU)
    torch.manual_seed(4)
    assert torch.equal(on_gpu.key(CPU), first) and not torch.equal(first, second)
    assert bool((first > 2**40).any()), "few bits"


# plans


def plan(x: Any, shape: tuple[int, ...], rate: float = 0.3) -> Any:
    return on_gpu.planned(x, torch.empty_like(x), shape, rate)


def test_tiles_cover_an_array_once() -> None:
    for size, shape in (
        ((5, 7, 33), (5, 7, 1)),
        ((5, 33, 19), (5, 1, 19)),
        ((2, 3, 4099), (2, 3, 1)),
        ((3000,), (3000,)),
    ):
        x = torch.empty(size)
        programs, numbers, choices = plan(x, shape)
        middle, inner = numbers[3:5]
        outer = x.numel() // (middle * inner)
        assert programs == outer * math.ceil(middle / choices["ROWS"]) * math.ceil(inner / choices["COLUMNS"])
    assert plan(torch.empty(0, 7, 3), (0, 7, 1))[0] == 0


def test_coins_that_cover_a_loop_are_drawn_once_a_tile() -> None:
    along = {
        (64, 1): ((64, 128), True, False),
        (1, 128): ((64, 128), False, True),
        (1, 1): ((64, 128), False, False),
    }
    for shape, (size, middle, inner) in along.items():
        choices = plan(torch.empty(size), shape)[2]
        assert (choices["ALONG_MIDDLE"], choices["ALONG_INNER"]) == (middle, inner)


@pytest.mark.parametrize("rate", [0.5, 0.75, 0.3, 1 - 2.0**-53, 1.0, 5e-324])
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_numbers_of_a_plan_lose_no_bit(dtype: Any, rate: float) -> None:
    _, numbers, choices = plan(torch.empty(2, 3, 4, dtype=dtype), (2, 3, 1), rate)
    up, down = (Fraction(struct.unpack("<d", struct.pack("<q", bits))[0]) for bits in numbers[1:3])
    keep = 1 - Fraction(rate) if rate < 1 else Fraction(1)
    if choices["SCALED"]:
        assert down == 1 and abs(up * keep - 1) <= Fraction(2) ** -53 and math.log2(up).is_integer()
    else:
        assert abs(up / down * keep - 1) <= Fraction(2) ** (-55 if dtype == torch.float64 else -53)


def test_what_is_too_involved_is_composed(as_on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "_kernel", lambda: pytest.fail("the kernel was asked"))
    x, shape = values(2, 2, 2, 2, 2, 2), (2, 1, 2, 1, 2, 1)
    assert plan(x, shape) == () and on_gpu.in_one_pass(x, shape, 0.3, KEY) is None
    y = torch_layer.select(x, (shape, 0.3, KEY))
    assert same(y, torch_operator.composed(x, on_gpu.coins(shape, 0.3, KEY), 0.3))


# the check, with fakes in the place of the kernel


class Fake:
    """A kernel of PyTorch's operations, right but for what ``spoil`` does to its output."""

    def __init__(self, spoil: Callable[[Any], Any] = lambda y: y) -> None:
        self.spoil, self.calls = spoil, 0

    def launched(self, x: Any, y: Any, key: Any, plan: Any) -> Any:
        """In the place of ``on_gpu._launched``; the shape of coins and the rate are those of the plan."""
        self.calls += 1
        made = next(k for k, one in self.plans if one is plan)
        return y.copy_(self.spoil(torch_operator.composed(x, on_gpu.coins(*made, key), made[1])))

    def put(self, monkeypatch: pytest.MonkeyPatch) -> Fake:
        self.plans: list[tuple[Any, Any]] = []
        whole = on_gpu.planned

        def planned(x: Any, y: Any, shape: Any, rate: float) -> Any:
            plan = whole(x, y, shape, rate)
            self.plans.append(((shape, rate), plan))
            return plan

        monkeypatch.setattr(on_gpu, "planned", planned)
        monkeypatch.setattr(on_gpu, "_launched", self.launched)
        monkeypatch.setattr(on_gpu, "_kernel", lambda: self)
        return self


def failing(error: Exception) -> Callable[[Any], Any]:
    def spoil(y: Any) -> Any:
        raise error

    return spoil


def bit(y: Any) -> Any:
    """One kept number is off by one rounding."""
    y = y.clone()
    at = tuple(((y != 0) & torch.isfinite(y)).nonzero()[-1].tolist())
    y[at] = torch.nextafter(y[at], y.new_zeros(())) if y.dtype != torch.float16 else y[at] * (1 - 2**-10)
    return y


def test_a_right_kernel_is_checked_once_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake().put(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(on_gpu.serves(CPU, dtype) for dtype in ALL)
        calls = fake.calls
        assert all(on_gpu.serves(CPU, dtype) for dtype in ALL) and fake.calls == calls > 0
        assert not on_gpu.serves(CPU, torch.int32) and fake.calls == calls


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (bit, "not that of PyTorch"),
        (lambda y: y.nan_to_num(), "not that of PyTorch"),
        (lambda y: torch.where(y == 0, torch.zeros_like(y), y.flip(0)), "not that of PyTorch"),
        (failing(RuntimeError("no\nptxas")), "RuntimeError: no ptxas"),
    ],
)
def test_a_kernel_that_differs_or_fails_is_left_out_with_one_warning(
    spoil: Callable[[Any], Any], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(spoil).put(monkeypatch)
    with pytest.warns(RuntimeWarning, match=word) as seen:
        assert not any(on_gpu.serves(CPU, dtype) for dtype in ALL for _ in range(2))
    assert len(seen) == 1 and "torch.float32 on cpu" in str(seen[0].message)


def test_without_triton_one_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "_kernel", lambda: None)
    with pytest.warns(RuntimeWarning, match="Triton cannot be imported") as seen:
        assert not any(on_gpu.serves(CPU, dtype) for dtype in ALL)
    assert len(seen) == 1


def test_the_check_leaves_the_generator_and_the_defaults_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake().put(monkeypatch)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    try:
        assert on_gpu.serves(CPU, torch.float32)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_checked_while_a_graph_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake().put(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not on_gpu.serves(torch.device("cuda", 0), torch.float32) and not fake.calls and not on_gpu._usable


@built
def test_a_layout_that_fails_later_is_composed_of_the_same_coins(
    as_on_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(failing(RuntimeError("too many registers"))).put(monkeypatch)
    x = values(4, 6, 9)
    expected = torch_operator.composed(x, on_gpu.coins((4, 6, 1), 0.3, KEY), 0.3)
    with pytest.warns(RuntimeWarning, match=r"an input of shape \(4, 6, 9\).*too many registers") as seen:
        for _ in range(2):
            assert same(torch_layer.select(x, ((4, 6, 1), 0.3, KEY)), expected)
    assert len(seen) == 1 and fake.calls == 1


# the layer, with the key of a GPU


@pytest.fixture(params=["a fake", pytest.param("the kernel", marks=[interpreted, ignored])])
def kernel(request: pytest.FixtureRequest, as_on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "a fake":
        Fake().put(monkeypatch)


@built
@pytest.mark.parametrize("inplace", [False, True])
def test_gradients_have_the_mask_of_the_output_of_which_nothing_is_stored(kernel: None, inplace: bool) -> None:
    layer, x = SpatialDropout(0.3, inplace=inplace), values(6, 8, 33).nan_to_num(posinf=1, neginf=1).requires_grad_()
    torch.manual_seed(3)
    y = layer(x * 1) if inplace else layer(x)
    assert inplace or y.grad_fn.saved_tensors == ()
    y.backward(torch.full_like(y, 3.0))
    torch.manual_seed(3)
    drawn = on_gpu.coins((6, 8, 1), 0.3, on_gpu.key(CPU))
    assert same(y.detach(), torch_operator.composed(x.detach(), drawn, 0.3))
    assert same(x.grad, torch_operator.composed(torch.full((6, 8, 33), 3.0), drawn, 0.3))


@built
def test_in_place_the_input_holds_the_result(kernel: None) -> None:
    for dtype in ALL:
        x = values(6, 8, 33, dtype=dtype)
        torch.manual_seed(5)
        expected = SpatialDropout(0.3)(x)
        torch.manual_seed(5)
        version = x._version
        assert SpatialDropout(0.3, inplace=True)(x) is x and same(x, expected) and x._version > version


@built
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("watched", [True, False])
def test_checkpoint_draws_the_same_mask_again(kernel: None, reentrant: bool, watched: bool) -> None:
    from torch.utils.checkpoint import checkpoint
    from torch.utils.flop_counter import FlopCounterMode

    layer, x = SpatialDropout(0.5), torch.ones(4, 64, 8, requires_grad=True)
    y = checkpoint(lambda given: layer(given * 1.0), x, use_reentrant=reentrant)
    if watched:
        with FlopCounterMode(display=False):
            y.sum().backward()
    else:
        y.sum().backward()
    assert 0 < int((y == 0).sum()) < y.numel() and torch.equal(x.grad == 0, y == 0)


@built
def test_gradients_of_gradients(kernel: None) -> None:
    layer = SpatialDropout(0.3)

    def again(x: Any) -> Any:
        torch.manual_seed(3)
        return layer(x) ** 2

    x = torch.randn(2, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(again, x) and torch.autograd.gradgradcheck(again, x)


# the kernel itself


LAYOUTS = strided_inputs.LAYOUTS | {
    "more than a tile": (lambda dtype: values(2, 3, 1031, dtype=dtype), (2, 3, 1)),
    "whole tiles": (lambda dtype: values(2, 2, 1024, dtype=dtype), (2, 2, 1)),
}


@interpreted
@ignored
@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.999, 1.0])
def test_the_kernel_is_what_the_operations_make(layout: str, dtype: Any, rate: float) -> None:
    make, shape = LAYOUTS[layout]
    x = make(dtype)
    expected = torch_operator.composed(x, on_gpu.coins(shape, rate, KEY), rate)
    y = on_gpu.in_one_pass(x, shape, rate, KEY)
    assert y is not None and same(y, expected) and y.stride() == torch.empty_like(x).stride()
    if 0 not in x.stride():
        assert on_gpu.in_one_pass(x, shape, rate, KEY, into=x) is x and same(x, expected)


@interpreted
@ignored
@pytest.mark.parametrize("rate", [2.0**-53, 5e-324, 1 - 2.0**-53, 0.1, 1 / 3])
def test_a_coin_has_53_bits(rate: float) -> None:
    """A coin drops where 53 bits are below the rate, also where the rate is one step from 0 or 1."""
    x = torch.ones(997, 3, dtype=torch.float64)
    y = on_gpu.in_one_pass(x, (997, 1), rate, KEY)
    assert y is not None and torch.equal(y == 0, on_gpu.coins((997, 1), rate, KEY).expand(997, 3))


@interpreted
@ignored
@pytest.mark.parametrize("rate", [0.3, 0.9, 1 / 3])
def test_bfloat16_rounds_to_the_nearest(rate: float) -> None:
    x = torch.arange(-(2**15), 2**15, 7, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)[None]
    y = on_gpu.in_one_pass(x, (1, 1), 5e-324, KEY)  # nothing drops
    assert y is not None and same(y, x)
    shape = tuple(x.shape)
    drawn = on_gpu.coins(shape, rate, KEY)
    y = on_gpu.in_one_pass(x, shape, rate, KEY)
    assert y is not None and same(y, torch_operator.composed(x, drawn, rate))


@interpreted
@ignored
def test_the_check_passes_under_the_interpreter() -> None:
    assert [on_gpu.fault(CPU, dtype) for dtype in ALL] == [None] * 4


@interpreted
@ignored
def test_dropped_channels_are_not_read() -> None:
    """The interpreter reads at addresses, and those of the second row on are no memory of ours."""
    x, y = values(4, 64), torch.empty(4, 64)
    programs, numbers, choices = plan(x, (4, 1), 1.0)
    assert numbers[6] == 64  # from row to row
    on_gpu._launched(x, y, KEY, (programs, (*numbers[:6], 2**40, *numbers[7:]), choices))
    assert not bool(y.any())


@compiled
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_compiled_for_a_gpu_it_moves_128_bits_and_divides_exactly(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an H100, by the compiler of Triton; this needs no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = on_gpu._kernel()
    _, numbers, choices = plan(torch.empty(16, 256, 1024, dtype=dtype), (16, 256, 1))
    kind = {torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*i16", torch.float16: "*fp16"}[dtype]
    names = kernel.arg_names
    signature = {names[0]: kind, names[1]: kind, names[2]: "*i64"}
    fixed, sixteens = dict(choices), [0, 1, 2]
    for k, number in enumerate(numbers, 3):  # as Triton itself specializes whole numbers
        signature[names[k]] = "constexpr" if number == 1 else "i32" if abs(number) < 2**31 else "i64"
        fixed.update({names[k]: 1} if number == 1 else {})
        sixteens += [k] if number % 16 == 0 else []
    signature.update(dict.fromkeys(choices, "constexpr"))
    constants = {(names.index(name),): one for name, one in fixed.items()}
    hints = {(k,): [["tt.divisibility", 16]] for k in sixteens}
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    text = triton.compile(ASTSource(kernel, signature, constants, hints), target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    wide = {"v2.b64"} if dtype == torch.float64 else {"v4.b32"}
    assert set(re.findall(r"st\.global\.(\S+)", text)) == wide
    assert set(re.findall(r"ld\.global\.(\S+)", text)) == {*wide, "b64"}, "b64: the key"
    exactly = "div.rn.f32" if dtype in (torch.bfloat16, torch.float16) else "div.rn.f64"
    assert set(re.findall(r"div\.\S*f\d+", text)) == {exactly}
