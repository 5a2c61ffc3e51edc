"""Keyed hashes and event ids: who a unit is (never its raw id), where a draw falls, which event this was.

Every random-looking choice here is a pure function of a salt and an id, so it can be re-derived later, on any host.
"""

import hashlib
import hmac
import os
import struct
import threading
from collections.abc import Sequence
from functools import lru_cache

from croupier.features.clock import now_us

_lock = threading.Lock()
_last_ms = 0
_counter = 0


def hash_unit(key: str, unit_id: str) -> str:
    """Returns HMAC-SHA256 of a raw unit id, 32 hex digits: the only form in which a unit enters the log."""
    keyed = _keyed(key).copy()
    keyed.update(unit_id.encode())
    return keyed.hexdigest()[:32]


@lru_cache(maxsize=8)
def _keyed(key: str) -> hmac.HMAC:
    """Returns the keyed hash, kept, since to set OpenSSL up takes longer than to hash an id."""
    return hmac.new(key.encode(), digestmod="sha256")


def hash64(salt: str, text: str) -> int:
    """Returns 64 bits of BLAKE2b(text), keyed by salt."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=salt.encode()[:64]).digest())


def uniform01(salt: str, text: str) -> float:
    """Returns hash64 as a number in [0, 1): the top 53 bits, exactly representable."""
    return (hash64(salt, text) >> 11) * 2.0**-53


def uniforms(salt: str, texts: Sequence[str]) -> list[float]:
    """Returns uniform01 of each text."""
    keyed, digests = hashlib.blake2b(digest_size=8, key=salt.encode()[:64]), []
    for text in texts:
        hashed = keyed.copy()  # a new one takes its arguments apart for longer than it hashes
        hashed.update(text.encode())
        digests.append(hashed.digest())
    return [(bits >> 11) * 2.0**-53 for bits in struct.unpack(f">{len(texts)}Q", b"".join(digests))]


def uuid7(now_ms: int | None = None) -> str:
    """Returns RFC 9562 UUIDv7, increasing within a process: time-ordered keys keep the event log's index
    append-only."""
    return uuid7s(1, now_ms)[0]


def uuid7s(n: int, now_ms: int | None = None) -> list[str]:
    """Returns n UUIDv7s: randomness and clock are asked once."""
    global _last_ms, _counter
    now, random = now_us() // 1000 if now_ms is None else now_ms, os.urandom(8 * n + 2)
    made = []
    with _lock:
        for i in range(n):
            ms = max(_last_ms, now)
            _counter = _counter + 1 if ms == _last_ms else int.from_bytes(random[-2:]) >> 5
            if _counter > 0xFFF:
                ms, _counter = ms + 1, 0
            _last_ms = ms
            rest = int.from_bytes(random[8 * i : 8 * i + 8]) >> 2
            text = struct.pack(">QQ", ms << 16 | 7 << 12 | _counter, 2 << 62 | rest).hex()
            made.append(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
    return made
