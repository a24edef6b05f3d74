"""An audit as a run of a ledger: what one run cannot see many do, a right layer stays unaccused, and no run is dropped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import hypergeom

import dropcheck
from dropcheck.auditing.over_runs import DRAWN, SLACK, log10_e
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, Limits, finding
from dropcheck.plan.request import AuditRequest
from dropcheck.report import html, text
from dropcheck.results.audit import Finding, Result, decode, encode
from dropcheck.selftest import simulated
from dropcheck.statistics import association, evalues, homogeneity
from dropcheck.worker.sessions import SessionPool

Write = Callable[[str, str], Path]

LAYERS = '''
import time
import numpy as np

def biased(x, rate, *, training, rng):
    """A rate that is .13 points too high: three and a half standard errors of the case below, where a run sees six."""
    return right(x, rate + .0013 if 0 < rate < 1 else rate, training=training, rng=rng, scale=rate)

def right(x, rate, *, training, rng, scale=None):
    if not 0 <= rate <= 1:
        raise ValueError(rate)
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    keep = rng.random((*x.shape[:2], 1)) >= rate
    return np.where(keep, x / (1 - (rate if scale is None else scale)), 0).astype(x.dtype)

def slow(x, rate, *, training, rng):
    time.sleep(.02)
    return right(x, rate, training=training, rng=rng)

def unlucky(x, rate, *, training, rng):
    """A rate that one run just sees."""
    return right(x, rate + .0025 if 0 < rate < 1 else rate, training=training, rng=rng, scale=rate)
'''
CASE = "float32 rate=0.3 257,64,4 calls=96"
MARGINAL = next(c for c in CHECKS if c.name == "rate.marginal")
ALPHA_OF_A_CASE = MARGINAL.limits("quick").alpha


@pytest.fixture
def mine(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a target's name is part of its seeds: the same in every test run
    write("mine.py", LAYERS)
    return Path("mine.py")


def audit(mine: Path, layer: str, **options: Any) -> Result:
    options = {"cases": (CASE,), "select": ("rate.marginal",), "in_process": True, "jobs": 1, **options}
    return dropcheck.audit(f"{mine}:{layer}", ledger=mine.parent / "runs.jsonl", **options)


def sentence(done: Any) -> str:
    """The last line on standard error, behind the progress: what a refusal says."""
    last: str = done.err.splitlines()[-1]
    assert last.startswith("dropcheck: ")
    return last


def test_a_bias_too_small_for_one_run_is_caught_by_some(mine: Path) -> None:
    verdicts: list[str] = []
    for seed in range(1, 21):
        result = audit(mine, "biased", seed=seed)
        (target,) = result.targets
        (one,) = target.findings
        assert one.log10_evidence is not None and one.log10_evidence > math.log10(ALPHA_OF_A_CASE), "one run sees it"
        assert one.ledger is not None and target.ledger is not None
        assert one.ledger.runs == target.ledger.runs == seed
        assert (target.ledger.seed, result.seed) == (seed, seed)
        verdicts.append(one.verdict)
        if one.verdict == "fail":
            break
    assert verdicts[0] == "pass" and verdicts[-1] == "fail", verdicts
    assert len(verdicts) > 2
    assert one.ledger.log10_needed == pytest.approx(-math.log10(ALPHA * MARGINAL.share))
    assert one.ledger.log10_e >= one.ledger.log10_needed
    assert f"evidence after {len(verdicts)} runs" in one.message
    # the record survives the file, and both reports say a line about the ledger
    again = decode(encode(result), "r.json")
    assert again.targets[0].findings[0].ledger == one.ledger
    for shown in (text.render(result), html.render(result)):
        assert f"{len(verdicts)} finished runs of" in shown and f"root seed {seed}" in shown
    assert "over all runs of this ledger" in text.render(audit(mine, "right", seed=1), details=True)


def test_a_correct_twin_stays_unaccused_however_often_it_is_run(mine: Path) -> None:
    for run in range(1, 13):
        (one,) = audit(mine, "right").targets[0].findings
        assert one.verdict == "pass"
        assert one.ledger is not None and one.ledger.runs == run
        assert one.ledger.log10_e < 3


def test_what_one_run_would_fail_waits_for_the_ledger_and_says_how_long(mine: Path) -> None:
    alone = dropcheck.audit(
        f"{mine}:unlucky", cases=(CASE,), select=("rate.marginal",), in_process=True, jobs=1, seed=3, causes=False
    )
    first = audit(mine, "unlucky", seed=3)
    assert alone.verdict == "fail" and first.verdict == "inconclusive"
    (one,) = first.targets[0].findings
    assert "evidence after 1 run: e-value 10^" in one.message and "that it takes" in one.message
    second = audit(mine, "unlucky", seed=4)
    assert second.verdict == "fail"


def test_exact_promises_fail_in_the_first_run(write: Write, tmp_path: Path) -> None:
    path = write(
        "torn.py",
        """
        import numpy as np

        def layer(x, rate, *, training, rng):
            return np.where(rng.random(x.shape) >= rate, x / (1 - rate), 0).astype(x.dtype) if training else x
        """,
    )
    done = dropcheck.audit(
        f"{path}:layer", cases=(CASE,), select=("mask.whole-channels",), in_process=True, ledger=tmp_path / "runs.jsonl"
    )
    assert [f.verdict for f in done.targets[0].findings] == ["fail"]


def test_a_check_on_fixed_inputs_spends_its_alpha_over_the_runs() -> None:
    """scale.mean asks the same inputs in every run: run r has alpha/(r (r + 1)), and these parts add up to alpha."""
    from dropcheck.auditing.over_runs import _spent

    scale = next(c for c in CHECKS if c.name == "scale.mean")
    alpha, values, u = scale.limits("quick").alpha, 1000, 1e-7

    def found(p: float) -> Finding:
        def margin(level: float) -> float:
            return 2 * u * math.sqrt(math.log(2 / level) / (2 * values))

        mean = u + margin(p)  # Hoeffding's bound of such a mean is p
        numbers = {"fail_interval": (mean - margin(alpha), mean + margin(alpha)), "tallies": {"accepted": u}}
        return finding(scale, "float32 rate=0.3", "fail", "far off", log10_evidence=math.log10(alpha), **numbers)

    for run in (1, 2, 7):
        part = alpha / (run * (run + 1))
        assert _spent(found(0.99 * part), alpha, run).verdict == "fail"
        assert _spent(found(1.01 * part), alpha, run).verdict == "inconclusive"
    assert sum(1 / (r * (r + 1)) for r in range(1, 10_000)) <= 1
    sure = finding(scale, "float32 rate=0.3", "fail", "cannot be", log10_evidence=-math.inf)
    assert _spent(sure, alpha, 50).verdict == "fail"


def test_units_on_disk_of_one_run_are_never_taken_for_another(mine: Path) -> None:
    """Else a run with a new seed would count the coins of an old one, read from the disk, a second time."""
    from dropcheck.auditing.ledger import Entry, Ledger, Registered
    from dropcheck.auditing.state import Opened, TargetAudit
    from dropcheck.plan import targets

    names = []
    for seed in (1, 2):
        request = AuditRequest(seed=seed)
        one = TargetAudit(targets.parse("mine.py:right"), request, [], None)
        alone = Opened(one, request, {}, Contract(Pattern.parse("n c l -> n c")), cast(SessionPool, None))
        assert alone.kept_as == one.kept_as(None) == "mine.py:right"
        with open(os.devnull, "rb") as lock:
            entry = Entry(Ledger(Path("book")), Registered(seed, seed, False, lock))
            names.append(replace(alone, entry=entry).kept_as)
    assert len(set(names)) == 2


def test_drawn_cases_share_one_place_that_is_the_same_in_every_run(mine: Path) -> None:
    options = {"cases": (), "rates": (0.3,), "dtypes": ("float32",), "select": ("rate",)}
    texts, keys = [], []
    for _ in range(2):
        result = audit(mine, "right", **options)
        assert result.verdict == "pass", text.render(result)
        texts.append({f.case for f in result.targets[0].findings})
    for line in map(json.loads, (mine.parent / "runs.jsonl").read_text().splitlines()):
        if line["line"] == "finish":
            keys.append({check: set(cases) for check, cases in line["evidence"].items()})
    assert texts[0] != texts[1], "the drawn cases differ"
    # a check of samples or channels is asked in those drawn cases alone that have enough of them: perhaps in none of a run
    plain = [{check: cases - {DRAWN} for check, cases in one.items()} for one in keys]
    assert plain[0] == plain[1], "and are kept under one name"
    assert all(DRAWN in one["rate.marginal"] for one in keys)
    assert keys[0]["rate.per-shape"] == {"float32 rate=0.3"}


def test_shapes_that_are_asked_with_drawn_rates_are_pooled(mine: Path) -> None:
    options = {"cases": (), "shapes": ((64, 16, 2), (33, 17, 2)), "dtypes": ("float32",), "select": ("rate",)}
    for _ in range(2):
        audit(mine, "right", **options)
    finished = [json.loads(x) for x in (mine.parent / "runs.jsonl").read_text().splitlines()]
    one, two = (x["evidence"] for x in finished if x["line"] == "finish")
    assert {c: set(v) for c, v in one.items()} == {c: set(v) for c, v in two.items()}
    assert DRAWN in one["rate.marginal"] and DRAWN in one["rate.per-shape"]


# --- no run is dropped ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_run_that_was_stopped_must_be_repeated(call: Any, mine: Path, how: signal.Signals, code: int) -> None:
    book = mine.parent / "runs.jsonl"
    words = ["audit", "mine.py:slow", "--ledger", "runs.jsonl", "--select", "rate.marginal", "--jobs", "1"]
    words += ["--case", "float32 rate=0.3 64,64,2 calls=128"]
    long = [*words[:-1], "float32 rate=0.3 64,64,2 calls=6400"]
    killed = subprocess.Popen(
        [sys.executable, "-m", "dropcheck", *long], cwd=mine.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 120
    while not (book.exists() and book.read_bytes().endswith(b"\n")):
        assert killed.poll() is None and time.monotonic() < until, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(how)
    killed.communicate(timeout=60)
    assert killed.returncode == code
    (begun,) = map(json.loads, book.read_text().splitlines())
    refused = call(*long, "--seed", "5")
    assert refused.code == 2 and f"--seed {begun['seed']}" in sentence(refused)
    other = call(*words)
    assert other.code == 2 and "cases" in sentence(other), "another plan is another ledger"
    # the same run again, by a layer that is as quick as the test needs it: the plan is what counts
    assert begun["run"] == 1


def test_an_unfinished_run_is_repeated_with_its_own_seed(mine: Path) -> None:
    from dropcheck.auditing.ledger import Ledger

    audit(mine, "right", seed=8)
    lines = (mine.parent / "runs.jsonl").read_bytes().splitlines(keepends=True)
    identity = json.loads(lines[0])["identity"]
    left = Ledger(mine.parent / "runs.jsonl").begin(f"{mine}:right", identity)
    left.lock.close()
    with pytest.raises(UsageError, match=f"--seed {left.seed}"):
        audit(mine, "right", seed=9)
    target = audit(mine, "right").targets[0]
    assert target.ledger is not None and target.ledger.resumed
    assert (target.ledger.seed, target.ledger.runs) == (left.seed, 2)
    with pytest.raises(UsageError, match=f"root seed {left.seed} already"):
        audit(mine, "right", seed=left.seed)


def test_a_run_that_ends_in_an_error_stays_open_and_says_so(write: Write, mine: Path) -> None:
    write("mine.py", LAYERS.replace("if not training or rate == 0:", "raise OSError('no more')\n    if rate == 0:"))
    target = audit(mine, "right").targets[0]
    assert target.verdict == "error" and target.error is not None
    assert "stays open: the next audit with this ledger repeats it" in target.error
    assert target.ledger is not None and target.ledger.runs == 0


def test_what_was_found_before_the_suite_failed_is_no_verdict_of_the_ledger(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings of single runs would accuse at alpha once more in every run."""
    from dropcheck.auditing import target as examination

    def fails(*_: Any) -> None:
        raise RuntimeError("a fault of the suite")

    monkeypatch.setattr(examination.over_runs, "judged", fails)
    select = ("rate.marginal", "rate.one")
    target = audit(mine, "unlucky", select=select).targets[0]
    assert target.verdict == "error" and "dropcheck itself failed" in str(target.error)
    verdicts = {f.check: (f.verdict, f.message) for f in target.findings}
    assert verdicts["rate.marginal"][0] == "inconclusive" and "not judged over the runs" in verdicts["rate.marginal"][1]
    assert verdicts["rate.one"][0] == "pass", "an exact promise needs no ledger"


