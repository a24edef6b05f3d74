"""Where a check fails and where it passes: the one condition that separates its cases, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from dropcheck.judge.diagnosis.seen import Case, case_of
from dropcheck.results.audit import Finding

_Size = Callable[[Case], int | None]


def only(judged: Sequence[Finding]) -> str:
    """`` only in bfloat16``, `` only with more than 256 channels``: what all failing cases have and no passing one.

    Empty where nothing separates them, or where every case fails.
    """
    failing = [case_of(text) for f in judged if f.verdict == "fail" for text in (f.case, *f.tallies.get("others", ()))]
    passing = [case_of(f.case) for f in judged if f.verdict == "pass"]
    if not failing or not passing:
        return ""
    return next(_conditions(failing, passing), "")


def _conditions(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    dtypes = list(dict.fromkeys(c.dtype for c in failing))
    if all(dtypes) and not {c.dtype for c in passing} & set(dtypes):
        yield f"only in {' and '.join(dtypes)}"
    # shapes of low precision are asked in float32, too, where all pass, some of them at the same rates
    wide = [c for c in passing if c.dtype == "float32"]
    if dtypes and set(dtypes) <= {"float16", "bfloat16"} and {c.rate for c in failing} & {c.rate for c in wide}:
        yield f"in {' and '.join(sorted(dtypes))}, not in float32"
    flags: tuple[tuple[str, Callable[[Case], bool]], ...] = (
        ("only where the input requires a gradient", lambda c: c.grad),
        ("only with inference calls between the training calls", lambda c: c.infer),
        ("only with batches of changing size", lambda c: bool(c.batches)),
    )
    # where batches change, those of one sample may be too few to show what calls of one sample show
    alone = [[c for c in some if c.rows == 1 and not c.batches] for some in (failing, passing)]
    if alone[0] and not alone[1] and all(1 in c.samples for c in failing):
        yield "only with batches of one sample"
    for words, has in flags:
        if all(map(has, failing)) and not any(map(has, passing)):
            yield words
    layouts = list(dict.fromkeys(c.layout for c in failing))
    counted = all(c.rows is not None for c in failing)
    if counted and "contiguous" not in layouts and not {c.layout for c in passing} & set(layouts):
        yield f"only with {' and '.join(layouts)} inputs"
    for word, words in _WORDS.items():
        if all(word in c.words for c in failing) and not any(word in c.words for c in passing):
            yield words
    yield from _sizes(failing, passing)
    yield from _multiples(failing, passing)
    yield from _powers(failing, passing)
    yield from _squares(failing, passing)
    low, high = [c.rate for c in failing], [c.rate for c in passing]
    if None not in low and low:
        asked = sorted({r for r in low if r is not None})
        fine = {r for r in high if r is not None}
        if not fine & set(asked) and len(passing) >= _ENOUGH and (len(fine) > 1 or len(asked) == 1):
            if len(asked) == 1:
                yield f"only at rate {asked[0]:g}"
            elif fine and asked[-1] < min(fine):
                yield f"only at rates of {asked[-1]:g} and less"
            elif fine and asked[0] > max(fine):
                yield f"only at rates of {asked[0]:g} and more"
    yield from _one_size(failing, passing)


_WORDS = {
    "negative": "only where the input is negative",
    "zeros": "only with inputs of which half are 0, as after a ReLU",
    "inference": "only in inference",
}


def _multiples(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    """Sizes that are no multiple of a power of two, where all passing ones are; nothing where two kinds of size could be it."""
    found = []
    sizes: tuple[tuple[str, _Size], ...] = (("channels", lambda c: c.channels), ("drop decisions a call", _decisions))
    for name, size in sizes:
        fails = [n for c in failing if (n := size(c)) is not None]
        fine = [n for c in passing if (n := size(c)) is not None]
        if not len(failing) == len(fails) >= 2 or not len(passing) == len(fine) >= _ENOUGH:
            continue
        for k in (2, 4, 8, 16, 32):
            if all(n % k for n in fails) and not any(n % k for n in fine):
                found.append(f"only where the number of {name} is no multiple of {k}")
                break
    if len(found) == 1:
        yield found[0]


def _powers(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    """Sizes that are powers of two, where passing ones as large are none; nothing where two kinds of size could be it."""
    found = []
    sizes: tuple[tuple[str, Callable[[Case], tuple[int, ...]]], ...] = (
        ("samples", lambda c: c.samples),
        ("channels", lambda c: () if c.channels is None else (c.channels,)),
        ("positions", lambda c: () if c.shared is None else (c.shared,)),
    )
    for name, size in sizes:
        fails, fine = [_power(size(c)) for c in failing], [n for c in passing for n in size(c)]
        least = min((n for n in fails if n), default=0)
        beside = [n for n in fine if n > least]
        if not all(fails) or len(set(fails)) < 2 or least < 4 or len(beside) < _ENOUGH or _power(beside):
            continue
        if least not in fine:
            found.append(f"only where the number of {name} is a power of two from {least} on")
    if len(found) == 1:
        yield found[0]


def _power(sizes: Iterable[int]) -> int:
    """The least of these sizes that is a power of two from 4 on; 0 where none is."""
    return min((n for n in sizes if n >= 4 and n & (n - 1) == 0), default=0)


def _squares(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    """Two sizes that are equal, where they differ in all that passes; nothing where two pairs could be it."""
    if len(failing) < 2 or len(passing) < _ENOUGH:
        return
    pairs: tuple[tuple[str, Callable[[Case], bool]], ...] = (
        ("samples as channels", lambda c: c.channels in c.samples),
        ("channels as positions", lambda c: c.channels is not None and c.channels == c.shared),
        ("samples as positions", lambda c: c.shared in c.samples),
    )
    found = [words for words, has in pairs if all(map(has, failing)) and not any(map(has, passing))]
    if len(found) == 1 and all(c.rows is not None for c in (*failing, *passing)):
        yield f"only with as many {found[0]}"


def _one_size(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    """The one size of all calls that fail, where calls of several others pass."""
    sizes = [
        {None if c.batches or c.rows is None else (c.rows, c.channels, c.shared) for c in some}
        for some in (failing, passing)
    ]
    if len(sizes[0]) == 1 and None not in sizes[0] and not sizes[0] & sizes[1] and len(sizes[1] - {None}) >= _ENOUGH:
        rows, channels, shared = next(iter(sizes[0])) or (0, 0, 0)
        yield f"only in calls of {rows},{channels},{shared} (samples, channels, positions)"


def _decisions(case: Case) -> int | None:
    return None if case.rows is None or case.channels is None or case.batches else case.rows * case.channels


_ENOUGH = 3  # passing cases below a size
_SIZES: tuple[tuple[str, _Size], ...] = (
    ("channels", lambda c: c.channels),
    ("samples", lambda c: None if c.batches else c.rows),
    ("positions", lambda c: c.shared),
    ("calls of one layer", lambda c: None if "seeds" in c.words else c.calls),  # there each seed has a few of them
)


def _sizes(failing: Sequence[Case], passing: Sequence[Case]) -> Iterator[str]:
    """The one size from which every case fails; nothing where several sizes could be it, or few cases speak for it."""
    found = []
    for name, size in _SIZES:
        fails = [n for c in failing if (n := size(c)) is not None]
        fine = [n for c in passing if (n := size(c)) is not None]
        if fails and len(fails) == len(failing) and len(fine) >= _ENOUGH and min(fails) > max(fine):
            found.append(f"only from {min(fails)} {name} on ({max(fine)} pass)")
    if len(found) == 1:
        yield found[0]
