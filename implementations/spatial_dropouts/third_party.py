"""x"""
from typing import Mapping
from dropcheck.adapter import Implementation
REGISTER: Mapping[str, Implementation] = {}
