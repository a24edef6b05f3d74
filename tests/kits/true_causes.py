"""What the first sentences of a report must say of each planted defect, and must not: from the defects' own descriptions.

Written before any sentence was; a defect whose description is unclear was read in its code. ``TRUE``: name -> expressions
that must all be found in what is observed and in the fix. ``TOPICS``: what else one could claim; a defect may claim its
own topics (``OWN``) and those that its true sentence itself contains, any other is a false cause.
"""

from __future__ import annotations

import re

# --- words for what can be seen -----------------------------------------------------------------------------------------

TORN = (
    r"own drop decision|not dropped as a whole|some positions are kept|partly dropped|one decision per|parts? of a channel"
    r"|follow the pattern|dropped and kept elements"
)
COPIES = r"channels? .*(copies|copy|identical|same drop|share|repeat|drop together|mask of another)|(copies|repeat).* channel"
ROWS = (
    r"samples? .*(share|same|repeat|cop|identical)|rows? .*(repeat|same|cop|identical)|one mask (for|per) (the|all|batch)"
    r"|repeats the (mask|coins) of (row|sample)|sample \d+ has the mask of sample"
)
CALLS = r"(call|mask).* (repeat|reuse)|(repeat|reuse)s? .*(call|mask)|same mask|one mask|mask (never|does not) change"
TIED = r"correlation|depend|tied|lean"
COUNT = (
    r"same number of its|number of dropped channels|dropped channels per (row|sample)"
    r"|vary|variance|clumped|rationed|too (even|uneven)"
)
PATTERNS = r"joint patterns?|groups? of (three|four|eight|3|4|8)|(three|four|eight) channels"
VALUES = r"input'?s? values|depend on .*input|on inputs with|follow the (sign|input)|the input's|sign of the input"
MORE, LESS = (
    r"more|instead of|times the (requested )?rate",
    r"less|fewer|instead of|times the (requested )?rate|never drop",
)
NEVER = r"never drops?|drops? nothing|nothing is dropped|no (element|channel|coin) is dropped|0 %|not dropped"
ALL = r"drops? everything|everything is dropped|100 %|all (elements|coins)"
SWAPPED = r"keep and drop are swapped|1 - rate|keep probability"
UNSCALED = r"(multiplied by 1\b|not scaled|factor (of )?1\b).*|scaling is missing"
FACTOR = r"multiplied by|factor"
INFER_DROP = r"inference.*(drop|0)|drop.*inference"
INFER = r"inference"
AFTER_INFERENCE = r"after (an )?inference|inference calls between"
SEED = r"same seed|seed.*(different|other) masks|different masks.*seed|reproduc"
RESEED = r"reseed"
SEEDS = r"different seeds|seeds? .*(same|repeat|share|overlap)|(same|repeat|share|overlap).* seed"
GRADIENT = r"gradient|backward"
GRAD_ZERO = r"gradient is 0|no gradient|without a gradient|gradient.* missing"
GRAD_LEAK = r"gradient.*(not 0|dropped)|(leak|reach).*gradient|dropped.*gradient"
DTYPE = r"float32|float64|dtype"
STRIDED = r"strided|transposed|sliced|memory|contiguous"
RECORDED = r"grad"
BATCH = r"batch"
EMPTY = r"empty|no (rows|channels|elements|samples)|size 0"
RANK = r"rank|axes|2-D|4-D|n c h w|pattern|c l|n c"
COPY = r"copy|copies|pickle|deepcopy|state_dict|config|clone"
LATER = r"set (later|after)|later|after construction|another layer"
THREADS = r"thread"
SETTINGS = r"setting|default dtype|determinis|inference_mode|enable_grad|no_grad"
INVALID = r"(accept|not refused|does not raise)"

TRUE: dict[str, tuple[str, ...]] = {}


def _all(words: tuple[str, ...], *names: str) -> None:
    for name in names:
        assert name not in TRUE, name
        TRUE[name] = words


