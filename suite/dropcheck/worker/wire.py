"""Messages of the pipe: a JSON header and raw arrays behind it, readable by any Python and any NumPy."""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List

import numpy as np

# Pickle is not used: its arrays name private NumPy modules that differ between releases, and two releases of one
# framework side by side is a use of the suite.

_LENGTH = struct.Struct("<I")
_MARK = "__array__"


def encode(message: Dict[str, Any]) -> bytes:
    """A message of plain data and NumPy arrays (at any depth of dicts and lists) as bytes."""
    arrays: List[Any] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(np.ascontiguousarray(value))
            return {_MARK: [len(arrays) - 1, value.dtype.str, list(value.shape)]}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return value

    head = json.dumps(plain(message)).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *(a.tobytes() for a in arrays)])


def decode(data: bytes) -> Dict[str, Any]:
    """The inverse of ``encode``. Arrays are read-only views of ``data``."""
    (size,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + size
    found: List[Any] = []

    def specs(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {_MARK}:
                found.append(value)
                return value
            return {k: specs(v) for k, v in value.items()}
        if isinstance(value, list):
            return [specs(v) for v in value]
        return value

    tree = specs(json.loads(data[_LENGTH.size : start]))
    arrays: Dict[int, Any] = {}
    for item in sorted(found, key=lambda v: v[_MARK][0]):
        index, dtype, shape = item[_MARK]
        count = int(np.prod(shape, dtype=np.int64))
        arrays[index] = np.frombuffer(data, dtype=np.dtype(dtype), count=count, offset=start).reshape(shape)
        start += count * np.dtype(dtype).itemsize

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {_MARK}:
                return arrays[value[_MARK][0]]
            return {k: whole(v) for k, v in value.items()}
        if isinstance(value, list):
            return [whole(v) for v in value]
        return value

    result = whole(tree)
    assert isinstance(result, dict)
    return result
