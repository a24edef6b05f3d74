"""How a script gets at the layer: the lines that import it, and the expression that makes one."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from pathlib import Path

from dropcheck.contract import requirements
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.errors import UsageError
from dropcheck.contract.register import register
from dropcheck.plan import targets
from dropcheck.plan.targets import Target
from dropcheck.report.reproduction import onnx_files
from dropcheck.report.reproduction.frameworks import FRAMEWORKS

# what the pieces of the frameworks import, and under which other name
_WHOLE = dict.fromkeys(
    (
        "torch",
        "keras",
        "flax",
        "equinox",
        "haiku",
        "haliax",
        "penzai",
        "brainstate",
        "tf_keras",
        "mlx",
        "paddle",
    ),
    "",
) | {"tensorflow": "tf"}


@dataclass(frozen=True)
class Layer:
    """``framework``: a key of FRAMEWORKS; ``imports``: lines; ``make``: an expression of ``rate`` and ``seed``."""

    framework: str
    imports: str
    make: str
    takes: str = ""  # a line that defines TAKES, what a plain function takes
    seeder: str = ""  # an expression of ``seed`` that seeds the layer's own source
    target: Target | None = None
    thing: str = ""  # an expression of the class or function itself


def layer_of(name: str, framework: str, way: str, instance: bool) -> Layer:
    """The layer of a target by the name that a result holds. Raises UsageError where no script can reach it."""
    target = targets.parse(name.partition(requirements.JOIN)[0])
    implementation, place, attr, kind = _origin(target)
    if target.source == "user" and place.endswith(".onnx") and framework in onnx_files.ENGINES:
        return Layer(onnx_files.ENGINES[framework], onnx_files.part_of(place, attr, target.name), "PART", target=target)
    chosen = implementation.framework or framework if implementation is not None else framework
    if chosen == "keras":
        chosen = framework
    if chosen == "torch" and kind == "function":
        chosen = "torch-function"
    if chosen not in FRAMEWORKS:
        raise UsageError(
            f"there is no script for {name}: {chosen or 'its framework'!r} has no entry in "
            "dropcheck.report.reproduction.frameworks; "
            f"expected one of {', '.join(FRAMEWORKS)}"
        )
    if chosen == "onnxruntime":  # the model of one node is written down in the script
        return Layer(chosen, "", ", seed=seed" if way == "constructor" else "", target=target)
    imports, thing = _imported(place, attr)
    if kind == "implementation":  # the user's own dropcheck.Implementation: its construction is written down there
        return Layer(chosen, imports, f"{thing}.construct({thing}.make, rate)", _takes(f"{thing}.make"), "", target)
    made = _expression(thing, chosen, implementation, way, place)
    if target.mode == "mixed":
        made = made.replace("dtype=DTYPE", 'dtype="mixed_" + DTYPE')
    if instance and chosen in ("torch", "keras@torch", "keras@jax", "keras@tensorflow"):
        base = "torch.nn.Module" if chosen == "torch" else "keras.Layer"
        made = f"{thing} if isinstance({thing}, {base}) else {made}"
    return Layer(chosen, imports, made, _takes(thing), _seeder(implementation), target, thing)


def _takes(thing: str) -> str:
    return f"TAKES = inspect.signature({thing}.__call__ if isinstance({thing}, type) else {thing}).parameters\n"


def _seeder(implementation: Implementation | None) -> str:
    if implementation is None or implementation.seed is None:
        return ""
    seed = implementation.seed
    module = getattr(seed, "__module__", "")
    if getattr(seed, "__name__", "<") == "<lambda>" or "<" in getattr(seed, "__qualname__", "<"):
        return ""
    return f"__import__({module!r}, fromlist=['_']).{seed.__qualname__}(seed)"


def _origin(target: Target) -> tuple[Implementation | None, str, str, str]:
    """(implementation of a register, file or module, attribute, kind: class, function, implementation or unknown)."""
    if target.source == "user":
        place, _, attr = target.locator.rpartition(":")
        return None, place, attr, _kind(place, attr)
    known = register().get(target.locator)
    implementation = known.implementation if known is not None else None
    if implementation is None:
        import spatial_dropouts

        implementation = spatial_dropouts.find(target.locator)
    if implementation is None:
        raise UsageError(f"there is no implementation {target.locator!r} any more")
    make = implementation.make
    if isinstance(make, str):
        place, _, attr = make.rpartition(":")
    else:
        place, attr = make.__module__, make.__qualname__
        if "<" in attr:
            raise UsageError(
                f"there is no script for {target.name}: it is made by a function that has no name to import"
            )
    kind = "function" if implementation.framework == "torch-function" else "class"
    return implementation, place, attr, kind


def _kind(place: str, attr: str) -> str:
    """What the user's file defines under that name, read and not run."""
    if not place.endswith(".py"):
        return "class" if attr.rpartition(".")[2][:1].isupper() else "function"
    try:
        tree = ast.parse(Path(place).read_text())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == attr:
            return "class"
        if isinstance(node, ast.FunctionDef) and node.name == attr:
            return "function"
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == attr for t in node.targets):
            call = node.value.func if isinstance(node.value, ast.Call) else None
            named = call.id if isinstance(call, ast.Name) else call.attr if isinstance(call, ast.Attribute) else ""
            return "implementation" if named == "Implementation" else ""
    return ""


