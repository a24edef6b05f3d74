"""Whose fault an exception is: the layer's, or that of the adapters and the worker around it."""

from __future__ import annotations

import dis
import os
import re
import sys
import traceback
from types import CodeType, FrameType
from typing import Any, Iterator, Optional, Set, Tuple

import numpy as np

from dropcheck.contract.adapter import Lost, Unsupported

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.

_SUITE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # the package dropcheck
# what the adapters call on their own account: its frames are theirs
_SERVANTS = tuple(os.path.dirname(os.path.abspath(str(one.__file__))) + os.sep for one in (np, os))
# raised by the interpreter when code goes wrong; adapters and worker never raise them to say something of a layer
_SLIPS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError)
# what a layer may return instead of a tensor: an operation on it that fails is the layer's failure
_RETURNED = ("NoneType", "tuple", "list", "dict", "str", "float", "int", "bool")
_RAISING = frozenset(("RAISE_VARARGS", "RERAISE"))
# sequences by which a terminal shows colours and bold letters; Keras puts some into its messages
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def said(error: BaseException) -> str:
    """The words of an exception, without the sequences that a terminal reads."""
    return _COLOURS.sub("", str(error))


def ours(error: BaseException, adapter: Any = None) -> bool:
    """Whether the suite's own code went wrong while it drove a layer, by the frame that raised.

    It is the suite's where that frame is of the adapters, of the worker, or of a method of ``adapter``, and no statement
    about the layer: an ``Unsupported`` or an exception that this code raises by name. What a call from there raises without a
    frame of its own is undecided (the layer may be compiled code) and counts as the layer's, but for slips of the interpreter.
    """
    if isinstance(error, Lost):  # nothing of a layer, and no answer to a question about it
        return True
    if isinstance(error, (Unsupported, ImportError, SyntaxError, MemoryError)) or not isinstance(error, Exception):
        return False
    found = _raising(error)
    if found is None:
        return False
    frame, place = found
    code = frame.f_code
    slipped = isinstance(error, _SLIPS) and not _of_a_returned_thing(error)
    if _is_own(code.co_filename):
        operation = _operation(code, place)
        if code.co_name == "__getattr__" or operation in _RAISING or operation.startswith(("CALL", "PRECALL")):
            return slipped and code.co_name != "__getattr__"  # which says that there is no such name
        return not _of_a_returned_thing(error)
    # a method of the adapter that stands elsewhere: a stranger's, who may say by it what a layer did
    if adapter is not None and code in _methods(adapter):
        return slipped or _is_own(_file_of(type(adapter)))
    return False


def described(error: BaseException) -> str:
    """The fault in one line: type, words, and where in the suite it was raised."""
    found = _raising(error)
    where = ""
    if found is not None:
        frame = found[0]
        line = next((n for f, n in traceback.walk_tb(error.__traceback__) if f is frame), frame.f_lineno)
        where = f" ({os.path.basename(frame.f_code.co_filename)}, line {line})"
    return f"{type(error).__name__}: {error}{where}"


def _raising(error: BaseException) -> Optional[Tuple[FrameType, int]]:
    """The innermost frame that is no servant's, and the place of its instruction; None without a traceback."""
    found = None
    tb = error.__traceback__
    while tb is not None:
        if found is None or not tb.tb_frame.f_code.co_filename.startswith(_SERVANTS) or _is_site(tb.tb_frame):
            found = tb.tb_frame, tb.tb_lasti
        tb = tb.tb_next
    return found


def _is_site(frame: FrameType) -> bool:
    """Whether the file is of an installed package, which lie below the standard library's folder."""
    return "site-packages" in frame.f_code.co_filename and not frame.f_code.co_filename.startswith(_SERVANTS[0])


def _operation(code: CodeType, place: int) -> str:
    # JAX shortens tracebacks: its new ones point into the caches that follow an instruction since Python 3.11
    while 0 < place < len(code.co_code) and dis.opname[code.co_code[place]] == "CACHE":
        place -= 2
    return dis.opname[code.co_code[place]] if 0 <= place < len(code.co_code) else ""


def _is_own(file: str) -> bool:
    """Whether a file is of the suite or of its adapters; layers that come with them are not."""
    whole = os.path.abspath(file)
    return whole.startswith(_SUITE + os.sep) or whole.startswith(_adapters() + os.sep)


def _adapters() -> str:
    from spatial_dropouts import adapters

    return os.path.dirname(os.path.abspath(str(adapters.__file__)))


def _file_of(kind: type) -> str:
    return str(getattr(sys.modules.get(kind.__module__), "__file__", "") or "")


def _methods(adapter: Any) -> Set[CodeType]:
    """The code of every method of an adapter, also of those put on it or its classes later."""
    return set(_codes(adapter))


def _codes(adapter: Any) -> Iterator[CodeType]:
    for kind in type(adapter).__mro__:
        for name, thing in list(vars(kind).items()):
            for found in (thing, vars(adapter).get(name) if hasattr(adapter, "__dict__") else None):
                code = getattr(getattr(found, "__func__", found), "__code__", None)
                if isinstance(code, CodeType):
                    yield code


def _of_a_returned_thing(error: BaseException) -> bool:
    """Whether the words are of an operation on something that a layer may have returned instead of a tensor."""
    return isinstance(error, (TypeError, AttributeError)) and any(f"'{name}'" in str(error) for name in _RETURNED)
