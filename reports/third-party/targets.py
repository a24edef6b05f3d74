"""The same layers as dropcheck's targets: ``targets.py:NAME``, run by the interpreter that has the library."""

from makers import LAYERS

from dropcheck import Contract, Implementation, Pattern

for _name, _one in LAYERS.items():
    try:
        _pattern = Pattern.parse(_one["pattern"])
    except ValueError:
        continue
    _seeds = {"torch": "global", "jax": "key", "numpy": "generator", "numpy-global": "global"}[_one["kind"]]
    globals()[_name] = Implementation(
        make=_one["make"],
        framework=_one["kind"].partition("-")[0],
        contract=Contract(
            pattern=_pattern,
            scale=_one["scale"],
            seeds=_one.get("seeds", (_seeds,)),
            gamma=_one.get("gamma", "paper"),
        ),
        **({"output": _one["output"]} if "output" in _one else {}),
    )
