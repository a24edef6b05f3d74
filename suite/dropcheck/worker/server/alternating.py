"""Training and inference calls in turn on one layer: what each output is beside its input."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Adapter, Unsupported
from dropcheck.worker.server import faults, rounding

Step = Dict[str, Any]


def alternate(adapter: Adapter, layer: Any, request: Dict[str, Any]) -> List[Step]:
    """One answer a step, in order; the steps end with the first that raises.

    ``steps``: (shape, whether it is training, whether a gradient is recorded, the way of switching) of each call; the way is
    empty for the adapter's own. ``values``: float64, exact in ``dtype``; each call has them in another order, so that no output
    of an earlier call is right for a later one. ``bounds``: least and greatest right output of inference for each of the
    values; None: the input bit for bit. ``gone``: bounds of the dropped value. ``outputs``: whether inference's outputs are
    wanted whole, with their inputs. ``compared``: outputs of training are compared like those of inference. ``masks``: a digest
    of which elements are dropped is wanted of training, where some are and some are not.
    """
    answers: List[Step] = []
    for number, (shape, training, record, way) in enumerate(request["steps"]):
        x = _input(request["values"], tuple(shape), number)
        native = adapter.tensor(x, request["dtype"], request["layout"])
        # a copy: a layer may overwrite its input
        compared = not training or request["compared"]
        before = None if not compared else rounding.bits(adapter.array(native), request["dtype"]).copy()
        given = adapter.track(native) if record else native
        try:
            with adapter.recording(record):
                y = _called(adapter, layer, given, bool(training), way)
            found = np.asarray(adapter.array(y))
        except KeyboardInterrupt:
            raise
        except Unsupported as reason:
            answers.append({"unsupported": str(reason)})
            break
        except BaseException as error:  # the layer's own exception is an answer
            if faults.ours(error, adapter):
                raise
            answers.append({"raised": type(error).__name__, "message": faults.said(error)})
            break
        kind = adapter.dtype_of(y)
        answer: Step = {"dtype": kind, "shape": list(found.shape), "size": int(found.size)}
        answers.append(answer)
        if kind != request["dtype"] or found.shape != x.shape:
            continue
        if not compared:
            gone = _gone(found, kind, request["gone"])
            answer["gone"] = int(np.count_nonzero(gone))
            if request.get("masks") and 0 < answer["gone"] < found.size:
                answer["mask"] = hashlib.blake2b(np.packbits(gone).tobytes(), digest_size=16).hexdigest()
        else:
            answer.update(_beside(found, before, x, number, kind, request))
            if request["outputs"]:
                answer.update(x=x, y=np.array(found, copy=True))
    return answers


def _input(values: Any, shape: Tuple[int, ...], number: int) -> Any:
    """The values in this call's order, again and again, in this shape."""
    whole = np.asarray(values)
    first = _first(whole, number)
    return np.resize(np.concatenate((whole[first:], whole[:first])), shape)


def _first(values: Any, number: int) -> int:
    """The place of the value with which a call begins: 7 is prime to the number of values, another for every call."""
    return 7 * number % len(values)


def _called(adapter: Any, layer: Any, x: Any, training: bool, way: str) -> Any:
    """One call, switched in the adapter's own way or in one of its ``switches``."""
    return adapter.switched(layer, x, training, way) if way else adapter.apply(layer, x, training)


def _gone(found: Any, dtype: str, gone: Sequence[float]) -> Any:
    """Which elements hold the dropped value."""
    if tuple(gone) == (0.0, 0.0):
        plain = found << 1 if dtype == "bfloat16" else found  # without the sign of its bits
        return plain == 0
    return rounding.is_dropped(rounding.to_float64(found, dtype), tuple(gone))  # type: ignore[arg-type]


def _beside(found: Any, before: Any, x: Any, number: int, dtype: str, request: Dict[str, Any]) -> Step:
    """What an inference's output is beside its input: how many elements are wrong, dropped, not finite, and how far off."""
    bounds: Optional[Tuple[Any, Any]] = request["bounds"]
    if bounds is None and np.array_equal(rounding.bits(found, dtype), before):
        return {"wrong": 0}
    values = rounding.to_float64(found, dtype)
    if bounds is None:
        wrong = rounding.bits(found, dtype).reshape(found.shape) != before.reshape(found.shape)
    else:
        count = len(bounds[0])
        index = np.resize((np.arange(count) + _first(bounds[0], number)) % count, found.shape)
        with np.errstate(invalid="ignore"):
            wrong = ~((values >= bounds[0][index]) & (values <= bounds[1][index]))
    if not wrong.any():
        return {"wrong": 0}
    zero = values == 0
    finite = np.isfinite(values)
    rest = finite & ~zero
    with np.errstate(over="ignore"):
        factors = values[rest] / x[rest]
    return {
        "wrong": int(np.count_nonzero(wrong)),
        "zero": int(np.count_nonzero(zero)),
        "nonfinite": int(np.count_nonzero(~finite)),
        "wrong_rest": int(np.count_nonzero(wrong & rest)),
        "factor": float(np.median(factors)) if factors.size else None,
        "least": float(factors.min()) if factors.size else None,
        "most": float(factors.max()) if factors.size else None,
    }
