"""What a finding was about, as plain values for a script: dtype, rate, shapes, calls, and the words of its case."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dropcheck.contract.cases import Case, parse_case
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks.looks import sizes as long_enough
from dropcheck.results.asked import device_of_finding
from dropcheck.results.audit import Finding

_DTYPES = ("bfloat16", "float16", "float32", "float64")
_EXACT = (33, 65, 3)  # rows, channels and shared elements of the exact questions
_SIZES = {"form.strides": (33, 65, 6), "form.ranks": (33, 129, 6), "scale.kept-values": (1025, 65, 3)}
_SIZES |= {"scale.mean": (1025, 65, 3), "rate.zero": (4097, 65, 3), "rate.one": (4097, 65, 3)}


@dataclass(frozen=True)
class Situation:
    """``shapes``: of successive calls, in turn. ``words``: of an exact question, such as ``inference`` or ``zeros``."""

    dtype: str
    rate: float
    shapes: tuple[tuple[int, ...], ...]
    pattern: Pattern
    calls: int
    way: str
    layout: str = "contiguous"
    grad: bool = False
    infer: int = 0
    words: tuple[str, ...] = ()
    invalid: str = ""
    device: str = "cpu"


def situation(found: Finding, contract: Contract) -> Situation:
    """Read a finding's case: of the planned kind, or the few words of an exact question."""
    way = contract.seeds[0] if contract.seeds else "global"
    try:
        case: Case | None = parse_case(found.case)
    except UsageError:
        case = None
    # an exact question may read like a case; it has sizes of its own
    if case is not None and "calls=" in found.case:
        return Situation(
            dtype=case.dtype,
            rate=case.rate,
            shapes=tuple(case.shapes(contract.pattern)),
            pattern=contract.pattern,
            calls=case.calls,
            way=case.way or way,
            layout=case.layout,
            grad=case.grad,
            infer=case.infer,
            device=device_of_finding(found),
        )
    return _asked(found, contract, way)


def _asked(found: Finding, contract: Contract, way: str) -> Situation:
    text, pattern = found.case, contract.pattern
    dtype = next((d for d in _DTYPES if d in text.split()), "float32")
    rate_word = re.search(r"\brate=(\S+)", text)
    standing = (contract.rates or (0.5,))[0]
    invalid = rate_word[1] if rate_word is not None and found.check == "rate.rejects-invalid" else ""
    rate = float(rate_word[1]) if rate_word is not None and not invalid else standing
    sizes = _SIZES.get(found.check, _EXACT)
    if found.check in ("seed.instances", "form.copies", "mode.threads"):  # rows that are words of coins
        sizes = long_enough(rate)
    if (given := re.search(r"\b(\d+),(\d+),(\d+)(?= |$)", text)) is not None and "batches=" not in text:
        sizes = (int(given[1]), int(given[2]), int(given[3]))
    if (rows := re.search(r"\b(\d+) rows", text)) is not None:
        sizes = (int(rows[1]), *sizes[1:])
    if "no rows" in text:
        sizes = (0, 8, 3)
    if "no channels" in text:
        sizes = (4, 0, 3)
    if "no elements" in text:
        sizes = (4, 8, 0)
    if (declared := re.search(r"'([^']*->[^']*)'", text)) is not None:
        pattern = Pattern.parse(declared[1])
    shapes = [pattern.shape(*sizes)]
    if (batches := re.search(r"batches=([\d,]+)", text)) is not None:
        shapes = [pattern.shape(int(n), 33, 3) for n in batches[1].split(",")]
    calls = 8
    if (whole := re.search(r"\brows (\d+(?:x\d+)*) in (\d+) calls", text)) is not None:  # of rows that have a law
        shapes, calls = [tuple(map(int, whole[1].split("x")))], int(whole[2])
    asked_way = re.search(r"way=(\S+)", text)
    if (
        found.check == "seed.instances" and asked_way is None
    ):  # "two constructor seeds", "constructors without a seed", ...
        words = text.partition("two layers, ")[2]
        way = next((w for w in ("global", "generator", "key") if w in words), "global")
        way = "constructor" if "constructor seeds" in words else way
    layout = next((w for w in ("strided", "transposed") if w in text.split()), "contiguous")
    return Situation(
        dtype=dtype,
        rate=rate,
        shapes=tuple(shapes),
        pattern=pattern,
        calls=calls,
        way=asked_way[1] if asked_way is not None else way,
        layout=layout,
        words=tuple(text.split()),
        invalid=invalid,
        device=device_of_finding(found),
    )
