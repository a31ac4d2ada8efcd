"""Share tokens between machines through Redis or Valkey; needs the extra `redis`."""

from cc_async.redis.store import RedisTokenStore

__all__ = ["RedisTokenStore"]
