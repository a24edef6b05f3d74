"""Dropout of a model as a whole: functions that drop in inference, named with the line to change, and masks that are shared."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.seen import Cause, Seen, cause
from dropcheck.results.plain_text import some as shortened

# how each function is told that it trains
_FLAGS = {
    "F.scaled_dot_product_attention": "dropout_p=p if self.training else 0.0",
    "F.multi_head_attention_forward": "training=self.training",
}


# what a layer of other frameworks than PyTorch asks
_TRAINS = {
    "linen": "`train` is true (`deterministic` is false)",
    "nnx": "`deterministic` is false",
    "equinox": "`inference` is false and a key is given",
    "keras": "`training` is true",
    "tf_keras": "`training` is true",
    **dict.fromkeys(("numpy", "jax", "tensorflow"), "its flag says that it trains"),  # functions of an array
}


# measured of Dropout and of RandomUniformLike nodes, over 400 sessions with seeds of their own
_OF_ONNX_RUNTIME = (
    "Export the model after `eval()` if it need not drop. Else give it its masks as inputs and draw them outside, or run it with "
    "onnx.reference: on a CPU, ONNX Runtime starts the generators of a file from neighbouring seeds, and what they draw is related."
)


def inference(seen: Seen) -> Iterator[Cause]:
    """Functions that drop in inference, each with the argument that is missing."""
    for lead in seen.failing("site.reached"):
        called = [one for one in lead.tallies.get("called", []) if isinstance(one, dict)]
        if lead.case != "inference":
            continue
        if not called:  # declared active, and nothing drops
            fix = 'Keep the dropout of the model on after `eval()`, or leave out `inference="active"` (`--inference active`).'
            yield cause("inactive in inference", lead.message, fix, seen.take([lead]), lead)
            continue
        text = f"dropout is active in inference: {shortened([_called(one) for one in called])}; expected no random draw"
        said = [*map(_fix, called), "If dropout is meant to stay on (Monte Carlo), declare it: --inference active."]
        yield cause("drops in inference", text, " ".join(dict.fromkeys(said)), seen.take([lead]), lead)


def shared(seen: Seen) -> Iterator[Cause]:
    """Places of a model that drop alike, each pair by itself."""
    for lead in seen.failing("site.independent"):
        fix = (
            "Do not seed the random generator inside of `forward`, and let each layer draw its own mask. "
            "`--ignore site.independent` accepts masks that are shared on purpose."
        )
        if seen.target.framework == "onnxruntime" and lead.tallies.get("leans"):
            fix = _OF_ONNX_RUNTIME
        yield cause("shares a mask", lead.message, fix, seen.take([lead]), lead)


def _called(one: dict[str, object]) -> str:
    rate = one.get("rate")
    where = f" at {one['place']}" if one.get("place") else f" in {one.get('kind')}"
    return f"{one.get('what')}{where}" + (f" (rate {rate:g})" if isinstance(rate, float) else "")


def _fix(one: dict[str, object]) -> str:
    what, place, kind = str(one.get("what")), one.get("place"), one.get("kind")
    if what.startswith("F.") and ("dropout" in what or what in _FLAGS):
        if one.get("made"):
            return f"Create the dropout layer in `__init__` and call it at {place}: a layer made in `forward` always trains."
        return f"Call {what} with `{_FLAGS.get(what, 'training=self.training')}` at {place}."
    if trains := _TRAINS.get(str(one.get("framework"))):
        if one.get("made"):
            return f"Create the dropout layer with the others and call it at {place}: a layer made in a call always trains."
        return f"Draw at {place} in training only: where {trains}."
    if kind == "InterpreterModule":  # of torch.export.unflatten
        return "Export the model once more after `eval()`: a program keeps the dropout that it was exported with."
    return f"Return the input of {kind} unchanged where `self.training` is false ({place})."