def test_another_layer_under_the_same_name_is_refused(write: Write, mine: Path) -> None:
    audit(mine, "right")
    write("mine.py", LAYERS + "\n# edited\n")
    with pytest.raises(UsageError, match="source"):
        audit(mine, "right")


def test_help_names_both_options(call: Any) -> None:
    words = " ".join(call("audit", "--help").out.split())
    assert "--ledger FILE Add this run to FILE" in words and "--sequential" in words


def test_bad_ledgers_are_refused_in_one_sentence(call: Any, mine: Path) -> None:
    words = ["audit", "mine.py:right", "--select", "rate.marginal", "--case", CASE, "--ledger"]
    done = call(*words, "runs.jsonl", "--budget", "5s")
    assert done.code == 2 and "--budget" in sentence(done)
    assert not (mine.parent / "runs.jsonl").exists()
    done = call(*words, "no/such/folder/runs.jsonl")
    assert done.code == 2 and "cannot be written" in sentence(done)
    (mine.parent / "folder").mkdir()
    done = call(*words, "folder")
    assert done.code == 2 and "cannot be read" in sentence(done)
    assert call(*words, "runs.jsonl", "--json", "r.json").code == 0
    done = call(*words, "runs.jsonl", "--profile", "standard")
    assert done.code == 2 and "profile 'quick', not 'standard'" in sentence(done)
    book = mine.parent / "runs.jsonl"
    book.write_bytes(book.read_bytes().replace(b'"run": 1', b'"run": 2', 1))
    done = call(*words, "runs.jsonl")
    assert done.code == 2 and "was changed at" in sentence(done)


