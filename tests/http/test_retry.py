"""When a failed request is sent again: the policy as a pure value."""

import math
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from cc_async import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConflictError,
    ConstantContactError,
    DecodeError,
    Idempotency,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TokenRefreshError,
    TransportError,
)
from cc_async.codec.decode import Decoded
from cc_async.errors import ErrorDetail
from cc_async.http.call import Call
from cc_async.http.retry import is_write

THROTTLED = (ErrorDetail("throttled", "Too Many Requests"),)
BULK = (ErrorDetail("activities.api.limit_exceeded", "More than 1000 bulk activities are queued."),)
TOMORROW = datetime(2030, 1, 2, tzinfo=UTC)

# failure                                              reads, PUT, DELETE | sign-up | POST, resubscribe
DECISIONS: list[tuple[ConstantContactError, bool, bool, bool]] = [
    (RateLimitError("", status=429, errors=THROTTLED), True, True, True),
    (RateLimitError("", status=429), True, True, True),
    (RateLimitError("", status=429, errors=BULK, retry_after=2.0), True, True, True),
    (RateLimitError("", status=429, errors=BULK), False, False, False),
    (QuotaExceededError("", resets_at=TOMORROW), False, False, False),
    (QuotaExceededError("", resets_at=TOMORROW, retry_after=1.0), False, False, False),
    (TransportError(""), True, True, True),
    (RequestTimeoutError(""), True, True, True),
    (TransportError("", permanent=True), False, False, False),
    (TransportError("", maybe_applied=True), True, False, False),
    (RequestTimeoutError("", maybe_applied=True), True, False, False),
    (ServerError("", status=500, maybe_applied=True), True, False, False),
    (ServerError("", status=503, maybe_applied=True), True, False, False),
    (ApiError("", status=408, maybe_applied=True), True, False, False),
    (DecodeError("", malformed=True), True, False, False),
    (DecodeError("", malformed=False), False, False, False),
    (ApiError("", status=302, maybe_applied=True), False, False, False),
    (BadRequestError("", status=400), False, False, False),
    (AuthenticationError("", status=401), False, False, False),
    (PermissionDeniedError("", status=403), False, False, False),
    (NotFoundError("", status=404), False, False, False),
    (ConflictError("", status=409), False, False, False),
    (TokenRefreshError(""), False, False, False),
    (ClientClosedError(""), False, False, False),
    (InvalidRequestError(""), False, False, False),
]


@pytest.mark.parametrize(("failure", "safe", "on_request", "never"), DECISIONS, ids=lambda value: type(value).__name__)
def test_what_is_repeated_depends_on_the_failure_and_on_the_request(
    failure: ConstantContactError, safe: bool, on_request: bool, never: bool
) -> None:
    def repeats(idempotency: Idempotency, *, asked: bool = False) -> bool:
        return (
            RetryPolicy(retry_create_or_update=asked).pause(failure, idempotency=idempotency, attempt=1, elapsed=0.0)
            is not None
        )

    assert repeats(Idempotency.SAFE) is repeats(Idempotency.SAFE, asked=True) is safe
    assert repeats(Idempotency.OPT_IN) is on_request
    assert repeats(Idempotency.OPT_IN, asked=True) is safe
    assert repeats(Idempotency.UNSAFE) is repeats(Idempotency.UNSAFE, asked=True) is never


def test_only_reads_may_be_repeated_unless_an_operation_says_otherwise() -> None:
    safe = {
        method: Call(operation="anything", method=method, path="/anything", parse=lambda _: Decoded(None)).idempotency
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
    }
    reads = {"GET", "HEAD", "OPTIONS"}
    assert {method for method, found in safe.items() if found is Idempotency.SAFE} == reads
    assert {safe[method] for method in safe.keys() - reads} == {Idempotency.UNSAFE}


def test_the_old_name_of_an_option_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="retry_create_or_update"):
        assert RetryPolicy(repeat_sign_up=True).retry_create_or_update


def test_everything_but_reading_is_a_write() -> None:
    writes = {"GET": False, "HEAD": False, "OPTIONS": False, "POST": True, "PUT": True, "DELETE": True, "PATCH": True}
    assert {method: is_write(method) for method in writes} == writes


DOWN = ServerError("", status=503)


def pause(policy: RetryPolicy, failure: ConstantContactError = DOWN, **details: Any) -> float | None:
    usual: dict[str, Any] = {"idempotency": Idempotency.SAFE, "attempt": 1, "elapsed": 0.0, "chance": lambda: 1.0}
    return policy.pause(failure, **(usual | details))


