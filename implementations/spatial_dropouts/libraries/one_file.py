"""One file, or one class, of a package that does not import whole: what the file takes from elsewhere has a stand-in meanwhile.

A script that shows a failure carries this module's text: it needs the standard library only.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import types
from typing import Any, Mapping


def path_of(package: str, inside: str) -> str:
    """The file ``inside`` a package, which is looked up and never imported. Raises ImportError, one sentence, where it is not."""
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    for folder in folders:
        path = os.path.join(folder, *inside.split("/"))
        if os.path.isfile(path):
            return path
    raise ImportError(f"{package} has no file {inside} here" if folders else f"there is no package {package!r} here")


def nothing(*words: Any, **more: Any) -> Any:
    """A decorator of any arguments that leaves a thing as it is."""
    return lambda thing: thing


def module(package: str, inside: str, stand_ins: Mapping[str, Mapping[str, Any]], name: str = "") -> Any:
    """A file, run by itself under ``name`` (of which relative imports are relative).

    ``stand_ins``: what stands in the place of modules while the file is run, as ``{"mmengine.registry": {"MODELS": ...}}``;
    the packages around them are empty. Raises ImportError where the file is not here.
    """
    name = name or f"{package}_{os.path.splitext(os.path.basename(inside))[0]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path_of(package, inside))
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    empty = {}
    for one in (*stand_ins, *([name] if "." in name else [])):
        parts = one.split(".")
        empty.update({".".join(parts[:i]): types.ModuleType(".".join(parts[:i])) for i in range(1, len(parts))})
    for one, content in stand_ins.items():
        empty[one] = types.ModuleType(one)
        empty[one].__dict__.update(content)
    kept = {one: sys.modules.get(one) for one in empty}
    sys.modules.update(empty)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        for one, before in kept.items():
            if before is not None:
                sys.modules[one] = before
            elif one != name:
                sys.modules.pop(one, None)
    return made


def one_class(package: str, inside: str, name: str, given: Mapping[str, Any]) -> Any:
    """A class of a file that does not run here: its source alone, without decorators, with the names that it uses.

    Raises ImportError where the file or the class is not here.
    """
    with open(path_of(package, inside), encoding="utf-8") as file:
        body = ast.parse(file.read()).body
    node = next((n for n in body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if node is None:
        raise ImportError(f"the file {inside} of {package} defines no class {name} here")
    node.decorator_list = []
    later = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    names = {"__name__": f"{package}_{name}", **given}
    exec(compile(ast.unparse(ast.Module([later, node], [])), inside, "exec"), names)
    return names[name]
