"""Instruments show the masks of attention and recurrent layers exactly; planted defects in such layers are caught by name."""

from __future__ import annotations

import math
from typing import Any

import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern

torch = pytest.importorskip("torch")

from kits import planted_attention as planted  # noqa: E402

import spatial_dropouts  # noqa: E402
from spatial_dropouts import instruments  # noqa: E402

ATTENTION, RECURRENT = "n h=4 q k=64 -> n h q k", "t=2 n h=64 -> t n h"
CASES = ("float32 rate=0.5 64,64,1 calls=40", "float32 rate=0.3 64,64,1 calls=40")
CHECKS = ("mask.whole-channels", "mask.distinct-channels", "mask.distinct-samples", "mask.distinct-calls",
          "rate.marginal", "scale.kept-values", "mode.inference", "gradient.mask", "rate.one")  # fmt: skip


def failing(layer: type[Any], pattern: str, shared: int = 1) -> set[str]:
    """Checks that fail, and none that raises."""
    one = Implementation(
        make=layer,
        adapter="spatial_dropouts.instruments.torch_adapter:TorchInstrument",
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern)),
    )
    cases = [text.replace(",1 ", f",{shared} ") for text in CASES]
    result = dropcheck.audit(one, select=CHECKS, cases=cases, in_process=True, jobs=1, causes=False)
    findings = [f for t in result.targets for f in t.findings]
    assert findings and not [f for f in findings if f.verdict == "error"]
    return {f.check for f in findings if f.verdict == "fail"}


@pytest.mark.parametrize(
    ("layer", "check"),
    [
        (planted.Manual, None),
        (planted.OneMaskForAllHeads, "mask.distinct-samples"),
        (planted.OneMaskForTheBatch, "mask.distinct-samples"),
        (planted.NotRescaled, "scale.kept-values"),
        (planted.IgnoresRateOne, "rate.one"),
        (planted.DroppedInInference, "mode.inference"),
        (planted.BackwardDrawsAgain, "gradient.mask"),
    ],
)
def test_planted_attention(layer: type[Any], check: str | None) -> None:
    assert failing(layer, ATTENTION) == ({check} if check else set())


@pytest.mark.parametrize(
    ("layer", "check"),
    [
        (planted.ManualStack, None),
        (planted.OneMaskForAllSteps, "mask.distinct-samples"),
        (planted.OneMaskForAllSequences, "mask.distinct-samples"),
        (planted.SecondDirectionCopies, "mask.distinct-channels"),
        (planted.StackNotRescaled, "scale.kept-values"),
        (planted.StackIgnoresRateOne, "rate.one"),
        (planted.StackDropsInInference, "mode.inference"),
    ],
)
def test_planted_stacks(layer: type[Any], check: str | None) -> None:
    assert failing(layer, RECURRENT) == ({check} if check else set())


def test_a_mask_that_is_renewed_at_each_step_is_another_pattern_than_one_for_all_steps() -> None:
    assert failing(planted.ManualStack, "t=2 n h=64 -> n h", shared=2) >= {"mask.whole-channels"}


TORCH = sorted(name for name, one in instruments.REGISTER.items() if one.framework == "torch")


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_instruments_are_exact(name: str, dtype: str) -> None:
    """Elements are 0 or the rounded 1 / (1 - rate), and inference gives the input back, bit for bit."""
    entry = spatial_dropouts.REGISTER[name]
    from spatial_dropouts.adapters.loading import loaded

    place, _, attr = str(entry.make).partition(":")
    kind = getattr(torch, dtype)
    for rate in (0.3, 0.9, 0.99):
        layer = getattr(loaded(place), attr)(rate, **entry.options)
        assert isinstance(entry.contract, Contract)
        x = torch.ones(entry.contract.pattern.shape(64, 17, 1), dtype=kind)
        y = layer.train()(x)
        assert y.shape == x.shape and y.dtype == kind
        kept = torch.ones((), dtype=kind) / torch.tensor(1 - rate, dtype=torch.float64).to(kind)
        near = torch.nextafter(kept, kept * 2) if dtype != "bfloat16" and dtype != "float16" else kept * (1 + 2**-7)
        values = set(y.flatten().tolist())
        assert len(values) == 2 and 0.0 in values
        assert abs(max(values) - 1 / (1 - rate)) <= 2 * abs(float(near) - float(kept)) + 1e-12
        assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("name", TORCH)
