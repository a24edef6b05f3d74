"""Rates 0 and 1: coins are those of the pattern, leaks of the printed size are seen, crashes are no refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECKS, rate_edges, rate_one, rate_zero
from dropcheck.judge.checks.base import BETA, Limits
from dropcheck.judge.checks.exact_questions import by_coin, coins_of
from dropcheck.judge.checks.refusals import crashed_at_rate
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused

CHECK = {c.name: c for c in CHECKS}
PATTERNS = ("n c l -> n c", "n c l -> n", "n c l -> c", "n c l -> n c l", "n -> n")
COARSEST = {"quick": 2**-8, "standard": 2**-9, "deep": 2**-12}


def asked(
    monkeypatch: pytest.MonkeyPatch, check: str, pattern: str, leak: float, profile: str = "quick", seed: int = 0
) -> tuple[Finding, int]:
    """What rate.zero or rate.one says of a layer whose coins err with probability ``leak``, and the coins it flipped."""
    rng, parsed, flipped = np.random.default_rng(seed), Pattern.parse(pattern), 0

    class Leaking:
        def __init__(self, bench: Any, rate: float, dtype: str) -> None:
            self.rate = rate

        def call(self, x: Any, times: int = 1) -> Any:
            nonlocal flipped
            outputs = []
            for _ in range(times):
                shape = [n if a in parsed.coins else 1 for a, n in zip(parsed.axes, x.shape, strict=True)]
                wrong = rng.random(shape) < leak
                flipped += wrong.size
                keep = wrong if self.rate == 1 else ~wrong
                outputs.append(np.where(keep, x, 0).astype(np.float32))
            shown = SimpleNamespace(raw=outputs, dtype="float32", shape=x.shape, same_object=False)
            shown.values = lambda i=0: np.asarray(outputs[i], np.float64)
            return shown

    for module in (rate_zero, rate_one):
        monkeypatch.setattr(module, "Layer", Leaking)
    monkeypatch.setattr(rate_edges, "_DEEP", 1.0)  # the large calls of profile deep are asked below
    bench = SimpleNamespace(
        info={}, contract=Contract(parsed), dtypes=("float32",), profile=profile, traits={}, resolution=None
    )
    ask: Callable[..., list[Finding]] = rate_zero._zero if check == "rate.zero" else rate_one._one
    (found,) = ask(CHECK[check], bench, Limits(0.0, BETA, COARSEST[profile]))
    return found, flipped


@pytest.mark.parametrize("profile", ["quick", "standard"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("check", ["rate.zero", "rate.one"])
def test_the_coins_printed_are_those_that_fell_and_reach_the_profile(
    monkeypatch: pytest.MonkeyPatch, check: str, pattern: str, profile: str
) -> None:
    found, flipped = asked(monkeypatch, check, pattern, 0.0, profile)
    assert found.verdict == "pass" and found.coins == flipped == found.tallies["coins"], found.message
    assert found.resolution is not None and found.resolution <= COARSEST[profile]
    # a leak of exactly the printed size escapes with probability at most beta
    assert flipped * math.log1p(-found.resolution) <= math.log(BETA) * (1 - 1e-9)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("check", ["rate.zero", "rate.one"])
def test_a_leak_of_the_printed_size_is_caught(monkeypatch: pytest.MonkeyPatch, check: str, pattern: str) -> None:
    clean, _ = asked(monkeypatch, check, pattern, 0.0)
    size = clean.resolution or 0.0
    for seed in range(20):
        found, _ = asked(monkeypatch, check, pattern, size, seed=seed)
        assert found.verdict == "fail", "beta is 10^-6: not once in 20"
        coins = found.tallies["dropped" if check == "rate.zero" else "kept"]
        assert found.estimate == pytest.approx(coins / found.coins) and 1 <= coins <= 60, (
            "events are coins, not elements"
        )


def test_a_hundredth_of_all_paths_that_drop_at_rate_0_are_seen_with_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(50):
        assert asked(monkeypatch, "rate.zero", "n c l -> n", 0.01, seed=seed)[0].verdict == "fail"


def test_every_exact_question_of_the_edges_has_its_coins_from_the_pattern() -> None:
    for text in PATTERNS:
        pattern = Pattern.parse(text)
        for sizes in rate_edges.shapes(SimpleNamespace(info={}, contract=Contract(pattern), profile="standard")):  # type: ignore[arg-type]
            shape = pattern.shape(*sizes)
            assert coins_of(pattern, shape) == len(by_coin(pattern, np.empty(shape, bool)))


CLOSED = """
import numpy as np


