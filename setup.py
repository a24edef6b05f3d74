"""Compiled helpers: plain C libraries that Python loads by ctypes. Where they cannot be built, NumPy does the same work."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

# library (<package>.<folder>.lib<name>) -> its source
SOURCES = {
    "dropcheck.worker.server.libproof": "suite/dropcheck/worker/server/proof.c",
    "dropcheck.count.libcounting": "suite/dropcheck/count/counting.c",
    "spatial_dropouts.custom.libselecting": "implementations/spatial_dropouts/custom/selecting.c",
}

SHARED = "suite/dropcheck/contract/portable.h"


class Libraries(build_ext):
    """Builds libraries that belong to no version of Python: no tag in the file's name, no entry point for an import."""

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + (".dll" if os.name == "nt" else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return list(ext.export_symbols)


class AnyPython(bdist_wheel):
    """A wheel for one platform and every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def library(name: str, source: str) -> Extension:
    """One library. It holds its sources' checksum: one of other sources is not used (see dropcheck.contract.native)."""
    folder = Path(__file__).parent
    checksum = zlib.crc32(folder.joinpath(SHARED).read_bytes() + folder.joinpath(source).read_bytes())
    return Extension(
        name,
        [source],
        depends=[SHARED],
        include_dirs=[str(Path(SHARED).parent)],
        define_macros=[("SOURCE", f"{checksum}U")],
        extra_compile_args=[] if os.name == "nt" else ["-O3"],
        optional=True,  # without a compiler the package is whole all the same
    )


setup(
    ext_modules=[library(*item) for item in SOURCES.items()],
    cmdclass={"build_ext": Libraries, "bdist_wheel": AnyPython},
)
