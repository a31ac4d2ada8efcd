"""Share tokens and the rate limit between machines through Redis or Valkey; needs the extra `redis`."""

try:
    from cc_async.redis.limiter import RedisRateLimiter
    from cc_async.redis.store import RedisTokenStore
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "redis":
        raise
    raise ImportError("cc_async.redis needs the extra `redis`: pip install 'cc-async[redis]'.", name="redis") from error

__all__ = ["RedisRateLimiter", "RedisTokenStore"]