# masks
_all((r"every element has its own|element by element|each element",), "drops-elements", "alpha-torn")
_all(
    (
        r"every element has its own|each element|own drop decision|not dropped as a whole"
        r"|per \(l, c\), shared along n|dropped and kept elements",
    ),
    "keras-seeded-elementwise",
    "time-first-by-mistake",
    "guesses-channels",
    "guesses-batch",
    "frozen-elements",
)
_all((r"n? ?l -> n l|per \(n, l\)|position.*all channels|all channels.*position|along c",), "drops-time-steps")
_all(
    (r"last position|position 1 of 2|position -1|position \d+ of|is always kept|never dropped|not dropped as a whole",),
    "forgets-last-step",
)
_all((TORN, r"3[23]|4\d|long|position"), "tears-long-channels")
_all((TORN, STRIDED), "strided-tears-channels")
_all((TORN, RECORDED), "gradient-tears-channels")
_all((r"slice|along d\b|per \(.*d|-> n c d|TORN|not dropped as a whole",), "volumes-drop-slices")
_all((TORN, r"channels|wide|513|C >"), "wide-tail-tears")
_all((TORN, r"call"), "hundredth-call-tears")
_all((TORN, AFTER_INFERENCE), "after-inference-tears")
_all((TORN, r"position"), "hundredth-position-torn")
_all(
    (
        r"along c|-> n l|per \(n, l\)|position.*all channels|all channels.*position|last axis|channels.*(axis|first|last)",
    ),
    "keras-data-format-swapped",
)
_all((COPIES, r"4|four"), "quads-share-a-coin")
_all((COPIES,), "odd-tail-copies", "blocks-shared")
_all((COPIES, r"257|256|wide|channels"), "wide-channels-wrap", "channels-256")
_all((COPIES, r"2048|4096|channels"), "channels-above-2048")
_all((COPIES, r"bfloat16", r"4|four"), "bfloat16-quads")
_all((COPIES, r"float64"), "float64-repeats")
_all(
    (r"(one|a single|own).*(per|a|each) (sample|\(n\)|n\b)|all (\d+ )?channels|-> n\b",),
    "drops-samples",
    "keras-sample-wise",
    "couples-channels",
)
_all(
    (ROWS,),
    "one-mask-per-batch",
    "halves-share",
    "vmap-same",
    "keras-short-noise-shape",
    "blocks-one-mask-a-batch",
    "block-in-call",
    "square-repeats",
    "index-of-18-bits",
)
_all((r"sample \d+ has the mask of sample \d+", r"reverse order"), "mirrored-half")
_all((r"sample \d+ has the mask of sample \d+", r"inverted"), "antithetic-half")
_all((ROWS, r"batch|samples|rows|128|129"), "large-batches-repeat", "batch-of-32", "batches-above-3000")
_all((ROWS, r"batch|row"), "grown-rows-copy")
_all(
    (CALLS,),
    "frozen-mask",
    "second-call-repeats",
    "cycles-after-sixteen",
    "graph-replays",
    "seed-from-address",
    "keras-frozen-noise",
    "keras-seed-in-call",
    "seed-from-buffer-address",
    "redrawn-when-input-changes",
    "few-masks-for-large-batches",
    "thousand-masks",
    "keyed-by-24-bits",
    "jumps-back",
    "chunk-per-call",
    "counters-overlap",
    "hundredth-call-freezes",
)
_all((CALLS, RECORDED), "gradient-freezes")
_all((CALLS, r"batch(es)? of (one|1)|one sample|1 (sample|row)|rows? = 1"), "batch-of-one-frozen")
_all((CALLS, AFTER_INFERENCE), "after-inference-repeats")
_all(
    (TIED, r"channel"),
    "neighbour-leans",
    "lanes-lean",
    "distant-pair-leans",
    "quarters-share-bits",
    "overlapping-blocks",
)
_all(
    (TIED, r"sample|row"),
    "samples-lean",
    "samples-turned",
    "third-sample-leans",
    "diagonal-leans",
    "far-antithetic",
    "negative-index",
)
_all((TIED, r"channel \d+ of the next sample"), "first-copies-last")
_all((r"reuses the mask of call \d+ transposed", r"as many samples as channels"), "square-transposed")
_all((r"its own mask transposed", r"as many samples as channels"), "square-symmetric")
_all((r"channel \d+ is the exclusive or of .*channels \d+",), "xor-of-channels")
_all((r"sample \d+ is the exclusive or of .*samples \d+",), "xor-of-samples")
_all((r"exclusive or of",), "shift-register")
_all((r"has the mask of training call \d+", r"eval"), "frozen-by-eval")
_all(
    (rf"{TIED}|repeat", r"call"),
    "calls-lean",
    "looks-ahead",
    "calls-turned",
    "calls-turned-in-turn",
    "one-coin-stays",
    "third-call-leans",
)
# of two defects in one layer either is a true cause
_all((rf"({TIED}|repeat).*call|channels always drop together in groups of 2",), "lean-calls-with-a-copy")
_all((COUNT,), "exactly-k", "systematic", "clumped", "stratified", "rates-jitter")
_all(
    (r"rate changes with the number of calls",),
    "late-schedule",
    "creeping-rate",
    "falling-rate",
    "step-shared-with-inference",
)
_all((COUNT, r"channels|128|256|C "), "powers-of-two-ration")
_all((PATTERNS,), "parity-of-three", "parity-of-eight", "first-eight-even")
_all(
    (VALUES,),
    "prefers-negative",
    "spares-large",
    "makes-up-for-zeros",
    "constant-is-padding",
    "gentle-after-relu",
    "large-values-stay",
    "follows-by-row",
    "follows-by-place",
)
_all((rf"{VALUES}|equal samples|equal inputs",), "key-from-sample")
_all(
    (r"differ|own drop decision|every sample|not dropped as a whole|along n|declared: one per call",), "one-coin-split"
)
_all((TORN + r"|last position|kept", r"position|long|L|512"), "long-tail-kept")
_all((TORN + r"|block",), "blocks-flat")
_all((rf"{TIED}|block",), "blocks-larger")
_all((r"wrong number of channels",), "exact-with-replacement", "share-by-coins", "stretch-too-long")
_all((r"channel 7 drops in 0",), "exact-never-last")
_all((r"drop together in",), "exact-neighbours")
_all(
    (r"rows? .*(drop the same channels|correlation)|samples",),
    "exact-one-choice",
    "exact-pairs-alike",
    "stretch-one-a-batch",
)
_all((r"probability 1, expected",), "exact-always")
_all((r"length \d+ has a share",), "stretch-short")
_all((r"a stretch ends at 39 in 0",), "stretch-never-last")
_all((r"more than one stretch",), "stretch-wraps-round")

