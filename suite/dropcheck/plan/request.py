"""What one audit is asked to do, and the refusal of everything that cannot be asked, before anything runs."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dropcheck.contract import memory, modes, requirements
from dropcheck.contract.adapter import DTYPES
from dropcheck.contract.cases import parse_case
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.modes import ALL, EAGER, MODES
from dropcheck.contract.promise import ContractError, Pattern, check_rate
from dropcheck.judge import levels
from dropcheck.judge.checks import CHECKS, matching
from dropcheck.judge.checks.base import Check
from dropcheck.plan import audit_options, option_values, targets
from dropcheck.plan.profiles import PROFILES
from dropcheck.results.audit import Request

DEFAULT_SEED = 20141110
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What one audit is asked to do; see the options of the command line."""

    targets: tuple[str | targets.Target, ...] = ()
    profile: str = "quick"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    input: tuple[int, ...] | None = None  # shape of an input for a model that has none beside it
    pattern: str | None = None
    inference: str | None = None  # what inference returns, a word of contract.INFERENCE; None: what the contract says
    device: str = "cpu"
    modes: tuple[
        str, ...
    ] = ()  # of targets that name none: words of contract/modes.py; none: eager; all: every one it has
    cases: tuple[str, ...] = ()
    seed: int = DEFAULT_SEED
    jobs: int = 0
    timeout_s: float = 600.0
    memory_mb: int | None = None
    python: str | None = None
    releases: tuple[str, ...] = ()  # one text an environment, each of requirements: --with
    budget_s: float | None = None
    resolution: float | None = None
    strict: bool = False
    journal: Path | None = None
    resume: bool = False
    in_process: bool = False
    dask: str | None = None
    ledger: Path | None = None  # the audit is a run of this ledger; its evidence decides
    sequential: bool = False  # cases that ask for nothing but the rate end as soon as it is decided
    seed_given: bool = False  # the root seed was asked for; else a ledger chooses one
    fail_on: str | None = None  # a word of judge.levels.LEVELS: failures below it do not count; None: all count
    causes: bool = True  # shrink failing cases and name the likely cause
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Progress of one target."""

    target: str
    done: float
    elapsed_s: float
    remaining_s: float | None
    state: str
    message: str = ""


Progress = Callable[[Event], None]


def prepare(request: AuditRequest) -> tuple[list[targets.Target], list[Check]]:
    """Targets and checks of a request; all bad input is refused here. Raises UsageError."""
    _refuse_words(request)
    _refuse_sizes(request)
    _refuse_together(request)
    given = request.targets
    chosen = [targets.parse(t) if isinstance(t, str) else t for t in given] if given else targets.defaults()
    chosen = [t for one in chosen for t in _in_modes(one, request.modes)]
    chosen = list({t.name: t for one in chosen for t in _in_environments(one, request)}.values())
    checks = matching(request.select) if request.select else list(CHECKS)
    if request.ignore:
        left_out = {c.name for c in matching(request.ignore)}
        checks = [c for c in checks if c.name not in left_out]
    if not checks:
        raise UsageError("no check is left: everything that --select names is ignored by --ignore")
    return chosen, checks


def _word(given: str, known: Sequence[str], what: str, expected: str) -> None:
    """Refuse a word that is none of those known; ``what``: how the sentence calls it."""
    if given not in known:
        raise UsageError(f"{what.format(repr(given))}; expected {expected}{nearest(given, known)}")


def _refuse_words(request: AuditRequest) -> None:
    """Words and numbers that mean nothing."""
    _word(request.profile, list(PROFILES), "there is no profile {}", "quick, standard or deep")
    _word(request.device, DEVICES, "device {} cannot be used", " or ".join(DEVICES))
    for mode in request.modes:
        _word(mode, [*MODES, ALL], "there is no mode {}", f"one of {', '.join(MODES)}, or all")
    for dtype in request.dtypes:
        _word(dtype, DTYPES, "there is no dtype {}", f"one of {', '.join(DTYPES)}")
    try:
        for rate in request.rates:
            check_rate(rate)
        if request.pattern is not None:
            Pattern.parse(request.pattern)
    except ContractError as error:
        raise UsageError(str(error)) from error
    if request.resolution is not None and not 0 < request.resolution < 0.5:
        raise UsageError(
            f"a resolution is a difference of rates in (0, 0.5), such as 0.005, not {request.resolution:g}"
        )
    option_values.inference(request.inference)
    if request.fail_on is not None:
        levels.named(request.fail_on, "--fail-on")
    if request.python is not None and shutil.which(request.python) is None:
        raise UsageError(f"the interpreter {request.python!r} does not start: there is no such program; give its path")


def _refuse_sizes(request: AuditRequest) -> None:
    """Cases and shapes that this machine cannot hold."""
    on_cpu = request.device == "cpu"
    for text in request.cases:
        case = parse_case(text)
        size = max((case.rows, *case.batches)) * case.channels * case.shared
        memory.refuse(f"--case {text!r}", size, case.dtype, request.memory_mb, on_cpu)
    smallest = min(request.dtypes or ("float32",), key=memory.BYTES.__getitem__)
    given = [("--shape", shape) for shape in request.shapes]
    given += [("--input", request.input)] if request.input is not None else []
    for option, shape in given:
        memory.refuse(f"{option} {','.join(map(str, shape))}", math.prod(shape), smallest, request.memory_mb, on_cpu)


def _refuse_together(request: AuditRequest) -> None:
    """Options that contradict each other."""
    if request.ledger is not None and request.sequential:
        raise UsageError(
            "--ledger and --sequential do not go together: a ledger adds up runs of the same plan; leave out one of them"
        )
    if request.ledger is not None and request.budget_s is not None:
        raise UsageError(
            "--ledger and --budget do not go together: the time that is left would choose how much evidence a run gives; "
            "leave out --budget"
        )


def _in_modes(target: targets.Target, wanted: tuple[str, ...]) -> list[targets.Target]:
    """The target once a wanted mode; as it is where its name has a mode, or none is wanted."""
    if not wanted or target.mode != EAGER:
        return [target]
    every = [w for word in wanted for w in ((EAGER, *modes.of(target.framework)) if word == ALL else (word,))]
    if ALL in wanted and not target.framework:
        raise UsageError(
            f"--mode all: the framework of {target.name} is known only when it is loaded; name the modes, such as "
            "--mode compiled"
        )
    return [target.in_mode(word) for word in dict.fromkeys(every)]


def _in_environments(target: targets.Target, request: AuditRequest) -> list[targets.Target]:
    """The target once a --with; as it is where its name has an environment, or none is asked for."""
    if not request.releases:
        if target.releases and request.in_process:
            raise UsageError(f"{target.name} runs in an environment of its own, not in this process")
        return [target]
    if not request.targets:
        raise UsageError("--with audits named targets in another environment: name them, as in `audit torch.Dropout1d`")
    if request.in_process:
        raise UsageError("--with runs in environments of its own, not in this process")
    if target.releases:
        raise UsageError(f"{target.name} names its environment already; leave out --with")
    return [target.in_environment(requirements.read(text)) for text in request.releases]


# what narrows or places an audit; its device is always told
_NARROWING = (
    "--case",
    "--shape",
    "--rate",
    "--dtype",
    "--input",
    "--budget",
    "--resolution",
    "--pattern",
    "--inference",
)


def asked(request: AuditRequest) -> list[str]:
    """What narrows or places an audit, as words of the command line; an audit by the library has no other."""
    return audit_options.words(request, (*_NARROWING, "--device", "--strict"), always=("--device",))


def recorded(request: AuditRequest) -> Request:
    """What of a request changes coins or verdicts, as a result keeps it."""
    return Request(
        targets=[one if isinstance(one, str) else one.name for one in request.targets],
        select=list(request.select),
        ignore=list(request.ignore),
        cases=list(request.cases),
        rates=list(request.rates),
        dtypes=list(request.dtypes),
        shapes=[list(shape) for shape in request.shapes],
        modes=list(request.modes),
        releases=list(request.releases),
        input=list(request.input) if request.input is not None else None,
        pattern=request.pattern,
        inference=request.inference,
        budget_s=request.budget_s,
        resolution=request.resolution,
        strict=request.strict,
        sequential=request.sequential,
        fail_on=levels.named(request.fail_on, "--fail-on") if request.fail_on is not None else None,
    )


# What may differ between a run and its continuation, beside options that say where and how fast it runs.
_FREE: dict[str, Any] = dict(targets=(), argv=(), journal=None, seed_given=False)


def fingerprint(request: AuditRequest, checks: Sequence[Check]) -> str:
    """What must be equal for a journal to be continued: everything that can change a verdict."""
    text = repr(replace(request, **_FREE, **audit_options.free(request))) + ",".join(c.name for c in checks)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
