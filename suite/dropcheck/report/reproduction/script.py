"""From a finding to a script of its own: constants, the framework's pieces, and what the check's family computes."""

from __future__ import annotations

import ast
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dropcheck.contract import requirements
from dropcheck.contract.errors import UsageError
from dropcheck.contract.modes import EAGER
from dropcheck.contract.promise import Contract
from dropcheck.judge.checks.looks import COINS
from dropcheck.report.reproduction import daily_bodies, daily_frameworks, javascript, row_bodies
from dropcheck.report.reproduction.bodies import ANSWERS_FORM, BODIES, FRESH_PROCESS, RAISES, ROWS_ALIKE, SAYS_FORM
from dropcheck.report.reproduction.daily_pieces import DAILY_PIECES
from dropcheck.report.reproduction.frameworks import FRAMEWORKS
from dropcheck.report.reproduction.layer import Layer, layer_of
from dropcheck.report.reproduction.pieces import PIECES
from dropcheck.report.reproduction.references import reference
from dropcheck.report.reproduction.situation import Situation, situation
from dropcheck.report.reproduction.snippet import Snippet
from dropcheck.report.reproduction.torch_frameworks import TORCH_RECOMPUTE_COMPILED
from dropcheck.results.audit import Finding, TargetResult

_UNIT = {"float32": "2**-24", "float64": "2**-53", "float16": "2**-11", "bfloat16": "2**-8"}
SEED = 1000
OTHER = 2000  # the seed of a second layer
_STANDARD = ("contextlib", "copy", "inspect", "io", "pickle", "re", "threading")
SAME = 4  # the exit status of a script whose control shows the defect too
# below a body: what it came to for the layer, and then for the control
_MADE, _SET_FIRST = 0.3, (0.8,)  # of rate.set-later
_ENDING = """
expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
"""
CHECKS = (*BODIES, *daily_bodies.DAILY)
_OF_COINS = ("mask.", "rate.marginal", "rate.per-", "seed.", "mode.inference")  # what asks for coins alone
# and what is so, too, where the dropped value is not 0
_OF_AFFINE = (*_OF_COINS, "gradient.mask", "gradient.recompute", "rate.one")
_NEAR = "(abs(y - DROPPED) <= 8 * UNIT * abs(DROPPED))"
_ON_A_GPU = (  # what a script for the processor writes, and one for a GPU
    ("y.detach().double().numpy()", "y.detach().double().cpu().numpy()"),
    ('autocast("cpu"', 'autocast("cuda"'),
    ("2 * x.shape[-1]), dtype=x.dtype)", "2 * x.shape[-1]), dtype=x.dtype, device=x.device)"),
)
_KINDS = {
    "zeros": "x[np.random.default_rng(7).random(x.shape) < 0.5] = 0  # as after a ReLU\nx = abs(x)",
    "negative": "x = -abs(x)",
}


@dataclass(frozen=True)
class Parts:
    """What a script is made of: its two blocks of imports, its constants by name, and the source below them."""

    before: str  # what must be imported before NumPy
    imports: str
    constants: dict[str, str]
    functions: str
    body: str

    @property
    def code(self) -> tuple[str, ...]:
        """All that findings must have in common to be shown by one script."""
        return (self.before, self.imports, *self.constants, self.functions, self.body)


def write(target: TargetResult, found: Finding) -> str:
    """The script that shows a finding with the framework and NumPy alone: exit status 1 where the defect shows, else 0.

    Raises UsageError where the check, the framework or the mode has no piece of source yet.
    """
    if target.framework == javascript.FRAMEWORK:
        return javascript.write(target, found)
    some = parts(target, found)
    seen = [f"{found.check}, case {found.case}, seen with {target.framework} {target.version}."]
    return assembled(some, some.constants, docstring(target, found, seen))


