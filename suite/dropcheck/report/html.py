"""The page: one self-contained HTML file, readable without network and without JavaScript."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropcheck.report import embedded, text, words
from dropcheck.report.templates import environment
from dropcheck.results import Finding, Result, TargetResult, encode, write_atomically

if TYPE_CHECKING:
    from dropcheck.selftest.records import SelfTest
    from dropcheck.speed.records import BenchResult


def render(result: Result, *, benches: Sequence[BenchResult] = (), selftest: SelfTest | None = None) -> str:
    """The page as text, with the raw results inside. Every value is escaped by the template engine."""
    from dropcheck.checks import CHECKS

    raw = embedded.embed([result, *benches, *([selftest] if selftest is not None else [])])
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            result=result,
            headline=words.headline(result),
            families=words.FAMILIES,
            word=words.WORDS,
            glyph=words.GLYPHS,
            cell=words.cell,
            groups=words.groups(result.targets),
            causes=words.causes(result.targets),
            some=words.some,
            blocks=[_block(i, t) for i, t in enumerate(result.targets)],
            claims={c.name: c.claim for c in CHECKS},
            remedies={c.name: c.remedy for c in CHECKS},
            worth=words.worth(result.targets),
            ledger=words.ledger(result.targets),
            left=words.groups(result.targets, ("skipped",)),
            traits=_traits(result),
            counts=_counts(result),
            raw=raw,
        )
    )


def write(result: Result, out: Path, *, benches: Sequence[BenchResult] = (), selftest: SelfTest | None = None) -> None:
    """Write ``index.html``, ``result.json`` and ``report.txt`` into the folder, each whole or not at all."""
    write_atomically(out / "result.json", encode(result))
    write_atomically(out / "report.txt", text.render(result, width=110, colour=False).encode())
    write_atomically(out / "index.html", render(result, benches=benches, selftest=selftest).encode())


def _counts(result: Result) -> dict[str, int]:
    found = dict.fromkeys(words.WORDS, 0)
    for target in result.targets:
        for one in target.findings:
            found[one.verdict] += 1
    return {k: v for k, v in found.items() if v}


def _block(index: int, target: TargetResult) -> dict[str, Any]:
    broken, tested = words.claims(target)
    families = {words.family(f.check) for f in target.findings}
    return {
        "id": f"t{index}",
        "target": target,
        "broken": broken,
        "tested": tested,
        "families": [
            {
                "name": name,
                "verdict": words.cell(target, name),
                "findings": [f for f in target.findings if words.family(f.check) == name],
            }
            for name in words.FAMILIES
            if name in families
        ],
        "groups": words.groups([target]),
        "ladder": ladder(target),
    }


def _traits(result: Result) -> list[dict[str, Any]]:
    """One row a trait, one cell a target."""
    names: dict[str, None] = {}
    for target in result.targets:
        names.update(dict.fromkeys(target.traits))
    rows = []
    for name in names:
        cells = []
        for target in result.targets:
            value = target.traits.get(name, "")
            if isinstance(value, dict):
                same: dict[str, list[str]] = {}
                for key, item in value.items():
                    shown = f"{item['class']} ({item['in_units']:+.2f} u)" if isinstance(item, dict) else str(item)
                    if isinstance(item, dict) and not key.endswith(("=0.1", "=0.15")):
                        continue
                    same.setdefault(shown, []).append(str(key))
                value = [f"{', '.join(keys)}: {shown}" for shown, keys in same.items()]
            else:
                value = [str(value)]
            cells.append(value)
        rows.append({"name": name, "cells": cells})
    return rows


# --- the ladder of rates -------------------------------------------------------------------------------------------


def ladder(target: TargetResult) -> dict[str, Any] | None:
    """Measured minus nominal rate over the ladder, one series a dtype, as table rows and SVG coordinates."""
    points = [f for f in target.findings if f.check == "rate.marginal" and f.estimate is not None and f.fail_interval]
    best: dict[tuple[str, float], Finding] = {}
    for one in points:
        key = (one.case.split(" ", 1)[0], float(one.expected or 0.0))
        if key not in best or one.coins > best[key].coins:
            best[key] = one
    rates = sorted({rate for _, rate in best if f"{rate:g}" == f"{round(rate, 3):g}"})
    dtypes = list(dict.fromkeys(d for d, _ in best))
    if len(rates) < 2:
        return None
    rows: list[dict[str, Any]] = []
    for dtype in dtypes:
        for rate in rates:
            shown = best.get((dtype, rate))
            if shown is not None and shown.fail_interval is not None:
                rows.append(
                    {
                        "dtype": dtype,
                        "rate": rate,
                        "measured": shown.estimate,
                        "low": shown.fail_interval[0],
                        "high": shown.fail_interval[1],
                        "verdict": shown.verdict,
                        "coins": shown.coins,
                    }
                )
    reach = max(max(abs(r["low"] - r["rate"]), abs(r["high"] - r["rate"])) for r in rows) * 1.1 or 1e-3
    width, height, left, top = 640, 220, 62, 14
    step = (width - left - 10) / len(rates)

    def y(value: float) -> float:
        return round(top + (height - 2 * top - 20) / 2 * (1 - value / reach), 1)

    marks = []
    for row in rows:
        x = left + step * (rates.index(row["rate"]) + (dtypes.index(row["dtype"]) + 1) / (len(dtypes) + 1))
        marks.append(
            {
                "x": round(x, 1),
                "y": y(row["measured"] - row["rate"]),
                "low": y(row["low"] - row["rate"]),
                "high": y(row["high"] - row["rate"]),
                "fail": row["verdict"] == "fail",
                "series": dtypes.index(row["dtype"]),
                "label": f"{row['dtype']}, rate {row['rate']:g}: measured {row['measured']:.5g}",
            }
        )
    digits = max(0, 2 - math.floor(math.log10(reach * 100)))
    return {
        "rows": rows,
        "marks": marks,
        "dtypes": dtypes,
        "width": width,
        "height": height,
        "zero": y(0.0),
        "left": left,
        "right": width - 10,
        "ticks": [{"x": round(left + step * (i + 0.5), 1), "text": f"{r:g}"} for i, r in enumerate(rates)],
        "levels": [{"y": y(v), "text": f"{v * 100:+.{digits}f}"} for v in (-reach / 1.2, 0.0, reach / 1.2)],
    }
