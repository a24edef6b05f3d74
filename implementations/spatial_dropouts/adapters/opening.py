"""From what a target is called to the adapter of it: by its place or by its name in a register, with the pattern asked for."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from typing import Optional

from dropcheck.contract import node_packages
from dropcheck.contract.adapter import Adapter, Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts import adapters


def opened(locator: str, source: str, pattern: Optional[str], inference: Optional[str]) -> Adapter:
    """The adapter of a target. ``pattern``, ``inference``: instead of what its contract says.

    ``source``: ``user`` (module:attr or file.py:attr), or ``module:function`` of a register. Raises what loading raises, and
    Unsupported where what a registered implementation stands on is not installed.
    """
    if source == "user":
        thing = adapters.load(locator)
        implementation = thing if isinstance(thing, Implementation) else Implementation(make=locator)
    else:
        implementation = registered(source, locator)
        _import_required(implementation)
    if pattern is not None:
        implementation = with_pattern(implementation, pattern)
    obj = implementation.make
    if isinstance(obj, str):
        obj = adapters.load(obj) if source != "user" or isinstance(thing, Implementation) else thing
    adapter = adapters.adapter_for(obj, implementation)
    if pattern is not None and str(adapter.contract.pattern) != pattern:
        adapter.contract = _replace_pattern(adapter.contract, pattern)
    if inference is not None:
        adapter.contract = replace(adapter.contract, inference=inference)
    return adapter


def _import_required(implementation: Implementation) -> None:
    """Import what a registered implementation stands on. Raises Unsupported with the reason where that cannot be."""
    for module in implementation.requires:
        if module in implementation.unimported:
            if importlib.util.find_spec(module) is None:
                raise Unsupported(implementation.missing(module))
            continue
        if node_packages.is_npm(module):
            if reason := implementation.missing(module):
                raise Unsupported(reason)
            continue
        try:
            importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a half-installed framework does, sys.exit included, costs this target
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                raise Unsupported(implementation.missing(module)) from error
            raise Unsupported(f"{module} is installed, but does not import: {type(error).__name__}: {error}") from error


def registered(source: str, name: str) -> Implementation:
    """The implementation ``name`` of the register that ``source`` (``module:function``) returns."""
    module, _, attr = source.partition(":")
    if module == "spatial_dropouts":
        package = importlib.import_module(module)
        found = package.find(name)
        if found is None:
            raise LookupError(f"{name} is not in the register")
        assert isinstance(found, Implementation)
        return found
    entry = getattr(importlib.import_module(module), attr)
    register = entry() if callable(entry) else entry
    found = register[name]
    assert isinstance(found, Implementation)
    return found


def with_pattern(implementation: Implementation, pattern: str) -> Implementation:
    """The implementation with another declared pattern."""
    if isinstance(implementation.contract, Contract):
        return replace(implementation, contract=_replace_pattern(implementation.contract, pattern))
    return replace(implementation, contract=pattern)


def _replace_pattern(contract: Contract, pattern: str) -> Contract:
    return replace(contract, pattern=Pattern.parse(pattern), ranks=())
