"""Dropout of a model that no layer holds: functions that drop in inference, named with the line to change."""

from __future__ import annotations

from collections.abc import Iterator

from dropcheck.judge.diagnosis.seen import Cause, Seen, cause
from dropcheck.results.plain_text import some as shortened

# how each function is told that it trains
_FLAGS = {
    "F.scaled_dot_product_attention": "dropout_p=p if self.training else 0.0",
    "F.multi_head_attention_forward": "training=self.training",
}


def inference(seen: Seen) -> Iterator[Cause]:
    """Functions that drop in inference, each with the argument that is missing."""
    for lead in seen.failing("site.reached"):
        called = [one for one in lead.tallies.get("called", []) if isinstance(one, dict)]
        if lead.case != "inference" or not called:
            continue
        text = f"dropout is active in inference: {shortened([_called(one) for one in called])}; expected no random draw"
        said = [_fix(one) for one in called]
        yield cause("drops in inference", text, " ".join(dict.fromkeys(said)), seen.take([lead]), lead)


def _called(one: dict[str, object]) -> str:
    rate = one.get("rate")
    return f"{one.get('what')} at {one.get('place')}" + (f" (rate {rate:g})" if isinstance(rate, float) else "")


def _fix(one: dict[str, object]) -> str:
    what, place, kind = str(one.get("what")), one.get("place"), one.get("kind")
    if what.startswith("F.") and ("dropout" in what or what in _FLAGS):
        if one.get("made"):
            return f"Create the dropout layer in `__init__` and call it at {place}: a layer made in `forward` always trains."
        return f"Call {what} with `{_FLAGS.get(what, 'training=self.training')}` at {place}."
    return f"Return the input of {kind} unchanged where `self.training` is false ({place})."