# rates
_all((SWAPPED,), "swaps-keep-and-drop", "rate-means-keep", "alpha-swapped")
_all((r"1/256|256",), "eight-bit-threshold")
_all((r"float16", r"drop", r"more|rounded|1/128|grid|instead"), "half-precision-uniform")
_all(
    (r"bfloat16|low precision|half precision", r"drop", r"more|rounded|grid|instead|too high"),
    "low-precision-uniform",
    "keras-low-precision-noise",
)
_all((r"0?\.[45]\d* (percentage )?points? more",), "half-a-point-more")
_all((NEVER, r"0?\.0[12]|small"), "small-rates-vanish")
_all(
    (r"(0?\.5|half|50 %).*(whatever|every|any|all)|(whatever|every|any|all).*(0?\.5|half|50 %)|no influence|constant",),
    "always-half",
)
_all((r"1/16|16",), "coarser-grid")
_all((ALL, r"float16"), "everything-drops-in-float16")
_all((r"twice|2(\.\d+)? times|1\.9\d times|double", r"0?\.0[12]|small"), "small-rates-doubled")
_all((NEVER, r"bfloat16"), "nothing-drops-in-bfloat16")
_all(
    (r"channel", rf"{NEVER}|rate of (its|their) own|less|fewer|drops? with probability 0\b"),
    "tail-lanes-kept",
    "channels-1024-skip",
)
_all((r"channel 0", LESS + r"|probability"), "first-channel-less")
_all((r"channel", LESS + r"|probability"), "odd-channels-less")
_all((r"channel", r"probability|rate of|more|less"), "channels-trade-rates")
_all((r"(row|sample|position) 0", rf"{NEVER}|probability"), "first-sample-kept")
_all(
    (r"row|sample|batch", r"probability|rate of|more|less|never"),
    "last-sample-more",
    "large-batch-tail-kept",
    "samples-trade-rates",
    "checkerboard",
    "coins-above-2-18",
)
_all((r"batch(es)? of (one|1)|one sample|1,|rows? = 1|1 row|batch", LESS), "batch-of-one-less")
_all((r"channels|wide|257", MORE + "|probability"), "wide-inputs-more")
_all((r"shape|size|multiple of 4|case", LESS + "|probability"), "numel-tail-less")
_all((r"shape|size|odd|case|channels", r"more|probability"), "odd-widths-within-tolerance")
_all((r"rate 0|rate=0", r"drop"), "zero-still-drops")
_all((r"rate 1|rate=1", r"NaN"), "one-is-nan", "alpha-undefined-at-one")
_all((r"rate 1|rate=1", r"kept|not (all|dropped)|keeps"), "one-keeps-some")
_all((INVALID, r"1\.5", r"-0\.1"), "obeys-any-rate")
# Keras on PyTorch adds the number of calls to the seed: that is a defect of its layers, and the rates are edge cases beside it
_all((rf"({INVALID}.*(1\.5|-0\.1))|adds the number of calls to the seed",), "keras-any-rate")
_all((INVALID, r"NaN"), "accepts-nan")
_all((r"call", rf"{NEVER}|drop"), "skips-a-call", "warms-up", "every-thousandth")
_all((r"rate 0?\.2\b|rate=0?\.2\b", r"0?\.25|25 %|quarter|5(\.\d+)? (percentage )?points"), "fifth-is-a-quarter")
_all((r"0?\.99|0?\.0001|0?\.95|clamp",), "clamped-rates")
_all((r"drop", r"batch|rows|32|64|128|power"), "powers-of-two-shift")
_all((r"drop", r"instead of|more|times"), "blocks-rate-of-seeds")
_all((r"drop", r"instead of|less|fewer|more|times|too low"), "blocks-plain-area")

