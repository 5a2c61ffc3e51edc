"""Keyed hashes and event ids, against published values and laws."""

import hashlib
import hmac
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from croupier.features.ids import hash64, hash_unit, uniform01, uniforms, uuid7, uuid7s


def test_hash_unit_is_hmac_sha256():
    assert hash_unit("Jefe", "what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"  # RFC 4231, case 2
    assert hash_unit("key", "é") == hmac.new(b"key", "é".encode(), hashlib.sha256).hexdigest()[:32]
    assert hash_unit("key", "a") != hash_unit("other", "a")


def test_hash64_depends_on_salt_and_text():
    values = {hash64(salt, text) for salt in ("", "s", "t") for text in ("", "a", "b")}
    assert len(values) == 9
    assert all(0 <= v < 2**64 for v in values)
    assert hash64("s", "a") == hash64("s", "a")


def test_uniform01_is_uniform():
    draws = np.array([uniform01("salt", f"event-{i}") for i in range(20_000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    chi2 = float(((counts - 1000) ** 2 / 1000).sum())
    assert chi2 < 50.8  # 19 degrees of freedom, p = 0.0001


def test_uuid7_has_its_version_variant_and_time():
    text = uuid7(1_700_000_000_000)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
    assert int(uuid7(4_000_000_000_000).replace("-", "")[:12], 16) == 4_000_000_000_000


def test_uuid7_increases_and_never_repeats_across_threads():
    def many(_: int) -> list[str]:
        return [uuid7() for _ in range(5000)]

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(many, range(4)))
    assert all(run == sorted(run) for run in runs)
    assert len({one for run in runs for one in run}) == 20_000


def test_many_uuid7_are_each_as_random_as_one():
    """10,000 of one millisecond: increasing, and no random part twice."""
    made = uuid7s(10_000, 4_100_000_000_000)
    assert made == sorted(set(made))
    assert len({text[-17:] for text in made}) == 10_000
    assert uuid7s(0) == []
    assert uuid7(4_100_000_000_000) > made[-1]


def test_uniforms_are_uniform01_of_each():
    texts = ["", "é", *(f"event-{i}" for i in range(50))]
    assert uniforms("salt", texts) == [uniform01("salt", text) for text in texts]
    assert uniforms("salt", []) == []
