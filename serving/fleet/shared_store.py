"""What the hosts of a fleet share while they serve: one Redis or Valkey. The only file that knows its client.

    croupier:APP:life                          which life of the store this is: another where its data were lost
    croupier:APP:rewards                       stream: rewards whose decision the host that received them has not
    croupier:APP:head:RELEASE:DIGEST:ROLE      hash: spool id → what that host's head has learnt (contribution.py)
    …:versions                                 hash: spool id → the version of what stands there

Nothing here is the only copy: rewards are in the logs, and what a head has learnt is a fold over its host's log. So the
store may lose everything, and needs neither a disk nor a replica. A host without it serves on, with what it has.

    SharedStoreUnavailable(RuntimeError)      no answer in time, or an error for one
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from croupier.features.utc import DAY

SECONDS = 2.0  # an answer is waited for; no call of a user's waits meanwhile
KEPT_REWARDS = 1_000_000  # of the stream, about: 200 MB
KEPT_SECONDS = 40 * DAY // 10**6  # of a head that no host writes any more
FIRST = "0-0"  # the mark before every reward


class SharedStoreUnavailable(RuntimeError):
    """The shared store does not answer, or not as it should."""


class SharedStore:
    """One app's part of it. Every call may raise SharedStoreUnavailable; the next one connects anew."""

    def __init__(self, url: str, app: str) -> None:
        """Connects at the first call. Raises ValueError where the URL is none, or the client is not installed."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ValueError(
                "CROUPIER_REDIS is set, and the package redis is not installed: pip install 'croupier[fleet]'"
            ) from None
        self._failure: type[Exception] = redis.exceptions.RedisError
        try:
            how = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS, "retry": Retry(NoBackoff(), 0)}
            self._redis: Any = redis.Redis.from_url(url, protocol=2, **how)  # 3 has other types of answers
        except ValueError as error:
            raise ValueError(f"CROUPIER_REDIS: {error}; expected redis://HOST:6379/0, or rediss:// for TLS") from None
        self._name = f"croupier:{app}"
        self._stream = f"{self._name}:rewards"

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (self._failure, OSError) as error:
            raise SharedStoreUnavailable(f"CROUPIER_REDIS: {type(error).__name__}: {error}") from error

    def life(self) -> str:
        """The name of this life of the store: another one after its data were lost."""
        with self._asking():
            key = f"{self._name}:life"
            self._redis.set(key, uuid.uuid4().hex, nx=True)
            return str((self._redis.get(key) or b"").decode())

    def push(self, rewards: Iterable[bytes]) -> str:
        """Appends rewards to the stream; returns the mark of the last."""
        with self._asking():
            pipe = self._redis.pipeline(transaction=False)
            for each in rewards:
                pipe.xadd(self._stream, {"reward": each}, maxlen=KEPT_REWARDS, approximate=True)
            return str(pipe.execute()[-1].decode())

    def after(self, mark: str, limit: int) -> list[tuple[str, bytes]]:
        """Returns the next (mark, reward) behind a mark, at most `limit`."""
        with self._asking():
            found = self._redis.xread({self._stream: mark}, count=limit)
            return [(at.decode(), fields.get(b"reward", b"")) for at, fields in found[0][1]] if found else []

    def lost(self, mark: str) -> bool:
        """True if the reward of this mark is gone although older ones would be too: an older copy was restored."""
        with self._asking():
            if self._redis.xrange(self._stream, mark, mark):
                return False
            first = self._redis.xrange(self._stream, count=1)
            return not first or _order(first[0][0].decode()) <= _order(mark)

    def versions(self, head: str) -> dict[str, str]:
        """Returns spool id → version of what stands there for a head."""
        with self._asking():
            found = self._redis.hgetall(f"{self._name}:head:{head}:versions")
            return {spool.decode(): version.decode() for spool, version in found.items()}

    def learnt(self, head: str, spools: Sequence[str]) -> dict[str, bytes]:
        """Returns spool id → what that host's head has learnt; those that are not there are left out."""
        with self._asking():
            found = self._redis.hmget(f"{self._name}:head:{head}", spools) if spools else []
            return {spool: raw for spool, raw in zip(spools, found, strict=True) if raw is not None}

    def put(self, head: str, spool: str, version: str, raw: bytes, *, again: bool = False) -> None:
        """Replaces what stands there for a host; `again`: only where nothing does."""
        with self._asking():
            key = f"{self._name}:head:{head}"
            pipe = self._redis.pipeline(transaction=True)
            write = pipe.hsetnx if again else pipe.hset
            for name, value in ((key, raw), (f"{key}:versions", version)):
                write(name, spool, value)
                pipe.expire(name, KEPT_SECONDS)
            pipe.execute()

    def close(self) -> None:
        """Ends the connections."""
        self._redis.close()


def _order(mark: str) -> tuple[int, int]:
    milliseconds, _, number = mark.partition("-")
    return int(milliseconds), int(number)