def test_the_pause_doubles_up_to_the_longest() -> None:
    policy = RetryPolicy(attempts=99, first_pause=0.5, longest_pause=3.0)
    assert [pause(policy, attempt=attempt) for attempt in (1, 2, 3, 4, 5, 98)] == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_policy_of_many_attempts_outlives_the_range_of_a_float() -> None:
    assert pause(RetryPolicy(attempts=10_000, longest_pause=3.0), attempt=9_998) == 3.0


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 1.0])
def test_the_jitter_is_full(chance: float) -> None:
    assert pause(RetryPolicy(first_pause=4.0), attempt=2, chance=lambda: chance) == 8.0 * chance


def test_the_jitter_is_random_by_default() -> None:
    policy = RetryPolicy(first_pause=1.0)
    found = [policy.pause(DOWN, idempotency=Idempotency.SAFE, attempt=1, elapsed=0.0) for _ in range(200)]
    assert all(value is not None and 0.0 <= value < 1.0 for value in found)
    assert min(filter(None, found)) < 0.2
    assert max(filter(None, found)) > 0.8


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(attempts=3)
    assert [pause(policy, attempt=attempt) is not None for attempt in (1, 2, 3, 4)] == [True, True, False, False]


def test_one_attempt_means_no_retry() -> None:
    assert pause(RetryPolicy(attempts=1)) is None


def test_no_attempt_begins_once_the_time_is_over() -> None:
    policy = RetryPolicy(total_time=10.0, first_pause=2.0)
    assert pause(policy, elapsed=8.0) == 2.0
    assert pause(policy, elapsed=8.001) is None


def test_a_throttled_request_waits_at_the_limiter_rather_than_here() -> None:
    assert pause(RetryPolicy(), RateLimitError("", status=429, errors=THROTTLED)) == 0.0


def test_the_servers_wish_comes_before_the_jitter_and_is_capped() -> None:
    policy = RetryPolicy(first_pause=2.0, longest_retry_after=30.0, total_time=1_000.0)
    assert pause(policy, retry_after=7.0, chance=lambda: 0.0) == 7.0
    assert pause(policy, retry_after=7.0, chance=lambda: 1.0) == 9.0
    assert pause(policy, retry_after=math.inf, chance=lambda: 0.5) == 31.0


def test_a_wish_beyond_the_time_that_is_left_ends_the_call() -> None:
    assert pause(RetryPolicy(total_time=20.0), retry_after=21.0) is None


@pytest.mark.parametrize("name", ["attempts", "total_time", "first_pause", "longest_pause", "longest_retry_after"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_numbers_that_make_no_sense_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidRequestError, match=f"RetryPolicy.{name}"):
        RetryPolicy(**{name: value})  # type: ignore[arg-type]  # retry_create_or_update is not among the names


def test_a_policy_is_a_value() -> None:
    assert RetryPolicy() == RetryPolicy()
    assert hash(RetryPolicy()) == hash(RetryPolicy())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RetryPolicy().attempts = 9  # type: ignore[misc]  # that is the point


positive = st.floats(min_value=1e-9, max_value=1e9)
policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 5_000),
    total_time=positive,
    first_pause=positive,
    longest_pause=positive,
    longest_retry_after=positive,
    retry_create_or_update=st.booleans(),
)
wishes = st.none() | st.floats(min_value=0.0)


@given(
    policy=policies,
    row=st.sampled_from(DECISIONS),
    idempotency=st.sampled_from(Idempotency),
    attempt=st.integers(1, 6_000),
    elapsed=st.floats(0.0, 1e10),
    wish=wishes,
    chance=st.floats(0.0, 1.0),
)
def test_no_pause_is_negative_or_beyond_its_bounds_or_for_what_must_not_be_repeated(
    *,
    policy: RetryPolicy,
    row: tuple[ConstantContactError, bool, bool, bool],
    idempotency: Idempotency,
    attempt: int,
    elapsed: float,
    wish: float | None,
    chance: float,
) -> None:
    failure, safe, on_request, never = row
    found = policy.pause(
        failure, idempotency=idempotency, attempt=attempt, elapsed=elapsed, retry_after=wish, chance=lambda: chance
    )
    if found is None:
        return
    assert 0.0 <= found <= policy.longest_pause + min(wish or 0.0, policy.longest_retry_after)
    assert found >= min(wish or 0.0, policy.longest_retry_after)
    assert attempt < policy.attempts
    assert elapsed + found <= policy.total_time
    asked = safe if policy.retry_create_or_update else on_request
    assert {Idempotency.SAFE: safe, Idempotency.OPT_IN: asked, Idempotency.UNSAFE: never}[idempotency]
