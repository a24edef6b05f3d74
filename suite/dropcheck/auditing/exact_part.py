"""The exact questions of an audit: the layer asked directly, without counting."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from dropcheck.auditing.state import Advance, Found, Opened
from dropcheck.contract import requirements
from dropcheck.contract.cases import LADDER, Case, parse_case, seed_of
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECK, blocks, row_laws
from dropcheck.judge.checks.base import Bench, finding
from dropcheck.judge.checks.exact_questions import Layer, probe
from dropcheck.judge.checks.visible import follows
from dropcheck.judge.verdicts import SHAPE
from dropcheck.plan import other_ranks
from dropcheck.plan.plan import planned
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused, Session, TargetError, ask
from dropcheck.worker.sessions import SessionPool


@dataclass
class Lent:
    """A session that goes back to its pool instead of being closed."""

    session: Session
    pool: SessionPool
    given_back: bool = False

    def submit(self, request: Any) -> None:
        self.session.submit(request)

    def collect(self) -> dict[str, Any]:
        return self.session.collect()

    def close(self) -> None:
        self.given_back = True
        self.pool.release(self.session)


def bench_of(opened: Opened, found: Found, primary: Session, second: Lent | None) -> Bench:
    request = opened.request

    def fresh() -> Session:
        assert second is not None
        second.collect()
        return second

    return Bench(
        session=primary,
        info=opened.info,
        contract=opened.contract,
        dtypes=tuple(d for d in opened.info["dtypes"] if not request.dtypes or d in request.dtypes),
        seed=seed_of(request.seed, requirements.plain(opened.name), "exact"),
        rates=tuple(opened.contract.rates or request.rates or LADDER),
        profile=request.profile,
        traits=found.traits,
        fresh_session=fresh if second is not None else None,
        planned=tuple(planned(request, opened.name, opened.contract, opened.info)),
        resolution=request.resolution,
        named=bool(request.cases or request.shapes),
        cases=tuple(parse_case(str(case)) for case in request.cases),
        requested=bool(request.rates),
    )


def exact_results(
    opened: Opened, found: Found, advance: Advance, bench: Bench, primary: Session, second: Lent | None
) -> list[Finding]:
    """The exact questions, in the order of judgement; both sessions go to the units afterwards.

    One that broke is discarded: while the pool counted it, whoever waits for a session would wait for ever.
    """
    whole = False
    try:
        answers = asked_exactly(opened, found, advance, bench)
        whole = True
        return answers
    finally:
        (opened.pool.release if whole else opened.pool.discard)(primary)
        if second is not None and not second.given_back:
            opened.pool.discard(second.session)


def asked_exactly(opened: Opened, found: Found, advance: Advance, bench: Bench) -> list[Finding]:
    request = opened.request
    apart = bench.contract.pattern.apart  # their counted checks are asked here, too
    exact = [c for c in opened.checks if c.observe is not None or apart]
    answers: dict[str, list[Finding]] = {}
    # the check that needs the second process goes first, so that the process is free to count
    for number, check in enumerate(sorted(exact, key=lambda c: c.name != "seed.reproducible")):
        advance.exact_done = number / len(exact)
        advance.tell("running", check.name)
        limits = check.limits(request.profile, None, request.strict, request.resolution)
        started = time.perf_counter()
        try:
            if apart:
                some = (blocks if bench.contract.pattern.blocks else row_laws).asked(
                    check, bench, limits, request.profile
                )
            else:
                assert check.observe is not None
                some = check.observe(check, bench, limits)
        except Refused as refused:
            some = [finding(check, "exact", "error", f"the layer raised {refused} ({refused.where})")]
        answers[check.name] = [opened.replayable(f, replayed(f)) for f in some]
        found.so_far.extend(answers[check.name])
        found.clock.judge_s += time.perf_counter() - started
    advance.exact_done = 1.0
    if opened.audit.has("seed.distinct") or opened.audit.has("seed.neighbours"):
        _seeds_beside(opened, found, bench)
    return [one for check in exact for one in answers[check.name]]


def replayed(one: Finding) -> Case | None:
    """The case that repeats a finding by itself: of sizes of daily use, those sizes. Other exact questions have no case."""
    if one.verdict != "fail" or "sizes" not in one.tallies or " calls=" not in one.case:
        return None
    return parse_case(one.case)


def _seeds_beside(opened: Opened, found: Found, bench: Bench) -> None:
    """Whether seeds reach the layer, where nobody selected that: what many seeds show depends on it."""
    check = CHECK["seed.reproducible"]
    if opened.audit.has(check.name):
        return
    assert check.observe is not None
    with contextlib.suppress(Refused):
        found.beside.extend(check.observe(check, bench, check.limits(opened.request.profile)))


def _first_refusal(contract: Contract, bench: Bench) -> None:
    """A layer that cannot be built or called at all is an error with its own words, not a list of failures."""
    rate = (contract.rates or (0.3,))[0]
    way = contract.seeds[0] if contract.seeds else "global"
    dtype = bench.first
    x = probe(contract.pattern, dtype, 3, 5, 2)
    guessed = f" ({bench.info['guessed']})" if bench.info.get("guessed") else ""
    try:
        made = ask(bench.session, "make", rate=rate, dtype=dtype, seed=bench.seed, way=way)
    except Refused as refused:
        if refused.kind == "Undeclared":
            raise UsageError(refused.message) from refused
        raise TargetError(
            f"the constructor rejects rate {rate:g}: {refused}{guessed}", "\n".join(refused.lines)
        ) from refused
    try:
        ask(bench.session, "apply", id=made["id"], x=x, dtype=dtype, layout="contiguous", training=True, record=False)
    except Refused as refused:
        if refused.kind == "Undeclared":
            raise UsageError(refused.message) from refused

        def called(pattern: Pattern) -> None:
            given = probe(pattern, dtype, 3, 5, 2)
            ask(
                bench.session,
                "apply",
                id=made["id"],
                x=given,
                dtype=dtype,
                layout="contiguous",
                training=True,
                record=False,
            )

        other = other_ranks.taken(contract.pattern, called)
        hint = f", and {other_ranks.sentence(contract.pattern, other[0])}" if other is not None else ""
        raise TargetError(
            f"the layer raises when called on a {dtype} input of shape {x.shape} ('{contract.pattern}'){hint}: {refused}{guessed}",
            "\n".join(refused.lines),
        ) from refused


def refused_dtypes(opened: Opened, found: Found, bench: Bench) -> None:
    """Dtypes that the layer refuses at its first call are one finding of form.shape-dtype and asked nothing else.

    Raises TargetError where it can be called in none of them, or not be built. The calls of all dtypes but the first have the
    shape of the exact questions, for which frameworks compile anyway.
    """
    first: TargetError | None = None
    for dtype in bench.dtypes:
        try:
            if dtype == bench.first:
                _first_refusal(opened.contract, bench)
            elif (refused := _refusal(bench, dtype, 33, 65, 3)) and _refusal(bench, dtype, 3, 5, 2):
                bench.refused[dtype] = refused
        except TargetError as error:
            if not isinstance(error.__cause__, Refused) or error.__cause__.where != "call":
                raise
            first, bench.refused[dtype] = error, str(error.__cause__)
    if first is not None and len(bench.refused) == len(bench.dtypes):
        raise first
    if bench.refused:
        bench.dtypes = tuple(d for d in bench.dtypes if d not in bench.refused)
        found.traits["refused dtypes"] = ", ".join(bench.refused)


def _refusal(bench: Bench, dtype: str, *sizes: int) -> str:
    """The words with which a layer refuses a training call in a dtype; empty where it does not."""
    try:
        Layer(bench, (bench.contract.rates or (0.3,))[0], dtype).call(probe(bench.contract.pattern, dtype, *sizes))
    except Refused as refused:
        return "" if refused.where == "unsupported" else str(refused)
    return ""


def unasked(opened: Opened, bench: Bench) -> list[Finding]:
    """Of each check but the one that tells of it, that a refused dtype was not asked; an error where that one is not selected."""
    told = opened.audit.has(SHAPE)
    words = "{}: the layer rejects {}; --dtype {} skips it"
    return [
        finding(
            check,
            dtype,
            "skipped" if told else "error",
            words.format(follows(SHAPE) if told else "not judged", dtype, ",".join(bench.dtypes)),
        )
        for dtype in bench.refused
        for check in opened.checks
        if check.name != SHAPE
    ]
