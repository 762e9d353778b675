"""Several transfers at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

JOBS = 8  # transfers at a time


def in_parallel(action: Callable[[Any], int], items: Iterable[Any], progress: Callable[[int], object]) -> int:
    """Do it for all items, several at a time; the sum of what it returns, told to `progress` piece by piece.

    The first failure ends it, once what is under way is done.
    """
    total, failed = 0, threading.Event()

    def unless_failed(item: Any) -> int:
        if failed.is_set():  # no thread begins another one, however long that would take
            return 0
        try:
            return action(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(JOBS) as threads:
        tasks = [threads.submit(unless_failed, item) for item in items]
        try:
            for task in as_completed(tasks):
                total += task.result()
                progress(task.result())
        except BaseException:
            failed.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return total
