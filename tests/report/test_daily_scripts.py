"""Scripts of what a layer in daily use fails: each acquits right layers, and stands alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from kits.forked import Parents
from kits.script import failed, run_here

from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.report.reproduction import Confirmed, NotConfirmed, confirm, write
from dropcheck.report.reproduction.daily_bodies import DAILY
from dropcheck.results.audit import Finding, TargetResult

PLAIN = [
    ("seed.instances", "float32 rate=0.5 two layers, one global seed"),
    *(("form.copies", f"float32 rate=0.3 {way}") for way in ("copy.deepcopy", "pickle", "copy.deepcopy in turn")),
    *(("rate.set-later", f"float32 rate={case}") for case in ("0.8 set later", "0.15 set later", "0.3 beside 0.8")),
]
TORCH = [
    *(("form.copies", f"float32 rate=0.3 {way}") for way in ("torch.save", "state_dict", "state_dict in turn")),
    ("gradient.two-passes", "float32 rate=0.3 two passes, first"),
    *(("gradient.cotangents", f"float32 rate=0.3 {kind} cotangent") for kind in ("expanded", "transposed", "strided")),
    ("gradient.second-derivative", "float32 rate=0.3 second derivative"),
    *(("mode.settings", f"float32 rate=0.3 {name}") for name in ("no_grad", "enable_grad", "inference_mode")),
    *(("mode.settings", f"float32 rate=0.3 {name} default dtype") for name in ("wider", "narrower")),
    ("mode.settings", "float32 rate=0.3 deterministic algorithms"),
    ("mode.threads", "float32 rate=0.5 two threads"),
]


def of(
    target: str, check: str, case: str, framework: str, contract: Contract | None = None
) -> tuple[TargetResult, Finding]:
    """A result of that target, and one failing finding in it."""
    name = "p" if target.startswith("torch.") else "rate"
    contract = contract or Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("global",))
    return failed(
        target,
        framework,
        contract,
        check,
        case,
        f"after `.{name} = 0.8` (before: 0.3), 30% of the decisions drop, expected 80%",
    )


@pytest.mark.parametrize(
    "target, framework, check, case",
    [
        *(("torch.Dropout1d", "torch", *one) for one in (*PLAIN, *TORCH)),
        *(("custom.reference", "numpy", *one) for one in PLAIN if "global" not in one[1]),
        ("custom.reference", "numpy", "seed.instances", "float32 rate=0.5 two layers, one generator for both"),
        ("custom.reference", "numpy", "seed.instances", "float32 rate=0.5 two layers, generators of two seeds"),
        ("torch.functional.dropout1d", "torch", "mode.threads", "float32 rate=0.5 two threads"),
    ],
)
def test_scripts_of_daily_use_acquit_right_layers(
    target: str, framework: str, check: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = write(*of(target, check, case, framework))
    assert "dropcheck" not in script and len(script.splitlines()) <= (200 if check == "mode.threads" else 162)
    status, said = run_here(script, tmp_path, monkeypatch)
    assert status == 0 and "control: " in said, said


KERAS = Contract(pattern=Pattern.parse("n l c -> n c"), seeds=("global", "constructor"))
KEYED = Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("key",))
ELSEWHERE = [
    ("broken.keras-config-forgets-rate@jax", "keras@jax", KERAS, "form.copies", "float32 rate=0.3 clone_model", True),
    (
        "keras.SpatialDropout1D@jax",
        "keras@jax",
        KERAS,
        "gradient.two-passes",
        "float32 rate=0.3 two passes, first",
        False,
    ),
    (
        "keras.SpatialDropout1D@tensorflow",
        "keras@tensorflow",
        KERAS,
        "gradient.second-derivative",
        "float32 rate=0.3 second derivative",
        False,
    ),
    (
        "broken.jax-key-held-on-the-module",
        "jax",
        KEYED,
        "gradient.two-passes",
        "float32 rate=0.3 two passes, first",
        True,
    ),
]


@pytest.mark.parametrize("target, framework, contract, check, case, shown", ELSEWHERE)
def test_scripts_of_daily_use_in_other_frameworks(
    target: str,
    framework: str,
    contract: Contract,
    check: str,
    case: str,
    shown: bool,
    parents: Parents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("jax", "keras") if "jax" in target else ("tensorflow", "keras"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    parents.scripts_of(monkeypatch, confirm)
    got = confirm(*of(target, check, case, framework, contract))
    assert isinstance(got, Confirmed) if shown else isinstance(got, NotConfirmed) and got.ran and not got.control, got


CRASHES = """
import math
import torch

def wrapped(a, b):
    try:
        return a / b
    except ZeroDivisionError as error:
        raise RuntimeError(f"backend: {error}") from error

class Mine(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.factor = WORTH

    def forward(self, x):
        return x
"""


@pytest.mark.parametrize("worth", ["(1 - p) ** -0.5", "[][0] if p == 1 else 1", "wrapped(1, 1 - p)", "1"])
def test_a_crash_at_rate_1_is_shown_and_a_refusal_is_not(
    worth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(CRASHES.replace("WORTH", worth))
    monkeypatch.chdir(tmp_path)
    alpha = Contract.alpha("n c l -> n c l")  # at rate 1 its promise is 0, too
    script = write(*of("mine.py:Mine", "rate.one", "float32 rate=1", "torch", alpha))
    status, said = run_here(script, tmp_path, monkeypatch)
    assert status == 1 and ("crashes" in said) == (worth != "1"), said
    (tmp_path / "mine.py").write_text(CRASHES.replace("WORTH", "1 if p < 1 else int('rate 1 is refused')"))
    status, said = run_here(script, tmp_path, monkeypatch)
    assert status == 0 and "rejected: ValueError" in said, said


def test_what_a_framework_has_not_has_no_script() -> None:
    with pytest.raises(UsageError, match=r"no script for mode\.threads"):
        write(*of("custom.reference", "mode.threads", "float32 rate=0.5 two threads", "numpy"))
    assert set(DAILY) == {check for check, _ in (*PLAIN, *TORCH)}
    words = "float32 rate=0.3 two passes, first"
    with pytest.raises(UsageError, match="affine"):
        write(*of("torch.AlphaDropout", "gradient.two-passes", words, "torch", Contract.alpha("n c l -> n c l")))
    realised = Contract(pattern=Pattern.parse("n c h w -> n c h/3 w/3"), scale="realised", seeds=("generator",))
    with pytest.raises(UsageError, match="overlapping blocks"):
        write(*of("broken.blocks-flat", "rate.marginal", "float32 rate=0.1 5,33,2 calls=3", "numpy", realised))
