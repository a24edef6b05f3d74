"""The report as GitHub's Markdown, for job summaries and comments: the page's order, cut by whole sections to a limit."""

from __future__ import annotations

from collections.abc import Sequence

from dropcheck.judge.claims import CLAIMS, families
from dropcheck.judge.diagnosis import Diagnosis
from dropcheck.report import sentences, this_run
from dropcheck.report.fitting import Section, fitted
from dropcheck.report.github_text import block, code, details, plain, prose, table, tagged
from dropcheck.report.sentences import Group
from dropcheck.results import plain_text, reading
from dropcheck.results.audit import Picture, Result, TargetResult
from dropcheck.results.bench import BenchResult
from dropcheck.results.selftest import SelfTest

COMMENT = 64 << 10  # what GitHub takes for a comment, in characters; counted here in bytes, which are no fewer
SUMMARY = 1 << 20  # and for the summary of a job's step


def render(
    result: Result | None,
    *,
    benches: Sequence[BenchResult] = (),
    selftest: SelfTest | None = None,
    most: int | None = None,
) -> str:
    """The report. ``most``: bytes that it may have; what does not fit is left out by whole sections, and named."""
    sections: list[Section] = []
    if result is not None:
        sections += _audit(result)
    sections += _speed(benches, result)
    if selftest is not None:
        sections += _selftest(selftest)
    return fitted(sections, most)


# --- the audit ---------------------------------------------------------------------------------------------------------


def _audit(result: Result) -> list[Section]:
    here = [t for t in result.targets if t.skipped is None]
    good = [t for t in here if t.verdict in ("pass", "waived")]
    rest = [t for t in here if t.verdict not in ("pass", "waived")]
    answer = ["## " + prose(sentences.headline(result), 2000), *([""] if result.targets else []), _counts(result)]
    found = [Section("the answer", 0, [text for text in answer if text is not None])]
    if rest and good and len(here) > 12:
        found.append(Section("matrix of what is not a pass", 1, _matrix(rest)))
        folded = details(f"{plain_text.count(len(good), 'implementation')} that pass every check", _matrix(good))
        found.append(Section("matrix of passes", 6, folded))
    elif here:
        found.append(Section("matrix", 1, _matrix(here)))
    found += _causes(result)
    found += _groups(result, "inconclusive", "Evidence that is missing", 3)
    found += _groups(result, "error", "Checks that could not be judged", 3)
    found += _errors(result)
    found += _waived(result)
    found += _not_run(result)
    found += _worth(result)
    found.append(Section("environment", 7, _environment(result)))
    found.append(Section("how to read this", 8, _how()))
    return found


def _counts(result: Result) -> str:
    counts: dict[str, int] = {}
    for target in result.targets:
        for one in target.findings:
            counts[one.verdict] = counts.get(one.verdict, 0) + 1
    order = [v for v in sentences.WORDS if v in counts]
    shown = ", ".join(f"{counts[v]:,} {v}" for v in order)
    return f"Results: {shown}. Profile {prose(result.profile, 60)}, root seed {result.seed}." if shown else ""


def _matrix(targets: Sequence[TargetResult]) -> list[str]:
    rows = []
    asked = families(f.check for t in targets for f in t.findings)
    for target in targets:
        row = [code(target.target, 120), prose(f"{target.framework} {target.version}".strip(), 60)]
        for name in asked:
            verdict = sentences.cell(target, name) or ("error" if target.error is not None else "")
            shown = f"{sentences.GLYPHS[verdict]} {sentences.WORDS[verdict]}".strip()
            row.append(f"**{shown}**" if verdict == "fail" else shown)
        rows.append(row)
    return table(["implementation", "release", *asked], rows)


def _causes(result: Result) -> list[Section]:
    """One section a target and cause, worst first."""
    several = len(result.targets) > 1
    return [
        Section("Failures", 2, _cause(one, target.target if several else ""), parent="Failures", head=["### Failures"])
        for target in result.targets
        for one in sentences.diagnosed(target)
    ]


def _cause(one: Diagnosis, owner: str) -> list[str]:
    drawn, case, command = sentences.smallest_of(one)
    where = f" in {tagged(owner, 120)}" if owner else ""
    summary = f"{sentences.MARKS[one.level]} {one.level}{where}: {plain(one.observed)}"
    rows = [("observed", prose(one.observed, 1200)), ("fix", prose(one.fix, 1200)), ("check", code(one.check))]
    rows += [("case", code(case)), ("also fails for the same cause", _codes(one.also, 12))]
    if (known := sentences.known_defect(one.lead)) is not None:
        rows.append(("like", prose(known)))
    body = table(["", ""], [(f"**{name}**", text) for name, text in rows if text])
    body += _picture(drawn)
    if command:
        body += ["", "Repeat it:", "", *block([command])]
    return details(summary, body)


