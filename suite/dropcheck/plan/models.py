"""Models as targets: each dropout layer inside with the pattern that it follows there, and one target a layer."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.contract.requirements import JOIN
from dropcheck.contract.sites import AUDITED_AS, Sites, short
from dropcheck.judge.pattern_inference import Inferred, Marks, infer, marks
from dropcheck.plan import observed_faults, shared_masks, without_rate
from dropcheck.plan.observed_masks import limited
from dropcheck.plan.opening import spec_of
from dropcheck.plan.targets import Target
from dropcheck.worker.client import Refused, TargetError, ask

_HALF = 1e-2  # relative: models may compute in half precision


@dataclass(frozen=True)
class Layer:
    """One use of one dropout layer in a model's forward pass.

    ``expected``: what its class promises on this tensor, None where nothing is known. ``channel`` and ``own_channel``: the
    axis of channels by the layers around it (``why``), and the one that its class takes for it; ``unsure``: they say features;
    ``doubt``: a question where they disagree. ``form``: what its class documents that no pattern says. ``active``: what is
    wrong with it in inference.
    """

    name: str
    kind: str
    found_by: str
    rate: float | None
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    use: int
    channel: int | None
    own_channel: int | None
    why: str
    expected: Pattern | None
    plain: bool
    marks: Marks
    found: Inferred
    active: str = ""
    unsure: bool = False
    doubt: str = ""
    form: str = ""
    own_law: bool = (
        False  # its target has a contract that knows what is kept and dropped where that is no multiple of x
    )
    starts: Marks | None = None  # the first pass of sessions with seeds of their own, where an engine has sessions

    @property
    def off(self) -> bool:
        """Whether its rate is 0 and it does nothing, as it should."""
        return self.rate == 0 and self.found.nothing

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong with it here, one clause each, worst first."""
        found, asked = self.found, self.rate
        promised = self.expected or Pattern(self.axes, self.axes)
        parts = [
            observed_faults.repeats(found),
            self.active,
            observed_faults.one_for_all(found, promised, "batch"),
            self.wrong,
        ]
        if self.form:
            return tuple(part for part in parts[:2] if part)
        # a rate under a usual name is that of an element where the class says so, or where masks fit a pattern
        meant = self.expected is not None or found.fits or found.nothing or found.everything
        if asked is not None and 0 < asked < 1 and meant and len(self.marks.dropped):
            contract = Contract(promised)
            parts.insert(0, observed_faults.drops_at_all(found, len(self.marks.dropped), asked, self._decisions))
            parts.append(observed_faults.rate(found, asked))
            if self.plain and found.sure:
                parts.append(observed_faults.scale(found, self.marks, contract, asked, _HALF))
        return tuple(dict.fromkeys(part for part in parts if part))

    @property
    def _decisions(self) -> int:
        """Drop decisions of all calls, as its class documents them; one a call where nothing is known."""
        sizes = dict(zip(self.axes, self.marks.dropped.shape[1:], strict=True))
        return len(self.marks.dropped) * math.prod(
            int(sizes[a]) for a in (self.expected.coins if self.expected else ())
        )

    @property
    def wrong(self) -> str:
        """What is wrong with its pattern here, in one clause; empty where it follows what its class documents, or in doubt."""
        return "" if self.unsure or self.doubt else self._deviation

    @property
    def question(self) -> str:
        """What only the author knows: which axis holds channels, where the layers around it do not say it."""
        if self.doubt:
            return self.doubt
        return f"{self.why}: is that the axis of your channels?" if self.unsure and self._deviation else ""

    @property
    def _deviation(self) -> str:
        found, expected = self.found, self.expected
        if not found.sure or expected is None:
            return ""
        kinds = {a.name: a.kind for a in found.axes}
        lost = [a for a in expected.coins if kinds[a] == "shared" and (a != "batch" or not found.coin_axes)]
        extra = [a for a in expected.shared if kinds[a] in ("coin", "dependent", "groups", "copies")]
        if "channel" in lost and extra:
            place = self.channel if self.channel is not None else self.axes.index("channel")
            where = "the last axis" if place == len(self.shape) - 1 else f"axis {place}"
            return f"channels are on {where}: did you mean {self._remedy(place)}?"
        parts = []
        if lost == ["channel"]:
            parts.append("a dropped position loses all its channels at once")
        elif lost:
            parts.append(f"all of {' and '.join(lost)} share{'s' if len(lost) == 1 else ''} one")
        if extra:
            parts.append(f"drop decisions vary along {' and '.join(extra)}")
        if not found.fits and not extra:
            parts.append("channels are not dropped independently")
        return (
            f"{', '.join(parts)}; expected one drop decision per ({', '.join(expected.coins) or 'call'})"
            if parts
            else ""
        )

    def _remedy(self, place: int) -> str:
        if self.kind.startswith("Spatial") and self.kind.endswith(("2D", "3D")):
            return f"data_format='{'channels_last' if place == len(self.shape) - 1 else 'channels_first'}'"
        return "to transpose"

    @property
    def coins(self) -> str:
        """What was seen of its coins, in words."""
        from dropcheck.judge.pattern_inference import unfitting

        found = self.found
        if not found.sure or not found.fits:
            return unfitting(found)
        shared = f", shared along {' and '.join(found.shared_axes)}" if found.shared_axes else ""
        return f"one drop decision per ({', '.join(found.coin_axes) or 'call'}){'' if self.wrong else shared}"

    @property
    def sentence(self) -> str:
        """``Dropout1d at drop: one drop decision per (batch, time); channels are on the last axis: did you mean ...?``"""
        again = f" (use {self.use + 1})" if self.use else ""
        text = f"{self.kind} at {self.name}{again}: "
        silent = self.found.nothing or self.found.everything  # said by the fault
        if self.off:
            return f"{text}its rate is 0: it is off"
        parts = [*([] if silent and self.faults else [self.coins]), *self.faults]
        if self.why and "channels are on" in self.wrong:
            parts[parts.index(self.wrong)] += f" ({self.why})"
        parts += [part for part in (self.form, self.question) if part]
        return text + "; ".join(parts)

    @property
    def refusal(self) -> str:
        """Why it cannot be audited as it stands; empty if it can."""
        if self.rate is None:
            return "it holds no rate under a usual name (p, rate, drop_prob, ...): audit its class, or a factory with a contract"
        if not 0 < self.rate < 1:
            return f"its rate is {self.rate:g}: it decides nothing by chance"
        if self.form:
            return f"{self.form}: audit its class, or a factory with a contract that says so"
        if not self.plain and not self.own_law:
            return f"{self.kind} keeps no multiple of x: audit its class, whose registered contract knows its constants"
        if self.pattern is None:
            return (
                "neither its class nor its masks show which elements should be dropped together: name it with --pattern"
            )
        return ""

    @property
    def pattern(self) -> Pattern | None:
        """What it is audited against: what its class documents, else what it was seen to follow."""
        seen = self.found.pattern
        return seen if self.question and self._deviation and seen is not None else self.expected or seen


