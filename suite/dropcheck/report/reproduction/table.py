"""One script for a check of a target in several dtypes: what differs between them is a table inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dropcheck.report.reproduction.script import Parts, assembled, docstring, parts
from dropcheck.results.audit import Finding, TargetResult


@dataclass(frozen=True)
class Script:
    """A script, and the dtypes that it takes as its argument; with one dtype, or none, it takes no argument."""

    text: str
    dtypes: tuple[str, ...]

    def arguments(self, dtype: str) -> tuple[str, ...]:
        """What is given to it for a dtype."""
        return (dtype,) if len(self.dtypes) > 1 else ()


def together(target: TargetResult, some: Mapping[str, Finding]) -> list[Script]:
    """Findings of one check by dtype, in as few scripts as can show them: one, where only constants differ.

    Raises UsageError where there is no script for one of them.
    """
    alike: dict[tuple[str, ...], dict[str, Parts]] = {}
    for dtype, found in some.items():
        one = parts(target, found)
        alike.setdefault(one.code, {})[dtype] = one
    return [_script(target, {dtype: some[dtype] for dtype in group}, group) for group in alike.values()]


def _script(target: TargetResult, some: Mapping[str, Finding], group: Mapping[str, Parts]) -> Script:
    first = next(iter(group.values()))
    lead = next(iter(some.values()))
    version = f"seen with {target.framework} {target.version}."
    if len(group) == 1:
        words = docstring(target, lead, [f"{lead.check}, case {lead.case}, {version}"])
        return Script(assembled(first, first.constants, words), tuple(group))
    cases = "; ".join(one.case for one in some.values())
    constants = {name: _constant(name, {d: p.constants[name] for d, p in group.items()}) for name in first.constants}
    words = docstring(
        target, lead, [f"{lead.check}, {version}", f"Cases, of which the argument names the dtype: {cases}."]
    )
    return Script(assembled(first, constants, words), tuple(group))


def _constant(name: str, by_dtype: Mapping[str, str]) -> str:
    """The source of a constant: one value, or a table that the dtype is looked up in."""
    if name == "DTYPE":
        return f"sys.argv[1] if len(sys.argv) > 1 else {next(iter(by_dtype.values()))}"
    if len(set(by_dtype.values())) == 1:
        return next(iter(by_dtype.values()))
    plain = {dtype: text.partition("  # ")[0] for dtype, text in by_dtype.items()}
    comment = next(iter(by_dtype.values())).partition("  # ")[2]
    table = ", ".join(f'"{dtype}": {text}' for dtype, text in plain.items())
    return f"{{{table}}}[DTYPE]" + (f"  # {comment.removesuffix(f' of {next(iter(by_dtype))}')}" if comment else "")
