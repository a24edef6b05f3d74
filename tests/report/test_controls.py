"""One cause, one failure: what a control shows too is not a check's own failure; what only a control shows is one."""

from __future__ import annotations

from pathlib import Path

import pytest

import dropcheck
from dropcheck.results.audit import NOT_INTERPRETABLE, TargetResult

ASKED = ("form", "gradient", "scale", "mode", "mask.whole-channels", "rate.zero", "rate.one")
FEW = "float32 rate=0.3 33,65,{} calls=4"  # few coins: what is asked here is exact
TORN = "spatial_dropouts.broken.controls_torch:Elements"


def audited(name: str, dtypes: tuple[str, ...] = ("float32",), **more: object) -> TargetResult:
    alone = name == "torch.Dropout" or "element" in str(name).lower()
    cases = (FEW.format(1 if alone and "pattern" not in more else 3),)
    asked: dict[str, object] = {"select": ASKED, "cases": cases, "in_process": True, "jobs": 1, "causes": False, **more}
    (target,) = dropcheck.audit(name, dtypes=dtypes, **asked).targets  # type: ignore[arg-type]
    assert target.error is None, target.error
    return target


def failing(target: TargetResult) -> set[str]:
    return {f.check for f in target.findings if f.verdict in ("fail", "error")}


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        (TORN, {"mask.whole-channels"}),  # elements that disagree: its gradient is exact
        ("broken.not-scaled", {"scale.kept-values"}),
        ("broken.scaled-by-rate", {"scale.kept-values"}),
        ("broken.overwrites-input", {"form.input-untouched"}),
        ("broken.in-place", {"form.input-untouched"}),
        ("broken.functional-inference", {"mode.inference"}),
        ("broken.small-become-zero", {"scale.kept-values"}),
        ("broken.elements-from-output", {"gradient.mask"}),
        ("broken.elements-leak", {"form.nonfinite"}),
        ("broken.backward-no-scale", {"gradient.scale"}),
        ("broken.backward-from-output", {"gradient.mask"}),
        ("broken.ignores-strides", {"form.strides"}),
        ("broken.permutes-transposed", {"form.strides"}),
        ("broken.first-batch-frozen", {"form.batch-change"}),
        ("broken.edge-nan", {"gradient.edges"}),
        ("unusual.elements-saved", set()),
    ],
)
def test_the_checks_that_fail(name: str, checks: set[str]) -> None:
    target = audited(name, **({"pattern": "n c l -> n c"} if name == TORN else {}))
    assert failing(target) == checks, [(f.check, f.case, f.message) for f in target.findings if f.verdict == "fail"]


def test_what_follows_from_another_failure_says_from_which() -> None:
    target = audited("broken.not-scaled", select=("form.strides", "form.batch-change"))
    assert target.findings and not failing(target)
    told = [f.message for f in target.findings if f.verdict == "skipped"]
    told = [m for m in told if not m.startswith("the first call is wrong already")]
    assert told and all(m.startswith(f"{NOT_INTERPRETABLE} scale.kept-values fails: ") for m in told)


def test_a_gradient_that_has_the_forward_passes_wrong_scale_keeps_its_own_claim() -> None:
    target = audited("broken.scaled-by-rate", select=("gradient.scale",))
    assert {f.verdict for f in target.findings} == {"pass"}
    assert any("the backward pass has the scale of the forward pass, 3.33333" in f.message for f in target.findings)


SINGLE = """
import torch

class Layer(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        return x * (torch.rand(x.shape) >= self.p) * float(torch.tensor(1 / (1 - self.p), dtype=torch.float32))
"""


def test_a_factor_that_all_share_is_the_gradients_of_zeros_that_stand_alone_too(tmp_path: Path) -> None:
    file = tmp_path / "single.py"
    file.write_text(SINGLE)
    asked = ("gradient.scale", "scale.kept-values")
    cases = ("float64 rate=0.3 33,65,1 calls=4",)
    target = audited(f"{file}:Layer", dtypes=("float64",), pattern="n c l -> n c l", select=asked, cases=cases)
    assert failing(target) == {"scale.kept-values"}, [(f.check, f.case, f.message) for f in target.findings]
    zeros = next(f for f in target.findings if f.case == "float64 rate=0.3 grad zeros" and f.check == "gradient.scale")
    assert zeros.verdict == "pass" and zeros.message.startswith("the backward pass has the scale of the forward pass")


