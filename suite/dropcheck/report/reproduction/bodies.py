"""What each check's script computes: source that ends with ``observed``, ``expected`` and ``defect``.

Thresholds in standard deviations stand beside the probability with which a right layer exceeds them.
"""

from __future__ import annotations

_RATE = """
dropped = total = 0
for mask in masks(make(RATE, SEED)):
    dropped, total = dropped + int(mask.sum()), total + mask.size
deviation = np.sqrt(total * RATE * (1 - RATE))
z = (dropped - total * RATE) / max(deviation, 1e-9)
expected = f"the drop rate is {RATE:g}"
observed = f"{dropped} of {total} decisions dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9
"""

_POSITIONS = """
dropped, seen = np.zeros(MOST), np.zeros(MOST)
for mask in masks(make(RATE, SEED)):
    count = mask.sum(axis=AXIS)
    dropped[: len(count)] += count
    seen[: len(count)] += mask.shape[AXIS]
dropped, seen = dropped[seen > 0], seen[seen > 0]
p = dropped.sum() / seen.sum()
z = (dropped - seen * p) / np.sqrt(seen * max(p * (1 - p), 1e-12))
together = (np.sum(z**2) - len(z)) / np.sqrt(2 * len(z))
worst = int(np.argmax(abs(z)))
expected = f"every WORD has the rate of all, {p:.5g}"
observed = (
    f"WORD {worst} drops at rate {dropped[worst] / seen[worst]:.5g} ({z[worst]:+.1f} standard deviations); "
    f"all together are {together:+.1f} standard deviations too unequal"
)
defect = abs(z[worst]) > 7 or together > 9  # a right layer: below 10^-8
"""

_DISTINCT = """
streams = list(enumerate(apart(masks(make(RATE, SEED)), AXES)))
found = [r for r in repeats(streams) if r[0] CONDITION r[2]]
expected = "no WORDS share their mask"
observed = f"{len(found)} runs of rows occur twice"
if found:
    observed += ": row {1} of call {0} is row {3} of call {2}".format(*found[0])
else:
    found = [r for r in stretches(streams) if r[0] CONDITION r[2]]
    observed = f"{len(found)} stretches of decisions occur twice at any offset"
    if found:
        observed += ": that from decision {1} of call {0} on is that from decision {3} of call {2} on".format(*found[0])
defect = bool(found)
"""

_LAGGED = """
# overlapping pairs have up to twice the variance of disjoint ones: 9 here are 6 there
every = np.stack([m for m in masks(make(RATE, SEED)) if len(m) == MOST_ROWS]).astype(float)  # (calls, rows, channels)
every -= every.mean()
worst, lag_of = 0.0, 0
for lag in (1, 2, 3, 4, 8, 16, 32):
    if lag < every.shape[AXIS]:
        one, two = np.delete(every, range(lag), AXIS), np.delete(every, range(every.shape[AXIS] - lag, every.shape[AXIS]), AXIS)
        r = (one * two).mean() / every.var()
        if abs(r) * np.sqrt(one.size) > abs(worst) * np.sqrt(every.size):
            worst, lag_of = r, lag
expected = "masks of different WORDS are independent: correlation 0"
observed = f"correlation {worst:+.5f} between WORDS {lag_of} apart, {worst * np.sqrt(every.size):+.1f} standard deviations"
defect = abs(worst) * np.sqrt(every.size) > 9
"""

_GRADIENT_START = """
x = values(SHAPES[0], 1)
KIND
x, cotangent = tensor(x), tensor(values(SHAPES[0], 2))
"""

# of mask.distinct-samples, where samples are equal in all calls, and too short for words
ROWS_ALIKE = """
rows = np.stack(list(masks(make(RATE, SEED)))).transpose(1, 0, 2)
rows = rows.reshape(len(rows), -1)
rows = rows[(rows != rows[:, :1]).any(axis=1)]  # a sample that never changes has a rate of its own
p = rows.mean() if len(rows) else 1.0
chance = len(rows) ** 2 / 2 * (p**2 + (1 - p) ** 2) ** rows.shape[1]
copies = len(rows) - len(np.unique(rows, axis=0))
expected = "no sample of a call has the mask of another one in every call"
observed = f"{copies} of {len(rows)} samples repeat another one in all of {CALLS} calls (by chance: {chance:.0e})"
defect = copies > 0 and chance < 1e-8
"""

