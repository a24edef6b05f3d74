"""``dropcheck gate``: words to a policy, evidence to a decision, the decision in every format, and one exit code."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropcheck.commands import options
from dropcheck.commands.rows import option, shared, takes
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values
from dropcheck.plan.audit_options import option_of

if TYPE_CHECKING:
    from dropcheck.gate.decision import Decision
    from dropcheck.gate.policy import Sourced
    from dropcheck.gate.records import Evidence, Here

_TARGETS = "Targets instead of those that the policy names."


ROWS = (
    shared("names", Annotated[options.Texts, typer.Argument(metavar="TARGET", help=_TARGETS)]),
    shared("policy", options.PolicyFile),
    option("--preset", "default, strict or quick."),
    option("--profile", "quick, standard or deep."),
    option("--select", "Checks that are required.", metavar="CHECK", many=True),
    option("--ignore", "Checks that are not required.", metavar="CHECK", many=True),
    option("--device", "cpu, cuda.", metavar="DEVICE", many=True),
    option("--on-missing", "How to treat missing results: fail, inconclusive or skip.", metavar="WORD"),
    shared("fail_on", options.FailOn),
    option("--set", "Any other key of the policy, such as speed.max_ratio=1.1.", metavar="KEY=VALUE", many=True),
    option("--dump-config", "Print the policy in effect, with where each value is from.", kind=bool),
    option(
        "--from",
        "Decide on stored results of audit and bench; run nothing.",
        metavar="RESULT",
        kind=Path,
        many=True,
    ),
    option("--format", "text, json, junit, sarif, github or markdown.", metavar="FORMAT", default="text"),
    option("--json", "Write the decision.", metavar="FILE", kind=Path),
    option("--junit", "Write JUnit XML.", metavar="FILE", kind=Path),
    option("--sarif", "Write SARIF 2.1.0.", metavar="FILE", kind=Path),
    option("--markdown", "Write Markdown.", metavar="FILE", kind=Path),
    option("--out", "Write the decision in every format, and the results that it rests on.", metavar="DIR", kind=Path),
    option(
        "--history",
        "Add its results to this history: a folder, an SQLite file or a URL.",
        metavar="PLACE",
    ),
    option("--update-ratchet", "Write the figures that got better; not available in CI.", kind=bool),
    shared("seed", options.Seed),
    shared("jobs", options.Jobs, 0),
    shared("timeout", options.TargetLimit, "10m"),
)
# what the command line says of the policy: argument, as it is named where a value is from, key
_LISTS = (("names", "TARGET", "targets"), ("select", "--select", "checks"), ("ignore", "--ignore", "ignore"),
          ("device", "--device", "devices"))  # fmt: skip
_WORDS = (("preset", "preset"), ("profile", "profile"), ("on_missing", "on_missing"), ("fail_on", "fail_on"))


@takes(ROWS)
def gate(**typed: Any) -> None:
    """Decide whether a release meets the policy (audits, benchmarks, waivers)."""
    from dropcheck.gate import decision as deciding
    from dropcheck.gate.formats.register import FORMATS
    from dropcheck.results.audit import ResultError

    policy, form, out, history = (typed[name] for name in ("policy", "format", "out", "history"))
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}; expected one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    files = {name: typed[name] for name in ("json", "junit", "sarif", "markdown")}
    for name, path in files.items():
        options.writable_file(path, f"--{name}")
    options.writable_folder(out, "--out")
    try:
        sourced = _policy(policy, _given(typed))
        if typed["dump_config"]:
            from dropcheck.gate.writing import dumped

            sys.stdout.write(dumped(sourced))
            return
        options.history(history)
        running = (typed[name] for name in ("from_", "update_ratchet", "seed", "jobs", "timeout"))
        made, found = _decided(sourced, *running)
        if out is not None:
            made = _with_files(made, sourced, found, out)
    except (UsageError, ResultError) as error:
        # a gate that could not run says so in the format that was asked for, where a machine reads it
        made, found = deciding.failed(str(error), str(policy or "")), None
        print(f"dropcheck: {error}", file=sys.stderr)
    _tell(made, found, form, files, out)
    if history is not None and found is not None:
        from dropcheck.results.history import stores

        kept = stores.at(history)
        told = [stores.record_in(kept, audit) for _, audit in found.audits]
        told += [stores.record_in(kept, bench) for _, bench in found.benches]
        print("\n".join(f"dropcheck: {text}" for text in told), file=sys.stderr)
    raise typer.Exit(made.exit_code)


def _given(typed: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """What the command line says of the policy: (option, key, value)."""
    found: list[tuple[str, str, Any]] = []
    for pair in typed["set"] or ():
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set takes a key and a value such as speed.max_ratio=1.1, not {pair!r}")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError, KeyError):
            value = text
        found.append((f"--set {key.strip()}", key.strip(), value))
    for argument, option_name, key in _LISTS:
        some = typed[argument] or ()
        if listed := list(some if argument == "names" else option_values.listed(some)):
            found.append((option_name, key, listed))
    found += [(option_of(name), key, typed[name]) for name, key in _WORDS if typed[name] is not None]
    return found


def _policy(path: Path | None, given: list[tuple[str, str, Any]]) -> Sourced:
    from dropcheck.gate import decoding

    return decoding.load(path if path is not None else decoding.find(Path()), given)


def _decided(
    sourced: Sourced, stored: list[Path] | None, update: bool, seed: str | None, jobs: int, timeout: str
) -> tuple[Decision, Evidence]:
    from dropcheck.gate import ratchet
    from dropcheck.gate.deciding import accepted, decide
    from dropcheck.gate.evidence import load

    loaded = load(stored) if stored else None
    here = _here(sourced, loaded)
    place = _ratchet(sourced)
    kept = ratchet.load(place) if place is not None else None
    if update:
        if place is None:
            raise UsageError(
                '--update-ratchet needs the name of the file in the policy: ratchet = "dropcheck.ratchet.json"'
            )
        ratchet.refuse_in_ci(place, _in_ci())
    waived, today = sourced.policy.waiver, here.now.date()
    if loaded is not None:
        evidence = loaded
    else:
        from dropcheck.commands.bench import _Teller as Teller
        from dropcheck.commands.progress import reporter
        from dropcheck.gate.running import Run
        from dropcheck.gate.running import evidence as made
        from dropcheck.plan.request import DEFAULT_SEED

        if jobs < 0:
            raise UsageError(f"--jobs takes a number of at least 0, not {jobs}")
        root, drawn = option_values.seed(seed, DEFAULT_SEED)
        if drawn:
            print(f"root seed {root}", file=sys.stderr)
        run = Run(root, jobs, option_values.duration(timeout, "--timeout"), reporter)
        evidence = made(
            sourced, run, lambda one: accepted(one, decide(sourced, [("", one)], [], waived, today, here)), Teller()
        )
    decision = decide(sourced, evidence.audits, evidence.benches, waived, today, here, kept)
    if update and place is not None and kept is not None:
        # beside the ratchet itself: a figure that is not there yet is what an update is for
        beside = decide(sourced, evidence.audits, evidence.benches, waived, today, here)
        if beside.verdict != "pass" or decision.verdict == "fail":
            print(f"dropcheck: the ratchet {place} stays as it is: the gate does not pass", file=sys.stderr)
            return decision, evidence
        better = ratchet.update(place, ratchet.found_in(sourced, evidence, here))
        print(f"dropcheck: the ratchet {place} has the best figures so far", file=sys.stderr)
        decision = decide(sourced, evidence.audits, evidence.benches, waived, today, here, better)
    return decision, evidence


def _here(sourced: Sourced, loaded: Evidence | None) -> Here:
    """The time, and what the users' own files are now."""
    import datetime

    from dropcheck.gate.evidence import model_of
    from dropcheck.gate.records import Here

    sources: dict[str, str | None] = {}
    names = dict.fromkeys(sourced.policy.targets)
    if not names and loaded is not None:
        names = dict.fromkeys(model_of(one.target) for _, result in loaded.audits for one in result.targets)
    for name in names:
        if ":" in name:
            from dropcheck.plan import targets

            try:
                sources[name] = targets.parse(name, defined=False).digest()
            except (UsageError, OSError, ValueError):
                sources[name] = None
    return Here(datetime.datetime.now(datetime.UTC), sources)


