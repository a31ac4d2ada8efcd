"""The shared limit while Redis is away, slow, emptied, full or set to another time."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from support.redis_server import RedisServer, running
from support.shared_limiters import MARGIN, PER, WINDOW, RedisRateLimiter, Sent, aioredis, limiters
from support.tcp_proxy import TcpProxy

from cc_async.errors import ClientClosedError, QuotaExceededError, RateLimiterError, TokenStoreError
from cc_async.limits.protocol import Turn
from cc_async.oauth.token import Token

RedisTokenStore = pytest.importorskip("cc_async.redis").RedisTokenStore
LEAD = pytest.importorskip("cc_async.redis.script").LEAD
SCRIPT = pytest.importorskip("cc_async.redis.script").SCRIPT
SHIFT = """
local s = cmsgpack.unpack(redis.call('GET', KEYS[1]))
for i, at in ipairs(s.slots) do s.slots[i] = at + ARGV[1] end
s.pause = s.pause + ARGV[1]
redis.call('SET', KEYS[1], cmsgpack.pack(s))
"""


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