def parts(target: TargetResult, found: Finding) -> Parts:
    """The parts of a finding's script. Raises UsageError where the check, the framework or the mode has no piece."""
    if found.check not in CHECKS:
        raise UsageError(f"there is no script for the check {found.check}: expected one of {', '.join(CHECKS)}")
    contract = Contract.from_dict(target.contract)
    if row_bodies.applies(contract) and found.check in ("rate.one", "rate.set-later"):
        raise UsageError(
            f"there is no script for {found.check} of a layer that drops an exact number of channels or one stretch"
        )
    if (contract.pattern.blocks or contract.scale == "realised") and found.check != "rate.one":
        raise UsageError(
            f"there is no script for {found.check} of a layer of overlapping blocks or of scale 'realised': expected decisions of "
            "their own and a factor that the rate gives"
        )
    if contract.affine and not found.check.startswith(_OF_AFFINE):
        raise UsageError(
            f"there is no script for {found.check} of a layer with an affine correction: expected a check of its masks "
            f"({', '.join(_OF_AFFINE)})"
        )
    if contract.inference == "active" and found.check in ("mode.inference", "mode.toggle"):
        raise UsageError(f"there is no script for {found.check} of a layer that drops in inference by contract")
    case = situation(found, contract)
    layer = layer_of(target.target, target.framework, case.way, contract.rates is not None)
    snippet = FRAMEWORKS[layer.framework]
    of_rows = row_bodies.applies(contract)
    mode = layer.target.mode if layer.target is not None else EAGER
    law = row_bodies.law(layer.framework, mode, contract) if of_rows else ""
    body = _body(found, case, layer.framework, contract)
    functions = _functions(snippet, layer, case, body, found, reference(layer.framework, contract, case.rate, law))
    values = _constants(found, case, contract, layer)
    if of_rows:
        values |= row_bodies.constants(found, case, contract)
    if contract.affine:  # the dropped value is computed, and rounded as a layer pleases; positive inputs end elsewhere
        functions, body = (part.replace("y == DROPPED", _NEAR) for part in (functions, body))
        body = body.replace("tensor(values(SHAPES[0], 1))", "tensor(abs(values(SHAPES[0], 1)))")
        # -1.4 and above: below that what is kept of a negative input may equal what is dropped
        body = body.replace(
            "cotangent = tensor(x)", f"cotangent = tensor({'0.7 * x' if 'negative' in case.words else 'abs(x)'})"
        )
    code = functions + body
    used = {name: text for name, text in values.items() if re.search(rf"\b{name}\b", code)}
    # what is used by a constant itself
    used = {n: t for n, t in values.items() if n in used or any(re.search(rf"\b{n}\b", u) for u in used.values())}
    standard = [f"import {name}" for name in _STANDARD if re.search(rf"(?<!\.)\b{name}\.[a-zA-Z]", code)]
    standard = sorted([*standard, "import sys"])
    keras_first = snippet.imports.startswith("import os")
    numpy = "import numpy as np" + ("" if keras_first or not snippet.imports else f"\n{snippet.imports}")
    # what is not PyTorch itself computes on the GPU that it finds
    on_gpu = case.device != "cpu" or "torch.cuda." in functions
    placed = 'torch.set_default_device("cuda")' if on_gpu and snippet.imports == "import torch" else ""
    for here, there in _ON_A_GPU if on_gpu else ():
        functions = functions.replace(here, there)
    return Parts(
        before="\n".join(([snippet.imports] if keras_first else []) + standard),
        imports="\n\n".join(part for part in (numpy, layer.imports.strip(), placed) if part),
        constants=used,
        functions=functions.strip(),
        body=body.strip(),
    )


def assembled(some: Parts, constants: Mapping[str, str], words: str) -> str:
    """The script of these parts under a docstring, with these constants."""
    blocks = [
        words,
        some.before,
        some.imports,
        "\n".join([f"{name} = {text}" for name, text in constants.items()] + [_control(some.body)]),
        "\n" + some.functions + "\n",
        f"def measured():\n{textwrap.indent(some.body, '    ')}\n    return expected, observed, bool(defect)\n",
        _ENDING.strip(),
    ]
    return re.sub(r"\n{3,}", "\n\n\n", "\n\n".join(block for block in blocks if block)) + "\n"


def _control(body: str) -> str:
    """The line that says that the layer under test is made first; a process that a script starts is given a word."""
    return 'CONTROL = "control" in sys.argv' if "CONTROL" in body else "CONTROL = False"


def docstring(target: TargetResult, found: Finding, seen: Iterable[str]) -> str:
    """What a script says of itself: what was observed, and the paragraphs ``seen``, of cases and versions."""
    base, _, releases = target.target.partition(requirements.JOIN)
    said = found.message.split("\n")[0].replace("\\", "/").replace('"""', "'''")
    lines = [*textwrap.wrap(f"{base}: {said}.", 110), ""]
    for paragraph in seen:
        lines += textwrap.wrap(paragraph, 110)
    if releases:
        lines.append(f"Install: pip install '{releases}' numpy")
    lines += textwrap.wrap(
        "Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its place; with "
        f"{SAME} where it shows in both: then it is of the measurement or of the framework, and not of this layer; with 0 "
        "where it does not show.",
        110,
    )
    return '"""' + "\n".join(lines) + '\n"""'


def _body(found: Finding, case: Situation, framework: str, contract: Contract) -> str:
    text = _source(found, case, framework)
    if row_bodies.applies(contract) and row_bodies.answers(found.check):
        text = row_bodies.body(found, contract)
    if case.layout == "contiguous" and not case.grad:
        text = text.replace("prepared(x)", "x")
    return text


