"""Messages of the pipe: a JSON header and raw arrays behind it, readable by any Python and any NumPy."""

from __future__ import annotations

import json
import math
import struct
from typing import Any, Dict, List

import numpy as np

# Pickle is not used: its arrays name private NumPy modules that differ between releases, and two releases of one
# framework side by side is a use of the suite.

_LENGTH = struct.Struct("<I")
_MARK = "__array__"


# Functions of the module rather than of each other: a function that names itself in its closure is a cycle, and what the
# closure holds, here every array that went through the pipe, would stay until the collector comes by.


def encode(message: Dict[str, Any]) -> bytes:
    """A message of plain data and NumPy arrays (at any depth of dicts and lists) as bytes."""
    arrays: List[Any] = []
    head = json.dumps(_plain(message, arrays)).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *(a.tobytes() for a in arrays)])


def _plain(value: Any, arrays: List[Any]) -> Any:
    """The value with a mark in place of each array, which is added to ``arrays``."""
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {_MARK: [len(arrays) - 1, value.dtype.str, list(value.shape)]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v, arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, arrays) for v in value]
    return value


def decode(data: bytes) -> Dict[str, Any]:
    """The inverse of ``encode``. Arrays are read-only views of ``data``."""
    (size,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + size
    result = _whole(json.loads(data[_LENGTH.size : start]), data, [start])
    assert isinstance(result, dict)
    return result


def _whole(value: Any, data: bytes, place: List[int]) -> Any:
    """The value with the arrays in place of their marks: they lie in ``data`` in the order of the marks, the next at ``place``."""
    if isinstance(value, dict):
        if set(value) == {_MARK}:
            _, dtype, shape = value[_MARK]
            array = np.frombuffer(data, np.dtype(dtype), math.prod(shape), place[0]).reshape(shape)
            place[0] += array.nbytes
            return array
        return {k: _whole(v, data, place) for k, v in value.items()}
    if isinstance(value, list):
        return [_whole(v, data, place) for v in value]
    return value
