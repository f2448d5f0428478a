"""Fetch the next items in a thread while the current one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def prefetched(
    fetch: Callable[[T], R], items: Iterable[T], ahead: int = 2
) -> Generator[R, None, None]:
    """`map(fetch, items)` by one thread that is at most `ahead` results in advance.

    An exception of `fetch` is raised in place of its result. The thread ends with the iteration,
    also where that is interrupted. It uses one core: the others are for training.
    """
    thread = ThreadPoolExecutor(1, "prefetch", torch.set_num_threads, (1,))
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(thread.submit(fetch, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