@dataclass(frozen=True)
class Model:
    """The dropout layers of one model, in the order of its forward pass, and what could not be seen."""

    target: Target
    framework: str
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]
    calls: int = 0
    sites: Sites | None = None
    names: tuple[str, ...] | None = None  # of all modules, where the framework names them

    @property
    def wrong(self) -> bool:
        """Whether a layer has a fault, or the model as a whole (see ``Sites.wrong``, which audits judge by)."""
        return (self.sites is not None and self.sites.wrong) or any(one.faults for one in self.layers)


def may_be_model(target: Target) -> bool:
    """Whether a target may be a model, by its source alone: a class or a function of a rate is none."""
    if target.source != "user":
        return False
    place, _, attr = target.locator.partition("#")[0].rpartition(":")
    if place.endswith((".onnx", ".pt2")):
        return True
    place, _, attr = target.locator.rpartition(":")
    if "#" in attr or "." in attr:
        return True
    stem = place.replace(".", "/")
    files = [Path(folder) / name for folder in target.path for name in (f"{stem}.py", f"{stem}/__init__.py")]
    file = Path(place) if place.endswith(".py") else next((f for f in files if f.is_file()), None)
    if file is None:
        return not attr[:1].isupper() and not place.startswith(("torch.", "keras."))
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, OSError, ValueError):
        return False  # opening it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == attr:
            return without_rate.function(node)
        if isinstance(node, ast.ClassDef) and node.name == attr:
            return without_rate.layer(node, tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == attr:
            return False
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == attr for t in node.targets):
            called = node.value.func if isinstance(node.value, ast.Call) else None
            word = getattr(called, "id", getattr(called, "attr", ""))
            return not (word == "Implementation" or isinstance(node.value, ast.Lambda))
    return not attr[:1].isupper()


