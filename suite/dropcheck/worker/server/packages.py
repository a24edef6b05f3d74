"""Where the packages lie that another process needs, found without importing them."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Dict, Tuple


def folders(extra: Tuple[str, ...] = ()) -> Dict[str, str]:
    """The folders of our packages and of ``extra`` by name; a register that is a single module is found without."""
    found = {}
    for name in ("dropcheck", "spatial_dropouts", *extra):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None and os.path.basename(spec.origin) == "__init__.py":
            found[name] = os.path.dirname(os.path.abspath(spec.origin))
    return found