# scale
_all((UNSCALED,), "not-scaled", "blocks-unscaled", "keras-seeded-unscaled")
_all(
    (
        r"realised|share (really )?kept|share of its channels that a sample keeps|share of elements that the call keeps"
        r"|from call to call|own factor|differ",
    ),
    "normalised-by-realised",
    "alpha-by-realised-share",
    "square-maps-normalised",
)
_all((r"twice|doubled|2 times|factor 2|multiplied by 2",), "one-in-256-doubled")
_all((r"double|twice|2 times|multiplied by",), "one-in-a-million-doubled")
_all((r"no common factor|noise|not (a multiple|proportional)|added|differ|neither|share no",), "adds-noise")
_all((r"sign|negative",), "sign-lost")
_all((r"factor of (another|the) rate|rate (of )?0?\.[12]\b|instead of|expected", FACTOR), "rate-rounded-for-scale")
_all((r"clip|large|saturat|became 8\b|above 8|8",), "large-values-clipped")
_all((FACTOR,), "wrong-affine", "long-factor", "blocks-factor-of-rate")
_all((r"call", r"scal|multiplied by 1\b|factor 1\b"), "second-call-unscaled")
_all((r"twice|position", FACTOR + r"|scaled"), "last-step-scaled-twice")
_all((r"bits|round|precision|relative", FACTOR), "factor-too-coarse", "factor-rounded-up")
_all((r"bfloat16|round|precision", FACTOR), "factor-in-bfloat16")
_all((r"1 ?/ ?rate\b|by the rate",), "scaled-by-rate")
_all((r"small|0\.001|10\^-3|becomes? 0|became 0|flush",), "small-become-zero", "tiny-flushed")
_all((r"large|1000|saturat|clip",), "huge-saturates")
_all(
    (r"not changed|multiplied by 1\b|unchanged|copied|factor 1\b|not scaled|scaling is missing",), "elements-above-2-22"
)
_all((r"offset|plus|added|\bb\b|neither|factor",), "alpha-offset-omitted")
_all((r"factor|multiplied",), "alpha-without-root", "alpha-kept-untouched")
_all(
    (r"dropped value|dropped (elements|units)|value of what is dropped|neither|became",),
    "alpha-of-elu",
    "alpha-scale-forgotten",
    "alpha-drops-to-zero",
)

