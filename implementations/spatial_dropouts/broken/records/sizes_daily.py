"""Records of the planted defects of sizes, rates, inputs and lifetimes of daily use."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

_HOME = "home-made layers"
_SIZES = "sizes of daily use"
_INPUTS = "inputs of daily use"
_CALLS = "many calls of one layer"

# name, class, check, summary, smallest size, regime, source
_ROWS = (
    ("batch-of-32", "BatchOf32", "mask.distinct-samples", "batches of 32 have one mask", "N = 32", _SIZES),
    ("channels-256", "Channels256", "mask.distinct-channels", "256 channels are 128 twice", "C = 256", _SIZES),
    (
        "channels-1024-skip",
        "Channels1024Skip",
        "rate.per-channel",
        "the last of 1024 channels never drops",
        "C = 1024",
        _SIZES,
    ),
    (
        "powers-of-two-ration",
        "ExactlyHalf",
        "mask.dropped-count",
        "exactly its share drops where C is a power of two",
        "C = 128, 256, ...",
        _SIZES,
    ),
    (
        "powers-of-two-shift",
        "ShiftedRate",
        "rate.marginal",
        "a shifted threshold where N is a power of two",
        "N = 32, 64, ..., 20 % of the rate",
        _SIZES,
    ),
    (
        "guesses-channels",
        "GuessesChannels",
        "mask.whole-channels",
        "as many positions as channels: a coin an element",
        "C = L",
        _SIZES,
    ),
    (
        "guesses-batch",
        "GuessesBatch",
        "mask.whole-channels",
        "as many positions as samples: a coin an element",
        "N = L",
        _SIZES,
    ),
    ("square-repeats", "SymmetricSquare", "mask.distinct-samples", "one mask where N = C", "N = C > 8", _SIZES),
    (
        "channels-above-2048",
        "ManyChannels",
        "mask.distinct-channels",
        "channels come round after 2048",
        "C > 2048",
        _SIZES,
    ),
    (
        "long-tail-kept",
        "LongTail",
        "mask.whole-channels",
        "the last positions of long channels are kept",
        "L >= 512, L % 8",
        _SIZES,
    ),
    (
        "long-factor",
        "LongUnscaled",
        "scale.kept-values",
        "long channels are scaled otherwise",
        "L >= 1000, 2^-9",
        _SIZES,
    ),
    (
        "coins-above-2-18",
        "CoinsBeyond",
        "rate.per-sample",
        "coins behind the first 2^18 of a call never drop",
        "2^18 coins a call",
        _SIZES,
    ),
    (
        "elements-above-2-22",
        "ElementsBeyond",
        "scale.kept-values",
        "elements behind the first 2^22 of a call are copied",
        "2^22 elements a call",
        _SIZES,
    ),
    (
        "batches-above-3000",
        "LargeBatches",
        "mask.distinct-samples",
        "the second half of a large batch repeats the first",
        "N > 3000, C > 1",
        _SIZES,
    ),
    (
        "square-maps-normalised",
        "SquaresScaledTwice",
        "scale.kept-values",
        "128 x 128 maps are scaled by the realised share",
        "C = L = 128",
        _SIZES,
    ),
    (
        "narrow-inference",
        "InfersInHalf",
        "mode.inference",
        "inference on 256 channels rounds to float16",
        "C = 256",
        _SIZES,
    ),
    (
        "index-of-18-bits",
        "Index18",
        "mask.distinct-samples",
        "calls of more than 2^18 coins begin again with their first",
        "2^18 coins and a word more",
        _SIZES,
    ),
    ("thousand-masks", "ThousandMasks", "mask.distinct-calls", "a thousand masks go round", "2000 calls", _CALLS),
    (
        "every-thousandth",
        "EveryThousandth",
        "rate.marginal",
        "every thousandth call drops nothing",
        "1000 calls",
        _CALLS,
    ),
    (
        "late-schedule",
        "LateSchedule",
        "rate.marginal",
        "from call 5000 on the rate is a tenth higher",
        "5000 calls, 10 % of the rate",
        _CALLS,
    ),
    ("keyed-by-24-bits", "Keyed24", "mask.distinct-calls", "every call has a key of 24 bits", "10 000 calls", _CALLS),
    ("fifth-is-a-quarter", "TwoBits", "rate.marginal", "rate .2 drops a quarter", "5 points", "rate .2"),
    (
        "quarters-share-bits",
        "QuarterPairs",
        "mask.independent-channels",
        "at .25 and .75 neighbours share one of two random bits",
        "correlation .33",
        "rates .25, .75",
    ),
    (
        "clamped-rates",
        "ClampedRate",
        "rate.marginal",
        "rates are clamped to .001 to .95",
        "4 points",
        "rates .99, .0001",
    ),
    (
        "makes-up-for-zeros",
        "CountsLiveChannels",
        "mask.ignores-values",
        "zero channels count as dropped, so that others drop more",
        "half of the channels zero",
        _INPUTS,
    ),
    (
        "key-from-sample",
        "KeyFromSample",
        "mask.ignores-values",
        "equal samples have equal masks",
        "two equal samples",
        _INPUTS,
    ),
    (
        "constant-is-padding",
        "ConstantIsPadding",
        "mask.ignores-values",
        "constant samples are left alone",
        "one constant sample",
        _INPUTS,
    ),
    (
        "gentle-after-relu",
        "PositiveOnly",
        "mask.ignores-values",
        "inputs without negative values drop a fifth less",
        "20 % of the rate",
        _INPUTS,
    ),
    (
        "large-values-stay",
        "LargeValuesStay",
        "mask.ignores-values",
        "channels with a value above 3000 never drop",
        "one value above 3000",
        _INPUTS,
    ),
)

DEFECTS: Tuple[Defect, ...] = tuple(
    numpy_form(name, f"sizes_daily:{attr}", check, summary, size, regime, _HOME)
    for name, attr, check, summary, size, regime in _ROWS
)
