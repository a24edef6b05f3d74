"""The table of an audit's options: it has every option that says what is audited, and writes them back as they were typed."""

from __future__ import annotations

import dataclasses

import typer

from dropcheck import cli
from dropcheck.auditing import replay
from dropcheck.gate import running
from dropcheck.plan import audit_options, python_objects, request
from dropcheck.plan.request import AuditRequest

# options of the command that are no part of the request: what is shown and written
BESIDE = {"--all", "--plan", "--json", "--format", "--out", "--history", "--verbose", "-v", "--complete-is-success"}


def test_every_option_of_the_command_stands_in_the_table() -> None:
    command = typer.main.get_command(cli.app).commands["audit"]  # type: ignore[attr-defined]
    typed = {word for one in command.params for word in one.opts if word.startswith("-")}
    assert typed - BESIDE == set(audit_options.BY_NAME)
    flags = {word for one in command.params if getattr(one, "is_flag", False) for word in one.opts} - BESIDE
    assert flags == {one.name for one in audit_options.OPTIONS if one.flag}
    fields = {one.name for one in dataclasses.fields(AuditRequest)}
    assert {one.field for one in audit_options.OPTIONS} <= fields


def test_what_changes_no_coin_changes_no_fingerprint() -> None:
    plain = AuditRequest()
    same = AuditRequest(jobs=3, timeout_s=5.0, memory_mb=99, dask="tcp://x", resume=True, seed_given=True, argv=("a",))
    assert request.fingerprint(plain, []) == request.fingerprint(same, [])
    for change in ({"python": "p"}, {"rates": (0.5,)}, {"strict": True}, {"device": "cuda"}, {"releases": ("a==1",)}):
        assert request.fingerprint(AuditRequest(**change), []) != request.fingerprint(plain, [])  # type: ignore[arg-type]


FULL = AuditRequest(
    targets=("a",),
    profile="deep",
    cases=("float32 x", "it's"),
    rates=(0.25, 0.5),
    dtypes=("float32", "float16"),
    shapes=((2, 3), (4,)),
    input=(8, 16),
    pattern="n c l -> n c",
    inference="keep",
    device="cuda",
    seed=5,
    budget_s=90.0,
    resolution=0.005,
    strict=True,
    sequential=True,
    python="/a b/python",
)


def test_a_request_is_written_back_as_words() -> None:
    assert request.asked(AuditRequest()) == ["--device", "cpu"]
    text = (
        "--case|float32 x|--case|it's|--shape|2,3|--shape|4|--rate|0.25|--rate|0.5|--dtype|float32,float16|--input|8,16"
    )
    text += "|--budget|90s|--resolution|0.005|--pattern|n c l -> n c|--inference|keep|--device|cuda|--strict"
    assert request.asked(FULL) == text.split("|")
    head = "dropcheck audit a --with q==1 --select rate.marginal"
    tail = "--sequential --pattern 'n c l -> n c' --inference keep --input 8,16 --strict --device cuda --python '/a b/python'"
    whole = replay.command(FULL, "a with q==1", "rate.marginal", None)
    assert whole == f"{head} --profile deep --seed 5 --resolution 0.005 {tail}"
    assert (
        replay.command(FULL, "a with q==1", "rate.marginal", "x y")
        == f"{head} --case 'x y' --profile deep --seed 5 {tail}"
    )
    assert replay.command(AuditRequest(), "a", "rate", None) == "dropcheck audit a --select rate"
    made = "--profile deep --seed 5 --device cuda --dtype float32,float16 --pattern|n c l -> n c|--strict".replace(
        " --", "|--"
    )
    assert running._command(FULL, ["a", "b"]) == ("audit", "a", "b", *made_words(made))
    plain = ("audit", "a", "--profile", "quick", "--seed", str(request.DEFAULT_SEED))
    assert running._command(AuditRequest(), ["a"]) == plain


def made_words(text: str) -> list[str]:
    """Options parted by bars; a name and its value by a space."""
    return [word for part in text.split("|") for word in (part.split(" ", 1) if part.startswith("--") else [part])]


def test_a_replay_is_told_in_python_by_the_same_table() -> None:
    told = python_objects._call(replay.command(FULL, "a", "rate", "x y"), "layer")
    assert told == (
        "dropcheck.check(layer, select='rate', case='x y', profile='deep', seed=5, sequential=True, "
        "pattern='n c l -> n c', inference='keep', strict=True, device='cuda')"
    )


def test_an_option_and_its_word_in_python_name_each_other() -> None:
    for one in audit_options.OPTIONS:
        assert audit_options.option_of(one.argument) == one.name
    for command in typer.main.get_command(cli.app).commands.values():  # type: ignore[attr-defined]
        for one in command.params:
            if one.name in ("help", "names") or not one.opts[0].startswith("--"):
                continue
            if command.name in ("audit", "bench", "gate"):  # declared by rows
                assert audit_options.option_of(one.name) == one.opts[0]