GROWING = """
import torch

class Growing(torch.autograd.Function):  # the factor doubles from step to step
    @staticmethod
    def forward(ctx, x, mask, wrong):
        factors = mask * 2.0 ** torch.arange(x.shape[-1])
        ctx.save_for_backward(factors * wrong)
        return x * factors

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None, None

class Layer(torch.nn.Module):
    wrong = 1.0

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        mask = (torch.rand(*x.shape[:2], 1) >= self.p) / (1 - self.p)
        return Growing.apply(x, mask, self.wrong)

class Wrong(Layer):
    wrong = 3.0
"""


@pytest.mark.parametrize(("layer", "more"), [("Layer", set()), ("Wrong", {"gradient.scale"})])
def test_an_element_of_zero_has_no_factor_where_those_of_its_channel_differ(
    layer: str, more: set[str], tmp_path: Path
) -> None:
    file = tmp_path / "growing.py"
    file.write_text(GROWING)
    target = audited(f"{file}:{layer}", select=("gradient.scale", "scale.kept-values"))
    assert failing(target) == {"scale.kept-values", *more}, [(f.check, f.case, f.message) for f in target.findings]


def test_single_elements_show_no_coin_without_a_seed_that_repeats() -> None:
    pattern = dropcheck.Pattern.parse("n c l -> n c l")
    unseeded = dropcheck.Implementation(
        make="spatial_dropouts.unusual.controls_torch:ElementsSaved",
        contract=dropcheck.Contract(pattern=pattern, seeds=(), promises=("nonfinite",)),
    )
    target = audited(unseeded, select=("form.nonfinite", "gradient.mask"))  # type: ignore[arg-type]
    unseen = [f for f in target.findings if f.message.startswith("not visible: each drop decision covers one element")]
    assert {f.check for f in unseen} == {"form.nonfinite", "gradient.mask"}
    assert {f.verdict for f in unseen} == {"skipped"} and all("zeros" in f.case or "NaN" in f.case for f in unseen)


def test_torch_dropout_leaks_and_is_seen_to() -> None:
    target = audited("torch.Dropout", select=("form.nonfinite",), strict=True)
    assert failing(target) == {"form.nonfinite"}


def test_a_dtype_that_a_layer_refuses_is_one_finding_and_asked_nothing_else() -> None:
    target = audited("broken.no-bfloat16", ("float32", "bfloat16"))
    (one,) = [f for f in target.findings if f.verdict in ("fail", "error")]
    assert one.check == "form.shape-dtype" and "To skip bfloat16: --dtype float32" in one.message
    rest = [f for f in target.findings if f.case.startswith("bfloat16") and f is not one]
    assert rest and {f.verdict for f in rest} == {"skipped"}
    assert all(f.message.startswith(f"{NOT_INTERPRETABLE} form.shape-dtype fails") for f in rest)
    assert target.traits["refused dtypes"] == "bfloat16"


def test_a_refused_dtype_is_missing_evidence_where_the_check_that_tells_of_it_is_not_asked() -> None:
    target = audited("broken.no-bfloat16", ("float32", "bfloat16"), select=("rate.zero",))
    assert target.verdict == "error" and {f.check for f in target.findings} == {"rate.zero"}


def test_a_layer_that_refuses_every_dtype_is_an_error() -> None:
    (target,) = dropcheck.audit("broken.no-bfloat16", in_process=True, jobs=1, dtypes=("bfloat16",)).targets
    assert target.verdict == "error" and target.error is not None and not target.findings


def test_a_wrong_value_is_shown_with_the_digits_that_tell_it_apart() -> None:
    target = audited("broken.adds-noise", ("float64",), select=("scale.kept-values",))
    one = next(f for f in target.findings if f.verdict == "fail")
    assert "relative error" in one.message
    near = audited("broken.factor-rounded-up", ("float64",), select=("scale.mean",), strict=True)
    assert near.findings


def test_a_gradient_that_is_wrong_says_what_it_is_and_how_often() -> None:
    target = audited("broken.backward-one-in-fifty", select=("gradient.scale",))
    one = next(f for f in target.findings if f.verdict == "fail")
    assert (
        "median factor of the wrong ones is 2.85714, expected 1.42857" in one.message
        and one.estimate == pytest.approx(2 * (one.expected or 0.0), rel=1e-4)
    )
