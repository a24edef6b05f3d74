"""What each layer does, measured by a plain script: the framework and NumPy, a few thousand coins, no word of dropcheck.

``python truth.py NAME ...`` with the interpreter that has the library prints one line of JSON a layer: check -> what is wrong, or
null where the claim holds. A claim is measured element by element and beside a plain call, so that one fault breaks one claim.
Rates are compared at 6 standard deviations (2 in 10^9), values to 8 unit roundoffs.
"""

import json
import sys

import numpy as np
from makers import LAYERS

UNIT = {"float32": 2**-24, "float64": 2**-53, "float16": 2**-11, "bfloat16": 2**-8}


class Torch:
    """A module of PyTorch: ``call`` and ``gradient`` take and return NumPy."""

    def __init__(self, one):
        import torch

        self.torch, self.one = torch, one
        self.dtypes = ("float32", "float64", "float16", "bfloat16")

    def make(self, rate, seed=1):
        self.torch.manual_seed(seed)
        return self.one["make"](rate)

    def tensor(self, x, dtype="float32"):
        return self.torch.tensor(np.asarray(x)).to(getattr(self.torch, dtype))

    def raw(self, layer, x, training=True):
        y = layer.train(training)(x)
        return y[self.one["output"]] if "output" in self.one else y

    def numpy(self, y):
        return y.detach().double().numpy().copy()

    def kind(self, y):
        return str(y.dtype).removeprefix("torch.")

    def gradient(self, layer, x, cotangent, again=False):
        from torch.utils.checkpoint import checkpoint

        x = x.detach().requires_grad_()
        run = lambda given: self.raw(layer, given)  # noqa: E731
        y = checkpoint(run, x, use_reentrant=False) if again else run(x)
        (g,) = self.torch.autograd.grad(y, x, cotangent.to(y.dtype), allow_unused=True)
        return self.numpy(y), np.zeros(x.shape) if g is None else self.numpy(g)

    def strided(self, x):
        wide = self.torch.zeros((*x.shape[:-1], 2 * x.shape[-1]), dtype=x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]


class Function:
    """A function of NumPy or JAX arrays with a generator, or keys, of its own."""

    def __init__(self, one):
        self.one, self.jax = one, one["kind"] == "jax"
        self.dtypes = ("float32", "float16", "bfloat16") if self.jax else ("float32", "float64", "float16")

    def make(self, rate, seed=1):
        if not self.jax:
            np.random.seed(seed)
            return {"rate": rate, "state": np.random.default_rng(seed)}
        import jax

        return {"rate": rate, "state": jax.random.key(seed)}

    def tensor(self, x, dtype="float32"):
        import jax.numpy as jnp

        return jnp.asarray(x, dtype)

    def given(self, layer):
        if self.one["kind"] == "numpy-global":
            return {}
        if not self.jax:
            return {"rng": layer["state"]}
        import jax

        layer["state"], key = jax.random.split(layer["state"])
        return {"key": key}

    def raw(self, layer, x, training=True):
        return self.one["make"](x, layer["rate"], training=training, **self.given(layer))

    def numpy(self, y):
        return np.array(y.astype("float32") if self.jax else y, np.float64)

    def kind(self, y):
        return str(y.dtype)

    def gradient(self, layer, x, cotangent, again=False):
        import jax

        given = self.given(layer)
        run = lambda x: self.one["make"](x, layer["rate"], training=True, **given)  # noqa: E731
        y, pull = jax.vjp(jax.checkpoint(run) if again else run, x)
        return self.numpy(y), self.numpy(pull(cotangent.astype(y.dtype))[0])

    def strided(self, x):
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]


class Numpy(Function):
    def tensor(self, x, dtype="float32"):
        return np.array(x, dtype)