def dropout(x, rate, *, training, rng):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    if not training:
        return x
    if rate == 1:
        return np.zeros_like(x)
    u = rng.integers(0, 2**{bits}, x.shape[:2] + (1,) * (x.ndim - 2), dtype=np.uint32).astype(np.float32) / np.float32(2**{bits})
    return np.where(u < np.float32(1 - rate), x / x.dtype.type(1 - rate), x.dtype.type(0))
"""


def audited(place: Path, **more: Any) -> dict[str, Finding]:
    """Case -> finding of a quick audit of ``layer.py:dropout``."""
    given: dict[str, Any] = {
        "select": ("rate.zero",),
        "dtypes": ("float32",),
        "in_process": True,
        "jobs": 1,
        "causes": False,
    }
    (target,) = dropcheck.audit(f"{place}:dropout", **{**given, **more}).targets
    assert target.error is None, target.error
    return {f.case: f for f in target.findings}


def test_a_resolution_is_reached_by_large_calls_and_finds_a_drop_in_a_million(tmp_path: Path) -> None:
    place = tmp_path / "layer.py"
    # 25 bits in single precision: one number in 2^24 or so rounds to 1
    place.write_text(CLOSED.format(bits=25))
    assert audited(place)["float32 rate=0"].verdict == "pass"
    right = CLOSED.format(bits=24)  # exact: none rounds to 1
    place.write_text(right)
    passing = audited(place, resolution=2e-6)["float32 rate=0"]
    assert passing.verdict == "pass" and (passing.resolution or 1) <= 2e-6 and passing.coins >= 6_900_000
    place.write_text(right.replace("u < np", "u * np.float32(1 + 2**-17) < np"))
    found = audited(place, resolution=2e-6)["float32 rate=0"]
    assert found.verdict == "fail" and found.tallies["dropped"] >= 1 and "drop decisions" in found.message


def test_one_coin_a_call_gets_as_many_calls_as_it_takes(tmp_path: Path) -> None:
    place = tmp_path / "layer.py"
    text = CLOSED.format(bits=24).replace("x.shape[:2] + (1,) * (x.ndim - 2)", "(1,) * x.ndim")
    place.write_text(text)
    for check, case in (("rate.zero", "float32 rate=0"), ("rate.one", "float32 rate=1")):
        found = audited(place, select=(check,), pattern="n c l -> 1")[case]
        assert found.verdict == "pass" and 3_530 <= found.coins <= 3_545, found.message
    place.write_text(text.replace("u < np", "(u < .99) & (u < np").replace("(1 - rate), x /", "(1 - rate)), x /"))
    assert audited(place, pattern="n c l -> 1")["float32 rate=0"].verdict == "fail"


def test_more_coins_than_are_ever_asked_are_said_in_words() -> None:
    limits = Limits(0.0, BETA, 1e-12)
    text = rate_edges.short(1e-7, limits)
    assert "1e-12 takes" in text and "above the limit" in text


@pytest.mark.parametrize(
    "kind, message, rate, crash",
    [
        ("ValueError", "dropout probability has to be between 0 and 1, but got 1.5", 1.5, False),
        ("ValueError", "1.0", 1.0, False),
        ("ValueError", "", 1.0, False),
        ("AssertionError", "", 1.0, False),
        ("RuntimeError", "bernoulli_ expects p to be in [0, 1], but got p=nan", math.nan, False),
        ("InvalidArgumentError", "rate must be a scalar tensor or a float in the range [0, 1)", 1.0, False),
        ("CustomError", "keep_prob must be above 0, not -0.5", 1.5, False),
        ("ZeroDivisionError", "float division by zero", 1.0, True),
        ("RuntimeError", "Expected p_in >= 0 && p_in <= 1 to be true, but got false.", 1.5, False),  # torch.bernoulli
        ("FloatingPointError", "divide by zero encountered", 1.0, True),
        ("IndexError", "list index out of range", 1.0, True),
        ("AttributeError", "'NoneType' object has no attribute 'rate'", 1.0, True),
        ("RuntimeError", "shape mismatch in kernel", 1.0, True),
        ("RuntimeError", "", 1.0, True),
        ("ValueError", "math domain error", 1.5, True),
        ("ValueError", "cannot convert float NaN to integer", math.nan, True),
        ("ValueError", "low >= high", 1.0, True),
    ],
)
def test_a_refusal_names_what_it_refuses(kind: str, message: str, rate: float, crash: bool) -> None:
    assert crashed_at_rate(Refused("call", kind, message, []), rate) is crash


EDGE = """
import numpy as np