def look(
    target: Target,
    shape: Sequence[int] | None = None,
    python: str | None = None,
    in_process: bool = False,
    device: str = "cpu",
    inference: str | None = None,
) -> Model | None:
    """Run the model in a worker and infer the pattern of each layer; None if the target is no model.

    ``shape``: of an input to make. ``inference``: what inference is declared to return. Raises UsageError where the model
    does not load or does not run.
    """
    spec = spec_of(target, None, python, in_process, device)
    try:
        with limited(spec.bare()) as session:
            given = list(shape) if shape is not None else None
            answer = ask(session, "layers", locator=target.locator, shape=given)
    except Refused as refused:
        if refused.kind in ("TargetNotFound", "NoDropout", "Unsupported"):
            raise UsageError(refused.message) from refused
        raise UsageError("\n    ".join([str(refused), *refused.lines])) from refused
    except TargetError as ended:
        raise UsageError("\n    ".join([str(ended), *(ended.details or "").splitlines()[-12:]])) from ended
    if answer["kind"] != "model":
        return None
    layers = tuple(_layer(one, inference) for one in answer["layers"])
    calls = max((len(one["ys"]) for one in answer["layers"]), default=0)
    notes, sites = list(answer["notes"]), None
    if answer.get("sites") is not None:
        audited = tuple(dict.fromkeys(one.name for one in layers if not one.refusal))
        sites = Sites.from_answer(
            answer["sites"], answer["framework"], audited, tuple(one.name for one in layers if not one.found.nothing)
        )
        sites = replace(sites, shared=(*sites.shared, *shared_masks.among(layers, sites.shared)))
        if answer["framework"].startswith("onnx"):  # engines seed their nodes' generators one after the other
            sites = replace(sites, shared=(*sites.shared, *shared_masks.leaning(layers, sites.shared)))
        sites = replace(sites, declared=inference or "")
        notes += sites.notes()
    names = answer.get("names")
    return Model(
        target, answer["framework"], layers, tuple(notes), calls, sites, tuple(names) if names is not None else None
    )


def _layer(one: dict[str, Any], inference: str | None = None) -> Layer:
    x, ys, still = np.asarray(one["x"]), np.asarray(one["ys"]), np.asarray(one["still"])
    read = marks(x, ys, 1e-2) if len(ys) else Marks(np.zeros((0, *x.shape), bool), 0.0, 1.0, 0.0, True)
    axes = tuple(one["axes"])
    found = infer(read.dropped if len(ys) else np.zeros((1, *x.shape), bool), axes)
    contract = Contract(Pattern(axes, axes), inference=inference or "identity")
    return Layer(
        name=one["name"],
        kind=one["kind"],
        found_by=one["found_by"],
        rate=one["rate"],
        shape=tuple(one["shape"]),
        axes=axes,
        use=one["use"],
        channel=one["channel"],
        own_channel=one["own_channel"],
        why=one["why"],
        expected=Pattern.parse(one["expected"]) if one["expected"] else None,
        plain=one["plain"],
        marks=read,
        found=found,
        active=observed_faults.in_inference(x, still, contract, one["rate"] or 0.0, _HALF)[1] if len(still) else "",
        unsure=bool(one.get("unsure")),
        doubt=str(one.get("doubt", "")),
        form=str(one.get("form", "")),
        own_law=bool(one.get("own_law")),
        starts=marks(x, np.asarray(one["starts"]), 1e-2) if "starts" in one else None,
    )


