"""The mask family: which elements are dropped together, and whether masks that should differ do."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.cases import Case
from dropcheck.count.coins import Counts
from dropcheck.count.copies import calls_alike, distinct, log10_few_words, rows_alike, spread
from dropcheck.count.gathered import Gathered
from dropcheck.count.other_forms import OtherForm, calls_in_other_form, rows_in_other_form
from dropcheck.count.repeated_stretches import coin_at
from dropcheck.count.repeated_words import MOST_WORD_ROWS, least_extent, place_of, searched
from dropcheck.count.tallies import SAMPLE, Tally
from dropcheck.judge.checks import ranks_alike
from dropcheck.judge.checks.base import ALPHA, Check, Limits, draw_matrix, finding, in_turn, picture, settle, skipped
from dropcheck.judge.checks.daily_sizes import CALLS, CHANNELS, SAMPLES, WHOLE, at_sizes
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.results.plain_text import percent
from dropcheck.statistics import binomial, duplicates

# --- which elements share a coin -------------------------------------------------------------------------------------


def _whole(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    coins = got.tally.coins
    case, proof = got.case, got.proof
    if case.shared < 2 or not coins:
        return None
    if not 0 < got.tally.dropped < coins and not proof["violations"]:
        return skipped(
            check, case, f"all {coins} drop decisions are the same, so the sharing of the mask is not visible"
        )
    resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
    if not proof["violations"]:
        return finding(
            check,
            case,
            settle(False, resolution, limits.coarsest),
            f"in all {coins} drop decisions the {case.shared} elements are dropped or kept together",
            estimate=0.0,
            expected=0.0,
            unit="share of decisions whose elements disagree",
            resolution=resolution,
            coins=coins,
            tallies={"disagreeing": 0, "coins": coins},
        )
    share = proof["violations"] / coins
    shown = None
    if proof.get("example"):
        block = np.asarray(proof["example"]["block"])
        rows = [
            " ".join("".join("." if v else "#" for v in line)[i : i + 4] for i in range(0, len(line), 4))
            for line in block.T
        ]
        shared = " ".join(got.contract.pattern.shared)
        shown = picture(
            f"one sample; across: channels, down: positions along {shared}. Expected: each column all # (kept) or all . (dropped)",
            "channel",
            rows,
            [f"{shared} {i}" for i in range(len(rows))],
        )
    return finding(
        check,
        case,
        "fail",
        f"{_groups_of(got)} not dropped as a whole: in {percent(share, 1)} of them some elements along "
        f"{' '.join(got.contract.pattern.shared)} are dropped and others kept, expected 0%",
        estimate=share,
        expected=0.0,
        unit="share of decisions whose elements disagree",
        # one disagreement fails, so the check has no alpha of its own: the interval is at that of the whole run
        fail_interval=binomial.clopper_pearson(proof["violations"], coins, ALPHA),
        log10_evidence=-math.inf,
        coins=coins,
        resolution=resolution,
        tallies={"disagreeing": proof["violations"], "coins": coins},
        picture=shown,
    )


def _groups_of(got: Gathered) -> str:
    """What the pattern drops as a whole, as the subject of a sentence."""
    pattern = got.contract.pattern
    if pattern.channel_axis is not None:
        return "channels are"
    return "samples are" if pattern.row_axes else "calls are"


# --- copies ----------------------------------------------------------------------------------------------------------


def copied_channels(tally: Tally, alpha: float) -> Counts:
    """Pairs of channels whose coins were equal in every row counted, where chance cannot explain it: (pairs, 2).

    Two channels that never drop are equal without being copies: each pair is held against its own rates.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    pairs = tally.channels * (tally.channels - 1) / 2
    for stride in range(1, tally.channels):
        # many channels: pairs at the strides of all rows there, all others on thinned rows
        near = stride in tally.pairs
        if not near and not tally.far_rows:
            continue
        both = tally.pairs[stride] if near else tally.far_of(stride)
        margin, rows = (tally.channel, tally.pair_rows) if near else (tally.far_channel, tally.far_rows)
        first, second = margin[:-stride], margin[stride:]
        c = np.flatnonzero((both == first) & (both == second))
        c = c[duplicates.log10_chances_of_equal(pairs, first[c] / rows, rows) <= math.log10(alpha)]
        if len(c):
            found.append(np.stack([c, c + stride], axis=1))
    return np.concatenate(found)