# of mode.inference, where an output has another dtype: its values may be right
ANSWERS_FORM = """    changed[-1] = y.size if str(answer.dtype) != str(given.dtype) else changed[-1]
"""
SAYS_FORM = """observed += f"; {answer.dtype} for {given.dtype}"
"""

BODIES: dict[str, str] = {
    "rate.marginal": _RATE,
    "rate.per-shape": _RATE,
    "rate.per-channel": _POSITIONS.replace("AXIS", "0").replace("MOST", "CHANNELS").replace("WORD", "channel"),
    "rate.per-sample": _POSITIONS.replace("AXIS", "1").replace("MOST", "MOST_ROWS").replace("WORD", "sample"),
    "rate.zero": """
changed = total = 0
for shape in SHAPES:
    x = tensor(values(shape))
    layer = make(0.0, SEED)
    for _ in range(8):
        changed, total = changed + int((numpy(call(layer, x)) != numpy(x)).sum()), total + np.prod(shape)
expected = "rate 0 returns its input"
observed = f"{changed} of {total} elements are changed"
defect = changed > 0
""",
    "rate.one": """
kept = infinite = total = 0
expected, crash = "rate 1 drops everything, or is rejected", ""
try:
    layer = make(1.0, SEED)
    for _ in range(8):
        y = numpy(call(layer, tensor(values(SHAPES[0]))))
        kept, infinite, total = kept + int((y != DROPPED).sum()), infinite + int((~np.isfinite(y)).sum()), total + y.size
except Exception as error:
    # what the interpreter raises when code goes wrong is no refusal, whatever a library wraps around it
    wrong = isinstance(error, (ArithmeticError, AttributeError, LookupError, MemoryError, NameError, RecursionError, SystemError))
    wrong |= any(words in str(error) for words in ("division by zero", "math domain error", "cannot convert float"))
    crash = f"{'crashes' if wrong else 'rejected'}: {type(error).__name__}: {error}"
observed = crash or f"{kept} of {total} elements are not dropped, {infinite} of them not finite"
defect = kept > 0 or crash.startswith("crashes")
""",
    "rate.rejects-invalid": """
expected = f"rate {INVALID} is rejected"
try:
    y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
    observed, defect = f"accepted rate {INVALID}; {np.mean(y == 0):.1%} of the elements are 0", True
except Exception as error:
    observed, defect = f"rejected: {type(error).__name__}: {error}", False
""",
    "mask.whole-channels": """
mixed = total = 0
for y in outputs(make(RATE, SEED)):
    gone = y == DROPPED
    some, every = gone.any(axis=SHARED), gone.all(axis=SHARED)
    mixed, total = mixed + int((some & ~every).sum()), total + some.size
expected = "elements that share a decision are dropped or kept together"
observed = f"{mixed} of {total} channels are dropped in part only"
defect = mixed > 0
""",
    "mask.distinct-channels": """
columns = np.concatenate(list(masks(make(RATE, SEED)))).T
p = columns.mean()
chance = len(columns) ** 2 * (p**2 + (1 - p) ** 2) ** columns.shape[1]
groups = {}
for channel, column in enumerate(columns):
    groups.setdefault(column.tobytes(), []).append(channel)
same = [g for g in groups.values() if len(g) > 1]
expected = "no two channels have the same mask"
observed = f"{sum(map(len, same))} of {CHANNELS} channels are copies over {columns.shape[1]} rows" + (
    f", such as channels {same[0][:8]} (by chance: {chance:.0e})" if same else ""
)
defect = bool(same) and chance < 1e-8
if not defect:  # copies at a distance: the same runs of rows, channel by channel
    seen = {}
    for channel, column in enumerate(columns):
        for start in range(0, len(column) - 128, 1):
            place = seen.setdefault(column[start : start + 128].tobytes(), (channel, start))
            if place != (channel, start) and 0.1 < column[start : start + 128].mean() < 0.9:
                observed, defect = f"128 rows of channel {channel} from {start} are channel {place[0]} from {place[1]}", True
                break
        if defect:
            break
""",
    "mask.distinct-samples": _DISTINCT.replace("CONDITION", "==")
    .replace("AXES", "(1,)")
    .replace("WORDS", "samples of a call"),
    "mask.distinct-calls": _DISTINCT.replace("CONDITION", "!=").replace(", AXES", "").replace("WORDS", "calls"),
    "mask.independent-channels": """
n, total, both = 0, np.zeros(CHANNELS), np.zeros((CHANNELS, CHANNELS))
for mask in masks(make(RATE, SEED)):
    m = mask.astype(float)
    n, total, both = n + len(m), total + m.sum(axis=0), both + m.T @ m
p = total / n
spread = np.sqrt(np.maximum(p * (1 - p), 1e-12))
z = (both / n - np.outer(p, p)) / np.outer(spread, spread) * np.sqrt(n)
one, two = np.unravel_index(np.argmax(abs(np.triu(z, 1))), z.shape)
pairs = CHANNELS * (CHANNELS - 1) / 2
mean = np.triu(z, 1).sum() / np.sqrt(pairs)
strides = [np.diagonal(z, d).sum() / np.sqrt(CHANNELS - d) for d in (1, 2, 3, 4, 8, 16, 32) if d < CHANNELS]
stride = max(strides, key=abs)
expected = "channels are independent: correlation 0"
observed = (
    f"channels {one} and {two} have correlation {z[one, two] / np.sqrt(n):+.4f} ({z[one, two]:+.1f} standard deviations), "
    f"all pairs {mean:+.1f}, pairs at one distance {stride:+.1f} standard deviations"
)
defect = abs(z[one, two]) > 9 or abs(mean) > 7 or abs(stride) > 7  # a right layer: below 10^-8
""",
    "mask.independent-samples": _LAGGED.replace("AXIS", "1").replace("WORDS", "samples"),
    "mask.independent-calls": _LAGGED.replace("AXIS", "0").replace("WORDS", "calls"),
    "mask.dropped-count": """
rows = np.concatenate(list(masks(make(RATE, SEED))))
p = rows.mean(axis=0)
variance = np.sum(p * (1 - p))  # of the number of dropped channels, if they are independent
ratio = rows.sum(axis=1).var() / variance
z = (ratio - 1) / np.sqrt((2 + (1 - 6 * RATE * (1 - RATE)) / (CHANNELS * RATE * (1 - RATE))) / len(rows))
expected = "the number of dropped channels in a row varies as if channels drop independently"
observed = f"its variance over {len(rows)} rows is {ratio:.4f} times that, {z:+.1f} standard deviations"
defect = abs(z) > 8  # a right layer: below 10^-8, with room for the skewness
""",
    "mask.patterns": """
rows = np.concatenate(list(masks(make(RATE, SEED)))).astype(np.int64)
p, worst, what = rows.mean(), 0.0, ""
for size in (3, 4, 8):
    for stride in (1, 2, 4, 8, 16, 32):
        span = (size - 1) * stride + 1
        starts = [s for s in range(0, CHANNELS - span + 1) if s % (size * stride) < stride]
        if not starts:
            continue
        words = sum(rows[:, [s + k * stride for s in starts]] << k for k in range(size)).ravel()
        ones = np.array([bin(w).count("1") for w in range(2**size)])
        want = words.size * p**ones * (1 - p) ** (size - ones)
        seen = np.bincount(words, minlength=2**size)
        rare = want < 50  # cells with few expected counts are put together
        seen, want = np.append(seen[~rare], seen[rare].sum()), np.append(want[~rare], want[rare].sum())
        seen, want = seen[want > 50], want[want > 50]
        if len(want) > 1:
            z = (np.sum((seen - want) ** 2 / want) - len(want)) / np.sqrt(2 * len(want))
            if z > worst:
                worst, what = z, f"{size} channels at distance {stride}"
expected = "patterns of groups of channels follow the product of their rates"
observed = f"patterns of {what} are {worst:+.1f} standard deviations (chi-square) from it"
defect = worst > 25  # a right layer: below 10^-8, the tail of a chi-square with few degrees included
""",
    "mask.ignores-values": """
kinds = np.array([-4, -1, -0.5, -0.25, 0.25, 0.5, 1, 4])
rng = np.random.default_rng(1)
dropped, seen = np.zeros(len(kinds)), np.zeros(len(kinds))
layer = make(RATE, SEED)
for i in range(CALLS):
    shape = SHAPES[i % len(SHAPES)]
    kind = rng.integers(len(kinds), size=[1 if a in SHARED else n for a, n in enumerate(shape)])
    mask = coins(numpy(call(layer, tensor(np.broadcast_to(kinds[kind], shape).astype("float32")))))
    seen += np.bincount(kind.ravel(), minlength=len(kinds))
    dropped += np.bincount(kind.ravel(), mask.ravel(), minlength=len(kinds))
p = dropped.sum() / seen.sum()
z = (dropped - seen * p) / np.sqrt(seen * p * (1 - p))
worst = int(np.argmax(abs(z)))
expected = "masks do not depend on the input's values"
observed = f"inputs of {kinds[worst]:g} drop at rate {dropped[worst] / seen[worst]:.5g}, all at {p:.5g}"
observed += f": {z[worst]:+.1f} standard deviations"
defect = abs(z[worst]) > 7
""",
    "scale.kept-values": """
worst = wrong = total = 0
layer = make(RATE, SEED)
for i in range(CALLS):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    want = np.longdouble(numpy(x)) * EXACT_SCALE
    y = numpy(call(layer, prepared(x)))
    kept = y != DROPPED
    error = abs(y[kept] / want[kept] - 1) / UNIT
    worst, total = max(worst, float(error.max(initial=0))), total + error.size
    wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
defect = wrong > 0
""",
    "scale.mean": """
layer, worst, where = make(RATE, SEED), 0.0, ""
for i in range(max(CALLS, 16)):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    want = np.longdouble(numpy(x)) * EXACT_SCALE
    y = numpy(call(layer, x))
    kept = y != DROPPED
    mean = float((y[kept] / want[kept] - 1).mean()) / UNIT if kept.any() else 0.0
    if abs(mean) > abs(worst):
        worst, where = mean, f"the {kept.sum()} kept values of call {i + 1}"
expected = f"the kept values of a call are x times {SCALE:.6g} on average, to {MEAN_BOUND:.3g} unit roundoffs of {DTYPE}"
observed = f"{where} are off by {worst:+.4g} unit roundoffs on average ({worst * UNIT:+.3%})"
defect = abs(worst) > MEAN_BOUND
""",
    "seed.reproducible": """
runs = [list(outputs(make(RATE, SEED), 3)) for _ in range(2)]
differ = [i for i in range(3) if not np.array_equal(runs[0][i], runs[1][i])]
expected = "the same seed gives the same masks"
observed = f"calls {differ} of two layers with seed {SEED} differ" if differ else "they are the same"
defect = bool(differ)
""",
    "seed.reset": """
layer = make(RATE, SEED)
first = list(outputs(layer, 3))
other = list(SHAPES[0])
other[0] += 3
call(layer, tensor(values(other)))
call(layer, tensor(values(SHAPES[0])), training=False)
layer = reseeded(layer, SEED)
again = list(outputs(layer, 3))
layer = reseeded(layer, SEED + 1)
moved = list(outputs(layer, 3))
same = all(np.array_equal(a, b) for a, b in zip(first, again))
stuck = all(np.array_equal(a, b) for a, b in zip(first, moved))
expected = "reseeding repeats the masks, another seed does not"
words = {True: "the same", False: "different"}
observed = f"after reseeding the masks are {words[same]}; with another seed {words[stuck]}"
defect = not same or stuck
""",
    "seed.distinct": """
streams = []
for n in range(SEEDS):
    streams.append((SEED + n, np.concatenate(list(masks(make(RATE, SEED + n), 2)))))
streams = [(seed, mask) for (seed, _), mask in zip(streams, apart(mask for _, mask in streams))]
found = [r for r in repeats(streams) if r[0] != r[2]]
expected = "different seeds give unrelated streams"
observed = f"{len(found)} runs of rows occur under two of {SEEDS} seeds"
if found:
    observed += ": row {3} of seed {2} is row {1} of seed {0} (rows of successive calls counted on)".format(*found[0])
else:
    found = [r for r in stretches(streams) if r[0] != r[2]]
    observed = f"{len(found)} stretches of decisions occur under two of {SEEDS} seeds, at any offset"
    if found:
        observed += ": that from decision {3} of seed {2} on is that from decision {1} of seed {0} on".format(*found[0])
defect = bool(found)
""",
    "seed.neighbours": """
flips = [lambda n: n, lambda n: n ^ 1, lambda n: n + 1, lambda n: n ^ 2, lambda n: n ^ 256, lambda n: n ^ 2**20]
names = ("", "seed ^ 1", "seed + 1", "seed ^ 2", "seed ^ 256", "seed ^ 2**20")
starts = [SEED + 4099 * n for n in range(SEEDS)]  # so far apart that none is a neighbour of another
flat = apart(m for start in starts for flip in flips for m in masks(make(RATE, flip(start)), 2))
every = np.array(flat, float).reshape(SEEDS, len(flips), 2, -1)  # (seeds, neighbours, calls, coins)
every = (every - every.mean()) / max(every.std(), 1e-12)
expected = "masks of neighbouring seeds and shifted calls are independent: correlation 0"
best, observed = 0.0, "none is found"
for k in range(1, len(flips)):
    for i in range(2):
        for j in range(2):
            product = every[:, 0, i] * every[:, k, j]
            each = product.sum(axis=0) / np.sqrt(SEEDS)  # coin by coin, where signs cannot cancel
            unequal = (np.sum(each**2) - each.size) / np.sqrt(each.size * (2 + np.mean(product**4) / SEEDS))
            for z, what in (
                (product.mean() * np.sqrt(product.size), f"correlation {product.mean():+.4f}"),
                (unequal, f"correlations of single decisions are {np.sqrt(np.mean(each**2)):.3g} times as large as by chance"),
            ):
                if abs(z) > abs(best):
                    best, observed = z, f"call {i + 1} of seed and call {j + 1} of {names[k]}: {what}"
                    observed += f" ({z:+.1f} standard deviations)"
defect = abs(best) > 9  # 40 numbers, half of them chi-square of many degrees: a right layer below 10^-9
""",
    "gradient.mask": _GRADIENT_START
    + """
layer = make(RATE, SEED)
gradient(layer, x, cotangent)
y, g = gradient(layer, x, cotangent)
known, gone = numpy(x) != 0, y == DROPPED  # element by element; an input of 0 goes with the others of its coin
some, none = ((one & known).any(axis=SHARED, keepdims=True) for one in (gone, ~gone))
whole = not (some & none).any()  # if there are such in any coin, an input of 0 tells nothing
dropped, kept = (np.where(known, own, whole & one & ~other) for own, one, other in ((gone, some, none), (~gone, none, some)))
leaking, missing = int(((g != 0) & dropped).sum()), int(((g == 0) & kept).sum())
expected = "the gradient is 0 where the forward pass dropped, and only there"
observed = f"it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones, of {g.size}"
defect = leaking + missing > 0
""",
    "gradient.scale": _GRADIENT_START
    + """
layer, ratios = make(RATE, SEED), []
given = np.longdouble(numpy(x))
for _ in range(16):
    y, g = gradient(layer, x, cotangent)
    kept = (y != DROPPED) & (given != 0) & (g != 0)
    ratios.append(g[kept] / np.longdouble(numpy(cotangent))[kept] / (y[kept] / given[kept]))
ratio = np.concatenate(ratios)
wrong = int((abs(ratio - 1) > 2.02 * UNIT * (3 + RATE / (1 - RATE))).sum())
expected = "gradients of kept elements are the cotangent times the factor of the forward pass"
observed = f"{wrong} of {ratio.size} in 16 calls are not; "
observed += f"they are {ratio.min(initial=np.inf):.9g} to {ratio.max(initial=-np.inf):.9g} times that"
defect = wrong > 0
""",
    "gradient.edges": """
x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
y, g = gradient(make(RATE, SEED), x, cotangent)
right = y == numpy(x) if RATE == 0 else y == DROPPED  # where the forward pass is wrong, its gradient says nothing more
wrong = right & (g != (numpy(cotangent) if RATE == 0 else 0))
expected = f"the gradient at rate {RATE:g} is {'the cotangent' if RATE == 0 else '0'} where the output is right"
observed = f"of {int(right.sum())} it is not at {int(wrong.sum())}, and not finite at {int((right & ~np.isfinite(g)).sum())}"
defect = bool(wrong.any())
""",
    "gradient.recompute": """
layer, leaking, missing = make(RATE, SEED), 0, 0
x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
for i in range(8):
    y, g = recompute(layer, x, cotangent, REENTRANT)
    gone = y == DROPPED
    leaking, missing = leaking + int(((g != 0) & gone).sum()), missing + int(((g == 0) & ~gone).sum())
expected = "the recomputed forward pass draws the same mask: the gradient is 0 where the output was dropped, and only there"
observed = f"in 8 calls it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones"
defect = leaking + missing > 0
""",
    "mode.inference": """
layer = make(RATE, SEED)
x = tensor(values(SHAPES[0]))
changed = []  # how many elements of each call are something else
for number in range(65):
    # the first call of a layer of its own; from the second on training comes first, on another layer
    layer = make(RATE, SEED) if number < 2 else layer
    if number:
        call(layer, x)
    given = tensor(values(SHAPES[0], number))
    answer = call(layer, given, training=False)
    want, y = numpy(given) * QUIET, numpy(answer)
    near = abs(want) * (0 if QUIET == 1 else 4 * UNIT)
    changed.append(int((~(abs(y - want) <= near)).sum()) if y.shape == want.shape else y.size)
    FORM
wrong = sum(changed)
plain, mixed = make(RATE, SEED), []
one = [numpy(call(plain, x)) for _ in range(3)]
layer = make(RATE, SEED)
for _ in range(3):
    mixed.append(numpy(call(layer, x)))
    call(layer, x, training=False)
spent = not all(np.array_equal(a, b) for a, b in zip(one, mixed))
expected = f"inference returns its input{'' if QUIET == 1 else f' times {QUIET:g}'} and spends no randomness"
observed = f"{wrong} elements are something else in 65 calls, 64 of them after training calls"
FORM_SAID
observed += "; training masks differ when inference calls come between" if spent else ""
defect = wrong > 0 or (spent and SPENDS)
""",
    "mode.toggle": """
layer, x, shares = make(RATE, SEED), tensor(values(SHAPES[0])), []
for _ in range(3):
    shares.append(float(np.mean(numpy(call(layer, x)) == DROPPED)))
    call(layer, x, training=False)
expected = "training drops again after an inference call"
observed = "shares that are dropped in training calls, an inference call after each: " + ", ".join(f"{s:.3g}" for s in shares)
defect = shares[0] > 0 and min(shares[1:]) == 0
""",
    "form.shape-dtype": """
x = tensor(values(SHAPES[0]))
expected = f"{DTYPE} {tuple(x.shape)}"
try:
    y = call(make(RATE, SEED), x, training=TRAINING)
    observed = f"{kind_of(y)} {tuple(y.shape)}"
except Exception as error:
    observed = f"{type(error).__name__}: {error}"
defect = observed != expected
""",
    "form.strides": """
x = values(SHAPES[0])
layer, plain, problems = make(RATE, SEED), make(RATE, SEED + 1), []
known = numpy(tensor(x))
usual = [(known, numpy(call(plain, tensor(x)))) for _ in range(16)]  # the same layer with inputs that are contiguous
for _ in range(4):
    problems.append(problem(known, numpy(call(layer, arranged(tensor(x)))), usual))
quiet, other = (numpy(call(layer, given, training=False)) for given in (arranged(tensor(x)), tensor(x)))
if np.array_equal(other, known) and not np.array_equal(quiet, known):
    problems.append("inference changes the values")
problems = [p for p in problems if p]
expected = "an input that is not contiguous is treated like one that is"
observed = problems[0] if problems else "it is"
defect = bool(problems)
""",
    "form.batch-change": """
layer, observed = make(RATE, SEED), "they do"
expected = "batches of changing size work within one layer as each does within a layer of its own"
for number, shape in enumerate(SHAPES):
    x = numpy(tensor(values(shape, number)))
    try:
        other = make(RATE, SEED + number)  # whose batches are all of this size
        usual = [(x, numpy(call(other, tensor(values(shape, number))))) for _ in range(16)]
    except Exception:
        continue  # what a new layer refuses is not a matter of changing sizes
    try:
        y = numpy(call(layer, tensor(values(shape, number))))
        usual = [(u, v) for u, v in usual if v.shape == x.shape]
        wrong, half = problem(x, y, usual), len(y) // 2
        gone = (y[half:] == DROPPED).all() and any((v[half:] != DROPPED).any() for _, v in usual)
        if not wrong and y[half:].size > 5000 and gone:
            wrong = "the second half is dropped whole"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        observed = f"at shape {tuple(shape)}: {wrong}"
        break
defect = observed != "they do"
""",
    "form.empty": """
x = tensor(values(SHAPES[0]))
expected = f"{DTYPE} {tuple(x.shape)}, or a rejection"
try:
    y = call(make(RATE, SEED), x, training=TRAINING)
    observed, defect = f"{kind_of(y)} {tuple(y.shape)}", (kind_of(y), tuple(y.shape)) != (DTYPE, tuple(x.shape))
except Exception as error:
    # what the interpreter raises when code goes wrong is no refusal
    crash = isinstance(error, (ArithmeticError, AttributeError, LookupError, MemoryError, NameError, RecursionError, SystemError))
    observed, defect = f"{'crashes' if crash else 'rejected'}: {type(error).__name__}: {error}", crash
""",
    "form.ranks": """
layer, problems = make(RATE, SEED), []
expected = f"elements along axes {SHARED} of {len(SHAPES[0])} share a decision, no others do"
for _ in range(4):
    try:
        y, wrong = numpy(call(layer, tensor(values(SHAPES[0])))), None
        if y.shape != tuple(SHAPES[0]):
            wrong = f"shape {tuple(SHAPES[0])} comes out as {y.shape}"
        else:
            gone, mask = y == DROPPED, coins(y)
            mixed = int((gone.any(axis=SHARED) & ~gone.all(axis=SHARED)).sum())
            if mixed:
                wrong = f"{mixed} channels are dropped in part only"
            elif mask.size >= 400 and not mask.any():
                wrong = "nothing is dropped"
            elif min(mask.shape) > 8 and 0 < mask.mean() < 1:
                if (mask.all(axis=1) == mask.any(axis=1)).all():
                    wrong = "whole rows are dropped together"
                elif (mask.all(axis=0) == mask.any(axis=0)).all():
                    wrong = "all rows drop the same channels"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    problems += [wrong] if wrong else []
observed = problems[0] if problems else "so it is"
defect = bool(problems)
""",
    "form.input-untouched": """
layer, x = make(RATE, SEED), tensor(values(SHAPES[0]))
before = numpy(x).copy()
first = call(layer, x, training=TRAINING)
kept = numpy(first).copy()
call(layer, x, training=TRAINING)
wrong = []
if not np.array_equal(numpy(x), before):
    wrong.append("the input is overwritten")
if not np.array_equal(numpy(first), kept):
    wrong.append("a later call changes the result of an earlier one")
if first is x and TRAINING and 0 < RATE < 1:
    wrong.append("the output of a training call is the input itself")
expected = "the input and earlier results stay as they were"
observed = "; ".join(wrong) or "they do"
defect = bool(wrong)
""",
    "form.nonfinite": """
raw = values(SHAPES[0])
each = [1 if a in SHARED else n for a, n in enumerate(raw.shape)]
every = np.broadcast_to(np.arange(np.prod(each)).reshape(each) % 3, raw.shape)  # by coin
first = np.ones(raw.shape, bool)
for axis in SHARED:
    first &= np.arange(raw.shape[axis]).reshape([-1 if a == axis else 1 for a in range(raw.ndim)]) == 0
raw[first & (every == 1)], raw[first & (every == 2)] = np.inf, np.nan
y = numpy(call(make(RATE, SEED), tensor(raw)))
gone = np.all((y == DROPPED) | first, axis=SHARED, keepdims=True) & first  # judged by the other elements of the coin
leaks = int((gone & ~np.isfinite(y) & ~np.isfinite(raw)).sum())
expected = "Inf and NaN of a dropped channel are dropped"
observed = f"{leaks} of {int((gone & ~np.isfinite(raw)).sum())} come through"
defect = leaks > 0
""",
}

RAISES = """
layer, x = make(RATE, SEED), tensor(values(SHAPES[0], 1))
expected = "a training call whose forward pass is recomputed in the backward pass has a gradient"
try:
    for _ in range(8):
        recompute(layer, x, tensor(values(SHAPES[0], 2)), REENTRANT)
    observed, defect = "8 calls have one", False
except Exception as error:
    if type(error).__name__ != RAISED:  # something else is wrong here
        raise
    observed, defect = f"it raises {RAISED}: {(str(error).splitlines() or [''])[0]}", True
"""

FRESH_PROCESS = """
import hashlib
import subprocess

word = "control" if CONTROL else "layer"
digest = hashlib.sha256(b"".join(y.tobytes() for y in outputs(make(RATE, SEED), 3))).hexdigest()
if "child" in sys.argv:
    print(digest)
    sys.exit()
theirs = subprocess.run([sys.executable, __file__, DTYPE, "child", word], capture_output=True, text=True).stdout.split()[-1]
expected = "the same seed gives the same masks in another process"
observed = "the same" if theirs == digest else "different masks"
defect = theirs != digest
"""
