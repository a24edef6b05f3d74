"""Samples of a call and calls that are copies of each other."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dropcheck.count.copies import calls_alike, rows_alike, rows_alike_apart
from dropcheck.count.gathered import Gathered
from dropcheck.count.other_forms import OtherForm, calls_in_other_form, rows_in_other_form, squares_of_one_half
from dropcheck.count.repeated_words import place_of, searched
from dropcheck.judge.checks import ranks_alike
from dropcheck.judge.checks.base import ALPHA, Check, Limits, draw_matrix, finding, in_turn, picture, skipped
from dropcheck.judge.checks.daily_faults import CALLS, SAMPLES
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.mask_channels import copied_channels
from dropcheck.judge.checks.mask_once import dependent, distinct_coins, offsets_judged
from dropcheck.judge.checks.mask_words import balanced, first_repeat, repeated_words, words_reach, words_seen
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding


def _whole_calls(check: Check, got: Gathered) -> Finding:
    """Copies of calls where coins are not what the pattern says: whole calls are equal or not under any pattern."""
    case = got.case
    alike = calls_alike(got)
    if alike is None:
        text = (
            f"{NOT_INTERPRETABLE} mask.whole-channels fails: no whole calls repeat, and shorter copies cannot be seen"
        )
        return skipped(check, case, text)
    return _equal_calls(check, got, *alike)


def _equal_calls(check: Check, got: Gathered, lag: int, equal: int, pairs: int, log: float) -> Finding:
    before = "the call before" if lag == 1 else f"the call {lag} calls before"
    return finding(
        check,
        got.case,
        "fail",
        f"calls reuse the mask of {before}: {equal} of {pairs} such pairs of calls have equal masks, expected none",
        estimate=equal / pairs,
        expected=0.0,
        unit="share of pairs of calls with equal masks",
        coins=got.tally.coins,
        log10_evidence=log,
        tallies={"lag": lag, "equal": equal, "pairs": pairs},
    )


def _equal_rows(check: Check, got: Gathered, label: NDArray[np.int64]) -> Finding:
    """Rows of a call that are equal in every call, whatever the words say."""
    copied = np.flatnonzero(label != np.arange(len(label)))
    one, two = int(label[copied[0]]), int(copied[0])
    calls = len(got.sample) // got.case.rows if got.sample is not None else 0
    shown = None
    if got.sample is not None:
        rows = [call * got.case.rows + row for call in (0, 1) for row in (one, two)]
        shown = picture(
            "rows of the mask in two calls, across: channels; # kept, . dropped",
            "channel",
            [draw_matrix(got.sample, got.tally.channels, 1, 48, row)[0] for row in rows],
            [f"call {row // got.case.rows} row {row % got.case.rows}" for row in rows],
        )
    return finding(
        check,
        got.case,
        "fail",
        f"sample {two} has the mask of sample {one} in each of the first {calls} calls; {len(copied)} of {len(label)} samples "
        "repeat another one, expected none",
        estimate=float(len(copied)),
        expected=0.0,
        unit="samples that repeat the mask of another sample",
        coins=got.tally.coins,
        log10_evidence=-math.inf,
        tallies={"copied_rows": len(copied), "rows": len(label), "calls": calls},
        picture=shown,
    )


def _equal_apart(check: Check, got: Gathered) -> Finding | None:
    """Rows of a call that are equal wherever they are compared; where calls show one coin each, no word and no row tells it."""
    found = rows_alike_apart(got)
    if found is None:
        return None
    lag, pairs, log = found
    return finding(
        check,
        got.case,
        "fail",
        f"samples {lag} apart have the same mask in all of {pairs} pairs, expected none",
        estimate=1.0,
        expected=0.0,
        unit="share of pairs of samples with equal masks",
        coins=got.tally.coins,
        log10_evidence=log,
        tallies={"lag": lag, "equal": pairs, "pairs": pairs},
    )


def _in_other_form(got: Gathered, kind: str) -> OtherForm | None:
    """What repeats turned round or inverted, where channels are not copies of each other, which turning round would show too."""
    if got.proof.get("violations"):
        return None
    looks = (rows_in_other_form, squares_of_one_half) if kind == "samples" else (calls_in_other_form,)
    form = next((seen for look in looks if (seen := got.once(look)) is not None), None)
    if form is None or (got.tally.channels > 1 and got.live.pair_rows and len(copied_channels(got.live, ALPHA))):
        return None
    return form


def _other_form(check: Check, got: Gathered, seen: OtherForm, kind: str) -> Finding:
    """Rows of a call, or calls, that come again turned round or inverted."""
    if kind == "samples" and seen.one == seen.two:
        text = f"call {seen.one} is its own mask {seen.form}, away from the diagonal: half of it is not drawn; "
        text += f"{seen.found} of {seen.of} calls are so, expected none"
    elif kind == "samples":
        text = (
            f"sample {seen.two} has the mask of sample {seen.one} {seen.form} in each of the first {seen.calls} calls; "
        )
        text += f"{seen.found} of {seen.of} samples are such pairs, expected none"
    else:
        text = f"call {seen.two} reuses the mask of call {seen.one} {seen.form}; "
        text += f"{seen.found} of {seen.of} pairs of calls that are {seen.two - seen.one} apart do so, expected none"
    shown = None
    if got.sample is not None:
        rows = got.case.rows
        places = [(call, row) for call in (0, 1) for row in (seen.one, seen.two)]
        if kind == "samples" and seen.one == seen.two:
            places = [(seen.one, row) for row in range(min(8, rows))]
        elif kind == "calls":
            places = [(call, row) for call in (seen.one, seen.two) for row in range(min(3, rows))]
        shown = picture(
            "rows of the mask, across: channels; # kept, . dropped",
            "channel",
            [draw_matrix(got.sample, got.tally.channels, 1, 48, call * rows + row)[0] for call, row in places],
            [f"call {call} row {row}" for call, row in places],
        )
    return finding(
        check,
        got.case,
        "fail",
        text,
        estimate=float(seen.found),
        expected=0.0,
        unit=f"{'samples' if kind == 'samples' else 'pairs of calls'} that repeat a mask in another form",
        coins=got.tally.coins,
        log10_evidence=seen.log10_p,
        tallies={"repeated": seen.found, "of": seen.of, "calls": seen.calls, "form": seen.form},
        picture=shown,
    )


def _repeat_finding(check: Check, got: Gathered, limits: Limits, kind: str) -> Finding | None:
    """Copies among samples of one call, or among calls, from repeated words of the stream."""
    found, tally, case = got.repeats, got.tally, got.case
    if found is None or got.word_log10 is None:
        # coins that never change make no words
        if kind == "samples":
            return _equal_apart(check, got)
        sure = calls_alike(got) if kind == "calls" and searched(case) else None
        return None if sure is None else _equal_calls(check, got, *sure)
    if kind == "calls" and got.proof.get("violations"):
        return _whole_calls(check, got)
    seen = repeated_words(got, limits.alpha)
    if kind == "samples" and (seen is None or not seen[0]) and (apart := _equal_apart(check, got)) is not None:
        return apart
    if seen is None and kind == "calls" and (sure := calls_alike(got)) is not None:
        return _equal_calls(check, got, *sure)
    if seen is None:
        return finding(
            check,
            case,
            "inconclusive",
            f"{found.length} decisions in a row are too few to distinguish copies from chance at rate {case.rate:g}",
            coins=found.words * tally.channels,
        )
    within, across, chance = seen
    count = within if kind == "samples" else across
    if kind == "samples" and not count and (label := got.once(rows_alike)) is not None:
        return _equal_rows(check, got, label)  # no call holds a word, or all of a word is one coin
    if not count and (form := _in_other_form(got, kind)) is not None:
        return _other_form(check, got, form, kind)
    if count and (once := distinct_coins(got, limits.alpha, kind == "calls", sure=not within)) is not None:
        again = _repeat_finding(check, once, limits, kind)
        if again is None or again.verdict != "fail":
            basis = "mask.distinct-samples" if once.case.rows < case.rows else "mask.distinct-channels"
            text = "without the copied rows and channels " + ("nothing repeats" if again is None else again.message)
            return skipped(check, case, f"{NOT_INTERPRETABLE} {basis} fails: {text}")
        text = f"without the copied rows and channels, {again.message}"
        return msgspec.structs.replace(again, case=str(case), message=text, picture=None)
    text, extent = words_seen(got, limits.beta)
    words = max(found.words, got.lookup.kept if got.lookup is not None else 0)
    numbers: dict[str, Any] = dict(
        estimate=float(count),
        expected=0.0,
        unit="stretches of the mask that occur twice",
        coins=(got.lookup.words if got.lookup is not None else found.words) * tally.channels,
        # the bound of any repeat at all; more of them are no independent evidence (one repeated call makes many)
        log10_evidence=min(0.0, chance) if count else 0.0,
        resolution=extent,
        tallies={"repeats": count, "words": words, "word_coins": found.length, "log10_chance": chance},
    )
    if kind == "calls" and 0 < count < within:
        # rows that repeat within a call make words that also look alike across calls
        return skipped(check, case, f"{NOT_INTERPRETABLE} samples of one call repeat each other")
    if not count:
        return offsets_judged(check, got, limits, kind == "samples", f"nothing repeats among {text}", numbers)
    if (times := dependent(got, limits.alpha, chance, kind == "samples")) is not None:
        # words alone do not tell here: copies must be sure without them, else see ``verdicts``
        if kind == "calls" and (alike := calls_alike(got, tally.channels / times)) is not None:
            return _equal_calls(check, got, *alike)
        if kind == "samples" and (label := got.once(rows_alike)) is not None:
            return _equal_rows(check, got, label)
        numbers["tallies"]["spread"] = round(times, 3)
    pair = first_repeat(got, kind == "samples")
    calls, rows = place_of(case, np.array(pair))
    where = [f"sample {row} of call {call}" for call, row in zip(calls, rows, strict=True)]
    text = f"{where[1]} reuses the mask of {where[0]}"
    if kind == "calls" and rows[0] == rows[1]:
        text = f"call {calls[1]} reuses the mask of call {calls[0]}"
    elif calls[0] == calls[1]:
        text = f"in call {calls[0]}, sample {rows[1]} has the mask of sample {rows[0]}"
    shown = None
    if got.sample is not None and max(pair) < len(got.sample):
        drawn = [row for start in pair for row in (start, start + 1) if row < len(got.sample)]
        places = zip(*place_of(case, np.array(drawn)), strict=True)
        shown = picture(
            "rows of the mask, across: channels; # kept, . dropped",
            "channel",
            [draw_matrix(got.sample, tally.channels, 1, 48, row)[0] for row in drawn],
            [f"call {call} row {row}" for call, row in places],
        )
    return finding(
        check,
        case,
        "fail",
        f"{text}; {count} of {words} stretches of the mask occur twice, expected none",
        picture=shown,
        **numbers,
    )


def _distinct_samples(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.rows < 2 and not got.case.batches:
        return None
    return _repeat_finding(check, got, limits, "samples")


def _distinct_calls(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.calls < 2:
        return None
    return _repeat_finding(check, got, limits, "calls")


CHECKS = (
    Check(
        name="mask.distinct-samples",
        role="copied rows",
        words=True,
        forbidden=("offset_repeats",),
        how="Stretches of the mask of a call are looked up among all other stretches of the same call. All stretches of the "
        "first 2^20 decisions are compared, and a sample of 65,536 of the whole sequence. A stretch is so long that a repeat "
        "by chance has a probability below the check's share of 10^-6. Longer stretches (64 to 140 decisions) are looked up at "
        "every offset, with a probability below 10^-15. Samples are also compared with each other inverted and in reverse "
        "order, and calls with as many samples as channels with their own transpose. In mode ranks, a layer that uses "
        "torch.distributed itself is also tested with one seed on both ranks.",
        remedy="Give the mask a batch axis: torch.rand(n, c, 1), not torch.rand(1, c, 1); noise_shape=(None, 1, c) in Keras. In "
        "a kernel, let the counter of the generator advance from sample to sample. Seed data-parallel ranks differently.",
        resolution_words="a number of mask rows that repeat within a call",
        share=0.03,
        wants=lambda case: balanced(case) and (case.rows > 1 or bool(case.batches)),
        judge=_distinct_samples,
        observe=in_turn(ranks_alike.alike, at_sizes(SAMPLES)),
        reach=words_reach,
    ),
    Check(
        name="mask.distinct-calls",
        role="copied calls",
        words=True,
        forbidden=("offset_repeats",),
        how="Stretches of the mask of a call are looked up in all other calls, as in mask.distinct-samples. This shows a mask that "
        "never changes, masks that come in a cycle, and a counter that restarts, wraps or overlaps. If k of n stretches are "
        "looked up, m repeated rows are missed with probability (1 - k/n)^m. Calls up to eight apart are also compared with each "
        "other inverted, with samples or channels in reverse order and, where there are as many samples as channels, transposed.",
        remedy="Draw the mask anew in every call: move torch.rand from __init__ into forward, and do not keep the mask on self. "
        "In JAX split the key in every call; a key or a NumPy mask inside a jitted function is a constant. In Keras use "
        "keras.random.SeedGenerator, not an integer seed.",
        resolution_words="a number of mask rows that repeat an earlier call",
        share=0.03,
        wants=lambda case: balanced(case) and case.calls > 1,
        judge=_distinct_calls,
        observe=at_sizes(CALLS),
        reach=words_reach,
    ),
)
