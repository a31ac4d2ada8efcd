"""One limit for many processes, on a real Redis server."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from support.redis_server import RedisServer, running
from support.tcp_proxy import TcpProxy

from cc_async.errors import (
    ClientClosedError,
    InvalidRequestError,
    QuotaExceededError,
    RateLimiterError,
    TokenStoreError,
)
from cc_async.limits.protocol import Turn
from cc_async.oauth.token import Token

aioredis = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
RedisRateLimiter = pytest.importorskip("cc_async.redis").RedisRateLimiter
RedisTokenStore = pytest.importorskip("cc_async.redis").RedisTokenStore
LEAD = pytest.importorskip("cc_async.redis.script").LEAD
SCRIPT = pytest.importorskip("cc_async.redis.script").SCRIPT
SharedState = pytest.importorskip("cc_async.redis.state").SharedState

PER, MARGIN = 0.2, 0.04
WINDOW = PER + MARGIN
STEP = WINDOW / 4
"""Seconds between two permits."""
SHIFT = """
local s = cmsgpack.unpack(redis.call('GET', KEYS[1]))
for i, at in ipairs(s.slots) do s.slots[i] = at + ARGV[1] end
s.pause = s.pause + ARGV[1]
redis.call('SET', KEYS[1], cmsgpack.pack(s))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis") / "data")


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Any]:
    async with aioredis.from_url(server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that a test may kill."""
    yield from running(tmp_path_factory.mktemp("redis") / "data", persistent=True)


@asynccontextmanager
async def limiters(number: int, url: str, **options: Any) -> AsyncIterator[list[Any]]:
    """As many as there were processes, each with connections of its own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            client = await stack.enter_async_context(aioredis.from_url(url))
            limiter = RedisRateLimiter(client, "limit", **{"per": PER, "margin": MARGIN, "daily": None} | options)
            made.append(await stack.enter_async_context(limiter))
        yield made


class Sent:
    """Remembers who was permitted to send, and when."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.names: list[str] = []

    async def send(self, limiter: Any, name: str = "", *, stream: bool = False) -> float:
        began = time.monotonic()
        await limiter.acquire(Turn(stream=stream))
        self.times.append(time.monotonic())
        self.names.append(name)
        return self.times[-1] - began

    async def send_many(self, limiter: Any, number: int, name: str = "", *, stream: bool = False) -> None:
        await asyncio.gather(*(self.send(limiter, name, stream=stream) for _ in range(number)))

    def assert_within_the_limit(self, rate: int = 4, per: float = PER) -> None:
        times = sorted(self.times)
        assert all(later - sooner >= per for sooner, later in zip(times, times[rate:], strict=False))


def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are sent from now on."""
    sent: list[str] = []
    run = SharedState.run

    async def counting(self: Any, op: str, *args: Any, **options: Any) -> Any:
        sent.append(op)
        return await run(self, op, *args, **options)

    monkeypatch.setattr(SharedState, "run", counting)
    return sent


async def test_several_processes_together_keep_to_the_limit_and_share_it_equally(
    server: RedisServer, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del redis
    sent, used = Sent(), commands(monkeypatch)
    async with limiters(4, server.url) as made:
        streams = [
            asyncio.create_task(sent.send_many(one, 100, str(number), stream=True)) for number, one in enumerate(made)
        ]
        await asyncio.sleep(12 * WINDOW)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()
    # How near it comes to the ceiling depends on the machine: `benchmarks.redis_limiter` measures it.
    assert len(sent.times) >= 4 * 11 / 2  # of 12 windows the first one counts as used
    assert len(used) <= 2 * len(sent.times)
    shares = [sent.names.count(str(number)) for number in range(4)]
    assert max(shares) - min(shares) <= 3


async def test_calls_of_one_process_go_before_the_streams_of_others(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(3, server.url) as (first, second, third):
        streams = [asyncio.create_task(sent.send_many(one, 30, stream=True)) for one in (first, second)]
        await asyncio.sleep(2 * WINDOW)
        waits = [await sent.send(third) for _ in range(6)]
        assert sorted(waits)[3] <= 3 * STEP
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()


async def test_a_stream_gets_every_fourth_permit_beside_the_calls_of_others(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(2, server.url) as (first, second):
        calls = asyncio.create_task(sent.send_many(first, 36, "call"))
        await sent.send_many(second, 6, "stream", stream=True)
        await calls
    assert sent.names[-6:].count("stream") <= 3
    sent.assert_within_the_limit()


async def test_one_waiter_of_a_process_is_not_starved_by_a_thousand_of_another(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as (first, second):
        crowd = asyncio.create_task(Sent().send_many(first, 1_000))
        await asyncio.sleep(2 * WINDOW)
        waits = [await Sent().send(second) for _ in range(4)]
        crowd.cancel()
        await asyncio.gather(crowd, return_exceptions=True)
    assert max(waits) <= 2 * WINDOW


async def test_who_waits_in_a_process_is_served_in_the_order_of_arrival(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(1, server.url) as (limiter,):
        await asyncio.gather(*(sent.send(limiter, str(number)) for number in range(12)))
    assert sent.names == [str(number) for number in range(12)]


async def test_the_permit_of_a_cancelled_waiter_goes_to_the_next_or_back(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url, daily=100) as (first, second):
        await first.acquire(Turn())
        for steps in range(10):
            tasks = [asyncio.create_task(first.acquire(Turn(stream=number % 2 == 0))) for number in range(4)]
            await asyncio.sleep(0.002 * steps)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        used = sum(not task.cancelled() for task in tasks)
        await asyncio.sleep(2 * WINDOW)
        began = time.monotonic()
        await second.acquire(Turn())
        assert time.monotonic() - began < PER
        assert 100 - 2 - used - 40 <= second.remaining_today <= 98


async def test_a_process_that_dies_costs_the_others_one_permit(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(2, server.url) as (dead, alive):
        streams = [asyncio.create_task(sent.send_many(one, 60, stream=True)) for one in (dead, alive)]
        await asyncio.sleep(3 * WINDOW)
        dead._lines["s"].task.cancel()  # what a process does that is gone: it asks no more
        before = len(sent.times)
        await asyncio.sleep(5 * WINDOW)
        assert len(sent.times) - before >= 5 * 4 * 0.96 - 3
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    sent.assert_within_the_limit()


async def test_a_pause_and_an_exhausted_quota_are_known_to_all(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as (first, second):
        await asyncio.gather(first.acquire(Turn()), second.acquire(Turn()))
        await first.throttled(3 * WINDOW)
        assert await Sent().send(second) >= 3 * WINDOW - MARGIN
        await first.quota_exceeded()
        for limiter in (second, first):
            with pytest.raises(QuotaExceededError) as caught:
                await limiter.acquire(Turn())
            assert caught.value.resets_at is not None
            assert limiter.remaining_today == 0
            assert limiter.resets_at == caught.value.resets_at


async def test_simultaneous_refusals_are_one_pause_and_later_ones_a_longer_one(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as made:
        await asyncio.gather(*(one.acquire(Turn()) for one in made))
        await asyncio.gather(*(one.throttled() for one in made))
        assert PER <= await Sent().send(made[0]) <= WINDOW * 2
        await made[0].throttled()
        assert await Sent().send(made[1]) >= PER * 2


async def test_the_day_is_counted_once(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url, daily=10) as made:
        assert made[0].remaining_today is None
        outcomes = await asyncio.gather(
            *(made[number % 2].acquire(Turn()) for number in range(14)), return_exceptions=True
        )
        assert outcomes.count(None) == 10
        assert sum(isinstance(outcome, QuotaExceededError) for outcome in outcomes) == 4
        assert [one.remaining_today for one in made] == [0, 0]
        midnight = made[0].resets_at
        assert 0 < (midnight - datetime.now(UTC)).total_seconds() <= 86_400
        assert (midnight.hour, midnight.minute, midnight.second) == (0, 0, 0)


class TestRedis:
    async def test_away_is_waited_for_and_then_named(self, own: RedisServer) -> None:
        async with limiters(1, own.url, patience=0.5) as (limiter,):
            await limiter.acquire(Turn())
            own.kill()
            began = time.monotonic()
            waits = await asyncio.gather(*(limiter.acquire(Turn()) for _ in range(3)), return_exceptions=True)
            assert 0.5 <= time.monotonic() - began <= 3
            for error in waits:
                assert isinstance(error, RateLimiterError)
                assert "nothing was sent" in str(error)
                assert not error.maybe_applied
            waiting = asyncio.create_task(limiter.acquire(Turn()))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own.start)
            await waiting

    async def test_that_never_answers_is_given_up_in_time(self, own: RedisServer) -> None:
        async with limiters(1, own.url, patience=0.4) as (limiter,):
            await limiter.acquire(Turn())
            own.pause()
            began = time.monotonic()
            with pytest.raises(RateLimiterError, match="TimeoutError"):
                await limiter.acquire(Turn())
            assert time.monotonic() - began <= 2
            own.resume()
            await limiter.acquire(Turn())

    async def test_that_lost_its_data_counts_what_may_have_been_sent(self, own: RedisServer) -> None:
        sent = Sent()
        async with limiters(3, own.url, daily=1_000) as made:
            sending = [asyncio.create_task(sent.send_many(one, 20)) for one in made]
            for _ in range(3):
                await asyncio.sleep(1.5 * WINDOW)
                await asyncio.to_thread(own.restart, keep_data=False)
            await asyncio.gather(*sending)
            assert 1_000 - 60 - 3 * 4 * 12 <= min(one.remaining_today for one in made) <= 1_000 - 60
        sent.assert_within_the_limit()

    async def test_that_restarts_with_its_data_goes_on(self, own: RedisServer) -> None:
        sent = Sent()
        async with limiters(2, own.url, daily=1_000) as made:
            sending = [asyncio.create_task(sent.send_many(one, 15)) for one in made]
            await asyncio.sleep(1.5 * WINDOW)
            await asyncio.to_thread(own.restart)
            await asyncio.gather(*sending)
            # What the others may have sent that was not saved counts, too.
            assert 1_000 - 34 - 6 * 4 <= min(one.remaining_today for one in made) <= 1_000 - 30
        sent.assert_within_the_limit()

    async def test_that_restarts_with_older_data_counts_what_was_sent_since(self, own: RedisServer) -> None:
        sent = Sent()
        async with limiters(2, own.url, daily=1_000, per=1.0) as (first, second):
            await first.acquire(Turn())
            await asyncio.to_thread(own.back_up)
            await asyncio.sleep(1.04)
            await sent.send_many(second, 4)
            await asyncio.to_thread(own.restart_from_backup)
            await sent.send_many(first, 5)
            await sent.send(second)
            assert second.remaining_today <= 1_000 - 11
        sent.assert_within_the_limit(per=1.0)

    async def test_that_lost_its_data_learns_the_count_from_each_process(self, own: RedisServer) -> None:
        async with limiters(2, own.url, daily=1_000) as (first, second):
            await first.acquire(Turn())
            await Sent().send_many(second, 9)
            await asyncio.to_thread(own.restart, keep_data=False)
            await Sent().send_many(first, 20)
            await second.acquire(Turn())
            assert 1_000 - 31 - 12 * 4 <= second.remaining_today <= 1_000 - 31

    @pytest.mark.parametrize("told", [True, False])
    async def test_that_lost_its_data_or_was_away_learns_that_the_quota_is_exhausted(
        self, own: RedisServer, told: bool
    ) -> None:
        async with limiters(2, own.url, timeout=0.5) as (first, second):
            await first.acquire(Turn())
            if told:
                await first.quota_exceeded()
                await asyncio.to_thread(own.restart, keep_data=False)
            else:
                own.kill()
                await first.quota_exceeded()
                await asyncio.to_thread(own.start)
            for limiter in (first, second):
                with pytest.raises(QuotaExceededError):
                    await limiter.acquire(Turn())

    @pytest.mark.parametrize(
        ("spoil", "mend", "reason"),
        [
            ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "ReadOnlyError"),
            ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OutOfMemoryError"),
            ("HSET limit a b", "DEL limit", "WRONGTYPE"),
            ("SET limit no", "DEL limit", "ResponseError"),
        ],
    )
    async def test_that_cannot_keep_the_count_permits_nothing_and_recovers(
        self, own: RedisServer, spoil: str, mend: str, reason: str
    ) -> None:
        async with limiters(1, own.url, patience=0.3) as (limiter,), aioredis.from_url(own.url) as admin:
            await admin.execute_command(*spoil.split())
            with pytest.raises(RateLimiterError, match=reason):
                await limiter.acquire(Turn())
            await admin.execute_command(*mend.split())
            await limiter.acquire(Turn())

    async def test_whose_scripts_are_flushed_makes_no_difference(self, server: RedisServer, redis: Any) -> None:
        async with limiters(1, server.url) as (limiter,):
            await limiter.acquire(Turn())
            await redis.script_flush()
            await limiter.acquire(Turn())

    @pytest.mark.parametrize("seconds", [-3_600, 3_600])
    async def test_whose_clock_is_set_delays_nothing_for_long(
        self, server: RedisServer, redis: Any, seconds: int
    ) -> None:
        async with limiters(1, server.url) as (limiter,):
            await limiter.acquire(Turn())
            await redis.eval(SHIFT, 1, "limit", seconds * 1_000_000)  # as if the clock had been set the other way
            assert await Sent().send(limiter) <= 3 * WINDOW


@pytest.mark.parametrize("latency", [0.0025, 0.025])
async def test_latency_to_redis_never_costs_the_limit_nor_every_other_permit(
    server: RedisServer, redis: Any, latency: float
) -> None:
    del redis
    sent = Sent()
    async with TcpProxy(server.port, latency=latency) as proxy, limiters(3, proxy.url, per=1.0, margin=0.04) as made:
        streams = [asyncio.create_task(sent.send_many(one, 99, stream=True)) for one in made]
        await asyncio.sleep(5)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    times = sorted(sent.times)[2:]  # until the state exists, a whole window counts as used
    assert all(later - sooner >= 1.0 for sooner, later in zip(times, times[4:], strict=False))
    assert (len(times) - 1) / (times[-1] - times[0]) >= 4 / 2  # `benchmarks.redis_limiter` measures how much more


async def test_connections_that_break_cost_permits_but_never_the_limit(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with TcpProxy(server.port, latency=0.002) as proxy, limiters(2, proxy.url) as made:
        sending = [asyncio.create_task(sent.send_many(one, 12)) for one in made]
        for _ in range(6):
            await asyncio.sleep(PER / 2)
            proxy.cut()
        await asyncio.gather(*sending)
    assert len(sent.times) == 24
    sent.assert_within_the_limit()


async def test_a_permit_that_comes_late_because_the_loop_stalled_is_exchanged(server: RedisServer, redis: Any) -> None:
    del redis
    sent = Sent()
    async with limiters(2, server.url) as (first, second):
        await second.acquire(Turn())
        stalled = asyncio.create_task(sent.send_many(first, 8))
        for _ in range(4):
            await asyncio.sleep(PER / 3)
            time.sleep(PER / 2)  # noqa: ASYNC251  # the stall
        await asyncio.gather(stalled, sent.send_many(second, 8))
    sent.assert_within_the_limit()


async def test_closing_ends_the_wait_and_frees_the_place(server: RedisServer, redis: Any) -> None:
    del redis
    async with limiters(2, server.url) as (first, second):
        tasks = [asyncio.create_task(first.acquire(Turn(stream=number % 2 == 0))) for number in range(12)]
        await asyncio.sleep(1.5 * WINDOW)
        await first.aclose()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(outcome, ClientClosedError) for outcome in outcomes)
        assert await Sent().send(second) <= 1.5 * WINDOW
        with pytest.raises(ClientClosedError):
            await first.acquire(Turn())


class Delayed:
    """A client whose first response is late: the server's clock was read long before."""

    def __init__(self, client: Any, seconds: float) -> None:
        self.client, self.seconds = client, seconds

    async def execute_command(self, *command: Any) -> Any:
        response = await self.client.execute_command(*command)
        await asyncio.sleep(self.seconds)
        self.seconds = 0
        return response


async def test_a_late_response_does_not_shift_permits(server: RedisServer, redis: Any) -> None:
    sent = Sent()
    async with (
        limiters(1, server.url, per=1.0) as (other,),
        RedisRateLimiter(Delayed(redis, 0.12), "limit", margin=MARGIN, daily=None) as delayed,
    ):
        await other.acquire(Turn())
        await asyncio.sleep(1.1)
        await sent.send_many(other, 4)
        await asyncio.sleep(sent.times[0] + 1.0 + MARGIN - 0.05 - time.monotonic())
        first = asyncio.create_task(sent.send(delayed))
        await asyncio.sleep(0.05)
        await sent.send_many(other, 8)
        await first
    sent.assert_within_the_limit(per=1.0)


async def test_requests_at_midnight_are_counted_in_the_new_day(
    server: RedisServer, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, fraction = await redis.time()
    # The first permits come after one window, and are given shortly before midnight for the time just after it.
    ahead = round((86_400 - seconds % 86_400 - LEAD * 2 - WINDOW + 0.01) * 1e6) - fraction
    shifted = f"(function() local t = redis.call('TIME') return {{t[1], t[2] + {ahead}}} end)()"
    monkeypatch.setattr("cc_async.redis.state.SCRIPT", SCRIPT.replace("redis.call('TIME')", shifted))
    async with limiters(2, server.url, daily=1_000) as (first, second):
        today = first.resets_at
        await Sent().send_many(first, 4)
        await asyncio.sleep(WINDOW)
        await second.acquire(Turn())
        assert second.resets_at > today
        assert 1_000 - 5 - 4 <= second.remaining_today <= 1_000 - 5


async def test_a_cancelled_report_of_a_refusal_still_pauses_all(server: RedisServer, redis: Any) -> None:
    del redis
    async with (
        TcpProxy(server.port, latency=0.02) as proxy,
        limiters(1, proxy.url) as (first,),
        limiters(1, server.url) as (second,),
    ):
        await asyncio.gather(first.acquire(Turn()), second.acquire(Turn()))
        report = asyncio.create_task(first.throttled(4 * WINDOW))
        await asyncio.sleep(0)
        report.cancel()
        await asyncio.wait({report})
        assert report.cancelled()
        await asyncio.sleep(0.1)
        assert await Sent().send(second) >= 3 * WINDOW


async def test_a_cluster_is_waited_for_as_a_server_is(tmp_path: Path) -> None:
    for own in running(tmp_path / "data", persistent=True, options=("--cluster-enabled", "yes"), highest_port=55_535):
        async with aioredis.from_url(own.url) as node:
            await node.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            while b"cluster_state:ok" not in await node.execute_command("CLUSTER", "INFO"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with (
            aioredis.RedisCluster.from_url(own.url) as cluster,
            RedisRateLimiter(cluster, "limit", per=PER, patience=0.5) as limiter,
        ):
            store = RedisTokenStore(cluster, "token")
            await asyncio.gather(limiter.acquire(Turn()), store.save(Token("a0", "r0")))
            own.kill()
            with pytest.raises(RateLimiterError, match="Cluster"):
                await limiter.acquire(Turn())
            with pytest.raises(TokenStoreError, match="Cluster"):
                await RedisTokenStore(cluster, "token", timeout=0.2).load()
            loading = asyncio.create_task(store.load())
            await asyncio.to_thread(own.start)
            assert await loading == Token("a0", "r0")
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(RateLimiterError):  # until the node calls itself ready
                        await limiter.acquire(Turn())
                        break


class TestEventLoops:
    def test_may_follow_each_other(self, server: RedisServer) -> None:
        client = aioredis.from_url(server.url)
        limiter = RedisRateLimiter(client, "loops", per=PER, daily=1_000)

        async def use() -> None:
            async with client:
                waiting = [asyncio.create_task(limiter.acquire(Turn())) for _ in range(20)]
                await asyncio.wait_for(waiting[0], 10)
                for one in waiting:
                    one.cancel()
                await asyncio.wait(waiting)
                await asyncio.sleep(0.1)  # until it has given up its place

        for _ in range(3):
            asyncio.run(use())
        assert limiter.remaining_today is not None
        assert limiter.remaining_today <= 1_000 - 3

    def test_may_not_use_it_at_once(self, server: RedisServer) -> None:
        client = aioredis.from_url(server.url)
        limiter = RedisRateLimiter(client, "loops", per=PER)

        async def use() -> None:
            async with client, limiter:
                await limiter.acquire(Turn())
                with pytest.raises(InvalidRequestError, match="one event loop"):
                    await asyncio.to_thread(asyncio.run, limiter.acquire(Turn()))

        asyncio.run(use())


async def test_a_forked_process_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncMock()
    client.execute_command.side_effect = OSError
    state = SharedState(client, "limit", rate=4, per=PER, margin=MARGIN, daily=None, timeout=1)
    for pid in (1, 2):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        with pytest.raises(OSError):
            await state.run("ask", "c")
    (first, _), (second, _) = client.execute_command.call_args_list
    assert [one == other for one, other in zip(first, second, strict=True)][:7] == [True] * 5 + [False, True]


PROGRAM = """
import asyncio, sys, time
wrong = time.time
time.time = lambda: wrong() + float(sys.argv[3])
import redis.asyncio
from cc_async.limits.protocol import Turn
from cc_async.redis import RedisRateLimiter

async def main():
    url, stream, file = sys.argv[1], sys.argv[2] == "stream", open(sys.argv[4], "ab", 0)
    async with redis.asyncio.from_url(url) as client, RedisRateLimiter(client, "limit", per=0.5, margin=0.1) as limiter:
        async def send():
            while True:
                await limiter.acquire(Turn(stream=stream))
                file.write(b"%.6f " % time.monotonic())
        await asyncio.gather(*(send() for _ in range(3)))

asyncio.run(main())
"""


async def test_killed_processes_and_servers_and_wrong_clocks_never_exceed_the_limit(
    own: RedisServer, tmp_path: Path
) -> None:
    file, chance = tmp_path / "sent", random.Random(7)
    file.touch()

    def start(number: int) -> subprocess.Popen[bytes]:
        kind, shift = ("stream", "call")[number % 4 == 0], (-300, 0, 300)[number % 3]
        return subprocess.Popen([sys.executable, "-c", PROGRAM, own.url, kind, str(shift), str(file)])  # noqa: S603  # our own

    processes = [start(number) for number in range(4)]
    try:
        async with asyncio.timeout(20):
            while not file.read_bytes():  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.05)
        for number in range(4, 10):
            await asyncio.sleep(chance.uniform(0.3, 1.2))
            killed = chance.randrange(4)
            processes[killed].kill()
            processes[killed].wait()
            processes[killed] = start(number)
            if number % 3 == 1:
                await asyncio.to_thread(own.back_up)
            elif number % 3 == 2:
                await asyncio.to_thread(own.restart, keep_data=number % 2 == 0)
            else:
                await asyncio.to_thread(own.restart_from_backup)
        await asyncio.sleep(3)
        sent = Sent()
        sent.times = [float(line) for line in file.read_text().split()]
        async with aioredis.from_url(own.url) as client:
            used = await client.eval("return cmsgpack.unpack(redis.call('GET', KEYS[1])).used", 1, "limit")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    sent.assert_within_the_limit(per=0.5)
    assert len(sent.times) >= 20
    assert used >= len(sent.times)


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"daily": 0}, {"per": 0.0}, {"patience": 0.0}, {"margin": -1.0}])
async def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        RedisRateLimiter(None, "limit", **wrong)
