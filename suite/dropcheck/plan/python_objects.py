"""Objects that a Python program hands over as targets: how they are called, how a worker in this process finds them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.register import register
from dropcheck.plan import targets
from dropcheck.plan.audit_options import OPTIONS
from dropcheck.plan.targets import Target
from dropcheck.results.audit import Finding, Result

SOURCE = "dropcheck.plan.python_objects:OBJECTS"

# what was handed over, by locator: the register that a worker in this process reads. Kept for the life of the process, as
# the objects are: a test file has a handful of layers
OBJECTS: dict[str, Implementation] = {}

# options of a replay command, as the keyword arguments of ``dropcheck.check``
_KEYWORDS = {one.name: one.keyword for one in OPTIONS if one.keyword is not None and not one.flag}
_FLAGS = {one.name: one.keyword for one in OPTIONS if one.keyword is not None and one.flag}


def target_of(thing: Any) -> Target:
    """The target that a program means by a name, a class, a function, a factory, an instance or an Implementation.

    What stands in a register is that entry, with its contract. Raises UnknownTarget for a name that names nothing.
    """
    if isinstance(thing, Target):
        return thing
    if isinstance(thing, str):
        return targets.parse(thing)
    known = _registered(thing)
    if known is not None:
        return targets.parse(known)
    name = typed(thing) or label(thing)
    implementation = thing if isinstance(thing, Implementation) else Implementation(make=thing)
    locator = f"{name} #{id(thing)}"
    OBJECTS[locator] = implementation
    return Target(name, locator, SOURCE)


def label(thing: Any) -> str:
    """What a reader calls it: the name of a class or function, or what an instance is one of; a short name of a target."""
    if isinstance(thing, Target):
        thing = thing.name
    if isinstance(thing, str):
        place, colon, attr = thing.rpartition(":")
        return f"{place.rsplit('/', 1)[-1]}{colon}{attr}"
    if isinstance(thing, Implementation):
        return thing.make.rpartition(":")[2] if isinstance(thing.make, str) else label(thing.make)
    named = getattr(thing, "__qualname__", None) or getattr(getattr(thing, "func", None), "__qualname__", None)
    if isinstance(named, str):
        return named.rpartition("<locals>.")[2]
    return f"a {type(thing).__qualname__}"


def typed(thing: Any) -> str | None:
    """The name under which `dropcheck audit` finds the same object from the present folder, or None if it has none."""
    module, qualified = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if isinstance(module, str) and isinstance(qualified, str):
        return _place(module, qualified) if _at(module, qualified) is thing else None
    for name in _own_modules():
        for attr, value in list(vars(sys.modules[name]).items()):
            if value is thing:
                return _place(name, attr)
    return None


def _at(module: str, qualified: str) -> Any:
    found: Any = sys.modules.get(module)
    for attr in qualified.split("."):
        found = getattr(found, "__dict__", {}).get(attr)  # never a module's own __getattr__, which may import or raise
    return found


def _place(module: str, attr: str) -> str | None:
    """``file.py:attr`` for a file below the present folder, else ``module:attr``; None for a program without a file."""
    file = _file(sys.modules[module])
    if isinstance(file, str) and file.endswith(".py"):
        near = os.path.relpath(file)
        if not near.startswith(os.pardir) and "site-packages" not in Path(near).parts:
            return f"{near}:{attr}"
    return f"{module}:{attr}" if module != "__main__" else None


def _file(module: Any) -> Any:
    """Where a module lies, if it says so, without its ``__getattr__``: that of a lazy module may import, or raise."""
    return getattr(module, "__dict__", {}).get("__file__")


def _own_modules() -> Iterator[str]:
    """Loaded modules whose files lie below the present folder: where a program's own instances have their names."""
    here = os.getcwd() + os.sep
    for name, module in list(sys.modules.items()):
        file = _file(module)
        if isinstance(file, str) and os.path.abspath(file).startswith(here) and "site-packages" not in file:
            yield name


def _registered(thing: Any) -> str | None:
    """The registered name of an object that a register knows as it is, looked for in what is imported already."""
    for name, entry in register().items():
        implementation = entry.implementation
        if implementation is thing:
            return name
        make: Any = implementation.make
        if implementation.options or implementation.adapter is not None:
            continue
        if isinstance(make, str):
            module, _, attr = make.partition(":")
            make = _at(module, attr) if module in sys.modules else None
        if make is not None and make is thing:
            return name
    return None


def importable(folders: Iterable[str]) -> None:
    """Have modules in these folders found, as a worker process would; whoever calls restores the path."""
    sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


def told_in_python(result: Result, names: Mapping[str, str]) -> Result:
    """The result with replay commands in Python for targets that have no name to type: ``names`` by target name."""
    changed = [
        msgspec.structs.replace(one, findings=[_in_python(f, names[one.target]) for f in one.findings])
        if one.target in names
        else one
        for one in result.targets
    ]
    return msgspec.structs.replace(result, targets=changed)


def _in_python(one: Finding, name: str) -> Finding:
    return msgspec.structs.replace(
        one, replay=_call(one.replay, name), smallest_replay=_call(one.smallest_replay, name)
    )


def _call(command: str, name: str) -> str:
    """``dropcheck audit NAME --select X --case Y`` as ``dropcheck.check(NAME, select='X', cases='Y')``."""
    if not command:
        return ""
    words, given = shlex.split(command)[3:], []
    while words:
        word = words.pop(0)
        if word in _FLAGS:
            given.append(f"{_FLAGS[word]}=True")
        elif word in _KEYWORDS and words:
            value = words.pop(0)
            given.append(f"{_KEYWORDS[word]}={value if word == '--seed' else repr(value)}")
    return f"dropcheck.check({', '.join([name, *given])})"