def _ratchet(sourced: Sourced) -> Path | None:
    """The ratchet of a policy lies beside it."""
    name = sourced.policy.ratchet
    return (Path(sourced.name).parent if sourced.name else Path()) / name if name is not None else None


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def _with_files(made: Decision, sourced: Sourced, found: Evidence, out: Path) -> Decision:
    """The decision whose command that accepts all of it reads the audits that are about to be stored."""
    import datetime

    import msgspec

    from dropcheck.gate import accepting

    day = datetime.date.fromisoformat(made.day)
    return msgspec.structs.replace(made, accept=accepting.whole(made.lines, _names(found, out), sourced.name, day))


def _names(found: Evidence, out: Path) -> list[str]:
    """The file of each audit: where it is from, or where it is kept."""
    return [
        str(out / f"audit{place or ''}.json") if name.startswith("made now") else name
        for place, (name, _) in enumerate(found.audits)
    ]


def _tell(made: Decision, found: Evidence | None, fmt: str, files: dict[str, Path | None], out: Path | None) -> None:
    """The decision on standard output and in every file that was asked for."""
    from dropcheck.gate.formats.register import render
    from dropcheck.results.audit import write_atomically

    width = max(60, min(140, shutil.get_terminal_size((100, 24)).columns))
    pages: list[Path] = []
    for name, path in files.items():
        if path is not None:
            write_atomically(path, render(made, name, width).encode())
    if out is not None:
        endings = {
            "text": "gate.txt",
            "json": "gate.json",
            "junit": "gate.xml",
            "sarif": "gate.sarif",
            "markdown": "gate.md",
        }
        for name, file in endings.items():
            write_atomically(out / file, render(made, name, width).encode())
        _keep(found, out)
        pages = _pages(made, found, out)
    if fmt == "github":
        from dropcheck.gate.formats import github

        github.write_summary(made)
    if fmt == "text" and made.error:
        return  # the sentence stands on standard error already
    sys.stdout.write(render(made, fmt, width))
    sys.stdout.flush()
    for page in pages:
        print(f"Report: {page}", file=sys.stdout if fmt == "text" else sys.stderr)


