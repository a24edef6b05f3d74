"""TensorFlow.js: its layers in one Node.js process, on the cpu or the WebAssembly backend, and the register of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

from dropcheck.contract import node_packages
from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.contract.server_adapter import ServerAdapter

HERE = Path(__file__).parent
PINNED = node_packages.pinned(HERE / "package.json")
_PACKAGE, _WASM = "@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"

_FIXED = "the instrument gives the layer weights and makes its input"
# what a site's instrument decides itself
_SITE: Mapping[str, str] = {
    "form.nonfinite": f"{_FIXED}: it is finite",
    "gradient.second-derivative": f"{_FIXED}: it has no derivative of a gradient",
}


# the instrument multiplies by a matrix of channels by channels at each step, in JavaScript
_WIDEST = 17


class Tfjs(ServerAdapter):
    """Drives the layers of server.js; ``options`` of an implementation are those of the layer."""

    framework = "tfjs"
    modes: Tuple[str, ...] = ("wasm",)
    widest, heavy = 0, 0

    def __init__(self, obj: str, implementation: Implementation) -> None:
        super().__init__(["node"], layer=obj, options=implementation.options)
        self.obj, self.implementation = obj, implementation
        self.contract = implementation.resolve_contract(Pattern.parse("n l c -> n c"), ())
        if obj.startswith("recurrent."):
            self.fixed = {**self.fixed, **_SITE}
            self.widest, self.heavy = _WIDEST, 2
        self.use("cpu")

    def use(self, mode: str) -> None:
        """Choose the backend. Raises Unsupported where Node.js or a package is missing."""
        words = [PINNED[name] for name in (_PACKAGE, *((_WASM,) if mode == "wasm" else ()))]
        if reason := node_packages.missing(*words):
            raise Unsupported(reason)
        self.command = [
            str(node_packages.program()),
            str(HERE / "server.js"),
            str(node_packages.place_of(*words)),
            mode,
        ]


def _layer(
    layer: str, pattern: str, summary: str, seeds: Tuple[str, ...] = (), contract: Any = None, **options: Any
) -> Implementation:
    return Implementation(
        make=f"spatial_dropouts.tfjs.layers:{layer}",
        framework="tfjs",
        adapter="spatial_dropouts.tfjs:Tfjs",
        contract=contract or Contract(pattern=Pattern.parse(pattern), seeds=seeds),
        options=options,
        requires=(PINNED[_PACKAGE],),
        default=False,
        summary=f"TensorFlow.js' {summary}",
    )


_EACH, _SHARED = "n l c -> n l c", "n l c -> n c"
_SEEDED = "with a seed"

REGISTER: Dict[str, Implementation] = {
    "tfjs.spatialDropout1d": _layer("spatialDropout1d", _SHARED, "spatialDropout1d, without a seed"),
    "tfjs.spatialDropout1d-seed": _layer("spatialDropout1d", _SHARED, f"spatialDropout1d {_SEEDED}", ("constructor",)),
    "tfjs.dropout": _layer("dropout", _EACH, "layer dropout, without a seed"),
    "tfjs.dropout-seed": _layer("dropout", _EACH, f"layer dropout {_SEEDED}", ("constructor",)),
    "tfjs.dropout-noiseShape": _layer(
        "dropout", _SHARED, "layer dropout with noiseShape [null, 1, null]", noiseShape=[None, 1, None]
    ),
    "tfjs.dropout-op": _layer("op", _EACH, "function tf.dropout, without a seed"),
    # its seed is an argument of each call, and may be a text: call c of seed s is given 's/c'
    "tfjs.dropout-op-seed": _layer("op", _EACH, "function tf.dropout, each call with a seed of its own", ("key",)),
    "tfjs.alphaDropout": _layer(
        "alphaDropout", "", "alphaDropout, each element by itself", contract=Contract.alpha(_EACH, seeds=())
    ),
    **{
        f"tfjs.{kind}#{site}": _layer(f"{kind}_{site}", f"n t {axis} -> n {axis}", f"{kind}: {site_summary}")
        for kind in ("simpleRNN", "gru", "lstm")
        for site, axis, site_summary in (
            ("input", "f", "dropout of the input, shared by the steps"),
            ("recurrent", "h", "recurrentDropout of the state, shared by the steps"),
        )
    },
}
