"""A comparison as GitHub's Markdown, cut by whole sections like the report."""

from __future__ import annotations

from dropcheck.report import sentences
from dropcheck.report.compare import presenting
from dropcheck.report.compare.presenting import Group
from dropcheck.report.compare.records import GLYPHS, Comparison
from dropcheck.report.fitting import Section, fitted
from dropcheck.report.github_text import block, code, details, plain, prose, table, tagged
from dropcheck.results import plain_text

_RANK = {"worse": 1, "unproven": 2, "lost": 2, "disappeared": 3, "better": 3, "moved": 4, "gained": 5, "appeared": 5}


def render(found: Comparison, most: int | None = None) -> str:
    """The whole comparison, or what fits into ``most`` bytes."""
    answer = [
        "## " + prose(presenting.sentences(found)[0], 1000),
        *(prose(s, 1000) for s in presenting.sentences(found)[1:]),
    ]
    sections = [Section("the answer", 0, answer)]
    labels = [code(s.label, 60) for s in found.sides]
    sections.append(
        Section("runs", 2, table(["", *labels], [[prose(c, 200) for c in r] for r in presenting.releases(found)]))
    )
    shown = presenting.matrix(found)
    if shown:
        rows = []
        for name, versions, verdicts, told in shown:
            cells = [
                f"{sentences.GLYPHS[v]} {sentences.WORDS[v]} {prose(r, 60)}".rstrip() if v else "not there"
                for v, r in zip(verdicts, versions, strict=True)
            ]
            rows.append([code(name, 120), *cells, ", ".join(presenting.SHORT[w] for w in told)])
        sections.append(Section("targets", 1, table(["target", *labels, ""], rows)))
    for word in presenting.SHOWN:
        title, rank = presenting.TITLES[word], _RANK[word]
        head = [f"### {title}"]
        whole = []
        for why, _, names in presenting.reasons(found, word):
            some = ", ".join(code(n, 120) for n in names[:40]) + (f" and {len(names) - 40} more" if names[40:] else "")
            whole.append(f"- {GLYPHS[word]} {plain_text.count(len(names), 'target')}, {prose(why, 300)}: {some}")
        if whole:
            sections.append(Section(title, rank, whole, parent=title, head=head))
        for group in presenting.groups(found, word):
            sections.append(Section(title, rank, _group(found, group), parent=title, head=head))
    notes = [f"- {prose(text, 600)}" for text in (*found.notes, *presenting.promise(found))]
    sections.append(Section("notes", 2, ["### How far this goes", "", *notes]))
    return fitted(sections, most)


def _group(found: Comparison, group: Group) -> list[str]:
    lead = group.lead
    summary = f"{GLYPHS[group.word]} {tagged(group.check, 120)} in {tagged(group.targets[0], 120)}"
    if len(group.targets) > 1:
        summary += f" and {len(group.targets) - 1} more"
    summary += f": {plain(group.text, 200)}"
    rows = [(code(s.label, 60), prose(presenting.numbers(c))) for s, c in zip(found.sides, lead.cells, strict=True)]
    rows.append(("case", code(lead.case)))
    if group.cases > 1:
        rows.append(("also in", plain_text.count(group.cases - 1, "more case")))
    if len(group.targets) > 1:
        rows.append(("in", ", ".join(code(t, 120) for t in group.targets[:12])))
    if lead.unit:
        rows.append(("unit", prose(lead.unit)))
    rows.append(("why", prose(group.text, 1000)))
    body = table(["", ""], rows)
    if command := presenting.replay(lead, group.place):
        body += ["", *block([command])]
    return details(summary, body)