def _imported(place: str, attr: str) -> tuple[str, str]:
    """The lines that import a thing, and its name after them."""
    if place.endswith(".py"):
        near = os.path.relpath(place)
        folder = os.path.dirname(near) or "."
        return (
            "import importlib.util\n\n"
            f"sys.path.insert(0, {folder!r})\n"
            f'spec = importlib.util.spec_from_file_location("layers", {near!r})\n'
            "layers = importlib.util.module_from_spec(spec)\n"
            'sys.modules["layers"] = layers\n'
            "spec.loader.exec_module(layers)\n"
        ), f"layers.{attr}"
    if place.endswith("adapters.lone_files"):
        from spatial_dropouts.adapters.lone_files import FILES

        name = attr.partition(".")[0]
        package, inside, why = FILES[name]
        return (
            "import importlib.util\n\n"
            f"# {why}: the file is run by itself\n"
            f'folder = importlib.util.find_spec("{package}").submodule_search_locations[0]\n'
            f'spec = importlib.util.spec_from_file_location("{name}", f"{{folder}}/{inside}")\n'
            f"{name} = importlib.util.module_from_spec(spec)\n"
            f"spec.loader.exec_module({name})\n"
        ), attr
    if (source := _whole_source(place)) is not None:
        return source, attr
    top = place.partition(".")[0]
    if top in _WHOLE:  # these are imported whole already, and read better so
        return "", f"{_WHOLE[top] or top}{place[len(top) :]}.{attr}"
    first = attr.partition(".")[0]
    return f"from {place} import {first}\n", attr


_INSTRUMENTS = "spatial_dropouts.instruments."
_LIBRARIES = "spatial_dropouts.libraries."


def _whole_source(place: str) -> str | None:
    """The source of an instrument's module with those that it imports, so that its script needs the framework alone.

    So for what makes layers of libraries. None for other modules, and where it needs more of this distribution.
    """
    if not place.startswith((_INSTRUMENTS, _LIBRARIES)):
        return None
    import spatial_dropouts

    text = Path(str(spatial_dropouts.__file__)).parent.joinpath(*place.split(".")[1:]).with_suffix(".py")
    lines = []
    for line in text.read_text().split("\n"):
        found = re.match(r"from (\S+) import ", line)
        if found is None or not found[1].startswith(("spatial_dropouts", "dropcheck", "__future__")):
            lines.append(line)
        elif found[1] != "__future__":
            inner = _whole_source(found[1])
            if inner is None:
                return None
            lines.append(inner)
    return "\n".join(lines)


def _expression(thing: str, framework: str, implementation: Implementation | None, way: str, place: str) -> str:
    options = implementation or Implementation(make=thing)
    value = "1 - rate" if options.keep_probability else "rate"
    words = [f"{options.rate_argument}={value}" if options.rate_argument else value]
    words += [f"{key}={value!r}" for key, value in options.options.items()]
    if framework == "numpy":
        called = f"lambda x, **given: {thing}(x, {', '.join(words)}, **given)"
        return f"{thing}({', '.join(words)}) if isinstance({thing}, type) else {called}"
    if framework == "haiku":  # f(key, rate, x)
        return f"lambda key, x: {thing}(key, {value}, x{''.join(f', {w}' for w in words[1:])})"
    if framework == "jax":
        return f"lambda x, **given: {thing}(x, {', '.join(words)}, **given)"
    if framework == "tensorflow":  # plain where no axis is shared: the noise shape is then the shape itself
        shape = "noise_shape=[1 if a in SHARED else n for a, n in enumerate(x.shape)]"
        if "stateless" in thing:
            return f"lambda x, calls=iter(range(2**31)): {thing}(x, {value}, seed=(seed, next(calls)), {shape})"
        return f"lambda x: {thing}(x, {', '.join(words)}, {shape})"
    if framework == "flax-nnx":
        return f"{thing}({', '.join([*words, 'rngs=nnx.Rngs(seed)'])})".replace("flax.nnx.", "nnx.")
    if framework == "haliax":  # its axes carry their sizes
        return f"lambda shared: {thing}({', '.join([*words, 'broadcast_axes=shared or None'])})"
    if framework == "penzai":
        words.append('share_across_axes=tuple(f"a{i}" for i in SHARED)')
    if framework == "torch-function":
        return f"{thing}(x, {', '.join(words)}, **given)"
    if way == "constructor":
        words.append(f"{options.seed_argument or 'seed'}=seed")
    of_keras = ("keras", f"{_INSTRUMENTS}keras", f"{_LIBRARIES}made_keras")
    if (framework.startswith("keras@") and place.startswith(of_keras)) or place.startswith("tf_keras"):
        words.append("dtype=DTYPE")
    return f"{thing}({', '.join(words)})"
