"""Packages of Node.js for tests: installed once into the user's cache, by npm."""

from __future__ import annotations

import pytest

from dropcheck.contract import node_packages
from dropcheck.plan import release_environments
from spatial_dropouts import tfjs

_NO_NETWORK = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "network")


def tensorflow_js() -> str:
    """The folder with the pinned TensorFlow.js. Skips where Node.js is not installed, or npm cannot reach its registry."""
    if node_packages.program() is None:
        pytest.skip("Node.js is not installed")
    try:
        return release_environments.provide(tuple(tfjs.PINNED.values())).node
    except release_environments.BuildError as error:
        if any(word in str(error) for word in _NO_NETWORK):
            pytest.skip(f"npm cannot be reached: {str(error).splitlines()[0]}")
        raise
