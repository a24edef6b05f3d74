"""Layers of libraries that share an environment with their framework only: the register, and how a layer of each is made.

The contracts are those under which reports/third-party measured the layers without dropcheck. ``dropcheck audit NAME --python
ENVIRONMENT/bin/python`` runs one in an environment of its own.
"""

from __future__ import annotations

from typing import Mapping

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.libraries import masking, others, pytorch

REGISTER: Mapping[str, Implementation] = {**pytorch.REGISTER, **masking.REGISTER, **others.REGISTER}
