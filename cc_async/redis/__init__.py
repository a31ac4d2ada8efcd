"""Share tokens and the rate limit between machines through Redis or Valkey; needs the extra `redis`."""

from cc_async.redis.limiter import RedisRateLimiter
from cc_async.redis.store import RedisTokenStore

__all__ = ["RedisRateLimiter", "RedisTokenStore"]