def named(target: Target, layer: Layer) -> Target:
    """The target of one layer: ``file.py:model#encoder.drop``, with its pattern and what was seen of it."""
    base, join, releases = target.name.partition(JOIN)
    head, at, words = base.partition("@")
    pattern = str(layer.pattern) if layer.pattern is not None else None
    if pattern is not None and "batch" not in layer.axes:  # a layer of single samples is batched by its adapter
        left, right = pattern.split(" -> ")
        pattern = f"batch {left} -> batch {right}"
    return replace(
        target,
        name=f"{head.partition('#')[0]}#{layer.name}{at}{words}{join}{releases}",
        locator=f"{target.locator.partition('#')[0]}#{layer.name}",
        pattern=pattern,
        note=layer.sentence,
        skip=layer.refusal,
    )


def expanded(
    targets: Sequence[Target],
    shape: Sequence[int] | None,
    python: str | None,
    in_process: bool,
    device: str = "cpu",
) -> list[Target]:
    """The targets, each model replaced by its layers. Raises UsageError for a model without dropout."""
    some: list[Target] = []
    for target in targets:
        model = look(target, shape, python, in_process, device) if may_be_model(target) else None
        some += [target] if model is None else layers_of(target, model)
    return list({t.name: t for t in some}.values())


def layers_of(target: Target, model: Model) -> list[Target]:
    """One target a layer, by its first wrong use if there is one, and one for the sites; of ``model#layer`` that layer alone."""
    chosen: dict[str, Layer] = {}
    for layer in sorted(model.layers, key=lambda one: not one.faults):
        chosen.setdefault(layer.name, layer)
    inner = target.locator.partition("#")[2]
    order = list(dict.fromkeys(one.name for one in model.layers))
    if inner:
        if inner not in chosen:
            said = _not_reached(model, inner)
            return [replace(target, skip=said) if said else target]  # opening it names the nearest
        return [named(target, chosen[inner])]
    whole = [replace(target, sites=model.sites)] if model.sites is not None and draws(model.sites) else []
    if not order and not whole:
        raise UsageError(without(model))
    return [*(named(target, chosen[name]) for name in order), *whole]


def _not_reached(model: Model, inner: str) -> str:
    """Why a module of that name is not audited: no pass reached it, so that nothing tells what it should do there."""
    if model.names is None or inner not in model.names:
        return ""
    for one in model.sites.unreached if model.sites is not None else ():
        if one.name == inner:
            audited = AUDITED_AS.get(short(one.user))
            after = f"; dropcheck audit {audited} audits that function" if audited else ""
            return f"{inner} ({one.kind}) is never called in a training pass{one.used}{after}"
    for note in model.notes:
        if note.startswith(f"{inner} ("):
            return note
    return f"{inner} is called as a dropout in no training pass"


def draws(sites: Sites) -> bool:
    return bool(sites.training or sites.inference or sites.unreached)


def without(model: Model) -> str:
    """What is said of a model without a dropout layer that can be audited."""
    unasked = [note for note in model.notes if " is called with " in note]
    if unasked:
        return (
            f"{model.target.name}: no dropout layer of this {model.framework} model can be asked; {'; '.join(unasked)}"
        )
    return (
        f"{model.target.name} is a {model.framework} model without dropout: of the layers that its forward pass reaches none "
        f"is a dropout by class or name, and none was seen to drop{'; ' + '; '.join(model.notes) if model.notes else ''}"
    )
