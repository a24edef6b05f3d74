"""Answers of a server to one request that asks for several calls of a layer."""

from __future__ import annotations

import collections
from typing import Any, Callable, ContextManager, Deque, Iterator, List, Union

# Imported by the worker: the standard library only, Python 3.9 at run time.


class Calls:
    """Arrays of each call, in order. The server computes ahead of who reads, as far as the pipe holds.

    ``answer`` reads the next one. Another request in between takes all of them in first (``settle``). What a layer raises comes
    where its answer would, and is the last one.
    """

    def __init__(self, answer: Callable[[], List[Any]], lock: ContextManager[Any], count: int) -> None:
        self._answer, self._lock, self._left = answer, lock, count
        self._ready: Deque[Union[List[Any], Exception]] = collections.deque()

    def __iter__(self) -> Iterator[List[Any]]:
        return self

    def __next__(self) -> List[Any]:
        with self._lock:
            if not self._ready:
                if not self._left:
                    raise StopIteration
                self._take()
            found = self._ready.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    def settle(self) -> None:
        """Take in all answers that are still on their way."""
        while self._left:
            self._take()

    def _take(self) -> None:
        self._left -= 1
        try:
            self._ready.append(self._answer())
        except Exception as error:  # raised in its place
            self._left = 0
            self._ready.append(error)
