"""Pieces of source that several scripts share; a script gets those whose names it uses."""

from __future__ import annotations

# name -> source; each may use those that stand before it
PIECES: dict[str, str] = {
    "values": """
def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")
""",
    "coins": """
def coins(y):  # one coin a row and channel, read off the first of the elements that share it; True: dropped
    return (y == DROPPED)[tuple(0 if a in SHARED else slice(None) for a in range(y.ndim))].reshape(-1, CHANNELS)
""",
    "outputs": """
def outputs(layer, calls=None):  # of successive training calls
    given = [values(shape) for shape in SHAPES]
    for i in range(calls or CALLS):
        x = tensor(given[i % len(given)])  # anew for every call: a layer may overwrite it
        yield numpy(call(layer, prepared(x)))
        if INFER and i % INFER == INFER - 1:
            call(layer, prepared(x), training=False)
""",
    "masks": """
def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)
""",
    "apart": """
def apart(some, axes=(0, 1)):  # coin matrices in which copies of one row, or of one channel, count once
    some = list(some)
    for axis in axes:
        if all((m == m.take([0], axis)).all() for m in some):
            some = [m.take([0], axis) for m in some]
    return some
""",
    "repeats": """
def repeats(streams):
    \"\"\"Windows of successive rows, long enough to be unlike by chance (10^-9 over all pairs), that occur twice.

    streams: (label, coin matrix). Returns (label, row, label, row) of equal windows that do not overlap.
    \"\"\"
    same = np.mean([m.mean() for _, m in streams])
    same = same**2 + (1 - same) ** 2  # probability that two coins agree
    rows = sum(len(m) for _, m in streams)
    wide = int(np.ceil(np.log(1e9 * rows**2) / -np.log(min(same, 0.9999)) / streams[0][1].shape[1]))
    seen, found = {}, []
    for label, mask in streams:
        packed = [r.tobytes() for r in np.packbits(mask, axis=1)]
        for row in range(len(packed) - wide + 1):
            window = b"".join(packed[row : row + wide])
            first = seen.setdefault(window, (label, row))
            if first != (label, row) and (first[0] != label or row - first[1] >= wide):
                found.append((*first, label, row))
    return found
""",
    "stretches": """
def stretches(streams):
    \"\"\"Words of coins, unlike by chance (10^-9 over all pairs), that occur twice at any offset, not at the start of rows alone.

    streams: (label, coin matrix), read as one stream of coins, row after row. Words begin with coins 1 1 0 1 0 0, 1 dropped.
    Returns (label, coin, label, coin) of equal words that do not overlap.
    \"\"\"
    flat = np.concatenate([m.ravel() for _, m in streams])
    starts = np.cumsum([0, *(m.size for _, m in streams)])
    same = flat.mean() ** 2 + (1 - flat.mean()) ** 2
    wide = int(np.ceil(np.log(1e9 * flat.size**2) / -np.log(min(same, 0.9999))))
    begins = flat[:-5] & flat[1:-4] & ~flat[2:-3] & flat[3:-2] & ~flat[4:-1] & ~flat[5:]
    seen, found = {}, []
    for at in np.flatnonzero(begins[: max(0, flat.size - wide)]):
        first = seen.setdefault(np.packbits(flat[at : at + wide]).tobytes(), at)
        if at - first >= wide:
            one, two = np.searchsorted(starts, [first, at], side="right") - 1
            found.append((streams[one][0], first - starts[one], streams[two][0], at - starts[two]))
    return found
""",
    "problem": """
def problem(x, y, usual):
    \"\"\"What is wrong with an output of a training call that is not so in the usual calls, pairs of input and output.\"\"\"
    if y.shape != x.shape:
        return f"shape {x.shape} comes out as {y.shape}"
    gone, theirs = y == DROPPED, [v == DROPPED for _, v in usual]
    mixed = int((gone.any(axis=SHARED) & ~gone.all(axis=SHARED)).sum())
    if mixed and not any((g.any(axis=SHARED) & ~g.all(axis=SHARED)).any() for g in theirs):
        return f"{mixed} channels are dropped in part only"
    factors = np.concatenate([[SCALE], *((v / u)[~g] for (u, v), g in zip(usual, theirs))])
    low, high = 2 * factors.min() - factors.max(), 2 * factors.max() - factors.min()
    near = 1.01 * UNIT * (3 + RATE / max(1 - RATE, 1e-9))
    wrong = int((~gone & ~((y / x >= low - near * abs(low)) & (y / x <= high + near * abs(high)))).sum())
    if wrong:
        return f"{wrong} of {y.size} elements are neither dropped nor their input times {factors.min():g} to {factors.max():g}"
    if (gone.all() and gone.size > 3000 or not gone.any() and coins(y).size >= 400) and any(0 < g.mean() < 1 for g in theirs):
        return "everything is dropped" if gone.all() else "nothing is dropped"
    return None
""",
    "kind_of": """
def kind_of(y):
    return re.search(r"bfloat16|float16|float32|float64|\\\\w+$", str(y.dtype).strip("<>'")).group()
""".replace("\\\\", "\\"),
}