# modes
_all((INFER, r"0?\.[0-9]+|1 - rate|multiplie|scale"), "scaled-at-inference")
_all(
    (INFER_DROP,),
    "active-in-inference",
    "functional-inference",
    "keras-training-by-default",
    "blocks-infer",
    "mask-by-shape",
    "new-mask-by-shape",
    "torch-mask-by-shape",
    "recorded-inference",
    "switched-by-eval",
    "copied-flag",
    "drops-after-many-calls",
    "branch-by-shape",
)
_all(
    (
        INFER,
        r"random|changes the (masks?|coins|next|following)|other (coins|masks)|next training call|training call after",
    ),
    "inference-spends-randomness",
)
_all((INFER, r"round|last bit|relative|values|multipli|changes"), "inference-rounds", "narrow-inference")
_all((INFER, r"values|first output|return|earlier"), "output-by-shape", "inference-aliases")
_all((INFER, r"1\.001|multiplied|scale"), "large-inference-scaled")
_all((AFTER_INFERENCE, NEVER + r"|drop"), "stuck-off", "inference-sticks")
_all((AFTER_INFERENCE, NEVER + r"|drop"), "small-batches-stop-after-inference")
_all((INFER, r"rate 1|rate=1|zero|0"), "rate-one-infers-zeros")
_all((INFER, r"scale|multipl|factor|0\.9"), "high-rate-infers-scaled")
_all((INFER, r"NaN|Inf|finite"), "inference-heals-nan")
_all((INFER, r"float64"), "edge-inference-widens")

# seeds
_all(
    (SEED,),
    "ignores-seed",
    "ignores-manual-seed",
    "seed-and-instance",
    "module-stream",
    "legacy-stream",
    "first-call-seeded",
)
_all((SEED, r"float16"), "halves-unseeded")
_all((SEED,), "small-inputs-unseeded", "large-inputs-unseeded")
_all((RESEED,), "keeps-drawn-block", "key-from-trace-count")
_all((RESEED, r"float16"), "float16-keeps-blocks")
_all((SEEDS,), "seed-truncated", "always-seed-zero", "replicas-share", "seed-modulo-prime", "seeds-a-step-apart")
_all((r"seed", TIED + r"|agree"), "neighbour-seeds-lean", "high-bits-ignored", "seeds-turned")
_all(
    (r"two layers|layers? of one (class|model)|second layer|other layer|instances?|layers",),
    "generator-left-as-made",
    "seeded-from-initial-seed",
    "one-mask-for-a-model",
    "blocks-of-the-generator",
)
_all((r"everybody else|others|random numbers", r"numpy"), "seeds-numpy-in-forward")
_all((r"everybody else|others|random numbers", r"random\.seed|python|constructor"), "seeds-python-in-its-constructor")

