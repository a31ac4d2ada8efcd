"""One limiter under several event loops."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest
from support.virtual_time import VirtualTimeLoop, run
from support.waiting_requests import WINDOW, Crowd

from cc_async.errors import InvalidRequestError
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Limiter, Turn


def test_one_limiter_serves_one_loop_after_the_other_and_the_window_holds() -> None:
    limiter = RateLimiter(2)

    async def times(count: int) -> list[float]:
        crowd = Crowd(limiter)
        await crowd.come(*"x" * count)
        await crowd.done()
        return crowd.times

    assert run(times(2), start=100.0) == [100.0, 100.0]
    assert run(times(1), start=100.5) == pytest.approx([100.0 + WINDOW])
    # A clock that began anew says nothing about the past: as if everything had been sent just now.
    assert run(times(1), start=7.0) == pytest.approx([7.0 + WINDOW])
    assert limiter.remaining_today == 9_996


def test_a_second_loop_beside_the_first_is_refused() -> None:
    limiter = RateLimiter()

    def use_elsewhere() -> None:
        with pytest.raises(InvalidRequestError, match="one event loop"):
            run(limiter.acquire(Turn()))

    async def main() -> None:
        await limiter.acquire(Turn())
        other = threading.Thread(target=use_elsewhere)
        other.start()
        other.join()

    run(main())
    assert limiter.remaining_today == 9_999


@pytest.fixture
def abandoned() -> Iterator[tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]]]:
    """A limiter of 1 whose loop stopped for good while one request was granted and another one waited."""
    limiter, loop = RateLimiter(1), VirtualTimeLoop()
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        await limiter.acquire(Turn())
        tasks.extend(loop.create_task(limiter.acquire(Turn())) for _ in range(2))
        loop.call_at(WINDOW, loop.stop)
        await asyncio.sleep(10)

    task = loop.create_task(main())
    loop.run_forever()
    tasks.append(task)
    yield limiter, loop, tasks
    loop.close()


def test_a_loop_that_is_only_interrupted_keeps_its_limiter(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    with pytest.raises(InvalidRequestError):
        run(limiter.acquire(Turn()))
    loop.run_until_complete(asyncio.gather(*tasks))
    run(limiter.acquire(Turn()))
    assert limiter.remaining_today == 9_996


def test_what_waited_in_a_closed_loop_blocks_nobody(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    loop.close()
    run(limiter.acquire(Turn()), start=20.0)
    destroy(tasks)
    assert limiter.remaining_today == 9_997
    assert not limiter._waiting


def test_tasks_of_a_closed_loop_may_be_destroyed_before_the_limiter_is_used_again(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    loop.close()
    destroy(tasks)
    run(limiter.acquire(Turn()), start=20.0)
    assert limiter.remaining_today == 9_998


def destroy(tasks: list[asyncio.Task[None]]) -> None:
    """What the garbage collector does to the tasks of a closed loop, without its complaint."""
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()


def test_a_pause_does_not_outlast_the_loop_by_more_than_a_minute() -> None:
    limiter = RateLimiter()

    async def main() -> float:
        await limiter.acquire(Turn())
        return asyncio.get_running_loop().time()

    run(limiter.throttled(), start=50_000.0)
    assert run(main()) == 60.0


def test_the_limiter_is_what_the_client_asks_for() -> None:
    limiter: Limiter = RateLimiter()
    calls: list[Callable[..., Awaitable[None]]] = [limiter.acquire, limiter.throttled, limiter.quota_exceeded]
    assert all(map(asyncio.iscoroutinefunction, calls))
