"""Claims as pytest items: one a target and check, from a decorator or from ``pytest --dropcheck``; audits are shared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.gate import project_options
from dropcheck.plan import python_options
from dropcheck.plan.python_options import ClaimOptions, signed
from dropcheck.shared_audits import NotApplicable, SharedAudit

if TYPE_CHECKING:
    from dropcheck.results.audit import Result

Expected = Mapping[str, str] | Callable[[Any], Mapping[str, str] | None] | None


class Claim:
    """One check on one target; a test calls it with the target that it was given beside it."""

    def __init__(self, name: str, audit: SharedAudit, expected: Mapping[str, str] | None = None) -> None:
        """``expected``: levels of failures that are expected of any check, with their reasons."""
        self.name, self.audit, self.expected = name, audit, dict(expected or {})
        self.__name__ = name

    def __repr__(self) -> str:
        return self.name

    def __call__(self, target: Any) -> None:
        """Return if the claim holds, skip the test if it does not apply here. Raises AssertionError with the finding."""
        __tracebackhide__ = True
        if target is not self.audit.thing:
            raise UsageError(
                f"check {self.name} was called with {target!r}; expected the target that the test was given beside it"
            )
        self.judge()

    def judge(self) -> None:
        """The same without naming the target again."""
        __tracebackhide__ = True
        from dropcheck.library import Broken

        try:
            self.audit.judge(self.name)
        except Broken as broken:
            if (reason := self._expected(broken.result)) is not None:
                pytest.xfail(reason)
            raise
        except NotApplicable as why:
            pytest.skip(str(why))
        except UsageError as error:
            pytest.fail(str(error), pytrace=False)

    def _expected(self, result: Result | None) -> str | None:
        """Why failures of this level are expected, if they are."""
        from dropcheck.judge import levels

        if result is None or not self.expected:
            return None
        gravest = levels.worst(one for target in result.targets for one in target.findings)
        return self.expected.get(gravest) if gravest is not None else None


@signed(ClaimOptions, python_options.OF_CLAIMS)
def parametrize_with_checks(
    targets: Iterable[Any],
    *,
    expected_failures: Expected = None,
    strict: bool | None = None,
    **options: Unpack[ClaimOptions],
) -> pytest.MarkDecorator:
    """A parametrisation over ``target`` and ``check``: one test a target and check, one audit a target.

        @dropcheck.parametrize_with_checks([LayerA, "torch.Dropout1d"], expected_failures={"rate.one": "issue 12"})
        def test_dropout(target, check):
            check(target)

    ``targets``: what ``dropcheck.check`` takes. ``expected_failures``: reasons by check or family, or a function that is
    given a target and returns them; such a test is an expected failure (xfail), and only a failing check counts as one.
    ``{"edge": "issue 12"}`` expects edge cases of all checks (rates 0 and 1, invalid rates, empty inputs), never a defect.
    ``strict``: whether one that holds after all fails the run; None: as pytest is configured (``xfail_strict``).
    Options are those of ``dropcheck.audit``, such as ``select``, ``ignore``, ``profile``, ``pattern`` and ``seed``; beneath
    them those of the policy in the present folder (dropcheck.toml, or [tool.dropcheck] of pyproject.toml).

    Loads no framework. Raises UsageError for what cannot be asked.
    """
    if isinstance(targets, str) or not isinstance(targets, Iterable):
        raise UsageError(f"parametrize_with_checks takes a list of targets, not {targets!r}; write [{targets!r}]")
    some = list(targets)
    typed = python_options.of_audit(options)
    project = project_options.read(Path())
    wanted = {**project.beneath(typed), **typed}
    checks = asked([one for one in some if isinstance(one, str)], wanted)
    given = {name: value for name, value in wanted.items() if name not in ("select", "ignore")}
    parameters = []
    for place, target in enumerate(some):
        own = project.patterned(target, given) if isinstance(target, str) else given
        shared = SharedAudit(target, own, tuple(checks), place)
        reasons, of_levels = _reasons(expected_failures, target)
        for name in checks:
            marks = []
            if name in reasons:
                from dropcheck.library import Broken

                how = {} if strict is None else {"strict": strict}
                marks.append(pytest.mark.xfail(reason=reasons[name], raises=Broken, **how))
            label = _label(target)
            parameters.append(pytest.param(target, Claim(name, shared, of_levels), id=f"{label}-{name}", marks=marks))
    return pytest.mark.parametrize(("target", "check"), parameters)


def asked(names: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """The checks that the options select; everything that cannot be asked is refused. Raises UsageError."""
    from dropcheck.library import request_of
    from dropcheck.plan.python_objects import SOURCE
    from dropcheck.plan.python_options import of_audit
    from dropcheck.plan.request import prepare
    from dropcheck.plan.targets import Target, parse

    chosen = tuple(parse(name) for name in names) or (Target("an object", "an object", SOURCE),)
    return [check.name for check in prepare(request_of(chosen, of_audit(options)))[1]]


def _label(target: Any) -> str:
    from dropcheck.plan.python_objects import label

    return label(target)


def _reasons(expected: Expected, target: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The reason of every check that is expected to fail, and of every level. Raises UsageError.

    A check outranks its family, which outranks a level. Of a check that judges edges alone, a failure is one of that level.
    """
    from dropcheck.judge import levels
    from dropcheck.judge.checks import matching

    found = expected(target) if callable(expected) else expected
    if not isinstance(found, Mapping | None):
        raise UsageError(f"expected_failures takes reasons by check, such as {{'rate.one': 'issue 12'}}, not {found!r}")
    reasons: dict[str, str] = {}
    of_levels: dict[str, str] = {}
    for name, reason in sorted((found or {}).items(), key=lambda item: (item[0] not in levels.LEVELS, "." in item[0])):
        if not isinstance(reason, str) or not reason.strip():
            raise UsageError(f"expected_failures gives no reason for {name!r}; expected a text, not {reason!r}")
        if name == "defect":
            raise UsageError(
                "expected_failures takes a check, a family, 'edge' or 'trait'; name the checks of a defect"
            )
        if name in levels.LEVELS:
            of_levels[name] = reason
            reasons.update(dict.fromkeys(levels.EDGES if name == "edge" else (), reason))
        else:
            reasons.update({check.name: reason for check in matching([name])})
    return reasons, of_levels


