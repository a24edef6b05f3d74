"""The source distribution has what it takes to test and to document, and not the largest stored results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_has_tests_documents_and_examples_and_is_not_large(tmp_path: Path) -> None:
    listing = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(listing, cwd=ROOT, check=True, capture_output=True)
    (sources,) = tmp_path.glob("*/SOURCES.txt")
    held = set(sources.read_text().splitlines())
    for folder, suffix in (("tests", ".py"), ("docs", ".md"), ("docs/tools", ".py"), ("examples", ".py")):
        real = {place.relative_to(ROOT).as_posix() for place in (ROOT / folder).rglob(f"*{suffix}")}
        assert real and not real - held
    code = {*(ROOT / "suite").rglob("*.j2"), *(ROOT / "suite").rglob("*.c"), *(ROOT / "suite").rglob("*.h")}
    assert not {place.relative_to(ROOT).as_posix() for place in code} - held
    assert {"README.md", "Makefile", "mkdocs.yml", "constraints.txt", "reports/selftest/selftest.json.gz"} <= held
    largest = max((ROOT / name).stat().st_size for name in held if (ROOT / name).is_file())
    assert largest < 2_000_000, "a stored result of a whole field"