def test_two_processes_and_two_targets_on_one_ledger(mine: Path) -> None:
    words = ["audit", "mine.py:right", "mine.py:slow", "--ledger", "runs.jsonl", "--select", "rate.marginal"]
    words += ["--jobs", "1", "--case", "float32 rate=0.3 257,64,2 calls=96"]
    start: Any = dict(cwd=mine.parent, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    both = [subprocess.Popen([sys.executable, "-m", "dropcheck", *words], **start) for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=240)
        assert one.returncode == 0, (out, err)
    lines = [json.loads(x) for x in (mine.parent / "runs.jsonl").read_text().splitlines()]
    begun = [x for x in lines if x["line"] == "begin"]
    assert sorted(x["target"] for x in begun) == ["mine.py:right"] * 2 + ["mine.py:slow"] * 2
    assert len({x["seed"] for x in begun}) == 4
    assert sorted(x["run"] for x in lines if x["line"] == "finish") == [1, 2, 3, 4]


# --- e-values of approximate p-values --------------------------------------------------------------------------------------


def exact_mean(population: int, marked: int, draws: int, positions: int, slack: float) -> float:
    """The largest mean of the e-value of ``positions`` such counts under any dependence, over the exact law.

    P(positions x smallest p <= u) <= positions P(p <= u/positions), and the e-value falls with p.
    """
    spread = math.sqrt(draws * marked / population)
    k = np.arange(int(draws * marked / population - 12 * spread), int(draws * marked / population + 14 * spread + 20))
    k = k[(k >= max(0, marked + draws - population)) & (k <= min(marked, draws))]
    law = hypergeom.pmf(k, population, marked, draws)
    logs = np.array([float(homogeneity.hypergeometric_log10(v, population, marked, draws)) for v in k])
    order = np.argsort(logs, kind="stable")
    reached = np.minimum(1.0, positions * np.cumsum(law[order]))
    values = [
        10 ** evalues.log10_e(min(0.0, max(-300.0, v + math.log10(positions))), slack) for v in logs[order].tolist()
    ]
    return float((np.diff(reached, prepend=0.0) * values).sum())


@pytest.mark.parametrize(("expected", "rate"), [(3, 0.01), (5, 0.1), (12, 0.01), (12, 0.3), (50, 0.05)])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.02])
def test_e_values_of_positions_are_not_anti_conservative(expected: int, rate: float, share: float) -> None:
    draws = round(expected / rate)
    population = round(draws / share)
    for positions in (1, 64, 2000):
        assert exact_mean(population, round(rate * population), draws, positions, SLACK) <= 1