def _pages(made: Decision, found: Evidence | None, out: Path) -> list[Path]:
    """A page of the audits for each device, beside the decision, with waived failures as such; their paths."""
    if found is None or not found.audits:
        return []
    from dropcheck.gate.deciding import accepted
    from dropcheck.report import html
    from dropcheck.results.audit import Result, merged, write_atomically

    by_device: dict[str, list[Result]] = {}
    for _, result in found.audits:
        by_device.setdefault(result.device or "cpu", []).append(accepted(result, made))
    written = []
    for place, (device, some) in enumerate(by_device.items()):
        benches = [bench for _, bench in found.benches if bench.device == device]
        path = out / ("index.html" if not place else f"index-{device}.html")
        write_atomically(path, html.render(merged(some), benches=benches).encode())
        written.append(path)
    return written


def _keep(found: Evidence | None, out: Path) -> None:
    """The results that were made now, so that the decision can be made again by --from."""
    if found is None:
        return
    from dropcheck.results import audit as results

    for place, (name, result) in enumerate(found.audits):
        if name.startswith("made now"):
            results.save(result, out / f"audit{place or ''}.json")
    for place, (name, bench) in enumerate(found.benches):
        if name.startswith("made now"):
            from dropcheck.results import bench as records

            records.save(bench, out / f"bench{place or ''}.json")


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("gate")(gate)
