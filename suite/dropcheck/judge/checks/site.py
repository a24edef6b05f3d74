"""The sites of a model: each dropout draws in training, none in inference, each its own masks, and backward uses them.

What is random is seen, not estimated: an operation draws if it moves a generator. These verdicts have no error probability.
"""

from __future__ import annotations

from dropcheck.contract.sites import Sites, Unreached
from dropcheck.judge.checks.base import Check, finding, skipped
from dropcheck.results.audit import Finding

_MOST = 6  # places that one message names


def _some(texts: list[str]) -> str:
    more = f"; and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return "; ".join(texts[:_MOST]) + more


def reached(check: Check, sites: Sites, inference: str) -> list[Finding]:
    """Training, inference, and each dropout layer that is not called. ``inference``: what the contract declares of it."""
    found = [_training(check, sites), _inference(check, sites, inference)]
    return found + [_unreached(check, one) for one in sites.unreached]


def _training(check: Check, sites: Sites) -> Finding:
    hidden = [one for one in sites.hidden if one.drops]
    text = sites.counted
    if hidden:
        text += f" ({_some(sites.grouped(hidden))}); their masks are not tested here"
    if not sites.training:
        return finding(
            check, "training", "fail", "no random draw in a training pass; expected one of each dropout layer"
        )
    return finding(check, "training", "pass", text, estimate=len(sites.training), unit="random draws")


def _inference(check: Check, sites: Sites, inference: str) -> Finding:
    """Draws of layers that are audited in place are left to ``mode.inference`` of these layers."""
    drops = sites.active
    if sites.uninferred:  # nothing was seen there, whatever is declared
        return skipped(check, "inference", sites.uninferred)
    if inference == "active":
        return _declared(check, sites)
    if drops:
        text = f"dropout is active in inference: {_some(sites.grouped(drops))}; expected no random draw"
        called = [
            {"what": d.what, "place": sites.where(d), "kind": d.kind, "rate": d.rate, "made": d.made} for d in drops
        ]
        for one in called:
            one["framework"] = sites.framework
        numbers = {"estimate": len(drops), "expected": 0, "unit": "dropout draws in inference"}
        return finding(check, "inference", "fail", text, tallies={"called": called}, **numbers)
    if sites.sampled:
        text = f"the model draws random numbers in inference, by no dropout: {_some(sites.grouped(sites.sampled))}"
        return skipped(check, "inference", text)
    return finding(check, "inference", "pass", "no random draw in inference outside of the audited layers")


def _declared(check: Check, sites: Sites) -> Finding:
    """Monte Carlo dropout: the contract declares that dropout stays active in inference, so every one must draw there.

    Layers that are audited in place are judged by their own mode.inference; where nothing at all draws, that is said here.
    """
    expected = sum(1 for one in sites.training if sites.is_dropout(one))
    drawn = sum(1 for one in sites.inference if sites.is_dropout(one))
    numbers = {"estimate": drawn, "expected": expected, "unit": "dropout draws in inference"}
    seen = f"{drawn} of {expected} dropout draws of a training pass are drawn in inference"
    if expected and not drawn:
        text = f"{seen}; the contract declares that dropout stays active in inference"
        return finding(check, "inference", "fail", text, **numbers)
    active = {(one.module, one.what, sites.where(one)) for one in sites.inference}
    quiet = [
        one for one in sites.hidden if sites.is_dropout(one) and (one.module, one.what, sites.where(one)) not in active
    ]
    if quiet:
        text = f"{seen}; not drawn: {_some(sites.grouped(quiet))}; the contract declares that dropout stays active in inference"
        return finding(check, "inference", "fail", text, **numbers)
    return finding(check, "inference", "pass", f"{seen}, as the contract declares (inference active)", **numbers)


def _unreached(check: Check, one: Unreached) -> Finding:
    case = f"layer {one.name}"
    if one.user:
        return finding(check, case, "pass", f"{one.name} ({one.kind}) is not called{one.used}")
    rate = f" with rate {one.rate:g}" if one.rate is not None else ""
    text = (
        f"{one.name} ({one.kind}){rate} is not called in a training pass, and nothing around it draws at its rate; give a "
        "sample input that reaches it, call it, or remove it"
    )
    return finding(check, case, "inconclusive", text)


