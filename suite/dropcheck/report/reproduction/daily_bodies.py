"""What the scripts of daily use compute: two layers, copies, a later rate, graphs of calls, settings, threads; see bodies.py."""

from __future__ import annotations

from dropcheck.report.reproduction.situation import Situation
from dropcheck.results.audit import Finding

_WORDS_IN_COMMON = """
one, two = (words(some) for some in (first, second))
common = len(one & two)
common = common if common >= max(2, 0.02 * len(one)) else 0  # single words may be tied by chance
"""

_INSTANCES = """
first, second = [], []
pair = make(RATE, SEED), @SECOND@(RATE, OTHER)
for _ in range(3):
    for layer, some in zip(pair, (first, second)):
        some.append(coins(numpy(call(layer, tensor(values(SHAPES[0]))))))
@COMMON@
expected = "two layers that are called in turn have masks of their own"
observed = f"{common} of {len(one)} stretches of decisions (rows, whole calls) are those of the other layer, too"
defect = common > 0
"""

_OTHERS = """
import random

STREAMS = {"random": (random.seed, lambda: random.getrandbits(96)), "numpy.random": (np.random.seed, lambda: np.random.bytes(12))}
@MORE@x, rounds = tensor(values(SHAPES[0])), []
make(RATE, SEED)
for number in (1000, 2000):  # two states that are far apart
    for put, _ in STREAMS.values():
        put(number)
    layer = sibling(RATE, OTHER)
    drawn = [{name: draw() for name, (_, draw) in STREAMS.items()}]
    for put, _ in STREAMS.values():
        put(number + 500)
    for _ in range(2):
        call(layer, x)
        drawn.append({name: draw() for name, (_, draw) in STREAMS.items()})
    rounds.append(drawn)
one, two = rounds
again = [name for name in STREAMS if all(r[1][name] == r[2][name] for r in rounds)]  # a state that each layer keeps
wrong = [name for name in STREAMS if name in again or any(a[name] == b[name] for a, b in list(zip(one, two))[@FIRST@:])]
expected = "what others draw after the layer differs from state to state"
observed = f"{', '.join(wrong)}: the same numbers after it, whatever was drawn before" if wrong else "it does"
defect = bool(wrong)
"""
# further streams, by the first word of a framework
_STREAMS = {
    "torch": "torch.manual_seed, lambda: torch.randint(2**31, (4,)).tolist()",
    "tensorflow": "tf.random.set_seed, lambda: tf.random.uniform((4,), 0, 2**31 - 1, tf.int32).numpy().tolist()",
    "mlx": "mx.random.seed, lambda: mx.random.randint(0, 2**31 - 1, (4,)).tolist()",
    "paddle": 'paddle.seed, lambda: paddle.randint(0, 2**31 - 1, [4], "int64").numpy().tolist()',
}

_COPY = """
layer = make(RATE, SEED)
usual = seen(layer, inputs())
other = copied(layer)
problems, again = faults(seen(other, inputs()), usual), []
for x, y in zip(inputs(), inputs()):  # in turn
    again += seen(layer, [x])
    call(other, y)
problems += ["after it was copied, of the original: " + one for one in faults(again, usual)]
expected = "a copy drops and scales as the original does, which stays as it was"
observed = "; ".join(problems) or "it does"
defect = bool(problems)
"""

_COPY_IN_TURN = """
layer = make(RATE, SEED)
first, second = [coins(y) for _, y, _ in seen(layer, inputs())], []
other = copied(layer)
for _ in range(max(3, min(CALLS, 128))):
    for one, some in ((layer, first), (other, second)):
        some.append(coins(numpy(call(one, tensor(values(SHAPES[0]))))))
@COMMON@
expected = "a layer and its copy draw from one source outside of them and share no mask"
observed = f"{common} of {len(one)} stretches of decisions (rows, whole calls) of the original are those of the copy, too"
defect = common > 0
"""

_LATER = """
usual = seen(make(RATE, SEED), inputs())  # a layer made for that rate
layer = make(RATES[0], SEED)
holder, name = layer["made"] if isinstance(layer, dict) else layer, "rate" if CONTROL else ATTRIBUTE
for old, new in zip(RATES, RATES[1:]):
    call(layer, tensor(values(SHAPES[0])))
    holder = holder if hasattr(holder, name) else holder.real  # an instrument holds the layer
    keeps = abs(getattr(holder, name) - old) > 1e-9  # it holds 1 - rate
    setattr(holder, name, 1 - new if keeps else new)
problems = faults(seen(layer, inputs()), usual)
expected = f"a layer whose rate is set to {RATE:g} later drops and scales as one made for {RATE:g}"
observed = "; ".join(problems) or "it does"
defect = bool(problems)
"""

_BESIDE = """
layer = make(RATE, SEED)
usual = seen(layer, inputs())
call(sibling(BESIDE, OTHER), tensor(values(SHAPES[0])))
problems = faults(seen(layer, inputs()), usual)
expected = f"a second layer, of rate {BESIDE:g}, changes nothing of the first"
observed = "; ".join(problems) or "so it is"
defect = bool(problems)
"""