def test_slack_is_needed() -> None:
    """Else the number above is for nothing: where three drops are expected, the plain e-value of 64 positions exceeds 1."""
    assert max(exact_mean(round(300 / s), round(3 / s), 300, n, 1.0) for s in (0.9, 0.5) for n in (1, 64, 2000)) > 1


@pytest.mark.parametrize(("pairs", "rate", "strata"), [(300, 0.2, 1), (60, 0.2, 5), (2000, 0.1, 1), (90, 0.5, 8)])
def test_e_values_of_association_are_not_anti_conservative(pairs: int, rate: float, strata: int) -> None:
    """Sums of hypergeometric counts given equal margins: their exact law by convolution."""
    margin = round(pairs * rate)
    k = np.arange(0, margin + 1)
    one = hypergeom.pmf(k, pairs, margin, margin)
    law = one
    for _ in range(strata - 1):
        law = np.convolve(law, one)
    tables = [np.full(strata, v) for v in (pairs, margin, margin)]
    mean = 0.0
    for total in np.flatnonzero(law > 1e-14).tolist():
        both = np.full(strata, total // strata)
        both[: total % strata] += 1
        mean += law[total] * 10 ** evalues.log10_e(association.two_sided(*tables, both), SLACK)
    assert 0.3 < mean <= 1


NULL = (
    "float32 rate=0.1 8,17,3 calls=64",
    "float32 rate=0.5 4,9,3 calls=64",
    "float32 rate=0.5 8,5,3 calls=64 values",
    "float32 rate=0.5 9,13,3 calls=128 seeds way=generator",
)


@pytest.mark.parametrize("case", NULL)
def test_e_values_of_every_check_have_mean_at_most_one(case: str) -> None:
    """Capped at 20 their variance is below 20, so that 1 is exceeded by 6 standard errors with probability below 1e-8."""
    audits = 300
    parsed = simulated.parse_case(case)
    rng = simulated.generator(1, "e-values", case)
    values: dict[str, list[float]] = {}
    for _ in range(audits):
        rows = parsed.rows * parsed.calls
        coins = rng.random((rows, parsed.channels)) < parsed.rate
        classes = simulated.classes_of(rng, parsed, rows) if parsed.regime == "values" else None
        got = simulated.record(case, coins, classes, words=1e-9)
        for check in simulated.statistical():
            if check.judge is None or check.wants is None or not check.wants(parsed):
                continue
            one = simulated.judge(check, got, Limits(1e-9))
            if one is not None:
                values.setdefault(check.name, []).append(min(20.0, 10 ** log10_e(one)))
    assert len(values) >= 1
    for name, some in values.items():
        assert np.mean(some) < 1 + 6 * np.std(some) / math.sqrt(audits), name
