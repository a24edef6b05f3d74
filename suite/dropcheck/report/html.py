"""The page: one self-contained HTML file, readable without network and without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropcheck.judge.claims import CLAIMS, families
from dropcheck.report import sentences, speeds, text, this_run, view
from dropcheck.report.figures import strength
from dropcheck.report.figures.sheet import Sheet
from dropcheck.report.furniture import WORDS as OF_VERDICTS
from dropcheck.report.furniture import furniture
from dropcheck.report.templates import environment, source
from dropcheck.results import embedded, plain_text
from dropcheck.results.audit import Result, encode, write_atomically

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult
    from dropcheck.results.selftest import SelfTest

WORDS = {**OF_VERDICTS, "fail": "defect"}  # a failure of edge cases alone has the mark of an edge
LEGEND = {
    "fail": "wrong at ordinary rates",
    "edge": "wrong only at rate 0 or 1, for invalid rates or empty inputs",
    "trait": "fails only under --strict",
    "inconclusive": "more samples are needed",
    "error": "a check could not run",
    "waived": "the failure is accepted until a date",
    "skipped": "no check of the family ran",
    "pass": "",
}
SECTIONS = (("failures", "Failures"), ("undecided", "No verdict"), ("passed", "Passed"))


def render(result: Result | None, *, benches: Sequence[BenchResult] = (), selftest: SelfTest | None = None) -> str:
    """The page as text, with the raw results inside. Every value is escaped by the template engine.

    ``result`` None: a page of speeds alone, each beside the audit that its bench names.
    """
    raw = embedded.embed([one for one in (result, *benches, selftest) if one is not None])
    audited = result is not None
    of_all = sentences.headline(result) if result is not None else ""
    result = result if result is not None else _nothing(benches)
    sheet = Sheet()
    measured = [speeds.section(bench, result, sheet) for bench in benches]
    blocks = view.blocks(result, sheet)
    failures = [(t.target, f) for t in result.targets for f in t.findings]
    return environment().get_template("page.html.j2").render(
        **{**furniture(source("filters.js")), "word": WORDS},
        result=result,
        headline=of_all if audited else speeds.headline(measured),
        audited=audited,
        families=families(f.check for t in result.targets for f in t.findings),
        some=plain_text.some,
        blocks=blocks,
        sections=[(name, title, view.worst_first(blocks, name)) for name, title in SECTIONS],
        legend=[(name, told) for name, told in LEGEND.items() if any(f.mark == name for b in blocks for f in b.families)],
        shared=view.shared(blocks),
        ids={b.target.target: b.id for b in blocks},
        whole=sum(len(b.target.findings) for b in blocks) <= view.WHOLE,
        claims=CLAIMS,
        worth=sentences.worth(result.targets),
        ledger=sentences.ledger(result.targets),
        left=sentences.groups(result.targets, ("skipped",)),
        away=this_run.away(result),
        waived=this_run.waived(result),
        quality=this_run.quality(result),
        commands=this_run.commands(result),
        machine=this_run.machine(result),
        differences=this_run.differences(result),
        traits=this_run.traits(result),
        counts=_counts(result),
        speeds=measured,
        beside=speeds.beside(measured),
        strength=sheet.take(strength.figure(failures, "How sure and how large the failures are")),
        selftest=_selftest(selftest, sheet),
        raw=raw,
        left_out=sheet.left_out,
        lacks=raw.left_out or result.environment.get(embedded.LEFT_OUT, ""),
    )  # fmt: skip


def write(result: Result, out: Path, *, benches: Sequence[BenchResult] = (), selftest: SelfTest | None = None) -> None:
    """Write ``index.html``, ``result.json`` and ``report.txt`` into the folder, each whole or not at all."""
    write_atomically(out / "result.json", encode(result))
    write_atomically(out / "report.txt", text.render(result, width=110, colour=False, details=True).encode())
    write_atomically(out / "index.html", render(result, benches=benches, selftest=selftest).encode())


def _nothing(benches: Sequence[BenchResult]) -> Result:
    """An audit of nothing, made where and when the first bench was."""
    first = benches[0] if benches else None
    return Result(
        verdict="skipped",
        environment=first.environment if first is not None else {},
        argv=first.argv if first is not None else [],
        profile=first.profile if first is not None else "",
        seed=first.seed if first is not None else 0,
        alpha=1.0,
        beta=1.0,
        targets=[],
    )


def _counts(result: Result) -> dict[str, int]:
    found = dict.fromkeys(sentences.WORDS, 0)
    for target in result.targets:
        for one in target.findings:
            found[one.verdict] += 1
    return {k: v for k, v in found.items() if v}


def _selftest(result: SelfTest | None, sheet: Sheet) -> dict[str, Any] | None:
    """The self-test in short; its own page has the rest."""
    if result is None:
        return None
    from dropcheck.report import selftest as report
    from dropcheck.report.figures import selftest as charts

    return {
        "headline": report.headline(result),
        "figures": sheet.take(charts.seconds_figure(result)),
        "promises": [[p.name, "yes" if p.held else "NO", f"{p.n:,}", p.text] for p in result.promises],
    }