def _calls(found: Finding, case: Situation) -> int:
    """Calls of the script: enough that a rate as far off as the finding's is at 12 standard deviations, half of which decide.

    Of a layer in daily use as many as an audit asks.
    """
    if row_bodies.answers(found.check) and " rows " in found.case:
        return row_bodies.calls(found, case.calls)
    if found.check in daily_bodies.DAILY:
        return max(2, math.ceil(COINS / math.prod(case.pattern.matrix_shape(case.shapes[0]))))
    if found.estimate is None or found.expected is None or not found.coins or found.check != "rate.marginal":
        return case.calls
    spread = math.sqrt(found.coins * max(found.estimate * (1 - found.estimate), found.expected * (1 - found.expected)))
    z = abs(found.estimate - found.expected) * found.coins / max(spread, 1e-9)
    return math.ceil(case.calls * min(100.0, max(1.0, (12 / max(z, 1e-9)) ** 2)))


def _source(found: Finding, case: Situation, framework: str) -> str:
    if found.check == "seed.reproducible" and "fresh" in case.words:
        return FRESH_PROCESS
    if found.check == "gradient.recompute" and found.tallies.get("raised"):
        return RAISES
    if found.check in daily_bodies.DAILY:
        return daily_bodies.body(found, case, framework)
    kind = next((text for word, text in _KINDS.items() if word in case.words), "")
    if found.check == "mask.distinct-samples" and {"copied_rows", "lag"} & found.tallies.keys():
        return ROWS_ALIKE
    text = BODIES[found.check].replace("KIND\n", f"{kind}\n" if kind else "")
    form = found.check == "mode.inference" and found.message.startswith("inference returns")
    return text.replace("    FORM\n", ANSWERS_FORM if form else "").replace("FORM_SAID\n", SAYS_FORM if form else "")


def _functions(snippet: Snippet, layer: Layer, case: Situation, body: str, found: Finding, control: str) -> str:
    """The framework's functions and the shared pieces that the body needs, in an order in which they can stand."""
    make = snippet.make.replace("@LAYER@", layer.make)
    if layer.seeder:
        make = make.replace("    return", f"    {layer.seeder}\n    return", 1)
    mode = layer.target.mode if layer.target is not None else EAGER
    if mode == EAGER or (found.check == "rate.rejects-invalid" and mode not in snippet.modes):
        called = snippet.call  # what a constructor takes is the same in every mode
    elif mode in snippet.modes:
        called = snippet.modes[mode].replace("@LAYER@", layer.make)
    else:
        raise UsageError(
            f"there is no script for the mode {mode!r} of {layer.framework}; expected one of "
            f"{', '.join(snippet.modes) or 'eager alone'}"
        )
    if own := daily_frameworks.own_generators(found, layer):
        called = own
    if layer.framework == "keras@torch" and "recompute(" in body:
        # a right layer draws from what checkpointing restores
        control = control.replace(", generator=self.generator", "")
    parts = [layer.takes if "TAKES" in snippet.call else "", snippet.tensor, control]
    parts += [called] if "def make(" in called else [make, called]
    if "next(calls)" in layer.make and (called is not snippet.call or "recompute(" in body):
        # a graph would hold the first seed for ever, and a recomputed pass would be given the next one
        raise UsageError(
            f"there is no script for {found.check} in mode {mode!r} of a function that is given its seed at each call; expected "
            "eager calls that are not recomputed"
        )
    checkpointed_inside = "checkpoint-in-compiled" in case.words
    recompute = TORCH_RECOMPUTE_COMPILED if checkpointed_inside else snippet.recompute
    gradient = snippet.gradient
    if snippet.shown and "def carrier(" in layer.imports:
        gradient = gradient.replace("def gradient(", "def plain_gradient(") + snippet.shown
    for needed, source in (("gradient(", gradient), ("recompute(", recompute)):
        if needed in body and f"def {needed}" not in called:
            if not source:
                raise UsageError(f"there is no script for {found.check} of {layer.framework}: it has no such piece")
            if needed == "recompute(" and "gradient(" in source:
                parts.append(gradient)
            parts.append(source)
    if "reseeded(" in body:
        renewed = case.way in ("constructor", "key") or layer.seeder or layer.framework == "flax-nnx"
        plain = "if CONTROL:\n        return make(RATE, seed)\n    seed_everything(seed)\n    return layer"
        inside = "return make(RATE, seed)" if renewed else plain
        parts.append(f"\ndef reseeded(layer, seed):\n    {inside}\n")
    text = body
    if found.check in daily_bodies.DAILY:
        more = daily_frameworks.pieces(found, case, layer, make, body)
        parts, text = [*parts, *more], "\n".join([body, *more])
    pieces: list[str] = []
    for name, source in reversed((PIECES | DAILY_PIECES | row_bodies.PIECES).items()):
        if re.search(rf"\b{name}\(", text):
            pieces.insert(0, source)
            text += source
    return _needed(_prepared("\n".join([*parts, *pieces]), snippet, case, body), body)