def measured(name):
    """Check -> what is wrong, or None."""
    one = LAYERS[name]
    api = {"torch": Torch, "jax": Function}.get(one["kind"], Numpy)(one)
    left, right = one["pattern"].split("->")
    axes, coined = left.split(), [word.partition("/")[0] for word in right.split()]
    block = max(int(word.partition("/")[2] or 1) for word in right.split()) if right.split() else 1
    promised = one.get("seeds", "all") != ()
    shared = tuple(i for i, a in enumerate(axes) if a not in coined)
    rng = np.random.default_rng(0)
    found = {}

    # blocks of 3 overlap: positions 2, 5 and 8 of 11 have all of their blocks within and no seed in common
    side, grid = (6, slice(None)) if block == 1 else (11, slice(2, 9, 3))

    def shape(n, c=24, rest=side):
        return tuple([n, c, rest, rest][: len(axes)])

    def values(n=60, c=24, rest=side):
        size = shape(n, c, rest)
        return (rng.uniform(0.5, 2, size) * rng.choice([-1, 1], size)).astype("float32")

    def out(layer, x, dtype="float32", training=True):
        return api.numpy(api.raw(layer, api.tensor(x, dtype), training))

    def factor(rate, y):
        if one["scale"] == "realised":  # all elements over the kept ones, call by call
            return y.size / max(1, np.count_nonzero(y))
        return 1.0 if one["scale"] == "none" else 1 / (1 - rate)

    def first(gone):  # one element of each coin
        some = gone[tuple(0 if i in shared else slice(None) for i in range(gone.ndim))]
        return some if block == 1 else some[..., grid, grid]

    def law(rate):  # of a position; arXiv:1810.12890
        seeds = rate / 9 * (1 if one.get("gamma") == "area" else (11 / 9) ** 2)
        return rate if block == 1 else 1 - (1 - seeds) ** 9

    def lonely(gone):  # dropped elements in no dropped block, which may reach over the border by one
        wide = np.pad(gone, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=True)
        whole = np.ones((*gone.shape[:2], 11, 11), bool)
        for i in range(3):
            for j in range(3):
                whole &= wide[:, :, i : i + 11, j : j + 11]
        covered = np.zeros(wide.shape, bool)
        for i in range(3):
            for j in range(3):
                covered[:, :, i : i + 11, j : j + 11] |= whole
        return int((gone & ~covered[:, :, 1:-1, 1:-1]).sum())

    def note(check, wrong):
        found.setdefault(check, None)
        if wrong and not found[check]:
            found[check] = wrong

    # which elements share a coin
    layer = api.make(0.3)
    x = values()
    ys = [out(layer, x) for _ in range(20)]
    gone = [y == 0 for y in ys]
    mixed = sum(int((g.any(axis=shared) & ~g.all(axis=shared)).sum()) for g in gone) if shared else 0
    mixed += sum(lonely(g) for g in gone) if block > 1 else 0
    note("mask.whole-channels", mixed and f"{mixed} coins are dropped in part")
    masks = np.stack([first(g) for g in gone])
    flat = masks.reshape(len(masks), masks.shape[1] if masks.ndim > 1 else 1, -1)
    calls, rows, channels = flat.shape
    silent = not masks.any()  # nothing drops: a matter of the rate, and no word of copies
    if rows > 1 and not silent:
        same = int((flat == flat[:, :1]).all(axis=(1, 2)).sum())
        twins = sum(len(f) - len({r.tobytes() for r in f}) for f in flat) if channels >= 20 else 0
        twins = twins if twins > 5 else 0  # by chance: less than one
        equal = same if channels >= 20 or (rows >= 60 and same == calls) else 0
        note(
            "mask.distinct-samples",
            max(twins, equal if same == calls else 0) and f"{max(twins, equal)} samples are copies",
        )
    if rows * channels >= 20 and not silent:
        copies = len(flat) - len({f.tobytes() for f in flat})
        note(
            "mask.distinct-calls",
            copies and not (flat == flat[:, :1]).all() and f"{copies} of {calls} calls are copies",
        )
    if channels > 1 and not silent:
        # equal calls count once, and so do equal rows of a call: a copy is no dependence
        once = np.unique(flat, axis=0)
        columns = once.transpose(2, 0, 1).reshape(channels, -1)
        same = channels - len({c.tobytes() for c in columns})
        note("mask.distinct-channels", same and f"{same} channels are copies")
        z = np.corrcoef(columns) * np.sqrt(columns.shape[1])
        worst = abs(z[np.triu_indices(channels, 1)]).max()
        note("mask.independent-channels", worst > 9 and f"correlation at {worst:.0f} standard deviations")
    ratio = np.concatenate([y[y != 0] / x[y != 0] / factor(0.3, y) for y in ys])
    # rates and factors
    for dtype in api.dtypes:
        u = UNIT[dtype]
        x = values(*((30_000, 2, 2) if len(coined) == 1 else (100, 24, side)))
        xd = api.numpy(api.tensor(x, dtype))
        for rate in (0.001, 0.1, 0.3):
            dropped = total = 0
            low, high = np.inf, -np.inf
            try:
                layer = api.make(rate)
                for _ in range(8 if block == 1 else 30):
                    y = out(layer, x, dtype)
                    g = first(y == 0)
                    dropped, total = dropped + g.sum(), total + g.size
                    k = y[y != 0] / xd[y != 0] / factor(rate, y)
                    if k.size:
                        low, high = min(low, k.min()), max(high, k.max())
            except Exception as error:
                note("form.shape-dtype", f"{dtype} raises {type(error).__name__}: {str(error)[:60]}")
                break
            p = law(rate)
            z = (dropped - total * p) / np.sqrt(total * p * (1 - p))
            copied = found.get("mask.distinct-samples") or found.get("mask.distinct-calls")
            if not copied:
                note("rate.marginal", abs(z) > 6 and f"{dtype} rate {rate}: {dropped / total:.5f} ({z:+.0f} sd)")
            off = max(abs(low - 1), abs(high - 1)) if np.isfinite(low) else 0
            wrong = off > (8 + rate / (1 - rate)) * u + (2e-6 / x.size if one["scale"] == "realised" else 0)
            note("scale.kept-values", wrong and f"{dtype} rate {rate}: {low:.6f} to {high:.6f} times the factor")
    # edges
    for rate, check, dtype in ((r, c, d) for r, c in ((0.0, "rate.zero"), (1.0, "rate.one")) for d in api.dtypes):
        if rate == 1 and block > 1:
            continue  # no edge: a position is dropped with law(1)
        try:
            layer, x = api.make(rate), values()
            y = out(layer, x, dtype)
            wrong = (y != (api.numpy(api.tensor(x, dtype)) if rate == 0 else 0)).sum()
            text = f"{dtype}: {wrong} of {y.size} elements are wrong, {(~np.isfinite(y)).sum()} not finite"
            note(check, wrong and text)
        except Exception as error:
            note(
                check,
                # rate 1 may be refused; 0 is an ordinary rate, at which nothing is to be done
                (rate == 0 or not isinstance(error, (ValueError, AssertionError)))
                and f"{type(error).__name__}: {str(error)[:60]}",
            )
    for rate in (-0.1, 1.5, float("nan")):
        try:
            out(api.make(rate), values())
            note("rate.rejects-invalid", f"{rate} is taken")
        except Exception:
            note("rate.rejects-invalid", None)
    # inference
    layer, x = api.make(0.5), values()
    quiet = [out(layer, x, training=False)]
    before = out(layer, x)
    quiet.append(out(layer, x, training=False))
    after = out(layer, x)
    wrong = sum(int((q != x).sum()) for q in quiet)
    note("mode.inference", wrong and f"{wrong} elements differ from the input")
    note("mode.toggle", (before == 0).any() and not (after == 0).any() and "it drops no more")
    one_, two = [out(api.make(0.5), x) for _ in range(2)], None
    layer = api.make(0.5)
    one_ = [out(layer, x) for _ in range(2)]
    layer = api.make(0.5)
    two = [out(layer, x)]
    out(layer, x, training=False)
    two.append(out(layer, x))
    if one["kind"] == "torch":
        note("mode.inference", not np.array_equal(one_[1], two[1]) and "inference spends randomness")
    # seeds
    a, b, c = (out(api.make(0.5, seed), x) for seed in (1, 1, 2))
    if promised:
        note("seed.reproducible", not np.array_equal(a, b) and "the same seed, other masks")
    if promised:
        note("seed.distinct", first(a == 0).size >= 40 and np.array_equal(a, c) and "two seeds, the same masks")
    # form
    for dtype in api.dtypes:
        for training in (True, False):
            given = api.tensor(values(), dtype)
            before = api.numpy(given)
            try:
                y = api.raw(api.make(0.3), given, training)
            except Exception:
                continue
            kind = api.kind(y)
            note(
                "form.shape-dtype",
                kind != dtype and f"{dtype} comes out as {kind} ({'training' if training else 'inference'})",
            )
            note("form.input-untouched", not np.array_equal(api.numpy(given), before) and "the input is overwritten")
    if one["kind"] != "jax":
        layer, x = api.make(0.3), values()
        y = api.numpy(api.raw(layer, api.strided(api.tensor(x))))
        k = y[y != 0] / x[y != 0] / factor(0.3, y)
        spread = ratio.max() - ratio.min()
        wrong = k.size and (k.min() < ratio.min() - spread - 1e-6 or k.max() > ratio.max() + spread + 1e-6)
        note("form.strides", wrong and f"factors {k.min():.4f} to {k.max():.4f}")
    layer = api.make(0.3)
    for n in (4, 64, 1, 513):
        x = values(n)
        try:
            y = out(layer, x)
            k = y[y != 0] / x[y != 0] / factor(0.3, y)
            wrong = k.size and n > 60
            alone = out(api.make(0.3), x)
            ka = alone[alone != 0] / x[alone != 0] / factor(0.3, alone)
            note(
                "form.batch-change", wrong and abs(np.median(k) - np.median(ka)) > 0.2 and f"batch {n}: another factor"
            )
        except Exception as error:
            note("form.batch-change", f"batch {n}: {type(error).__name__}")
    # gradient
    if one["kind"] in ("torch", "jax"):
        for dtype in api.dtypes:
            for again in (False, True):
                if again and "Error" in (found.get("gradient.mask") or ""):
                    continue  # one cause: no backward pass works
                try:
                    x, cot = api.tensor(values(), dtype), api.tensor(values(), dtype)
                    xn, cn = api.numpy(x), api.numpy(cot)
                    y, g = api.gradient(api.make(0.3), x, cot, again)
                except Exception as error:
                    note(
                        "gradient.recompute" if again else "gradient.mask",
                        f"{dtype}: {type(error).__name__}: {str(error)[:70]}",
                    )
                    continue
                wrong = int(((y == 0) != (g == 0)).sum())
                note(
                    "gradient.recompute" if again else "gradient.mask",
                    wrong and f"{dtype}: {wrong} of {g.size} disagree",
                )
                kept = (y != 0) & (g != 0)
                k = g[kept] / cn[kept] / (y[kept] / xn[kept])
                if not again and k.size:
                    off = abs(k - 1).max()
                    wrong = off > 16 * UNIT[dtype]
                    note("gradient.scale", wrong and f"{dtype}: {k.min():.4f} to {k.max():.4f} of the forward factor")
        for rate in (0.0, 1.0) if block == 1 else (0.0,):
            try:
                x, cot = api.tensor(values()), api.tensor(values())
                y, g = api.gradient(api.make(rate), x, cot)
            except Exception:
                continue
            fine = (y == api.numpy(x)) if rate == 0 else (y == 0)
            wrong = int((fine & (g != (api.numpy(cot) if rate == 0 else 0))).sum())
            note("gradient.edges", wrong and f"rate {rate:g}: {wrong} of {g.size} are wrong where the output is right")
    return found


for name in sys.argv[1:] or LAYERS:
    try:
        print(json.dumps({"layer": name, "wrong": measured(name)}), flush=True)
    except ImportError as error:
        print(json.dumps({"layer": name, "missing": str(error)}), flush=True)
