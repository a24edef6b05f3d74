"""The library takes what the command line takes: its names, its forms, and the older names of fields."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

import dropcheck
from dropcheck import cli
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Pattern
from dropcheck.plan import audit_options, python_options
from dropcheck.plan.python_options import AuditOptions, BenchOptions, ClaimOptions, of_audit, of_bench
from dropcheck.plan.request import AuditRequest
from dropcheck.speed.run import BenchRequest

ONLY_PYTHON = {"in_process", "causes"}
# what commands show and write, and what chooses the targets
BESIDE = {"all", "plan", "json", "out", "format", "history", "verbose", "complete_is_success", "pytest_json", "help"}


def options_of(command: str) -> set[str]:
    found = typer.main.get_command(cli.app).commands[command].params  # type: ignore[attr-defined]
    words = {word[2:].replace("-", "_") for one in found for word in one.opts if word.startswith("--")}
    return {"with_" if word == "with" else word for word in words} - BESIDE


@pytest.mark.parametrize(
    ("command", "names", "typed", "request_type"),
    [
        ("audit", python_options.OF_AUDIT, AuditOptions, AuditRequest),
        ("bench", python_options.OF_BENCH, BenchOptions, BenchRequest),
    ],
)
def test_command_line_and_library_take_the_same_options(
    command: str, names: dict[str, str], typed: Any, request_type: Any
) -> None:
    assert options_of(command) == set(names) - ONLY_PYTHON
    fields = {one.name for one in dataclasses.fields(request_type)}
    assert set(names.values()) <= fields
    assert set(get_type_hints(typed)) == {*names, *names.values()}
    shown = inspect.signature(getattr(dropcheck, command)).parameters
    assert list(shown)[1:] == list(names) and all(one.annotation is not Any for one in shown.values())
    assert inspect.signature(dropcheck.check).parameters.keys() - {"target"} == set(python_options.OF_AUDIT)


def test_tests_of_pytest_take_the_options_of_an_audit_but_strict_which_is_their_own() -> None:
    shown = inspect.signature(dropcheck.parametrize_with_checks).parameters
    assert set(shown) == {"targets", "expected_failures", "strict", *python_options.OF_CLAIMS}
    assert all(one.annotation is not Any for name, one in shown.items() if name != "targets")
    typed = set(get_type_hints(AuditOptions)) - set(get_type_hints(ClaimOptions))
    assert typed == {"strict"} == set(python_options.OF_AUDIT) - set(python_options.OF_CLAIMS)


@pytest.mark.long
def test_a_checker_of_types_knows_the_options(tmp_path: Path) -> None:
    from mypy import api

    lines = [
        "import dropcheck",
        'dropcheck.parametrize_with_checks([object], select="mask", rate=0.3, strict=True, fail_on="edge")',
        'dropcheck.audit("torch.Dropout1d", select=("mask",), strict=True)',
        "dropcheck.parametrize_with_checks([object], rat=0.3)",
        "dropcheck.parametrize_with_checks([object], jobs=[])",
        'dropcheck.check(object, slect="mask")',
        'dropcheck.bench("torch.Dropout1d", blocks="many")',
    ]
    file = tmp_path / "typed.py"
    file.write_text("\n".join(lines) + "\n")
    said, _, code = api.run(
        ["--follow-imports=silent", "--ignore-missing-imports", "--cache-dir", str(tmp_path), str(file)]
    )
    assert code == 1 and [int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line] == [4, 5, 6, 7]


def test_both_names_and_both_forms_say_the_same() -> None:
    typed = of_audit(
        {
            "rate": ".3,0.5",
            "dtype": "float32,float16",
            "shape": "256,64,3",
            "mode": "jit",
            "case": "float32 rate=.3 5,5,5",
            "with_": "torch==2.4.1",
            "timeout": "2m",
            "budget": "90s",
            "memory": 512,
            "select": "mask,rate.one",
            "input": "8,16",
            "resolution": "0.005",
            "seed": "7",
            "ledger": "a.jsonl",
            "pattern": Pattern.parse("n c l -> n c"),
        }
    )
    fields = of_audit(
        {
            "rates": (0.3, 0.5),
            "dtypes": ("float32", "float16"),
            "shapes": ((256, 64, 3),),
            "modes": ["jit"],
            "cases": ("float32 rate=.3 5,5,5",),
            "releases": ("torch==2.4.1",),
            "timeout_s": 120.0,
            "budget_s": 90,
            "memory_mb": 512,
            "select": ("mask", "rate.one"),
            "input": [8, 16],
            "resolution": 0.005,
            "seed": 7,
            "ledger": Path("a.jsonl"),
            "pattern": "n c l -> n c",
        }
    )
    assert typed == fields == of_audit(fields)
    AuditRequest(**typed)
    assert of_audit({"shape": (4, 5, 6)}) == of_audit({"shape": [(4, 5, 6)]}) == {"shapes": ((4, 5, 6),)}
    assert of_audit({"rate": 0.3})["rates"] == (0.3,) and of_audit({"seed": None}) == {}
    assert isinstance(of_audit({"seed": "fresh"})["seed"], int)
    assert of_bench({"cell": "4,8,8", "slot": "15ms", "rate": 0.5}) == {
        "cells": ("4,8,8",),
        "slot_ms": 15.0,
        "rates": (0.5,),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"selct": "mask"}, "there is no option 'selct'; the nearest is 'select'; expected one of profile, "),
        ({"rtae": 0.3}, "the nearest is 'rate'"),
        ({"rate": 0.3, "rates": 0.3}, "rate and rates are the same option; give one of them"),
        ({"rate": 1.5}, "1.5"),
        ({"rate": object()}, "object"),
        ({"seed": "new"}, "seed takes a whole number of at least 0, or 'fresh', not 'new'"),
        ({"seed": -1}, "seed takes a whole number of at least 0, not -1"),
        ({"jobs": True}, "jobs takes a whole number of at least 0, not True"),
        ({"strict": "yes"}, "strict takes True or False, not 'yes'"),
        ({"shape": (4, 0, 2)}, "shape takes the sizes of the input axes"),
        ({"timeout": "soon"}, "timeout takes a time such as 90s"),
        ({"select": 3}, "select takes a text, or a list of texts, not 3"),
        ({"resolution": "fine"}, "resolution takes a number, not 'fine'"),
        ({"profile": 3}, "profile takes a text, not 3"),
        ({"ledger": 3}, "ledger takes a path, not 3"),
    ],
)
def test_bad_options_are_one_sentence_in_the_name_that_was_typed(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as told:
        of_audit(options)
    assert words in str(told.value) and "\n" not in str(told.value)
    for inner in ("journal", "argv", "seed_given", "timeout_s"):
        assert inner not in str(told.value)


def test_a_replay_in_python_has_names_that_the_library_shows() -> None:
    assert {one.keyword for one in audit_options.OPTIONS if one.keyword} <= set(python_options.OF_AUDIT)
