"""The result of an audit as a Python program and a notebook see it: short to show, its failures at hand."""

from __future__ import annotations

import shutil

from dropcheck.judge.diagnosis import Diagnosis, diagnose
from dropcheck.judge.levels import exit_code
from dropcheck.results.audit import Result


class AuditResult(Result, frozen=True, kw_only=True):
    """What ``dropcheck.audit`` and ``dropcheck.check`` return: a ``Result``, stored and compared as one.

    ``print(result)`` is the report of the terminal; a notebook shows a table of causes.
    """

    @classmethod
    def of(cls, result: Result) -> AuditResult:
        """The same result with this surface."""
        return cls(**{name: getattr(result, name) for name in result.__struct_fields__})

    @property
    def passed(self) -> bool:
        """Whether every check that was asked for passes, is waived or does not count (``fail_on``): exit code 0."""
        return exit_code(self) == 0

    @property
    def failures(self) -> tuple[Diagnosis, ...]:
        """The causes of all failures, target by target, worst first: level, what was observed, how to fix it."""
        return tuple(cause for target in self.targets for cause in diagnose(target))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__struct_fields__)

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    def __repr__(self) -> str:
        from dropcheck.report import sentences

        return f"<AuditResult: {sentences.headline(self)}>"

    def __str__(self) -> str:
        from dropcheck.report import text

        return text.render(self, width=max(60, min(140, shutil.get_terminal_size((100, 24)).columns)))

    def _repr_html_(self) -> str:
        from dropcheck.report import notebook

        return notebook.table(self)
