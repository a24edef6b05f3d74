"""The table ``EXPECTED`` of a file with layers: which check must catch each of them, read without running the file."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.adapter import DTYPES
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.contract.promise import ContractError, Pattern
from dropcheck.judge.checks import matching
from dropcheck.judge.claims import CLAIMS, FAMILIES, UnknownName
from dropcheck.plan.request import AuditRequest, prepare

TABLES = ("EXPECTED", "expected")
PASSES = ("passes", "pass")
ANY = "fail"  # a layer that must fail, whatever check fails
KEYS = ("check", "all", "pattern", "strict", "rate", "dtype", "select", "ignore")


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer must come to. ``checks``: names or families, one of which must fail (``whole``: each of them).

    No checks: the layer is correct and must pass. ``options``: arguments of the audit (pattern, strict, rates, dtypes, select,
    ignore) as plain data.
    """

    layer: str
    checks: list[str] = []
    whole: bool = False
    options: dict[str, Any] = {}

    @property
    def correct(self) -> bool:
        """Whether the layer must pass."""
        return not self.checks

    def met(self, failing: Iterable[str]) -> bool:
        """Whether these failing checks are those that must catch the layer."""
        failing = list(failing)
        hits = [any(_is(one, check) for one in failing) for check in self.checks]
        return all(hits) if self.whole else any(hits)

    def names(self, check: str) -> bool:
        """Whether a failure of this check is one that was expected."""
        return any(_is(check, one) for one in self.checks)

    @property
    def words(self) -> str:
        """What is expected, for a table."""
        if self.correct:
            return "passes"
        return (" and " if self.whole else " or ").join("any failure" if c == ANY else c for c in self.checks)


def _is(failing: str, expected: str) -> bool:
    return expected in (ANY, failing) or failing.startswith(expected + ".")


def read(path: Path) -> list[Expected]:
    """The rows of a file's table, in its order. Raises UsageError with one sentence for whatever is no table."""
    tree = _parsed(path)
    name, node = _table(tree, path)
    try:
        table = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise UsageError(
            f"{path}, line {node.lineno}: {name} must be written out, as in {name} = {{'MyDropout': 'mask.distinct-calls', "
            "'Good': None}: it is read without running the file"
        ) from None
    if not isinstance(table, dict) or not table:
        raise UsageError(
            f"{path}, line {node.lineno}: {name} is {_kind(table)}; expected a dict of layers, as in "
            f"{name} = {{'MyDropout': 'mask.distinct-calls', 'Good': None}}"
        )
    defined = _defined(tree)
    rows = [_row(path, name, layer, value, defined) for layer, value in table.items()]
    return rows


