"""The pytest plugin: ``--dropcheck TARGET``, one test a check, and timed cells. Loads no framework, no SciPy and no pandas.

    pytest --dropcheck mine.py:MyDropout --dropcheck torch.Dropout1d -k mask

Items are ``TARGET::CHECK``. Typed without a path, it runs these alone; with a path, or from ``addopts``, beside the other
tests. One audit a target, whatever is selected, also over the workers of pytest-xdist.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dropcheck.contract.errors import UsageError
from dropcheck.pytest_timing import cells, dropcheck_benchmark

if TYPE_CHECKING:
    from dropcheck.pytest_claims import TargetNode

__all__ = ["cells", "dropcheck_benchmark"]

_OPTIONS = {
    "profile": ("quick, standard or deep.", "PROFILE"),
    "seed": ("Root seed; fixed by default, so that a rerun gives the same result.", "SEED"),
    "select": ("Checks or families; repeatable.", "CHECK"),
    "ignore": ("Checks or families to leave out; repeatable.", "CHECK"),
    "pattern": ("Which axes are dropped together, such as 'n l c -> n c'.", "PATTERN"),
    "fail_on": ("The least grave failure that fails a test: defect, edge or trait; others are warnings.", "LEVEL"),
}
_SHARED = pytest.StashKey[str]()  # of the controller of xdist: the folder in which its workers share audits
_ONLY = "dropcheck_only"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dropcheck", "dropout layers, one test a check")
    group.addoption(
        "--dropcheck",
        action="append",
        default=[],
        metavar="TARGET",
        help="Audit this target, one test a check: path/to/file.py:attr, package.module:attr or a registered name; repeatable.",
    )
    for name, (text, metavar) in _OPTIONS.items():
        many = name in ("select", "ignore")
        group.addoption(
            f"--dropcheck-{name.replace('_', '-')}",
            action="append" if many else "store",
            default=[] if many else None,
            metavar=metavar,
            help=text,
        )


def pytest_configure(config: pytest.Config) -> None:
    named = config.getoption("dropcheck")
    worker = getattr(config, "workerinput", None)
    if not named:
        if given := [name for name in _OPTIONS if config.getoption(f"dropcheck_{name}")]:
            raise pytest.UsageError(
                f"--dropcheck-{given[0].replace('_', '-')} says how --dropcheck audits: name a target with --dropcheck"
            )
        return
    try:
        _checks(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    typed = any(word.partition("=")[0] == "--dropcheck" for word in map(str, config.invocation_params.args))
    if worker is None and typed and config.args_source is not config.ArgsSource.ARGS:
        setattr(config.option, _ONLY, True)  # options reach the workers of xdist, too
    if getattr(config.option, _ONLY, False):
        config.args, config.args_source = [], config.ArgsSource.ARGS


def _options(config: pytest.Config) -> dict[str, Any]:
    """The options of an audit: those that were given, and beneath them the project's file. Raises UsageError."""
    from dropcheck.gate import project_options

    found = _given(config)
    return {**project_options.read(config.rootpath).beneath(found), **found}


def _given(config: pytest.Config) -> dict[str, Any]:
    """The options that were given, fields of a request. Raises UsageError."""
    from dropcheck.plan import option_values
    from dropcheck.plan.request import DEFAULT_SEED

    given = {name: config.getoption(f"dropcheck_{name}") for name in ("profile", "pattern", "fail_on")}
    found = {name: value for name, value in given.items() if value is not None}
    if (seed := config.getoption("dropcheck_seed")) is not None:
        found["seed"], drawn = option_values.seed(seed, DEFAULT_SEED)
        if drawn:
            raise UsageError(
                "--dropcheck-seed takes a number: with 'fresh', workers and reruns would give different results"
            )
    found.update({n: option_values.listed(config.getoption(f"dropcheck_{n}")) for n in ("select", "ignore")})
    return {name: value for name, value in found.items() if value != ()}


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which options the project's file sets, as every other command says it."""
    if not config.getoption("dropcheck"):
        return None
    from dropcheck.gate import project_options

    project, given = project_options.read(config.rootpath), _given(config)
    patterns = {} if "pattern" in given else {n: project.patterns.get(n) for n in config.getoption("dropcheck")}
    said = "; ".join(f"{pattern} ({name})" for name, pattern in patterns.items() if pattern)
    return project.sentence({**project.beneath(given), **({"pattern": said} if said else {})}) or None


def _checks(config: pytest.Config) -> list[str]:
    """The checks that are asked for; all bad input is refused here. Raises UsageError."""
    from dropcheck.pytest_claims import asked, refuse_absent

    named = config.getoption("dropcheck")
    checks = asked(named, _options(config))
    for target in named:
        refuse_absent(target)
    return checks


@pytest.hookimpl(hookwrapper=True)  # not wrapper=True: a pluggy before 1.2 would refuse the plugin, and pytest with it
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    """Put the targets beside what the session has collected from files."""
    report = (yield).get_result()
    if isinstance(collector, pytest.Session) and report.passed and collector.config.getoption("dropcheck"):
        report.result = [*_nodes(collector), *report.result]


def _nodes(session: pytest.Session) -> list[TargetNode]:
    from dropcheck.gate import project_options
    from dropcheck.pytest_claims import TargetNode

    config = session.config
    checks, options = _checks(config), _options(config)
    given = {name: value for name, value in options.items() if name not in ("select", "ignore")}
    project, named = project_options.read(config.rootpath), dict.fromkeys(config.getoption("dropcheck"))
    return [TargetNode.of(session, name, project.patterned(name, given), checks) for name in named]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Begin the line of a failure in the summary with what was observed, not with the name of the exception."""
    report = (yield).get_result()
    library = sys.modules.get("dropcheck.library")
    if library is None or call.excinfo is None:
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and isinstance(call.excinfo.value, library.Broken | library.Unproven):
        crash.message = str(call.excinfo.value)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell every audit which checks were left by -k and the like: no others are run; and where a worker shares audits."""
    if "dropcheck.pytest_claims" not in sys.modules:
        return
    from dropcheck.pytest_claims import claim_of
    from dropcheck.shared_audits import share

    worker = getattr(session.config, "workerinput", {})
    if "dropcheck_folder" in worker:
        share(Path(worker["dropcheck_folder"]))

    for item in session.items:
        claim = claim_of(item)
        if claim is not None:
            claim.audit.wanted.add(claim.name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell a worker of this machine the folder in which audits are shared; the first that needs it makes it."""
    if not node.gateway.spec.popen:
        return
    if _SHARED not in node.config.stash:
        node.config.stash[_SHARED] = os.path.join(tempfile.gettempdir(), f"dropcheck-run-{uuid.uuid4().hex}")
    node.workerinput["dropcheck_folder"] = node.config.stash[_SHARED]


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_SHARED, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