def _needed(functions: str, body: str) -> str:
    """Without the functions that nothing calls: a script for an upstream issue is short."""
    while True:
        tree = ast.parse(functions)
        idle = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and len(re.findall(rf"(?<![\w.]){node.name}\(", functions + body)) < 2
        ]
        if not idle:
            return functions
        lines = functions.split("\n")
        assert idle[0].end_lineno is not None
        functions = "\n".join(lines[: idle[0].lineno - 1] + lines[idle[0].end_lineno :])


def _prepared(whole: str, snippet: Snippet, case: Situation, body: str) -> str:
    """Inputs of another layout, or marked for differentiation, where the case asks for them."""
    if not case.infer:
        whole = re.sub(r"\n        if INFER and.*\n.*training=False\)", "", whole)
    wanted = "x"
    before = ""
    if case.layout != "contiguous":
        if case.layout not in snippet.layouts:
            raise UsageError(f"there is no script for {case.layout} inputs of this framework")
        before, wanted = snippet.layouts[case.layout], "arranged(x)"
    if case.grad and "requires_grad_" in snippet.gradient:
        wanted = f"{wanted}.requires_grad_()"
    if wanted == "x":
        return re.sub(r"prepared\(((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*)\)", r"\1", whole)
    if "prepared(" in whole + body:
        return f"{before}\n\ndef prepared(x):\n    return {wanted}\n\n{whole}"
    return f"{before}\n{whole}"


def _constants(found: Finding, case: Situation, contract: Contract, layer: Layer) -> dict[str, str]:
    pattern = case.pattern
    shared = tuple(i for i, axis in enumerate(pattern.axes) if axis in pattern.shared)
    rows = [pattern.matrix_shape(shape)[0] for shape in case.shapes]
    inverted = contract.scale == "inverted"
    number = contract.scale if isinstance(contract.scale, float | int) else contract.scale_at(case.rate)
    factor = "0.0" if inverted and case.rate == 1 else "1 / (1 - RATE)" if inverted else None
    plain = factor or repr(1.0 if contract.scale == "none" else float(number))
    exact = "1 / (1 - np.longdouble(RATE))" if factor == "1 / (1 - RATE)" else f"np.longdouble({plain})"
    attribute = (re.findall(r"`[.](\w+) = ", found.message) or ["rate"])[0]
    bound = 0.25 if "--strict" in found.replay else 3 + case.rate / max(1 - case.rate, 1e-9)
    return {
        "DTYPE": f'"{case.dtype}"',
        "RATE": repr(case.rate),
        "INVALID": f'"{case.invalid}"',
        "SEED": repr(SEED),
        "SEEDS": repr(max(16, min(256, case.calls // 2))),
        "SHAPES": repr(list(case.shapes)),
        "SHARED": f"{shared!r}  # axes along which all elements share one decision",
        "CHANNELS": repr(pattern.matrix_shape(case.shapes[0])[1]),
        "MOST_ROWS": repr(max(rows)),
        "CALLS": repr(_calls(found, case)),
        "INFER": repr(case.infer),
        "DROPPED": repr(contract.dropped_at(case.rate)),
        "ALLOWED": repr(contract.rate_tolerance(case.rate)),
        "SCALE": plain,
        "EXACT_SCALE": exact,
        "UNIT": f"{_UNIT[case.dtype]}  # unit roundoff of {case.dtype}",
        "MEAN_BOUND": repr(bound),
        "TRAINING": repr("inference" not in case.words),
        "SPENDS": repr("spends" in case.words),
        "RAISED": f'"{found.tallies.get("raised", "")}"',
        "QUIET": "1 - RATE" if contract.inference == "keep" else "1.0",
        "OTHER": repr(OTHER),
        "RATES": repr([_MADE, *(_SET_FIRST if case.rate != _SET_FIRST[0] else ()), case.rate]),
        "BESIDE": (re.findall(r"beside (\S+)", found.case) or ["0.8"])[0],
        "ATTRIBUTE": f'"{attribute}"',
        "LIBRARY": '("builtins", "torch.nn.modules.module")',
        "REENTRANT": repr("reentrant-checkpoint" in case.words),
    }
