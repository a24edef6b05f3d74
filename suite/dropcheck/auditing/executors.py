"""Who counts: units go to an executor of concurrent.futures, local threads with a worker process each, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from dropcheck.contract.errors import UsageError
from dropcheck.count.gather import Counted, Work, count
from dropcheck.worker.client import Refused, TargetError
from dropcheck.worker.sessions import pool_of

T = TypeVar("T")


def count_unit(work: Work) -> Counted:
    """One unit, from plain data to plain data, wherever this runs. Raises TargetError.

    A worker process that was killed from outside (the memory killer, an operator) costs this unit a second attempt in a
    fresh process; the unit depends on nothing that the lost one knew. Any other end is the layer's own doing and an error.
    """
    pool = pool_of(work.spec)
    for attempt in (0, 1):
        try:
            session = pool.acquire()
        except Refused as refused:
            raise TargetError(f"the target opened once and not again: {refused}", "\n".join(refused.lines)) from None
        except TargetError as ended:
            if attempt or not ended.killed or pool.closed:
                raise
            continue
        given_back: list[bool] = []

        def free(session: Any = session, given_back: list[bool] = given_back) -> None:
            given_back.append(True)
            pool.release(session)

        try:
            counted = count(session, work, free)
            counted.lost = attempt
            return counted
        except BaseException as ended:
            if not given_back:
                pool.discard(session)
            if attempt or not (isinstance(ended, TargetError) and ended.killed) or pool.closed:
                raise
    raise AssertionError("unreachable")


class SerialExecutor(Executor):
    """Runs every task at once, in the thread that submits it: for audits inside a process that has one generator."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            future.set_exception(error)
        return future


def local(sessions: int, in_process: bool) -> Executor:
    """Threads for one target: one a session, and two more that count while all sessions flip."""
    return SerialExecutor() if in_process else ThreadPoolExecutor(sessions + 2)


@contextmanager
def cluster(address: str | None) -> Iterator[Executor | None]:
    """The executor of a Dask cluster at ``address``; None without an address. Raises UsageError with the reason."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--dask needs Dask: pip install 'dropcheck[dask]'") from error
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"there is no Dask scheduler at {address!r}: {error}") from error
    try:
        # a unit whose worker is lost is run again elsewhere; one that loses three workers is given up
        yield client.get_executor(pure=False, retries=2)
    finally:
        client.close()