_PAIRS = """
layer = make(RATE, SEED)
(x, cotangent), *others = [(tensor(values(SHAPES[0], n)), tensor(values(SHAPES[0], n + 2))) for n in (41, 51, 61)]
plain = wrong_gradients(*gradient(layer, x, cotangent), numpy(cotangent))  # one forward and one backward pass
"""

_TWO_PASSES = (
    _PAIRS
    + """
expected, problems = "after two forward passes, each backward pass uses its own mask", []
try:
    some = passes(layer, *zip(*others))
    for name, i, (y, g) in zip(("the first", "the second", "the first once more"), (0, 1, 0), some):
        wrong = wrong_gradients(y, g, numpy(others[i][1])) * (plain == 0)
        problems += [f"{name}: {gradient_words(wrong)}"] if wrong.any() else []
except Exception as error:
    problems = [f"it raises {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"]
observed = "; ".join(problems) or "so it does"
defect = bool(problems)
"""
)

_COTANGENT = (
    _PAIRS
    + """
expected = "gradients are those of a contiguous cotangent, whatever the memory of the cotangent"
try:
    given = arranged(cotangent)
    wrong = wrong_gradients(*gradient(layer, x, given), numpy(given)) * (plain == 0)
    observed, defect = gradient_words(wrong), wrong.any()
except Exception as error:
    observed, defect = f"it raises {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", True
"""
)

_SECOND = (
    _PAIRS
    + """
direction = tensor(values(SHAPES[0], 47))
expected = "the derivative of the gradient by the cotangent has the mask and the scale of the forward pass"
try:
    wrong = wrong_gradients(*twice(layer, x, cotangent, direction), numpy(direction)) * (plain == 0)
    observed, defect = gradient_words(wrong), wrong.any()
except Exception as error:
    observed, defect = f"it raises {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", True
"""
)

_SETTINGS = """
layer, given, problems = make(RATE, SEED), inputs(), []
with plainly():
    usual, before = seen(layer, inputs()), ambient()
    try:
        with setting():
            within, some = ambient(), seen(layer, given)
            left = [(name, value, within[name]) for name, value in ambient().items() if value != within[name]]
        after = seen(layer, inputs())
    except Exception as error:
        some, left, after = usual, [], usual
        problems.append(f"it raises {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
    left += [(name, value, before[name]) for name, value in ambient().items() if value != before[name]]
problems += faults(some, usual) + ["afterwards: " + one for one in faults(after, usual)]
problems += [f"it leaves {name} at {new}, expected {old} as before" for name, new, old in left]
expected = "training calls drop and scale as in a plain call, and leave the setting as it was"
observed = "; ".join(problems) or "so they do"
defect = bool(problems)
"""

_THREADS = """
layer, given, problems, common = make(RATE, SEED), [inputs(1), inputs(2)], [], 0
usual = [seen(layer, inputs(number)) for number in (1, 2)]  # in turn


def work(number):
    with plainly():
        return seen(layer, given[number])


each = at_once(work, files_of(layer))
for number, some in enumerate(each):
    told = [f"raises {type(some).__name__}: {some}"] if isinstance(some, Exception) else faults(some, usual[number])
    problems += [f"thread {number + 1}: {one}" for one in told]
if not problems:
    first, second = ([coins(y) for _, y, _ in some] for some in each)
    @COMMON@
    problems += [f"both threads show {common} of {len(one)} stretches of decisions (rows, whole calls)"] if common else []
expected = "two threads that call the layer at once get correct outputs and masks of their own"
observed = "; ".join(problems) or "they do"
defect = bool(problems)
"""

_BODIES = {
    "seed.instances": _INSTANCES,
    "form.copies": _COPY,
    "rate.set-later": _LATER,
    "gradient.two-passes": _TWO_PASSES,
    "gradient.cotangents": _COTANGENT,
    "gradient.second-derivative": _SECOND,
    "mode.settings": _SETTINGS,
    "mode.threads": _THREADS,
}
DAILY = tuple(_BODIES)


def body(found: Finding, case: Situation, framework: str = "") -> str:
    """The source of a finding of one of these checks."""
    text = _BODIES[found.check]
    if found.check == "seed.instances" and "others after" in found.case:
        word = framework.rpartition("@")[2].partition("-")[0]
        more = f'STREAMS["{word}"] = {_STREAMS[word]}\n' if word in _STREAMS else ""
        text = _OTHERS.replace("@MORE@", more).replace("@FIRST@", "0" if "the constructor" in found.message else "1")
    if found.check == "form.copies" and found.case.endswith("in turn"):
        text = _COPY_IN_TURN
    if found.check == "rate.set-later" and "beside" in case.words:
        text = _BESIDE
    if "@SECOND@" in text:  # layers of two seeds, or two that draw from one source
        text = text.replace("@SECOND@", "make" if "two" in found.case.partition("two layers, ")[2] else "sibling")
    inside = _WORDS_IN_COMMON.strip().replace("\n", "\n    ") if "\n    @COMMON@" in text else _WORDS_IN_COMMON.strip()
    return text.replace("@COMMON@", inside)