class TargetNode(pytest.Collector):
    """A target named by ``--dropcheck``: collected without a test file, one item a check."""

    target: str
    options: Mapping[str, Any]
    checks: Sequence[str]

    @classmethod
    def of(cls, session: pytest.Session, target: str, options: Mapping[str, Any], checks: Sequence[str]) -> TargetNode:
        """The node of a target; its items are ``TARGET::CHECK``."""
        node: TargetNode = cls.from_parent(session, name=target, nodeid=target)
        node.target, node.options, node.checks = target, options, checks
        return node

    def collect(self) -> Iterator[pytest.Item]:
        shared = SharedAudit(self.target, self.options, tuple(self.checks))
        for name in self.checks:
            item: ClaimItem = ClaimItem.from_parent(self, name=name)
            item.claim = Claim(name, shared)
            yield item


class ClaimItem(pytest.Item):
    """One check on one target."""

    claim: Claim

    def runtest(self) -> None:
        self.claim.judge()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message itself; where it was raised inside of dropcheck helps nobody."""
        if isinstance(excinfo.value, AssertionError):
            return excinfo.getrepr(style="value")
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self.path, None, f"{self.claim.audit.thing}: {self.name}"


def claim_of(item: pytest.Item) -> Claim | None:
    """The claim that an item asks about, if it is one of ours."""
    if isinstance(item, ClaimItem):
        return item.claim
    given = getattr(getattr(item, "callspec", None), "params", {}).get("check")
    return given if isinstance(given, Claim) else None


def refuse_absent(target: str) -> None:
    """Raise UsageError where the file of ``file.py:attr`` can hold no such name; nothing is imported to find out."""
    import ast

    place, _, attr = target.rpartition(":")
    if not place.endswith(".py") or not Path(place).is_file():
        return
    first = attr.partition("@")[0].partition("#")[0].partition(".")[0]
    text = Path(place).read_text(errors="replace")
    if first in text or "import *" in text or "globals()" in text or "__getattr__" in text:
        return
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UsageError(f"{place} is no Python file: {error.msg} in line {error.lineno}") from error
    named = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    named += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    raise UsageError(f"target {target!r}: {place} has no {first!r}{nearest(first, named)}")
