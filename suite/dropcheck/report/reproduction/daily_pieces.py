"""Pieces of source that scripts of daily use share, whatever the framework; see pieces.py."""

from __future__ import annotations

# what a training call shows; the names stand in the order of their need: see pieces.py
DAILY_PIECES: dict[str, str] = {
    "measures": """
def measures(some):  # shares of elements that are torn from their coin and of kept ones that are wrong, whether masks stay
    x, y = (np.stack([one[i] for one in some]) for i in (0, 1))
    gone, near = y == DROPPED, 1.01 * UNIT * (3 + RATE / max(1 - RATE, 1e-9))
    coin = gone.mean(axis=tuple(a + 1 for a in SHARED), keepdims=True) > 0.5
    factor = np.longdouble(y)[~gone] / x[~gone]
    wrong = ~(abs(factor / EXACT_SCALE - 1) <= near)
    stuck = len(coin) > 1 and coin[0].size > 80 and 0 < coin.mean() < 1 and (coin == coin[:1]).all()
    return coin.mean(), [(gone != coin).mean(), wrong.sum() / gone.size, float(stuck)], np.median(factor) if factor.size else 0
""",
    "faults": """
def faults(some, usual):
    \"\"\"What is wrong with training calls that is not so in the usual ones; triples of input, output and dtype.\"\"\"
    odd = [f"{kind} {y.shape} comes out for {DTYPE} {x.shape}" for x, y, kind in some if (y.shape, kind) != (x.shape, DTYPE)]
    if odd or any((y.shape, kind) != (x.shape, DTYPE) for x, y, kind in usual):
        return odd[:1]
    (share, shown, factor), (before, theirs, _) = measures(some), measures(usual)
    words = [f"{shown[0]:.1%} of the elements differ from the rest of their channel", f"{len(some)} calls show one mask"]
    words.insert(1, f"kept values are the input times {factor:.6g}, expected {float(EXACT_SCALE):.6g}")
    found = [w for w, one, other in zip(words, shown, theirs) if one > 0.01 and other <= 0.005]
    # a right layer: below 10^-12 in so many coins
    far = max(0.2, np.sqrt(58 / (len(some) * np.prod([n for a, n in enumerate(SHAPES[0]) if a not in SHARED]))))
    off = abs(share - before) > far and abs(share - RATE) > 0.1
    return [f"{share:.1%} of the decisions drop, expected {RATE:.0%}"] * int(off) + found
""",
    "seen": """
def seen(layer, given):  # training calls: triples of input, output and dtype
    found = []
    for x in given:
        before, y = numpy(x).copy(), call(layer, x)
        found.append((before, numpy(y).copy(), kind_of(y)))
    return found
""",
    "inputs": """
def inputs(seed=0):
    return [tensor(values(SHAPES[0], seed)) for _ in range(CALLS)]
""",
    "words": """
def words(masks):  # rows and whole calls, so long that two of them are alike by chance with probability below 10^-14
    found = set()
    for word in (w for mask in masks for w in [*mask, mask.ravel()]):
        same = word.mean() ** 2 + (1 - word.mean()) ** 2
        if word.size * -np.log10(same) >= 14:
            found.add((word.size, word.tobytes()))
    return found
""",
    "wrong_gradients": """
def wrong_gradients(y, g, cotangent):
    \"\"\"Gradients that are not 0 where y was dropped, are 0 where it was kept, or are not the cotangent times the scale.\"\"\"
    gone, kept = y == DROPPED, (y != DROPPED) & (g != 0)
    off = abs(g[kept] / np.longdouble(cotangent)[kept] / EXACT_SCALE - 1)
    return np.array([(gone & (g != 0)).sum(), (~gone & (g == 0)).sum(), (~(off <= 1.01 * UNIT * (3 + RATE / (1 - RATE)))).sum()])
""",
    "gradient_words": """
def gradient_words(wrong):
    names = ("not 0 where the output was dropped", "0 where it was kept", "not the cotangent times the scale")
    return ", ".join(f"{n} gradients are {name}" for n, name in zip(wrong, names) if n) or "they are right"
""",
}
