"""Wrong and right code of each check: both are there, both compile, the wrong one fails its check and the right one passes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import dropcheck
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import Check
from dropcheck.judge.claims import OF_MODELS

ONE = ("float32 rate=0.3 129,66,2 calls=64",)
HALF = ("float32 rate=0.5 129,66,2 calls=64",)
SHAPES = ("float32 rate=0.3 129,66,2 calls=64", "float32 rate=0.3 129,64,2 calls=64")
# how a check is asked in a moment
FEW: dict[str, dict[str, Any]] = {
    **{check.name: {"cases": ONE} for check in CHECKS if check.judge is not None and check.family != "seed"},
    **{check.name: {"cases": HALF} for check in CHECKS if check.words and check.family != "seed"},
    "mask.distinct-channels": {"cases": HALF},
    "mask.ignores-values": {"cases": ("float32 rate=0.3 129,66,2 calls=64 values",)},
    "rate.marginal": {"cases": ("float32 rate=0.3 257,66,2 calls=128",)},
    "rate.per-shape": {"cases": SHAPES},
    "form.shape-dtype": {"dtypes": ("float16",)},
    "form.nonfinite": {"strict": True},
    "form.ranks": {"contract": dropcheck.Contract(dropcheck.Pattern.parse("n c l -> n c"), ranks=("c l -> c",))},
    "scale.mean": {"dtypes": ("bfloat16",), "strict": True},
}


def audited(check: Check, which: str, place: Path) -> set[str]:
    """The verdicts of a check on one half of its example."""
    code = check.wrong if which == "wrong" else check.right
    file = place / f"{which}.py"
    file.write_text(code)
    name = which.capitalize() if f"class {which.capitalize()}(torch.nn.Module)" in code else which
    options = {"dtypes": ("float32",), **FEW.get(check.name, {})}
    if check.family in OF_MODELS:
        file.write_text(f"{code}\n\nmodel = {name}()\n")
        name, options = "model", {}
    target: Any = f"{file}:{name}"
    if (contract := options.pop("contract", None)) is not None:
        target = dropcheck.Implementation(make=target, contract=contract)
    done = dropcheck.audit(target, select=(check.name,), in_process=True, jobs=1, causes=False, **options)
    assert all(one.error is None for one in done.targets), done.targets
    return {one.verdict for target in done.targets for one in target.findings if one.check == check.name}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_has_wrong_and_right_code(check: Check) -> None:
    assert check.wrong != check.right
    for code in (check.wrong, check.right):
        compile(code, check.name, "exec")
        assert len(code.splitlines()) <= 36 and len(ast.parse(code).body) >= 2


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_wrong_code_fails_its_check_and_right_code_passes(check: Check, tmp_path: Path) -> None:
    assert "fail" in audited(check, "wrong", tmp_path)
    assert "pass" in (said := audited(check, "right", tmp_path)) and said <= {"pass", "skipped"}, said
