"""Files, modules and objects by name, and what is raised where there is none."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import types
from typing import Any, Tuple


class NoDropout(TypeError):
    """What was named is there, and is nothing that can be driven as a dropout."""


class TargetNotFound(ImportError):
    """A target that cannot be loaded; the text is one sentence."""


def loaded(place: str) -> Any:
    """The module of that name, or of that file (run anew); of an ONNX file, its engines by name."""
    if place.endswith(".onnx"):
        return importlib.import_module("spatial_dropouts.adapters.onnx_loading").Named(place)
    if place.endswith(".pt2"):
        if not os.path.isfile(place):
            raise TargetNotFound(f"there is no file {place}")
        read = importlib.import_module("spatial_dropouts.adapters.models_exported").loaded
        return types.SimpleNamespace(**read(place))
    return _file(place) if place.endswith(".py") else _module(place)


def walk(module: Any, place: str, attr: str) -> Any:
    """The attribute of a module at a dotted path. Raises TargetNotFound with the nearest name."""
    thing: Any = module
    walked = place
    for name in attr.split("."):
        if not hasattr(thing, name):
            public = [n for n in dir(thing) if not n.startswith("_")]
            near = difflib.get_close_matches(name, public, 1, 0.0)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise TargetNotFound(f"{os.path.basename(walked)} has no attribute {name!r}{hint}")
        thing = getattr(thing, name)
        walked = f"{walked}.{name}"
    return thing


def _file(path: str) -> Any:
    if not os.path.isfile(path):
        raise TargetNotFound(f"there is no file {path}")
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(f"dropcheck_target_{name}", path)
    if spec is None or spec.loader is None:
        raise TargetNotFound(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise TargetNotFound(f"there is no module {error.name!r} in this environment") from error
        raise


def belongs(obj: Any, module: str, attr: str) -> Tuple[bool, bool]:
    """(is a subclass, is an instance) of a framework's class, without importing the framework."""
    loaded = sys.modules.get(module)
    base = getattr(loaded, attr, None)
    if base is None:
        return False, False
    return isinstance(obj, type) and issubclass(obj, base), isinstance(obj, base)
