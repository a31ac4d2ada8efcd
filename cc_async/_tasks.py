"""Threads and shields: work that no cancellation cuts short."""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def in_thread(work: Callable[[], _T], *, daemon: bool = False) -> asyncio.Future[_T]:
    """Start `work` in a thread of its own, and give a future of the running loop for its end.

    Not the loop's executor: the loop's end waits for that one, and it may be full of other work. An interpreter that
    exits waits for the thread unless it is a `daemon`.
    """
    future: concurrent.futures.Future[_T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is the waiter's to judge
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=daemon).start()
    return asyncio.wrap_future(future)


async def outlast(future: asyncio.Future[Any]) -> bool:
    """Wait until `future` is done, through every cancellation; True if there was one, which the caller owes."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


async def run_uninterrupted(work: Callable[[], _T]) -> _T:
    future = in_thread(work)
    if await outlast(future):
        future.exception()
        raise asyncio.CancelledError
    return future.result()