def _parsed(path: Path) -> ast.Module:
    if path.suffix != ".py":
        raise UsageError(f"--from takes a Python file with layers and a table EXPECTED, such as layers.py, not {path}")
    try:
        return ast.parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        siblings = [str(p) for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UsageError(f"--from: there is no file {path}{nearest(str(path), siblings)}") from None
    except OSError as error:
        raise UsageError(f"--from: {path} cannot be read: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        place = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"--from: {path} is no Python file{place}: {words}") from error


def _table(tree: ast.Module, path: Path) -> tuple[str, ast.expr]:
    """The name of the last table that the file assigns at its top level, and what it assigns."""
    found: list[tuple[str, ast.expr]] = []
    for one in tree.body:
        targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
        value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
        if value is not None:
            found += [(t.id, value) for t in targets if isinstance(t, ast.Name) and t.id in TABLES]
    if found:
        return found[-1]
    near = difflib.get_close_matches("EXPECTED", _defined(tree) or (), n=1, cutoff=0.75)
    raise UsageError(
        f"{path} has no table EXPECTED at its top level; expected EXPECTED = {{'MyDropout': 'mask.distinct-calls', "
        f"'Good': None}}: the layer, and the check that must fail (None: it is correct)"
        + (f"; the nearest is {near[0]!r}" if near else "")
    )


def _defined(tree: ast.Module) -> list[str] | None:
    """The names that the file defines; None where they cannot be told without running it."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                return None
            found += [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "exec"):
            return None
    return found


def _row(path: Path, table: str, layer: Any, value: Any, defined: list[str] | None) -> Expected:
    if not isinstance(layer, str) or not layer:
        raise UsageError(f"{path}: {table} names its layers by text, such as 'MyDropout', not {layer!r}")
    head = layer.partition("@")[0].partition("#")[0].partition(".")[0]
    if defined is not None and head not in defined:
        raise UsageError(f"{path}: {table} names {layer!r}, which is not in the file{nearest(head, defined)}")
    place = f"{path}: {table}[{layer!r}]"
    given: Mapping[str, Any] = value if isinstance(value, dict) else {"check": value}
    for key in given:
        if key not in KEYS:
            raise UsageError(f"{place} has an unknown key {key!r}; expected {', '.join(KEYS)}{nearest(str(key), KEYS)}")
    if ("check" in given) == ("all" in given):
        raise UsageError(
            f"{place} needs one of 'check' (the check that must fail, several of which one must, or None) and 'all' "
            "(several that must all fail)"
        )
    one = Expected(
        layer=layer,
        checks=_checks(place, given["all"] if "all" in given else given["check"]),
        whole="all" in given,
        options=_options(place, given),
    )
    if one.whole and one.correct:
        raise UsageError(f"{place}: 'all' needs at least one check; a correct layer is 'check': None")
    _tried(place, path, one)
    return one


def _checks(place: str, value: Any) -> list[str]:
    if value is None or value in PASSES:
        return []
    words = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple | set) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise UsageError(
            f"{place} is {_kind(value)}; expected a check such as 'mask.distinct-calls', a family such as 'mask', a list of "
            "them, 'fail' (any check), or None (correct)"
        )
    valid = [*CLAIMS, *FAMILIES, ANY, *PASSES]
    for word in words:
        if word != ANY and word not in CLAIMS and word not in FAMILIES:
            raise UsageError(
                f"{place} names {word!r}, which is no check; expected one of `dropcheck list --checks`, a family, 'fail' or "
                f"None{nearest(word, valid)}"
            )
    return words


def _options(place: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the audit from the keys of a row."""
    found: dict[str, Any] = {}
    for key, kinds, wanted in (("pattern", str, "a pattern such as 'n c l -> n c'"), ("strict", bool, "True or False")):
        if key in given:
            if not isinstance(given[key], kinds):
                raise UsageError(f"{place}: {key!r} is {_kind(given[key])}; expected {wanted}")
            found[key] = given[key]
    if "pattern" in found:
        try:
            Pattern.parse(found["pattern"])
        except ContractError as error:
            raise UsageError(f"{place}: {error}") from error
    for key, name, kind, wanted in (
        ("rate", "rates", (int, float), "a rate such as 0.3, or a list of rates"),
        ("dtype", "dtypes", str, f"a dtype, or a list of dtypes, of {', '.join(DTYPES)}"),
        ("select", "select", str, "a check or a family, or a list of them"),
        ("ignore", "ignore", str, "a check or a family, or a list of them"),
    ):
        if key not in given:
            continue
        some = given[key] if isinstance(given[key], list | tuple) else [given[key]]
        if not some or not all(isinstance(s, kind) and not isinstance(s, bool) for s in some):
            raise UsageError(f"{place}: {key!r} is {_kind(given[key])}; expected {wanted}")
        found[name] = list(some)
    return found


def _tried(place: str, path: Path, one: Expected) -> None:
    """Refuse what the audit would refuse, with the place in the table. Raises UsageError."""
    try:
        _, checks = prepare(request(path, one, "quick", 0))
        asked = {c.name for c in checks}
        for word in one.checks:
            if word != ANY and not asked & {c.name for c in matching((word,))}:
                raise UsageError(f"expects {word!r}, which its 'select' or 'ignore' leaves out")
    except (UsageError, UnknownName) as error:
        raise UsageError(f"{place}: {error}") from error


def request(path: Path, one: Expected, profile: str, seed: int, **more: Any) -> AuditRequest:
    """The audit of one row."""
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in one.options.items()}
    return AuditRequest(targets=(f"{path}:{one.layer}",), profile=profile, seed=seed, jobs=1, **{**options, **more})


def _kind(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
