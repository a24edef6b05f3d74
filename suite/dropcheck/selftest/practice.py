"""Side by side with today's practice: what the frameworks' own assertions and a user's scripts catch, miss and accuse."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from dropcheck.contract.cases import seed_of
from dropcheck.results.selftest import Comparison, Outcome, Score
from dropcheck.selftest.assertions import FRAMEWORKS
from dropcheck.selftest.practice_chart import figure
from dropcheck.selftest.scripts import SCRIPTS
from dropcheck.selftest.subject import Battery, NotRunnable, opened, started
from dropcheck.statistics.binomial import clopper_pearson
from dropcheck.worker.client import LocalSession, Session, TargetError

__all__ = ["BATTERIES", "ask", "compared", "figure", "ours_from", "score", "table"]

BATTERIES: tuple[Battery, ...] = (*FRAMEWORKS, *SCRIPTS)
LEVEL = 0.05  # the printed intervals of the share of accusing runs are exact, of level .95
OURS = "dropcheck"


def ask(battery: Battery, layer: str, root: int, runs: int) -> Outcome:
    """Put one battery to one layer ``runs`` times, each with a seed derived from root, battery, layer and run.

    A layer that needs a process of its own is opened anew in it for each run; the process starts once.
    Raises UnknownTarget for a name that names nothing.
    """
    seeds = [seed_of(root, "practice", battery.name, layer, run) for run in range(runs)]
    failed, words, absent, spent = 0, "", list[str](), 0.0
    session: Session | None = None
    try:
        for seed in seeds:
            try:
                session = session or started(layer)
                subject = opened(session, layer, np.random.default_rng(seed))
            except (NotRunnable, TargetError) as error:
                return Outcome(layer=layer, seeds=seeds, failed=0, seconds=spent, error=str(error))
            start, dead = time.perf_counter(), False
            try:
                with np.errstate(all="ignore"):
                    sentence, left_out = battery.ask(subject)
            except TargetError as error:  # a layer that ends its process fails the test that called it
                sentence, left_out, dead = f"the layer ended its process: {error}", (), True
            spent += time.perf_counter() - start
            if dead or isinstance(session, LocalSession):
                session.close()
                session = None
            absent.extend(reason for reason in left_out if reason not in absent)
            if sentence is not None:
                failed += 1
                words = words or sentence
    finally:
        if session is not None:
            session.close()
    return Outcome(layer=layer, seeds=seeds, failed=failed, seconds=spent, words=words, absent=absent)


def score(battery: Battery, defects: Sequence[Outcome], correct: Sequence[Outcome]) -> Score:
    """What one battery is worth: caught is a defect that fails in every run, sometimes one that fails in some."""
    asked = [o for o in defects if not o.error]
    runs = sum(o.runs for o in correct)
    accusations = sum(o.failed for o in correct)
    everything = [*defects, *correct]
    took = [o.seconds / o.runs for o in everything if o.runs]
    return Score(
        battery=battery.name,
        source=battery.source,
        asserts=battery.asserts,
        caught=[o.layer for o in asked if o.failed == o.runs],
        sometimes=[o.layer for o in asked if 0 < o.failed < o.runs],
        missed=[o.layer for o in asked if o.failed == 0],
        not_run=[f"{o.layer}: {o.error}" for o in everything if o.error],
        accusations=accusations,
        correct_runs=runs,
        accused=[o.layer for o in correct if o.failed],
        interval=clopper_pearson(accusations, runs, LEVEL),
        seconds=sum(o.seconds for o in everything),
        seconds_a_layer=statistics.median(took) if took else 0.0,
        outcomes=everything,
    )


def compared(
    said: Mapping[str, Sequence[Outcome]], *, root: int, correct: Collection[str], seconds: float
) -> Comparison:
    """What every battery, by name, said of the same layers, of which those named in ``correct`` are."""
    scores, broken, right = [], list[Outcome](), list[Outcome]()
    for battery in BATTERIES:
        if outcomes := said.get(battery.name, []):
            broken = [o for o in outcomes if o.layer not in correct]
            right = [o for o in outcomes if o.layer in correct]
            scores.append(score(battery, broken, right))
    return Comparison(
        root=root,
        runs=max((len(o.seeds) for o in broken), default=0),
        correct_runs=max((len(o.seeds) for o in right), default=0),
        layers=[o.layer for o in broken],
        correct=[o.layer for o in right],
        scores=scores,
        seconds=seconds,
    )


# --- ours -------------------------------------------------------------------------------------------------------------------


def ours_from(
    verdicts: Iterable[tuple[str, str, float]], layers: Sequence[str], correct: Sequence[str], profile: str = "quick"
) -> Score:
    """Our own audits as one more row: (layer, verdict, seconds) triples, one run a layer; only ``fail`` is an accusation.

    Layers without a triple, or whose audit ended in ``error``, count as not run, not as missed.
    """
    found = {name: (verdict, seconds) for name, verdict, seconds in verdicts}

    def outcome(name: str) -> Outcome:
        verdict, seconds = found.get(name, ("error", 0.0))
        broken = f"verdict {verdict}" if name in found else "not audited"
        return Outcome(
            layer=name,
            seeds=[0],
            failed=int(verdict == "fail"),
            seconds=seconds,
            words=verdict if verdict == "fail" else "",
            error=broken if verdict == "error" else "",
        )

    battery = Battery(
        f"{OURS} {profile}", "dropcheck: this suite", f"every check, profile {profile}, no defect named", ()
    )
    return score(battery, [outcome(n) for n in layers], [outcome(n) for n in correct])


# --- words ------------------------------------------------------------------------------------------------------------------


def table(comparison: Comparison, ours: Score | None = None) -> str:
    """The comparison as a markdown table, one row a battery, ours last."""
    lines = [
        "| tests | defects detected | sometimes | missed | correct layers that fail (of runs) | 95 % interval | seconds a layer |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in [*comparison.scores, *([ours] if ours is not None else [])]:
        low, high = one.interval
        share = f"{one.accusations} of {one.correct_runs}"
        if one.correct_runs:
            share += f" ({_percent(one.accusations / one.correct_runs)})"
        lines.append(
            f"| {one.battery} | {len(one.caught)} | {len(one.sometimes)} | {len(one.missed)} | {share} | "
            f"{_percent(low)} to {_percent(high)} | {one.seconds_a_layer:.2g} |"
        )
    lines += ["", _below(comparison, ours)]
    return "\n".join(lines)


def _below(comparison: Comparison, ours: Score | None) -> str:
    text = (
        f"{len(comparison.layers)} known defects, {comparison.runs} runs each. Detected: fails in every run; sometimes: in "
        f"some runs. {len(comparison.correct)} correct layers, {comparison.correct_runs} runs each. Free seeds from root seed "
        f"{comparison.root}; Seconds are the median of one run; {comparison.seconds:.0f} s in total."
    )
    if ours is not None:
        text += f" {ours.battery}: one audit a layer."
    absent = sorted({r for s in [*comparison.scores, *([ours] if ours else [])] for r in s.not_run})
    return text + (f" Not run: {'; '.join(absent)}." if absent else "")


def _percent(share: float) -> str:
    return f"{share * 100:.{1 if share * 100 < 10 else 0}f} %"
