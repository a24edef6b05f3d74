"""Findings and times as pandas tables, and as CSV and Parquet that spreadsheets, databases and notebooks take unharmed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropcheck.judge import levels
from dropcheck.results import frames, plain_text
from dropcheck.results.audit import Finding, Result, TargetResult, write_atomically
from dropcheck.results.bench import BenchResult
from dropcheck.results.naming import dtype_in

if TYPE_CHECKING:
    import pandas

LONGEST = 32_000  # characters of a cell; spreadsheets end a cell at 32,767
FORMULA = ("=", "+", "-", "@", "\t", "\r", "|", "%")  # with these a spreadsheet takes a text for a formula

_FINDING: dict[str, Callable[[TargetResult, Finding], Any]] = {
    "target": lambda t, f: t.target,
    "framework": lambda t, f: t.framework,
    "version": lambda t, f: t.version,
    "check": lambda t, f: f.check,
    "case": lambda t, f: f.case,
    "dtype": lambda t, f: dtype_in(f.case),
    "verdict": lambda t, f: f.verdict,
    "estimate": lambda t, f: f.estimate,
    "expected": lambda t, f: f.expected,
    "unit": lambda t, f: f.unit,
    "fail_low": lambda t, f: f.fail_interval[0] if f.fail_interval else None,
    "fail_high": lambda t, f: f.fail_interval[1] if f.fail_interval else None,
    "pass_low": lambda t, f: f.pass_interval[0] if f.pass_interval else None,
    "pass_high": lambda t, f: f.pass_interval[1] if f.pass_interval else None,
    "resolution": lambda t, f: f.resolution,
    "log10_evidence": lambda t, f: f.log10_evidence,
    "alpha": lambda t, f: f.alpha,
    "coins": lambda t, f: f.coins,
    "message": lambda t, f: f.message,
    "cause": lambda t, f: f.cause or "",
    "defect": lambda t, f: f.defect or "",
    "waiver": lambda t, f: f.waiver.id if f.waiver else "",
    "waiver_reason": lambda t, f: f.waiver.reason if f.waiver else "",
    "waiver_expires": lambda t, f: f.waiver.expires if f.waiver else "",
    "replay": lambda t, f: f.replay,
    "level": lambda t, f: levels.of(f) if f.verdict in ("fail", "waived") else "",
}
_NUMBERS = (
    "estimate",
    "expected",
    "fail_low",
    "fail_high",
    "pass_low",
    "pass_high",
    "resolution",
    "log10_evidence",
    "alpha",
)
_TIMING = ("start_s", "bare_s", "gather_s", "tally_s", "judge_s", "wall_s")


def findings(result: Result) -> pandas.DataFrame:
    """One row a finding; missing numbers are NaN, missing words empty."""
    rows = [(t, f) for t in result.targets for f in t.findings]
    columns = {name: [take(t, f) for t, f in rows] for name, take in _FINDING.items()}
    return _frame(columns, floats=_NUMBERS, integers=("coins",))


def timings(result: Result) -> pandas.DataFrame:
    """One row a target: its verdict, its coins, and the seconds that its audit took."""
    columns: dict[str, list[Any]] = {
        name: [getattr(t, name) for t in result.targets]
        for name in ("target", "framework", "version", "verdict", "coins")
    }
    columns |= {name: [getattr(t.timing, name) for t in result.targets] for name in _TIMING}
    columns["error"] = [t.error or t.skipped or "" for t in result.targets]
    return _frame(columns, floats=_TIMING, integers=("coins",))


def speeds(benches: Sequence[BenchResult]) -> pandas.DataFrame:
    """One row a target in a cell of a bench: seconds, bytes, share of the limit, and the ratio to the reference."""
    measured = ("device_s", "host_s", "first_s", "memory", "limit_s", "fraction")
    columns: dict[str, list[Any]] = {
        name: [] for name in ("bench", "target", "framework", "version", "device", "cell", "state", "reason", *measured)
    }
    columns |= {name: [] for name in ("reference", "verdict", "ratio", "ratio_low", "ratio_high")}
    for place, bench in enumerate(benches):
        targets = {t.target: t for t in bench.targets}
        compared = {(c.target, c.cell): c for c in bench.comparisons}
        for speed in bench.speeds:
            owner, told = targets.get(speed.target), compared.get((speed.target, speed.cell))
            row: dict[str, Any] = {
                "bench": place,
                "target": speed.target,
                "framework": owner.framework if owner else "",
                "version": owner.version if owner else "",
                "device": owner.device if owner else bench.device,
                "cell": bench.cells[speed.cell],
                "state": speed.state,
                "reason": speed.reason,
                **{name: getattr(speed, name) for name in measured},
                "reference": bench.reference,
                "verdict": told.verdict if told else "",
                "ratio": told.ratio if told else None,
                "ratio_low": told.low if told else None,
                "ratio_high": told.high if told else None,
            }
            for name, value in row.items():
                columns[name].append(value)
    return _frame(columns, floats=(*measured, "ratio", "ratio_low", "ratio_high"), integers=("bench",))


def _frame(columns: dict[str, list[Any]], floats: Iterable[str], integers: Iterable[str]) -> pandas.DataFrame:
    frames.need_pandas()
    import pandas

    types = {**dict.fromkeys(floats, "float64"), **dict.fromkeys(integers, "int64")}
    return pandas.DataFrame(
        {
            name: pandas.Series(values, dtype=types[name])
            if name in types
            else pandas.Series([_encodable(v) for v in map(str, values)], dtype="str")
            for name, values in columns.items()
        }
    )


def _encodable(text: str) -> str:
    """The text itself; half characters, which UTF-8 cannot hold, become visible."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def cell(text: str) -> str:
    """A text as a cell of a CSV file: one line, nothing invisible, and never a formula."""
    shown = text if text.isprintable() and len(text) <= LONGEST else plain_text.line(text, LONGEST)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def csv(table: pandas.DataFrame) -> bytes:
    """The table as CSV (RFC 4180, UTF-8). Numbers have all their digits: read them with ``float_precision="round_trip"``."""
    frames.need_pandas()
    import pandas

    safe = table.copy()
    for name in safe.columns:
        if not pandas.api.types.is_numeric_dtype(safe[name].dtype):
            values = safe[name].astype(object)
            known = {text: cell(text) for text in set(values)}
            safe[name] = values.map(known)
    text: str = safe.to_csv(index=False, lineterminator="\r\n")
    return text.encode()


def parquet(table: pandas.DataFrame) -> bytes:
    """The table as Parquet, texts as they are. Raises UsageError where pyarrow is not installed."""
    frames.need("Parquet needs", "pyarrow", "parquet")
    stream = io.BytesIO()
    table.to_parquet(stream, index=False, engine="pyarrow", compression="zstd")
    return stream.getvalue()


def write(result: Result | None, benches: Sequence[BenchResult], out: Path, formats: Sequence[str]) -> list[Path]:
    """``findings``, ``timings`` and ``speeds`` as ``.csv`` and ``.parquet`` in the folder, each whole or not at all."""
    ways = {"csv": csv, "parquet": parquet}
    tables: dict[str, pandas.DataFrame] = {}
    if result is not None:
        tables |= {"findings": findings(result), "timings": timings(result)}
    if benches:
        tables["speeds"] = speeds(benches)
    made = []
    for name, table in tables.items():
        for one in formats:
            if one in ways:
                made.append(out / f"{name}.{one}")
                write_atomically(made[-1], ways[one](table))
    return made
