"""The register of claims: every line has its check, every check its line, and prefixes name them in the order of judgement."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from dropcheck.judge.checks import CHECK, CHECKS, in_order, matching
from dropcheck.judge.claims import CLAIMS, FAMILIES, UnknownName, selected


def test_every_line_has_its_check_and_reads_its_sentence() -> None:
    assert [*CLAIMS] == [*CHECK] == [c.name for c in CHECKS]
    assert {c.name: c.claim for c in CHECKS} == CLAIMS
    assert {c.family for c in CHECKS} == set(FAMILIES)


def test_the_order_of_judgement_is_that_of_the_register() -> None:
    assert [*in_order(reversed(CHECKS))] == [*CLAIMS]


def test_a_check_without_a_line_a_line_without_a_check_and_a_name_given_twice_are_errors() -> None:
    other = replace(CHECK["rate.zero"], name="rate.other")
    with pytest.raises(LookupError, match=r"but not in both: rate\.other$"):
        in_order([*CHECKS, other])
    with pytest.raises(LookupError, match=r"but not in both: form\.shape-dtype$"):
        in_order(CHECKS[1:])
    with pytest.raises(LookupError, match=r"defined twice in judge/checks: rate\.zero$"):
        in_order([*CHECKS, replace(CHECK["rate.zero"], share=0.0)])


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("scale", ("scale.kept-values", "scale.mean")),
        ("scale.mean", ("scale.mean",)),
        ("rate.per*", ("rate.per-channel", "rate.per-sample", "rate.per-shape")),
        ("scale*", ("scale.kept-values", "scale.mean")),
        ("form.s*", ("form.shape-dtype", "form.strides")),
    ],
)
def test_a_prefix_names_a_check_a_family_or_what_begins_so(prefix: str, names: tuple[str, ...]) -> None:
    assert selected([prefix]) == names
    assert tuple(c.name for c in matching([prefix])) == names


def test_of_no_prefix_a_policy_means_all_and_a_list_of_checks_none() -> None:
    assert selected([]) == tuple(CLAIMS) == selected(["*"])
    assert matching([]) == []
    assert selected(["scale", "form.empty"]) == ("form.empty", "scale.kept-values", "scale.mean")


@pytest.mark.parametrize("prefix", ["", "mask.", "mas", "rate.marginals"])
def test_what_names_nothing_is_refused(prefix: str) -> None:
    with pytest.raises(UnknownName, match="there is no check"):
        selected([prefix])


def test_the_register_is_read_without_numpy_and_without_a_check() -> None:
    code = (
        "import sys, dropcheck.judge.claims, dropcheck.gate.claims; "
        "print([m for m in ('numpy', 'scipy', 'dropcheck.judge.checks') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