# gradients
_all(
    (GRADIENT, r"(own|other|another|different) (coins|mask|drop decisions)|both|not 0|new mask|other than"),
    "backward-other-coins",
)
_all((GRAD_ZERO, r"input is 0|where the (input|output)"), "backward-from-output", "elements-from-output")
_all((GRAD_ZERO, r"negative"), "backward-from-sign")
_all(
    (GRADIENT, r"not 0|mask is ignored|ignores the mask|no mask|dropped"),
    "backward-no-mask",
    "alpha-gradient-through-dropped",
)
_all((GRADIENT, r"0 at 100 %|0 (everywhere|at (all|every))|no gradient|detached|100%"), "backward-none")
_all((GRADIENT, r"scaled? .*(missing|not)|factor 1\b|times 1\b|multiplied by 1\b|by 1\b|missing"), "backward-no-scale")
_all((GRADIENT, r"twice|squared|scaled"), "backward-scale-twice")
_all((GRADIENT, r"2 times|twice|doubled|some|factor|2 %|1 in"), "backward-one-in-fifty")
_all((GRADIENT, r"rate 1|rate=1", r"NaN"), "edge-nan")
_all((GRADIENT, r"rate 0|rate=0"), "edge-no-gradient-at-zero")
_all((GRADIENT, r"1 ?/ ?\(1 - rate\)|factor|multiplied|times"), "alpha-gradient-of-plain")
_all((r"recomput|checkpoint",), "module-generator", "masks-in-pairs", "call-counter")
_all((GRADIENT, r"rate 0|rate=0", r"raise|error"), "zero-forgets-context")
_all((GRADIENT, r"rate 1|rate=1"), "one-divides-backward")
_all((GRADIENT, INFER), "inference-masks-backward", "inference-detaches")
_all(
    (r"two|second|other forward|several forward|pass(es)?", GRADIENT),
    "mask-held-on-the-layer",
    "buffer-of-masks",
    "mask-freed-after-use",
    "jax-key-held-on-the-module",
)
_all((r"cotangent|expanded|incoming gradient",), "cotangent-written", "cotangent-first-step")
_all((r"cotangent|incoming gradient", r"transposed|strid|memory|expanded"), "cotangent-strides-ignored")
_all((r"second derivative|differentiated (once more|again|twice)",), "second-cut", "second-anew", "second-unscaled")

# form
_all((r"float16", r"float32"), "comes-out-float32", "recorded-half-widens")
_all((r"bfloat16", r"float32"), "bfloat16-comes-out-float32")
_all((r"shape|position", r"\(|one"), "drops-last-step")
_all((STRIDED,), "ignores-strides", "permutes-transposed", "some-strided-inputs-read")
_all((BATCH,), "first-batch-frozen", "refuses-other-batch", "smaller-batch-stale")
_all((EMPTY,), "empty-becomes-scalar", "empty-crashes", "no-channels-becomes-one")
_all(
    (RANK,),
    "other-rank-drops-rows",
    "two-axes-mean-one-sample",
    "images-drop-twice",
    "images-frozen",
    "images-in-inference",
)
_all(
    (r"input", r"modif|chang|overwrit|writ"),
    "overwrites-input",
    "in-place",
    "rate-one-overwrites",
    "recorded-overwritten",
    "writes-into-leaf",
)
_all((r"earlier (result|output)|buffer|later call|previous|result",), "reuses-output", "inference-reuses-output")
_all((r"NaN|Inf", r"dropped"), "nan-leaks", "elements-leak")
_all((r"float64", r"batch|large|comes out|output|\(|1\d\d\d"), "large-batches-come-out-wider")
_all((r"bfloat16", r"refus|raise|not"), "no-bfloat16")
_all((r"shape", r"channels|\("), "removes-channels")
_all((r"width|channels|size|shape|batch",), "width-stale", "width-crashes")
_all((r"length|size|shape|positions|batch",), "length-stale")