def dropout(x, rate, *, training, rng):
    {first}
    if not training or rate == 0:
        return x
    keep = rng.random(x.shape[:2] + (1,) * (x.ndim - 2)) >= rate
    with np.errstate(all="ignore"):
        return {result}
"""
CHECKED = "if not 0 <= rate <= 1: raise ValueError(f'rate {rate} is no probability')"
MULTIPLIED = "(x * keep * (np.float64(1) / (1 - np.float64(rate)))).astype(x.dtype)"


@pytest.mark.parametrize(
    "first, result, verdict, words",
    [
        (
            CHECKED,
            "np.where(keep, x / x.dtype.type(1 / (1 / (1 - rate))), 0).astype(x.dtype)",
            "fail",
            "crashes at rate 1 in the first call: Zero",
        ),
        (CHECKED, MULTIPLIED, "fail", "all elements are NaN"),
        (CHECKED, "x / x.dtype.type(1 if rate == 1 else 1 - rate)", "fail", "all elements are kept unchanged"),
        (CHECKED, "(x / x.dtype.type(1 - rate))", "fail", "all elements are Inf"),
        (CHECKED.replace("<= 1:", "< 1:"), MULTIPLIED, "skipped", "the first call rejects rate 1"),
        (
            CHECKED,
            "np.where(keep, x / x.dtype.type(1 - rate if rate < 1 else 1), x.dtype.type(0))",
            "pass",
            "rate 1 drops everything",
        ),
    ],
)
def test_rate_1_says_what_came_out_and_what_crashed(
    tmp_path: Path, first: str, result: str, verdict: str, words: str
) -> None:
    place = tmp_path / "layer.py"
    place.write_text(EDGE.format(first=first, result=result))
    found = audited(place, select=("rate.one",))["float32 rate=1"]
    assert (found.verdict, words in found.message) == (verdict, True), found.message
    assert verdict == "pass" or ("NaN" in found.message) == ("NaN" in words)


@pytest.mark.parametrize(
    "first, case, verdict, words",
    [
        ("rate = min(max(rate, 0.3), 0.3)", "rate=1.5", "fail", "accepted rate 1.5 and dropped "),
        ("rate = 0 if rate != rate else rate", "rate=nan", "fail", "accepted rate NaN and returned its input"),
        ("rate = 1 if rate != rate else rate", "rate=nan", "fail", "accepted rate NaN and dropped everything"),
        (
            "import math; math.sqrt(1 - rate)",
            "rate=1.5",
            "fail",
            "at rate 1.5 the first call crashes: ValueError: math",
        ),
        (CHECKED, "rate=nan", "pass", "the first call rejects rate nan"),
    ],
)
def test_what_a_rate_that_is_no_probability_did(
    tmp_path: Path, first: str, case: str, verdict: str, words: str
) -> None:
    place = tmp_path / "layer.py"
    result = "np.where(keep, x / x.dtype.type(1 - rate if rate < 1 else 1), x.dtype.type(0))"
    place.write_text(EDGE.format(first=first, result=result))
    found = audited(place, select=("rate.rejects-invalid",))[case]
    assert found.verdict == verdict and words in found.message and "obey" not in found.message, found.message


INFINITE = """
import torch


class Layer(torch.nn.Module):
    def __init__(self, rate):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError("a rate is a probability")
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x.clone()
        keep = (torch.rand(x.shape[:2], dtype=torch.float64) >= self.rate)[:, :, None]
        return {result}
"""


@pytest.mark.parametrize(
    "result, failing",
    [
        # the gradient follows from a forward pass of 0 * inf
        ("x * keep.to(x.dtype) * (torch.ones((), dtype=x.dtype) / (1 - self.rate))", {"rate.one"}),
        # the forward pass selects, and the backward pass multiplies 0 by inf
        (
            "torch.where(keep, x / torch.full((), 1 - self.rate, dtype=x.dtype), torch.zeros((), dtype=x.dtype))",
            {"gradient.edges"},
        ),
    ],
)
def test_one_cause_at_rate_1_is_one_failure(tmp_path: Path, result: str, failing: set[str]) -> None:
    place = tmp_path / "layer.py"
    place.write_text(INFINITE.format(result=result))
    given: dict[str, Any] = {"dtypes": ("float32",), "in_process": True, "jobs": 1, "causes": False}
    (target,) = dropcheck.audit(f"{place}:Layer", select=("rate.one", "gradient.edges"), **given).targets
    assert {f.check for f in target.findings if f.verdict == "fail"} == failing, [f.message for f in target.findings]
    follows = [f for f in target.findings if f.check == "gradient.edges" and "because rate.one fails" in f.message]
    assert bool(follows) == (failing == {"rate.one"})