def _groups(pairs: Counts) -> list[list[int]]:
    """Connected groups of copied channels, each in order."""
    from scipy.sparse import coo_array  # slow to import, and a layer without copies never comes here
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(pairs.max() + 1,) * 2)
    label = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for c in np.unique(pairs).tolist():
        groups.setdefault(int(label[c]), []).append(c)
    return sorted(groups.values())


def _name_groups(groups: list[list[int]]) -> str:
    text = ", ".join("-".join(map(str, g[:8])) + ("-..." if len(g) > 8 else "") for g in groups[:3])
    return text + (f", ... ({len(groups)} groups)" if len(groups) > 3 else "")


def _distinct_channels(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 2:
        return skipped(check, case, "the check needs at least two channels")
    if not tally.pair_rows:
        return None
    pairs = float(tally.channels * (tally.channels - 1) / 2)
    p = tally.dropped / max(1, tally.coins)
    chance = duplicates.log10_chance_of_equal(pairs, p, tally.pair_rows)
    copies = copied_channels(tally, limits.alpha)
    enough = chance <= math.log10(limits.alpha)
    numbers: dict[str, Any] = dict(
        estimate=float(len(copies)),
        expected=0.0,
        unit="pairs of channels with equal masks",
        coins=tally.pair_rows * tally.channels,
        log10_evidence=chance if len(copies) else 0.0,
        tallies={"copies": len(copies), "rows": tally.pair_rows, "rate": p, "log10_chance": chance},
    )
    if len(copies) and enough and not _rows_suffice(got, copies, p, limits.alpha):
        return skipped(check, case, f"{NOT_INTERPRETABLE} rows of the mask repeat: too few of them differ")
    if len(copies) and enough:
        groups = _groups(copies)
        size = max(len(g) for g in groups)
        shown = None
        if got.sample is not None:
            shown = picture(
                "rows: samples, across: channels; # kept, . dropped",
                "channel",
                draw_matrix(got.sample, tally.channels),
                [f"row {i}" for i in range(8)],
            )
        return finding(
            check,
            case,
            "fail",
            f"channels always drop together in groups of {size}, in all {tally.pair_rows} samples: {_name_groups(groups)}",
            picture=shown,
            **numbers,
        )
    if not enough:
        return finding(
            check,
            case,
            "inconclusive",
            f"{tally.pair_rows} samples at rate {p:.3g} are too few to distinguish copies from chance",
            **numbers,
        )
    return finding(
        check,
        case,
        "pass",
        f"all {tally.channels} channels have different masks in {tally.pair_rows} samples",
        **numbers,
    )


def _rows_suffice(got: Gathered, copies: Counts, p: float, alpha: float) -> bool:
    """Whether equal channels are beyond chance counting each row that repeats another once.

    The chance of equal channels assumes independent rows, that of equal rows independent channels. Rows that repeat no
    oftener than the channels that differ allow are no evidence against rows; else only rows that differ count: a mask
    shared by a batch makes few of them, and channels that agree in those few are no copies. Few channels that differ do
    make rows repeat, but all rows only few words: see ``log10_few_words``.
    """
    repeated = repeated_words(got, alpha)
    if got.sample is None or got.repeats is None or repeated is None or not (repeated[0] or repeated[1]):
        return True
    channels, words = got.tally.channels, float(got.repeats.words)
    differing = channels - sum(len(group) - 1 for group in _groups(copies))
    coins = got.repeats.length * differing // channels
    seen = len(np.unique(got.sample, axis=0))
    few = log10_few_words(seen, len(got.sample), p, differing)
    if min(few, duplicates.log10_chance_of_equal(words * words / 2, p, coins)) > math.log10(alpha):
        return True
    rows = int(seen / len(got.sample) * got.tally.pair_rows)
    return duplicates.log10_chance_of_equal(channels * (channels - 1) / 2, p, rows) <= math.log10(alpha)


def repeated_words(got: Gathered, alpha: float) -> tuple[int, int, float] | None:
    """Words that repeat within a call and across calls, and log10 of the chance of any; None where words are too short.

    Both searches, of all words of the first coins and of a sample of all words, have half of alpha.
    """
    found, looked = got.repeats, got.lookup
    within = across = 0
    chances = []
    if found is not None and got.word_log10 is not None and got.word_log10 <= math.log10(alpha / 2):
        within, across = found.within_call, found.across_calls
        chances.append(got.word_log10)
    if looked is not None:
        # both may have seen the same words: the larger count is told, never their sum
        within, across = max(within, looked.within), max(across, looked.across)
        chances.append(got.lookup_log10)
    if not chances:
        return None
    top = max(chances)  # taken out of the sum: long words make chances below the smallest double
    return within, across, top + math.log10(sum(10 ** (chance - top) for chance in chances))


def first_repeat(got: Gathered, within: bool) -> tuple[int, int]:
    """Rows of the case: of the first repeat within a call, or across calls, and of what it repeats."""
    found = []
    if got.repeats is not None:
        middle = got.repeats.length // got.tally.channels // 2
        found = [(place, middle) for place in got.repeats.places]
    if got.lookup is not None:
        found += [((p[0], p[1]), got.lookup.rows // 2) for p in got.lookup.places if p]
    calls, _ = place_of(got.case, np.array([[row + middle for row in place] for place, middle in found]))
    return found[int(np.argmax((calls[:, 0] == calls[:, 1]) == within))][0]


def words_seen(got: Gathered, beta: float) -> tuple[str, float | None]:
    """What was looked at, in words, and the rows of the shortest repeated run that escapes with probability below beta."""
    found, looked = got.repeats, got.lookup
    assert found is not None
    first = f"{found.words} stretches of {found.length} decisions"
    if looked is None:
        whole = found.words * got.tally.channels + found.length > got.tally.coins
        return first, found.length / got.tally.channels if whole else None
    extent = least_extent(looked.words, looked.kept, looked.rows, beta)
    coins = looked.rows * got.tally.channels
    if looked.kept == looked.words:
        return f"{looked.words} stretches of {coins} decisions", float(extent)
    return (
        f"{looked.kept} of {looked.words} stretches of {coins} decisions and the first {first}; {extent} repeated rows would "
        f"have been missed with probability {beta:g}"
    ), float(extent)


def distinct_coins(got: Gathered, alpha: float, rows: bool = True, sure: bool = True) -> Gathered | None:
    """The first coins with each coin once: without copied channels and, if asked, without copied rows; None: there are no copies.

    Words are looked for anew, since copies make rows repeat by chance more often than rows of as many independent coins.
    Not ``sure``: rows that are equal in all calls so far are left out, be it by chance.
    """
    from dropcheck.count.gather import look_for_repeats

    if got.sample is None:
        return None
    alike = None
    if rows and (alike := got.once(rows_alike)) is None and not sure:
        alike = rows_alike(got, sure=False)
    channels = None
    copied = copied_channels(got.live, alpha) if got.tally.channels > 1 and got.live.pair_rows else ()
    if len(copied) and _rows_suffice(got, np.asarray(copied), _rate(got), alpha):
        gone = {c for group in _groups(np.asarray(copied)) for c in group[1:]}
        channels = np.array([c for c in range(got.tally.channels) if c not in gone])
    if alike is None and channels is None:
        return None
    once = distinct(got, channels, alike)
    if searched(once.case):
        look_for_repeats(once, alpha / 2)
    return once


def _rate(got: Gathered) -> float:
    return got.live.dropped / max(1, got.live.coins)


def dependent(got: Gathered, alpha: float, chance: float, within: bool = False) -> float | None:
    """The spread of the agreement of words (see ``copies.spread``) where it alone makes the repeats likelier than alpha.

    ``within``: of repeats within a call, which only dependence inside of a row explains.
    """
    if got.repeats is None or got.word_log10 is None:
        return None
    times = spread(got, 1 if within else got.repeats.length // got.tally.channels)
    if times <= 1:
        return None
    words = float(max(got.repeats.words, got.lookup.words if got.lookup is not None else 0))
    pairs = math.log10(max(1.0, words * words / 2))
    return times if pairs + (chance - pairs) / times > math.log10(alpha) else None


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


def _in_other_form(got: Gathered, kind: str) -> OtherForm | None:
    """What repeats turned round or inverted, where channels are not copies of each other, which turning round would show too."""
    if got.proof.get("violations"):
        return None
    form = got.once(rows_in_other_form) if kind == "samples" else got.once(calls_in_other_form)
    if form is None or (got.tally.channels > 1 and got.live.pair_rows and len(copied_channels(got.live, ALPHA))):
        return None
    return form


def _other_form(check: Check, got: Gathered, seen: OtherForm, kind: str) -> Finding:
    """Rows of a call, or calls, that come again turned round or inverted."""
    if kind == "samples":
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
        if kind == "calls":
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
        sure = calls_alike(got) if kind == "calls" and searched(case) else None
        return None if sure is None else _equal_calls(check, got, *sure)
    if kind == "calls" and got.proof.get("violations"):
        return _whole_calls(check, got)
    seen = repeated_words(got, limits.alpha)
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


def repeats_anywhere(got: Gathered, within: bool, limits: Limits) -> tuple[int, dict[str, Any], str] | None:
    """Words at any offset that repeat within a call, or across calls: their number, what is stored of it, and words for it.

    None where they say nothing: where there are none, or where copies of channels or rows, which are told by themselves,
    make coins stand twice.
    """
    found = got.anywhere
    if found is None or got.proof.get("violations"):
        return None
    count = found.within if within else found.across
    if count and distinct_coins(got, limits.alpha) is not None:
        return None
    extent = least_extent(found.words, found.kept, found.rows, limits.beta) if found.kept else None
    kept: dict[str, Any] = {
        "offsets": found.words,
        "offset_words": found.kept,
        "offset_coins": found.rows,
        "offset_repeats": count,
        "offset_log10_chance": got.anywhere_log10,
        "offset_extent": extent,
    }
    text = f"at any offset nothing repeats among {found.kept} stretches of {found.rows} decisions"
    if extent is not None:
        text += f" ({extent} repeated decisions would have been missed with probability {limits.beta:g})"
    if count:
        (before, again) = found.places[0 if within else 1]
        two, one = (coin_at(got.case, coin) for coin in (again, before))
        text = f"the mask from {two} on repeats the mask from {one} on, {again - before} decisions before; "
        text += f"{count} of {found.kept} stretches of {found.rows} decisions occur twice, expected none"
        # tied coins, which fail by themselves, agree more often: see ``verdicts``
        aligned = (
            again - before
        ) % got.tally.channels == 0  # what ties rows or calls place by place shows at whole rows
        times = spread(got, 1 if within else -(-found.rows // got.tally.channels))
        pairs = math.log10(max(1.0, found.pairs))
        if aligned or (times > 1 and pairs + (got.anywhere_log10 - pairs) / times > math.log10(limits.alpha)):
            kept.update(spread=round(times, 3), offset_aligned=aligned)
    return count, kept, text


def offsets_judged(check: Check, got: Gathered, limits: Limits, within: bool, text: str, numbers: Any) -> Finding:
    """What words at any offset say where no word of rows repeats: a failure, or the pass that ``text`` and ``numbers`` are."""
    found = repeats_anywhere(got, within, limits)
    if found is None or got.anywhere is None:
        return finding(check, got.case, "pass", text, **numbers)
    count, kept, words = found
    numbers["tallies"].update(kept)
    if not count:
        return finding(check, got.case, "pass", f"{text}; {words}", **numbers)
    if not within and count < got.anywhere.within:
        return skipped(check, got.case, f"{NOT_INTERPRETABLE} samples of one call repeat each other")
    numbers["tallies"].update(repeats=count, log10_chance=got.anywhere_log10)
    numbers.update(estimate=float(count), log10_evidence=min(0.0, got.anywhere_log10), resolution=None)
    return finding(check, got.case, "fail", words, **numbers)


def _distinct_samples(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.rows < 2 and not got.case.batches:
        return None
    return _repeat_finding(check, got, limits, "samples")


def _distinct_calls(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.calls < 2:
        return None
    return _repeat_finding(check, got, limits, "calls")


def _channels_reach(case: Case, limits: Limits) -> float:
    """Infinite where the planned rows are too few to tell copies from chance."""
    if case.channels < 2:
        return 0.0
    pairs = case.channels * (case.channels - 1) / 2
    rows = int(0.97 * case.row_count)
    enough = duplicates.log10_chance_of_equal(pairs, case.rate, rows) <= math.log10(limits.alpha)
    return 0.0 if enough else math.inf


def words_reach(case: Case, limits: Limits) -> float:
    """Infinite where the longest word that ``gather`` would take is too short."""
    rows = min(case.row_count, SAMPLE // case.channels)
    longest = int(0.97 * case.channels * max(1, min(MOST_WORD_ROWS, rows // 4)))
    enough = duplicates.log10_chance_of_equal(rows * rows / 2, case.rate, longest) <= math.log10(limits.alpha / 2)
    return 0.0 if enough else math.inf


def _balanced(case: Case) -> bool:
    return case.regime == "stream" and 0.3 <= case.rate <= 0.7


CHECKS = (
    Check(
        name="mask.whole-channels",
        role="whole",
        zero_events=True,
        forbidden=("disagreeing",),
        coins_are="coins",
        how="All elements that share a drop decision under the pattern must be dropped or kept together. One exception is a "
        "failure. With n decisions, a defect that splits a share eps of them is missed with probability (1 - eps)^n.",
        remedy="Draw one number per channel and broadcast it: torch.rand(n, c, 1) for an input of shape (n, c, l), "
        "noise_shape=(n, 1, c) in Keras, jax.random.bernoulli(key, 1 - rate, (n, 1, c)). Check which axis holds the channels. "
        "If the layer is right, declare its pattern with --pattern; `dropcheck explain TARGET` draws it.",
        resolution_words="a share of decisions whose elements disagree",
        share=0.0,
        coarsest={"quick": 1e-2, "standard": 1e-3, "deep": 1e-4},
        wants=lambda case: case.regime in ("stream", "values", "seeds") and case.shared > 1,
        judge=_whole,
        observe=at_sizes(WHOLE),
    ),
    Check(
        name="mask.distinct-channels",
        role="copied channels",
        forbidden=("copies",),
        how="Two channels that are dropped or kept together in every sample are copies. The probability that any independent "
        "pair of channels agrees in all samples is at most pairs x (p^2 + q^2)^samples. There are so many samples that this lies "
        "below the check's share of 10^-6.",
        remedy="Draw one random number per channel: torch.rand(n, c, 1), not torch.rand(n, c // 4, 1).repeat(...). A "
        "vectorised kernel must not use one number for several lanes. Check that the noise shape has one entry per channel.",
        resolution_words="two channels with equal masks",
        share=0.03,
        wants=_balanced,
        judge=_distinct_channels,
        observe=at_sizes(CHANNELS),
        reach=_channels_reach,
    ),
    Check(
        name="mask.distinct-samples",
        role="copied rows",
        words=True,
        forbidden=("offset_repeats",),
        how="Stretches of the mask of a call are looked up among all other stretches of the same call. All stretches of the "
        "first 2^20 decisions are compared, and a sample of 65,536 of the whole sequence. A stretch is so long that a repeat "
        "by chance has a probability below the check's share of 10^-6. Longer stretches (64 to 140 decisions) are looked up at "
        "every offset, with a probability below 10^-15. Samples are also compared with each other inverted and in reverse "
        "order. In mode ranks, a layer that uses torch.distributed itself is also tested with one seed on both ranks.",
        remedy="Give the mask a batch axis: torch.rand(n, c, 1), not torch.rand(1, c, 1); noise_shape=(None, 1, c) in Keras. In "
        "a kernel, let the counter of the generator advance from sample to sample. Seed data-parallel ranks differently.",
        resolution_words="a number of mask rows that repeat within a call",
        share=0.03,
        wants=lambda case: _balanced(case) and (case.rows > 1 or bool(case.batches)),
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
        "other inverted and with samples or channels in reverse order.",
        remedy="Draw the mask anew in every call: move torch.rand from __init__ into forward, and do not keep the mask on self. "
        "In JAX split the key in every call; a key or a NumPy mask inside a jitted function is a constant. In Keras use "
        "keras.random.SeedGenerator, not an integer seed.",
        resolution_words="a number of mask rows that repeat an earlier call",
        share=0.03,
        wants=lambda case: _balanced(case) and case.calls > 1,
        judge=_distinct_calls,
        observe=at_sizes(CALLS),
        reach=words_reach,
    ),
)