def backward(check: Check, sites: Sites, inference: str) -> list[Finding]:
    """One backward pass through the model, each layer's use by itself."""
    if sites.unasked:
        return [skipped(check, "backward", sites.unasked)]
    found = []
    for one in sites.backward:
        case = f"backward {one.name}" + (f" use {one.use + 1}" if one.use else "")
        if one.unasked:
            found.append(skipped(check, case, f"{one.name}: {one.unasked}"))
        elif one.problem:
            found.append(finding(check, case, "fail", f"{one.name}: {one.problem}"))
        elif one.dropped:
            text = f"{one.name}: the gradient is 0 exactly where the {one.dropped} dropped elements are"
            found.append(finding(check, case, "pass", text))
        else:
            found.append(skipped(check, case, f"{one.name} dropped nothing in this pass"))
    return found


def independent(check: Check, sites: Sites, inference: str) -> list[Finding]:
    """Masks of each place of their own: no two draws from one random state, no two layers with one mask."""
    found = []
    for one in sites.shared:
        case = f"sites {one.first} {one.second}".rstrip()
        whose = f"{one.first} and {one.second}" if one.second else one.first
        text = f"{whose}: {one.how}; expected masks of their own"
        if one.passes:
            text = f"{whose}: {one.how}; expected a new mask in each pass"
        found.append(finding(check, case, "fail", text, tallies={"leans": True} if one.leans else {}))
    places = sum(1 for one in sites.training if sites.is_dropout(one))
    if found or places < 2:
        return found
    if not sites.compared:
        return [skipped(check, "sites", "the random states before the draws were not recorded")]
    text = f"{places} dropout draws, each from a random state of its own; no two layers have one mask"
    if sites.framework.startswith("onnx"):  # no random state is seen, so that masks are compared place by place
        text = f"{places} dropout draws; no two layers have one mask, or masks that depend on each other"
    return [finding(check, "sites", "pass", text, estimate=places, unit="dropout draws")]


CHECKS = (
    Check(
        name="site.reached",
        how="dropcheck runs the model once in training and once in inference. It records every operation that moves a random "
        "generator, with its module and its line of code. A dropout that draws in inference fails. A dropout "
        "layer that no training pass calls is inconclusive, unless the module that holds it draws at the layer's rate itself. "
        "Layers that are audited in place are judged by their own checks. PyTorch, Keras, Flax and Equinox models, and "
        "functions of arrays.",
        remedy="Pass the training flag to every function: `F.dropout(x, p, self.training)`, and "
        "`dropout_p=self.p if self.training else 0.0` to `scaled_dot_product_attention`. Create dropout layers in `__init__`, "
        "not in `forward`.",
        sites=reached,
    ),
    Check(
        name="site.gradient",
        how="dropcheck runs one forward and one backward pass of the whole model. For each dropout layer the gradient of its "
        "input must be 0 exactly where its output was dropped. A layer that runs again inside of the backward pass "
        "(activation checkpointing) must draw the same mask again. PyTorch, Keras, Flax and Equinox models.",
        remedy="Restore the state of the random generator before the forward pass runs again: use "
        "`torch.utils.checkpoint.checkpoint(..., preserve_rng_state=True)`.",
        sites=backward,
    ),
    Check(
        name="site.independent",
        how="dropcheck compares the random state before each random draw of a training pass, and between two passes: the "
        "state of PyTorch's generator, the key in JAX, the seed in Keras. Two draws from one state drop alike. It also compares "
        "the masks of all dropout layers, call by call. Two layers with one mask fail, and so does a function that draws the "
        "same in each pass. Two uses of one layer may share a mask (variational dropout). In ONNX files it compares "
        "the masks alone, place by place: layers whose decisions agree too often or too seldom at some places fail. "
        "PyTorch, Keras, Flax and Equinox models, functions of arrays, and ONNX files.",
        remedy="Do not seed the generator inside of `forward`, do not hand the mask of one layer to another, and give each "
        "dropout its own key or seed. Where layers "
        "share masks on purpose, use `--ignore site.independent`.",
        sites=independent,
    ),
)