def test_the_gradient_is_that_of_the_real_layer(name: str) -> None:
    """0 exactly where the forward pass dropped, and the incoming gradient times the scale elsewhere."""
    from spatial_dropouts.adapters import adapter_for, load

    entry = spatial_dropouts.REGISTER[name]
    adapter = adapter_for(load(str(entry.make)), entry)
    x = torch.ones(adapter.contract.pattern.shape(64, 17, 1))
    y, gradient = adapter.gradient(adapter.make(0.5, "float32", 1, "global"), x, torch.full_like(x, 0.75))
    assert gradient is not None and 0 < int((y == 0).sum()) < y.numel()
    assert torch.equal(gradient, 0.75 * y)


@pytest.mark.parametrize("name", ["torch.sdpa#weights", "torch.MultiheadAttention#weights"])
@pytest.mark.parametrize("rate", [-0.1, math.nan])
def test_what_is_no_rate_reaches_the_code_of_attention_that_reads_it(name: str, rate: float) -> None:
    """A kernel that raises for any dropout would hide that PyTorch runs such rates as 0 elsewhere (seen in 2.13.0)."""
    from spatial_dropouts.adapters import load

    layer = load(str(spatial_dropouts.REGISTER[name].make))(rate).train()
    x = torch.ones(2, 2, 8, 8)
    try:
        assert torch.equal(layer(x), x)
    except (RuntimeError, ValueError) as error:  # a release that refuses it says so of the rate
        assert "probability" in str(error)


def test_vmap_is_skipped_with_a_reason() -> None:
    from dropcheck.contract.adapter import Unsupported
    from spatial_dropouts.adapters import adapter_for, load

    entry = spatial_dropouts.REGISTER["torch.sdpa#weights"]
    adapter: Any = adapter_for(load(str(entry.make)), entry)
    for mode, reason in entry.withheld.items():  # what `dropcheck list` says that it has not
        with pytest.raises(Unsupported, match=reason):
            adapter.use(mode)


def test_padding_of_packed_sequences_spends_no_coins() -> None:
    """One call of 12 packed elements draws as much from the generator as a dropout of 12 x 64 numbers."""
    from spatial_dropouts.instruments.torch_stacks import Packed

    layer = Packed(0.5, "GRU").train()
    x = torch.ones(12, 64)
    layer(x)
    torch.manual_seed(5)
    layer(x)
    after = torch.get_rng_state()
    torch.manual_seed(5)
    torch.nn.functional.dropout(torch.ones(12, 64))
    assert torch.equal(torch.get_rng_state(), after)


def test_an_empty_batch_is_not_packed_as_pytorch_refuses_to() -> None:
    from dropcheck.contract.adapter import Unsupported
    from spatial_dropouts.instruments.torch_stacks import Packed

    with pytest.raises(RuntimeError, match="empty"):
        torch.nn.utils.rnn.pack_padded_sequence(
            torch.ones(0, 5, 3), torch.zeros(0, dtype=torch.int64), batch_first=True
        )
    with pytest.raises(Unsupported, match="no empty batch"):
        Packed(0.5, "GRU").train()(torch.ones(0, 64))


@pytest.mark.parametrize("name", ["torch.sdpa#weights", "torch.LSTM#between"])
def test_what_the_instrument_fixes_is_skipped_with_that_reason(name: str) -> None:
    result = dropcheck.audit(name, select=("mask.ignores-values", "rate.one"), in_process=True, jobs=1, rates=(0.5,))
    (target,) = result.targets
    assert {f.check: f.verdict for f in target.findings} == {"rate.one": "pass", "mask.ignores-values": "skipped"}
    (skipped,) = (f for f in target.findings if f.verdict == "skipped")
    assert skipped.message == "the instrument fixes the input of the layer: its values are constants"


def test_threads_are_not_asked_of_an_instrument_that_serves_one_at_a_time() -> None:
    # a hook of one thread was given the output of the other: a correct layer failed
    result = dropcheck.audit("torch.TransformerEncoderLayer#weights", select=("mode.threads",), in_process=True, jobs=1)
    (found,) = result.targets[0].findings
    assert found.verdict == "skipped" and found.message.endswith("one thread at a time")


def test_what_a_model_hidden_draw_is_audited_as_is_registered() -> None:
    from dropcheck.contract.sites import AUDITED_AS, LAYERS_AUDITED_AS

    assert set(AUDITED_AS.values()) <= set(spatial_dropouts.REGISTER)
    layers = {name for kinds in LAYERS_AUDITED_AS.values() for names in kinds.values() for name in names}
    assert layers <= set(spatial_dropouts.REGISTER)


def test_they_are_registered_and_no_default() -> None:
    assert set(instruments.REGISTER) <= set(spatial_dropouts.REGISTER)
    assert not any(one.default for one in instruments.REGISTER.values())