def _picture(drawn: Picture | None) -> list[str]:
    if drawn is None:
        return []
    labels = drawn.labels or [""] * len(drawn.rows)
    wide = max((len(plain_text.line(x, 24)) for x in labels), default=0)
    pairs = zip(labels, drawn.rows, strict=False)
    return ["", prose(drawn.caption), "", *block([f"{plain_text.line(x, 24):<{wide}}  {r}" for x, r in pairs])]


def _codes(values: Sequence[str], most: int) -> str:
    shown = ", ".join(code(v, 120) for v in values[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")


def _groups(result: Result, verdict: str, title: str, rank: int) -> list[Section]:
    return [
        Section(title, rank, _group(one, CLAIMS.get(one.check, "")), parent=title, head=[f"### {title}"])
        for one in sentences.groups(result.targets, (verdict,))
    ]


def _group(group: Group, claim: str) -> list[str]:
    lead = group.lead
    several = (
        f" in {len(group.targets)} implementations"
        if len(group.targets) > 1
        else f" in {tagged(group.targets[0], 120)}"
    )
    summary = f"{sentences.GLYPHS[group.verdict]} {tagged(group.check, 120)}{several}: {plain(lead.message)}"
    rows = [("in", _codes(group.targets, 12)), ("expected", prose(claim)), ("case", code(sentences.case_words(lead)))]
    rows.append(("observed", prose(lead.message, 1200)))
    if lead.estimate is not None:
        text = f"{plain_text.number(lead.estimate)} {prose(lead.unit)}, expected {plain_text.number(lead.expected)}"
        if lead.fail_interval is not None:
            low, high = lead.fail_interval
            text += f"; interval {plain_text.number(low)} to {plain_text.number(high)}"
        rows.append(("estimate", text))
    if lead.coins:
        rows.append(("evidence", f"{sentences.evidence(lead.log10_evidence)}; {lead.coins:,} decisions".lstrip("; ")))
    if group.verdict == "inconclusive" and lead.resolution is not None:
        rows.append(("resolution", f"{plain_text.number(lead.resolution)} is coarser than this profile accepts"))
    if lead.waiver is not None:
        rows.append(
            ("waived", f"{prose(lead.waiver.reason)} ({code(lead.waiver.id)}, until {prose(lead.waiver.expires)})")
        )
    if len(group.cases) > 1:
        rows.append(("also in", _codes([c for c in group.cases if c != lead.case], 6)))
    body = table(["", ""], [(f"**{name}**", text) for name, text in rows if text])
    body += _picture(group.drawn.picture)
    if group.shrunk is not None:
        body += ["", f"The smallest case that still fails is {code(group.shrunk.smallest or '')}:", ""]
        body += block([group.shrunk.smallest_replay])
    if lead.replay:
        body += ["", "Repeat it:", "", *block([lead.replay])]
    return details(summary, body)


def _errors(result: Result) -> list[Section]:
    found = []
    for target in result.targets:
        if target.error is None:
            continue
        body = block((target.details or "").splitlines()[-12:]) if target.details else []
        lines = [f"! {code(target.target, 120)}: {prose(target.error, 1000)}", *([""] if body else [])]
        if body:
            lines += details("last lines of the traceback", body)
        found.append(Section("Not finished", 3, lines, parent="Not finished", head=["### Not finished"]))
    return found


def _waived(result: Result) -> list[Section]:
    rows = []
    for group in sentences.groups(result.targets, ("waived",)):
        held = group.lead.waiver
        rows.append(
            (
                code(group.check),
                _codes(group.targets, 6),
                prose(held.reason) if held else "",
                prose(held.expires) if held else "",
                code(held.id) if held else "",
            )
        )
    if not rows:
        return []
    return [Section("waived", 3, ["### Waived", "", *table(["check", "in", "reason", "until", "waiver"], rows)])]


def _not_run(result: Result) -> list[Section]:
    away = [t for t in result.targets if t.skipped is not None]
    lines = [f"- {code(t.target, 120)}: {prose(t.skipped or '', 300)}" for t in away]
    reasons: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group in sentences.groups(result.targets, ("skipped",)):
        reasons.setdefault((sentences.reason(group.lead), group.targets), []).append(group.check)
    for (why, where), checks in reasons.items():
        on = f" ({_codes(where, 3)})" if len(result.targets) > 1 else ""
        lines.append(f"- {_codes(list(dict.fromkeys(checks)), 12)}: {prose(why, 300)}{on}")
    if not lines:
        return []
    return [
        Section(
            "what did not run",
            4,
            ["### What did not run, and why", "", *details(plain_text.count(len(lines), "reason"), lines)],
        )
    ]


def _worth(result: Result) -> list[Section]:
    lines = [f"- {prose(text)}" for text in sentences.worth(result.targets)]
    if not lines:
        return []
    told = (
        "In the cases that ran, each of these would have been detected with probability .999999. In this run, a correct "
        f"layer fails with probability below {len(result.targets)} × 10⁻⁶ ({plain_text.count(len(result.targets), 'target')})."
    )
    return [Section("what a pass is worth", 5, details("What a pass is worth", [told, "", *lines]))]


def _environment(result: Result) -> list[str]:
    rows = []
    for key, value in result.environment.items():
        if key == "commands" and isinstance(value, list):
            rows += [("command", code(command)) for command in this_run.commands(result)]
            continue
        if key == "results" and isinstance(value, list):
            for one in value:
                seen = one.get("environment", {})
                packages = ", ".join(f"{k} {v}" for k, v in reading.packages(seen).items())
                rows.append(
                    (
                        code(str(one.get("name", ""))),
                        prose(f"{one.get('profile')}, root seed {one.get('seed')}; {packages}"),
                    )
                )
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        rows.append((prose(str(key)), prose(str(value))))
    seconds = sum(t.timing.wall_s for t in result.targets)
    rows.append(("coins", f"{sum(t.coins for t in result.targets):,}"))
    rows.append(("seconds, added over targets", f"{seconds:,.0f}"))
    return details("Environment", table(["", ""], rows))


def _how() -> list[str]:
    return [
        "*Fail*: a correct layer fails less than once in a million audits. *Pass*: a deviation above the detection limit would "
        "have been missed less than once in a million audits. *Unsure*: too few drop decisions for either. A dash: the check "
        "does not apply or could not run."
    ]


# --- beside the audit --------------------------------------------------------------------------------------------------


def _speed(benches: Sequence[BenchResult], result: Result | None) -> list[Section]:
    """What the page says of benches: no speed beside an audit that bars it."""
    from dropcheck.report import bench as text
    from dropcheck.report import speeds

    found = []
    for bench in benches:
        beside = speeds.rows(bench, result)
        barred = {row.target: row.barred for row in beside if row.barred}
        lines = ["### Speed", ""]
        lines += [f"- {prose(sentence)}" for sentence in speeds.sentences(bench, beside)]
        lines += ["", prose(text.resolution(bench), 1000), ""]
        compared = {(c.target, c.cell): c for c in bench.comparisons}
        rows = []
        for speed in bench.speeds:
            if why := barred.get(speed.target):
                rows.append((code(bench.cells[speed.cell]), code(speed.target, 120), "", "", "", prose(why, 200)))
                continue
            told = compared.get((speed.target, speed.cell))
            verdict = told.verdict if told else ("" if speed.state == "measured" else f"{speed.state}: {speed.reason}")
            rows.append(
                (
                    code(bench.cells[speed.cell]),
                    code(speed.target, 120),
                    text.seconds(speed.device_s),
                    text.share(speed.fraction),
                    prose(text.ratio(told)),
                    prose(verdict, 200),
                )
            )
        head = [
            "cell",
            "target",
            "device time a call",
            "of the limit",
            f"ratio to {code(bench.reference, 120)}",
            "verdict",
        ]
        lines += details(plain_text.count(len(rows), "measurement"), table(head, rows, right=(2, 3, 4)))
        found.append(Section("speed", 3, lines))
    return found


def _selftest(result: SelfTest) -> list[Section]:
    broken = [p for p in result.promises if not p.held]
    total = len(result.promises)
    lines = ["### Self-test", ""]
    hold = "holds" if total == 1 else "hold"
    lines.append(
        f"{total - len(broken)} of {plain_text.count(total, 'guarantee')} of dropcheck {hold}; scale {result.scale:g}."
    )
    rows = [(prose(p.part), prose(p.name), "yes" if p.held else "**NO**", prose(p.text)) for p in result.promises]
    lines += ["", *details("Guarantees", table(["part", "guarantee", "holds", "measured"], rows))]
    return [Section("self-test", 4, lines)]
