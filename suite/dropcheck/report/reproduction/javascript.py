"""Scripts of failures of TensorFlow.js: plain JavaScript that Node.js runs, with the package alone."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

from dropcheck.contract import node_packages, requirements
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract
from dropcheck.contract.register import register
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.results.naming import split_name

FRAMEWORK = "tfjs"
FIRST = "// A failure of TensorFlow.js"  # how every such script begins

# what a check's body computes: expected, observed, and whether the defect shows
BODIES = {
    "mask.distinct-calls": """
const call = make(0.5, 1000);
const masks = [...Array(4)].map(() => call(input(), true).map((v) => (v === 0 ? '.' : '#')).join(''));
const distinct = new Set(masks).size;
const expected = '4 distinct masks in 4 training calls';
const observed = `${distinct} distinct, the first begins ${masks[0].slice(0, 32)}`;
const defect = distinct < 4;
""",
    "rate.one": """
const y = make(1, 1000)(input(), true);
const left = y.filter((v) => v !== 0).length;
const expected = `all ${y.length} elements are dropped at rate 1`;
const observed = `${left} elements are not 0`;
const defect = left > 0;
""",
    "rate.rejects-invalid": """
const accepted = [-0.1, 1.5, NaN].filter((rate) => {
  try { make(rate, 1000)(input(), true); return true; } catch (error) { return false; }
});
const expected = 'an error for each of the rates -0.1, 1.5 and NaN';
const observed = `no error for ${accepted.join(', ') || 'none of them'}`;
const defect = accepted.length > 0;
""",
    "scale.kept-values": """
const x = input();
const y = make(RATE, 1000)(x, true);
const near = (v, wanted) => Math.abs(v - wanted) <= 1e-5 * Math.max(1, Math.abs(wanted));
const wrong = y.map((v, i) => i).filter((i) => !near(y[i], DROPPED) && !near(y[i], x[i] * SCALE + OFFSET));
const expected = `${DROPPED} or x times ${SCALE} plus ${OFFSET}`;
const observed = `${wrong.length} of ${y.length} values are neither`
  + (wrong.length ? `; ${x[wrong[0]]} becomes ${y[wrong[0]]}` : '');
const defect = wrong.length > 0;
""",
    "gradient.edges": """
const x = tf.tensor(input(), SHAPE);
const gradient = [...tf.grad((given) => call1(1, given))(x).dataSync()];
const left = gradient.filter((v) => v !== 0).length;
const expected = 'a gradient of 0 at rate 1, where everything is dropped';
const observed = `${left} of ${gradient.length} gradients are not 0`;
const defect = left > 0;
""",
}

_SCRIPT = """
'use strict';
const tf = require('@tensorflow/tfjs');
@PIECES@
const SHAPE = [8, 3, 64];
const input = () => [...Array(8 * 3 * 64).keys()].map((i) => Math.fround(1 + i / 2048));
const layer = (rate, seed) => @LAYER@;
const make = (rate, seed) => {
  const call = layer(rate, seed);
  return (values, training) => [...tf.tidy(() => call(tf.tensor(values, SHAPE), training).dataSync())];
};
const call1 = (rate, x) => layer(rate, 1000)(x, true);

async function main() {
  await tf.setBackend('@BACKEND@');
@BODY@
  console.log('expected:', expected);
  console.log('observed:', observed);
  process.exit(defect ? 1 : 0);
}
main();
"""


def is_javascript(script: str) -> bool:
    """Whether a script is one of these."""
    return script.startswith(FIRST)


def write(target: TargetResult, found: Finding) -> str:
    """The script of a failure: exit status 1 where the defect shows, else 0. Raises UsageError where there is none."""
    if found.check not in BODIES:
        raise UsageError(f"there is no script for {found.check} of TensorFlow.js: expected one of {', '.join(BODIES)}")
    base, mode = split_name(target.target.partition(requirements.JOIN)[0])
    known = register().get(base)
    if known is None:
        raise UsageError(f"there is no implementation {base!r} any more")
    contract, backend = Contract.from_dict(target.contract), "wasm" if mode == "wasm" else "cpu"
    expression, pieces = _layer(known.implementation.make, dict(known.implementation.options), bool(contract.seeds))
    constants = {
        "RATE": 0.5,
        "DROPPED": contract.dropped_at(0.5),
        "SCALE": contract.scale_at(0.5),
        "OFFSET": contract.offset_at(0.5),
    }
    body = BODIES[found.check].strip()
    lines = [f"const {name} = {value!r};" for name, value in constants.items() if name in body] + body.splitlines()
    if backend == "wasm":
        pieces = "require('@tensorflow/tfjs-backend-wasm');\n" + pieces
    script = _SCRIPT.replace("@PIECES@", pieces).replace("@LAYER@", expression).replace("@BACKEND@", backend)
    unused = "const call1 = (rate, x) => layer(rate, 1000)(x, true);\n"
    script = script if "call1(" in body else script.replace(unused, "")
    seen = f"{found.check}, case {found.case}, seen with {target.framework} {target.version}: {found.message}"
    packages = f"@tensorflow/tfjs@{target.version}" + (
        f" @tensorflow/tfjs-backend-wasm@{target.version}" if backend == "wasm" else ""
    )
    words = textwrap.wrap(" ".join(seen.split()), 110)
    head = [f"{FIRST}: {target.target}", *[f"// {line}" for line in words], f"// npm install {packages}; node FILE"]
    return "\n".join(head) + script.replace("@BODY@", "\n".join(f"  {line}" for line in lines))


def program(target: TargetResult) -> tuple[str, dict[str, str]]:
    """Node.js, and variables with which it finds the packages that a target was audited with. Raises UsageError."""
    words = [word for word in target.target.partition(requirements.JOIN)[2].split() if node_packages.is_npm(word)]
    if words:
        from dropcheck.plan import release_environments

        folder: str | None = release_environments.provide(tuple(words)).node
    else:
        from spatial_dropouts import tfjs

        words = list(tfjs.PINNED.values())[: 2 if split_name(target.target)[1] == "wasm" else 1]
        folder = str(place) if (place := node_packages.place_of(*words)) is not None else None
    node = node_packages.program()
    if node is None or folder is None:
        raise UsageError(node_packages.missing(*words))
    return node, {**os.environ, "NODE_PATH": str(Path(folder) / "node_modules")}


def _layer(make: object, options: dict[str, object], seeded: bool) -> tuple[str, str]:
    """(a JavaScript function (x, training) -> y of ``rate`` and ``seed``, the source that it needs)."""
    from spatial_dropouts import tfjs
    from spatial_dropouts.tfjs import layers

    what, name, *site = str(getattr(layers, str(make).rpartition(":")[2])).split(".")
    if what == "op":
        key = ", options.noiseShape, `${seed}/${calls++}`" if seeded else ""
        start = "((calls) => " if seeded else ""
        end = ")(0)" if seeded else ""
        key = key.replace("options.noiseShape", "undefined")
        return f"{start}(x, training) => (training ? tf.{name}(x, rate{key}) : x.clone()){end}", ""
    if what == "recurrent":
        text = (
            (tfjs.HERE / "recurrent.js").read_text().replace("'use strict';\n", "").replace("exports.site =", "return")
        )
        text = f"const site = (() => {{\n{text}}})();\n"
        return f"site(tf, '{name}', '{site[0]}', rate, {json.dumps(options)}).call", text
    config = "".join(f", {key}: {json.dumps(value)}" for key, value in options.items())
    seed = ", seed" if seeded else ""
    return f"((real) => (x, training) => real.apply(x, {{training}}))(tf.layers.{name}({{rate{config}{seed}}}))", ""
