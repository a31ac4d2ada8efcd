"""The contract of `TokenStore` as checks that any test framework can run.

Each check takes a function that returns a store for one and the same, at first empty, place: another object each time
where that makes sense. It raises AssertionError if the store breaks the contract. With pytest and an asyncio plugin::

    @pytest.mark.parametrize("check", token_store.CHECKS)
    async def test_my_store_keeps_the_contract(check, tmp_path):
        await check(lambda: MyStore(tmp_path))
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cc_async.oauth.stores import Lease, TokenStore
from cc_async.oauth.token import Token

MakeStore = Callable[[], TokenStore]
TOKENS: Final = (
    Token("access", "refresh", 1_800_000_000.25, "contact_data offline_access"),
    Token("only access"),
    Token('ä€\U0001f511"\\', "refresh " * 500, 0.0),
)
_SECONDS: Final = 30
"""How long a check waits for a lock that should be free."""


async def check_empty_store_holds_nothing(make: MakeStore) -> None:
    """`load` returns None until something was saved, also after a proof."""
    _same(await make().load(), None)
    store = make()
    async with store.lock():
        await _prepare(store)
    _same(await make().load(), None)


async def check_load_returns_what_was_saved_last(make: MakeStore) -> None:
    """Every field survives, for every object on the same place, and saving twice does no harm."""
    for token in TOKENS:
        store = make()
        async with store.lock():
            await store.save(token)
            await store.save(token)
            _same(await store.load(), token)
        _same(await make().load(), token)


async def check_proof_changes_nothing(make: MakeStore) -> None:
    """`prepare_save` leaves the stored token alone, and `save` works after it."""
    store = make()
    async with store.lock():
        await store.save(TOKENS[0])
        await _prepare(store)
        _same(await make().load(), TOKENS[0])
        await store.save(TOKENS[1])
    _same(await make().load(), TOKENS[1])


async def check_lock_has_one_holder(make: MakeStore) -> None:
    """One task at a time is inside, whichever object it came through."""
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with make().lock():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1

    async with asyncio.timeout(_SECONDS):
        await asyncio.gather(*(visit() for _ in range(10)))
    _same(most, 1)


async def check_lock_is_released(make: MakeStore) -> None:
    """An exception and a cancellation inside leave the lock free, and the exception passes."""
    error = KeyError("inside")
    try:
        async with make().lock():
            raise error
    except KeyError as caught:
        _same(caught, error)
    entered = asyncio.Event()

    async def hold() -> None:
        async with make().lock():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await entered.wait()
    task.cancel()
    await asyncio.wait({task})
    _same(task.cancelled(), True)
    await _lock_is_free(make)


async def check_cancelled_waiters_do_not_keep_the_lock(make: MakeStore) -> None:
    """Who gives up waiting, at any instant, is not given the lock."""

    async def visit() -> None:
        async with make().lock():
            pass

    for steps in range(12):
        async with make().lock():
            waiters = [asyncio.create_task(visit()) for _ in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for waiter in waiters:
                waiter.cancel()
            if steps % 2:
                await asyncio.wait(waiters)
        await asyncio.wait(waiters)
        await _lock_is_free(make)


async def check_reading_needs_no_lock(make: MakeStore) -> None:
    """`load` does not wait for who holds the lock."""
    async with make().lock():
        async with asyncio.timeout(_SECONDS):
            await make().load()


async def check_lease(make: MakeStore) -> None:
    """A lease, where `lock` yields one, is valid while held and saves as the store does."""
    store = make()
    async with store.lock() as lease:
        if isinstance(lease, Lease):
            await lease.load()
            await lease.prepare_save()
            await lease.confirm()
            _same(lease.expired(), False)
            _same(await lease.save(TOKENS[0]), TOKENS[0])
            _same(await lease.load(), TOKENS[0])


CHECKS: Final[tuple[Callable[[MakeStore], Awaitable[None]], ...]] = (
    check_empty_store_holds_nothing,
    check_load_returns_what_was_saved_last,
    check_proof_changes_nothing,
    check_lock_has_one_holder,
    check_lock_is_released,
    check_cancelled_waiters_do_not_keep_the_lock,
    check_reading_needs_no_lock,
    check_lease,
)


async def _prepare(store: TokenStore) -> None:
    if (prepare := getattr(store, "prepare_save", None)) is not None:
        await prepare()


async def _lock_is_free(make: MakeStore) -> None:
    async with asyncio.timeout(_SECONDS), make().lock():
        pass


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"The store gave {found!r} instead of {wanted!r}.")
