"""Results made up for tests of pages: every verdict, every figure, every name that could do harm, and no layer run."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from dropcheck.judge.checks import CHECKS
from dropcheck.results.audit import Finding, Picture, Result, Statistic, TargetResult, Timing, Verdict, Waiver, overall

HOSTILE = (
    '<script>alert("x")</script>',
    "\"quoted\" 'twice' & <b>bold</b>",
    "two\nlines\x1b[31mred\x1b[0m",
    "\u202egnirts\u202c \u200fright to left",
    "--></style></title><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %} ${x}",
    "x" * 10_000,
)


def finding(check: str, verdict: Verdict = "pass", case: str = "float32 rate=0.3 257,64,4", **more: Any) -> Finding:
    """One finding with plausible numbers."""
    base: dict[str, Any] = {
        "message": f"what was seen of {check}",
        "replay": f"dropcheck audit x --select {check} --case '{case}'",
        "coins": 1_381_632,
        "resolution": 0.0123,
    }
    if verdict == "fail":
        base |= {"estimate": 0.0717, "expected": 0.0, "unit": "correlation", "log10_evidence": -321.5, "alpha": 1e-8}
    return Finding(check=check, case=case, verdict=verdict, **{**base, **more})


def drawn() -> list[Finding]:
    """Failures that have every figure."""
    rng = np.random.default_rng(7)
    rates = []
    for dtype in ("float32", "bfloat16"):
        for rate in (0.001, 0.1, 0.5, 0.9):
            seen = rate if dtype == "float32" else rate * 1.05
            rates.append(
                finding(
                    "rate.marginal",
                    "pass" if dtype == "float32" else "fail",
                    f"{dtype} rate={rate} 257,64,4",
                    estimate=seen,
                    expected=rate,
                    unit="probability of a drop",
                    fail_interval=(seen - 0.004, seen + 0.004),
                )
            )
    channels = rng.binomial(9509, 0.3, size=64)
    channels[-1] = 12
    law = stats.binom.pmf(np.arange(65), 64, 0.3) * 9509
    table = [[round(float(v), 3) for v in rng.normal(0, 0.05, size=i)] for i in range(8)]
    return [
        *rates,
        finding(
            "mask.distinct-channels",
            "fail",
            picture=Picture(
                caption="the smallest case; # kept, . dropped",
                columns="channel",
                rows=["#### ..## ?.#.", ".... ##.. #.#."],
                labels=["row 0", "row 1"],
            ),
            smallest="float32 rate=0.3 2,12,1",
            smallest_replay="dropcheck audit x --case 'float32 rate=0.3 2,12,1'",
            cause="random numbers used twice",
            defect="quads-share-a-coin",
        ),
        finding(
            "mask.dropped-count",
            "fail",
            tallies={
                "histogram": [0.0] * 18 + [4000.0, 5509.0],
                "expected": [round(float(v), 2) for v in law],
                "variance_ratio": 0.02,
            },
            statistics=[Statistic(name="Pearson chi-square", value=98765.4, degrees=23, p_value=1e-300)],
        ),
        finding("rate.per-channel", "fail", tallies={"dropped": [int(c) for c in channels], "size": 9509}),
        finding(
            "mask.independent-channels",
            "fail",
            tallies={
                "stride_correlation": {"1": 0.2, "2": -0.001, "4": 0.002},
                "matrix": {"channels": list(range(8)), "correlation": table},
            },
        ),
        finding("mask.independent-calls", "fail", tallies={"lags": {"1 calls": 0.1, "2 calls": -0.004}}),
    ]


def target(name: str, findings: list[Finding], **more: Any) -> TargetResult:
    """One target; its verdict is that of its findings."""
    base: dict[str, Any] = {
        "framework": "numpy",
        "version": "2.4.6",
        "contract": {"pattern": "n c l -> n c"},
        "verdict": overall([f.verdict for f in findings]),
        "timing": Timing(wall_s=12.3, bare_s=3.0, judge_s=1.0),
        "traits": {"returns its input in inference": True},
        "coins": sum(f.coins for f in findings),
    }
    return TargetResult(target=name, findings=findings, **{**base, **more})


def result(targets: list[TargetResult], **more: Any) -> Result:
    """One run."""
    base: dict[str, Any] = {
        "verdict": overall([t.verdict for t in targets]),
        "environment": {"python": "3.11", "cores": 2, "load": [0.4, 0.3, 0.2], "packages": {"numpy": "2.4.6"}},
        "argv": ["audit", "x"],
        "profile": "quick",
        "seed": 20141110,
        "alpha": 1e-6,
        "beta": 1e-6,
    }
    return Result(targets=targets, **{**base, **more})


def everything() -> Result:
    """Every verdict and figure in one run."""
    passes = [finding(c.name) for c in CHECKS]
    accepted = Waiver(id="W-1", reason="known upstream", expires="2027-01-31", link="https://example.org/1")
    return result(
        [
            target("good.Layer", passes),
            target("broken.Layer", [*drawn(), finding("form.empty", "skipped", message="no empty input here")]),
            target("waived.Layer", [finding("scale.mean", "waived", waiver=accepted), finding("rate.zero")]),
            target("unsure.Layer", [finding("mask.patterns", "inconclusive"), finding("rate.one", "error")]),
            target("gone.Layer", [], verdict="error", error="the worker was killed", details="Traceback\n  last line"),
            target("away.Layer", [], verdict="skipped", skipped="jax is not installed"),
        ]
    )


def hostile() -> Result:
    """Names, cases, messages and versions that would do harm if they were not escaped."""
    made = []
    for text in HOSTILE:
        some = [
            finding(f"mask.{text}", "fail", f"float32 {text}", message=text, unit=text, cause=text, replay=text),
            finding("rate.marginal", "pass", text, message=text),
            finding("seed.reset", "skipped", text, message=text),
        ]
        picture = Picture(caption=text, columns=text, rows=[text[:60], "#.#."], labels=[text, text])
        some.append(finding("mask.patterns", "fail", text, message=text, picture=picture, smallest=text))
        lags = {text: 0.3, "b": 0.1}
        some.append(finding("mask.independent-calls", "fail", text, message=text, tallies={"lags": lags}))
        waiver = Waiver(id=text, reason=text, expires=text, link="javascript:alert(1)")
        some.append(finding("scale.mean", "waived", text, message=text, waiver=waiver))
        made.append(target(text, some, framework=text, version=text, traits={text: text}, contract={"pattern": text}))
        made.append(target("away " + text, [], verdict="skipped", skipped=text))
        made.append(target("gone " + text, [], verdict="error", error=text, details=text))
    return result(made, environment={text: text for text in HOSTILE}, argv=list(HOSTILE), profile=HOSTILE[0])


def many(targets: int, checks: int, cases: int) -> Result:
    """A large run in which one target in ten fails."""
    names = [c.name for c in CHECKS][:checks]
    numbers = np.random.default_rng(3)
    made = []
    for t in range(targets):
        some = []
        for name in names:
            for case in range(cases):
                bad = t % 10 == 0 and name == "mask.dropped-count"
                counts = [int(c) for c in numbers.integers(800, 1000, size=24)]
                some.append(
                    finding(
                        name,
                        "fail" if bad else "pass",
                        f"float32 rate=0.{case + 1} 257,{64 + case},4 calls=84",
                        estimate=float(numbers.random()),
                        expected=0.0,
                        log10_evidence=-50.0 if bad else -float(numbers.random()),
                        tallies={"histogram": counts, "expected": counts},
                    )
                )
        made.append(target(f"library.Layer{t}", some))
    return result(made)
