"""Work in threads, work that no cancellation interrupts, and the lifetime of what awaits it."""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run_in_thread(work: Callable[[], _T], *, daemon: bool = False) -> asyncio.Future[_T]:
    """Start `work` in a thread of its own and return a future of the running event loop.

    The loop's executor is not used: shutting down the loop waits for it, and other work may fill it. The interpreter
    waits for the thread at exit unless it is a `daemon`.
    """
    future: concurrent.futures.Future[_T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # the waiter decides
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=daemon).start()
    return asyncio.wrap_future(future)


async def wait_uncancelled(future: asyncio.Future[Any]) -> bool:
    """Wait until `future` is done despite cancellations; return True if there was one, which the caller must raise."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


async def run_uninterrupted(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread; a cancellation takes effect once it has ended."""
    future = run_in_thread(work)
    if await wait_uncancelled(future):
        future.exception()
        raise asyncio.CancelledError
    return future.result()


async def keep_alive(owner: object, step: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Await `step()` while keeping `owner` alive, but not in the traceback of an exception, which a caller may keep."""
    try:
        return await step()
    finally:
        del owner


async def complete(work: Coroutine[Any, Any, _T]) -> _T:
    """Await `work` to its end; a cancellation does not reach it and takes effect afterwards."""
    task = asyncio.get_running_loop().create_task(work)
    if await wait_uncancelled(task):
        if not task.cancelled():
            task.exception()
        raise asyncio.CancelledError
    return task.result()