# daily use
_all(
    (rf"{LATER}|second layer", r"rate"),
    "later-rate-ignored",
    "later-rate-without-scale",
    "later-rate-without-coins",
    "factor-of-the-last-made",
    "keep-computed-once",
)
_all(
    (COPY,),
    "deepcopy-forgets-rate",
    "pickle-forgets-rate",
    "pickle-forgets-factor",
    "state-tears-channels",
    "copy-takes-the-stream-along",
    "rate-by-identity",
    "keras-config-forgets-rate",
)
_all(
    (SETTINGS,),
    "off-in-inference-mode",
    "off-for-frozen-inputs",
    "factor-in-default-dtype",
    "mask-in-default-dtype",
    "frozen-when-deterministic",
    "ends-determinism",
)
_all((THREADS,), "mask-on-self", "output-on-self", "counter-without-lock", "off-outside-the-main-thread")

# --- what would be a false cause ----------------------------------------------------------------------------------------

# topic -> (expression that claims it, defects of which it is true)
TOPICS: dict[str, tuple[str, str]] = {
    "keep and drop swapped": (
        r"keep and drop|swapped|means the keep",
        "swaps-keep-and-drop rate-means-keep alpha-swapped",
    ),
    "scale missing": (
        r"scaling is missing|is not scaled|are not scaled",
        "not-scaled blocks-unscaled keras-seeded-unscaled second-call-unscaled scaled-at-inference backward-no-scale "
        "elements-above-2-22 pickle-forgets-factor later-rate-without-scale second-unscaled",
    ),
    "scaled twice": (
        r"scal\w+ .*twice|twice .*scal\w+|applied twice",
        "last-step-scaled-twice backward-scale-twice one-in-256-doubled one-in-a-million-doubled backward-one-in-fifty",
    ),
    "divided by the rate": (r"1 ?/ ?rate\b|divided by the rate|by rate instead", "scaled-by-rate"),
    "mask fixed": (
        r"(same|one) mask (in|for) (every|all)|mask (never changes|does not change)|reuses the mask|is drawn once",
        "frozen-mask second-call-repeats cycles-after-sixteen graph-replays seed-from-address keras-frozen-noise "
        "keras-seed-in-call seed-from-buffer-address redrawn-when-input-changes few-masks-for-large-batches "
        "thousand-masks keyed-by-24-bits jumps-back chunk-per-call counters-overlap hundredth-call-freezes "
        "gradient-freezes batch-of-one-frozen after-inference-repeats images-frozen frozen-when-deterministic "
        "frozen-elements one-coin-stays always-seed-zero lean-calls-with-a-copy",
    ),
    "a decision an element": (
        r"(every|each) element has its own|element by element",
        "drops-elements alpha-torn keras-seeded-elementwise time-first-by-mistake guesses-channels guesses-batch "
        "frozen-elements strided-tears-channels gradient-tears-channels wide-tail-tears hundredth-call-tears "
        "after-inference-tears state-tears-channels elements-leak elements-from-output tears-long-channels",
    ),
    "channels share": (
        r"channels (share|are copies|are dropped together)|all channels (of|together)|groups of \d+ (neighbouring )?channels",
        "quads-share-a-coin odd-tail-copies blocks-shared wide-channels-wrap channels-256 channels-above-2048 "
        "bfloat16-quads float64-repeats drops-samples keras-sample-wise couples-channels drops-time-steps "
        "keras-data-format-swapped lean-calls-with-a-copy overlapping-blocks time-first-by-mistake",
    ),
    "samples share": (
        r"samples (of a (batch|call) )?(share|are copies)|share one mask|one mask for the batch",
        "one-mask-per-batch halves-share vmap-same keras-short-noise-shape blocks-one-mask-a-batch block-in-call "
        "square-repeats index-of-18-bits large-batches-repeat batch-of-32 batches-above-3000 grown-rows-copy "
        "time-first-by-mistake key-from-sample overlapping-blocks jumps-back",
    ),
    "never drops": (
        r"never drops|drops nothing",
        "small-rates-vanish nothing-drops-in-bfloat16 tail-lanes-kept channels-1024-skip first-sample-kept "
        "large-batch-tail-kept skips-a-call every-thousandth stuck-off inference-sticks width-stale length-stale "
        "small-batches-stop-after-inference off-in-inference-mode off-for-frozen-inputs off-outside-the-main-thread "
        "mask-freed-after-use coins-above-2-18 warms-up clamped-rates deepcopy-forgets-rate pickle-forgets-rate "
        "constant-is-padding rate-by-identity branch-by-shape batch-of-one-less long-tail-kept forgets-last-step "
        "later-rate-ignored first-batch-frozen obeys-any-rate accepts-nan keras-any-rate images-drop-twice",
    ),
    "drops everything": (
        r"drops everything",
        "everything-drops-in-float16 rate-one-infers-zeros obeys-any-rate accepts-nan keras-any-rate",
    ),
    "a rate whatever is asked": (r"whatever (the )?(rate|is asked)|has no influence", "always-half later-rate-ignored"),
    "rates on a grid": (
        r"multiples of 1/|rounded to a grid|grid of",
        "eight-bit-threshold coarser-grid half-precision-uniform low-precision-uniform keras-low-precision-noise",
    ),
    "low precision": (
        r"low precision|too few bits|in the (input's )?dtype|rounded to (b?float16|\d+ bits)",
        "half-precision-uniform low-precision-uniform keras-low-precision-noise factor-too-coarse factor-in-bfloat16 "
        "factor-in-default-dtype mask-in-default-dtype inference-rounds narrow-inference long-factor factor-rounded-up "
        "eight-bit-threshold nothing-drops-in-bfloat16 everything-drops-in-float16 large-inference-scaled",
    ),
    "division by zero": (
        r"divi\w+ by (zero|0)|0 \* inf|0 times",
        "one-is-nan alpha-undefined-at-one edge-nan one-divides-backward",
    ),
    "inference drops": (
        r"drops .*in inference|inference drops|stays on",
        "active-in-inference functional-inference keras-training-by-default blocks-infer mask-by-shape new-mask-by-shape "
        "torch-mask-by-shape recorded-inference switched-by-eval copied-flag drops-after-many-calls branch-by-shape "
        "images-in-inference rate-one-infers-zeros inference-masks-backward after-inference-tears",
    ),
    "the seed is ignored": (
        r"seed (is ignored|reaches nothing|does not reach)|ignores the seed",
        "ignores-seed ignores-manual-seed module-stream legacy-stream first-call-seeded halves-unseeded "
        "small-inputs-unseeded large-inputs-unseeded always-seed-zero seed-and-instance",
    ),
    "backward draws anew": (
        r"draws? (its own|another) mask|new mask in the backward|other (drop decisions|mask) than the forward",
        "backward-other-coins second-anew module-generator masks-in-pairs call-counter ignores-manual-seed "
        "seeded-from-initial-seed copy-takes-the-stream-along mask-held-on-the-layer buffer-of-masks "
        "jax-key-held-on-the-module",
    ),
}


def right(name: str, text: str) -> bool:
    """Whether the text names the true cause of a planted defect."""
    return all(re.search(words, text, re.IGNORECASE | re.DOTALL) for words in TRUE[name])


def false(name: str, text: str) -> list[str]:
    """The topics that the text claims and that are not true of the defect; of a correct layer (unknown name) all are."""
    return [
        topic
        for topic, (claims, of) in TOPICS.items()
        if name not in of.split() and re.search(claims, text, re.IGNORECASE | re.DOTALL)
    ]
