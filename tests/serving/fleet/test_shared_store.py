"""What the shared store says of itself: bad addresses, nobody there, bytes that are no head."""

import numpy as np
import pytest

from croupier.models.bayesian.posterior import Posterior, Prior, RidgeMoments
from croupier.serving.fleet import contribution
from croupier.serving.fleet.contribution import Contribution
from croupier.serving.fleet.shared_store import FIRST, SharedStore, SharedStoreUnavailable
from croupier.serving.learning.head_file import State
from croupier.serving.triton.server import Ports
from tests.redis_here import needs_redis


def part(spool="ab", rows=3, seed=0):
    rng = np.random.default_rng(seed)
    base = Posterior(prior=Prior(), moments=RidgeMoments.of(rng.normal(size=(5, 4)), rng.normal(size=5)), step=5)
    more = RidgeMoments.of(rng.normal(size=(rows, 4)), rng.normal(size=rows))
    return more, Contribution.of(spool, base, State(base.moments + more, 5 + rows, 9))


def test_a_contribution_is_what_the_fold_added_and_comes_back_to_the_bit():
    added, made = part()
    assert made.step == 3
    assert np.allclose(made.moments.A, added.A, rtol=0, atol=1e-12)
    back = Contribution.read("ab", made.raw, 4)
    assert np.array_equal(back.moments.A, made.moments.A)
    assert (back.moments.rr, back.moments.n, back.version) == (made.moments.rr, made.moments.n, made.version)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:-1], "found 199 bytes, expected 200"), (lambda raw: b"x" + raw[1:], "expected 200 for a head of"),
        (lambda raw: raw[:-8] + np.array([np.nan]).tobytes(), "numbers that are not finite"), (lambda raw: b"", "found 0 bytes"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_contribution_are_refused_by_name(change, said):
    _, made = part()
    with pytest.raises(ValueError, match=said):
        Contribution.read("ab", change(made.raw), 4)


def test_a_name_is_of_who_and_what_and_not_of_the_order_in_which_they_came():
    _, a = part("a")
    _, b = part("b", seed=1)
    _, more = part("b", rows=4, seed=1)
    named = contribution.name(contribution.ordered([a, b]))
    assert contribution.name(contribution.ordered([b, a])) == named
    assert len({named, *(contribution.name(contribution.ordered(x)) for x in ([a], [b], [a, more]))}) == 4
    assert 0 <= named < 2**60


def test_a_wrong_address_and_an_absent_store_are_told_apart():
    with pytest.raises(ValueError, match=r"^CROUPIER_REDIS: .*expected redis://HOST"):
        SharedStore("localhost:6379", "shop")
    store = SharedStore(f"redis://127.0.0.1:{Ports.free().grpc}/0", "shop")
    with pytest.raises(SharedStoreUnavailable, match="ConnectionError"):
        store.life()


@needs_redis
@pytest.mark.medium
def test_the_stream_and_the_heads_of_a_real_redis(redis):
    store = SharedStore(redis.url, "shop")
    life = store.life()
    assert (store.life(), store.after(FIRST, 10)) == (life, [])
    last = store.push([b"one", b"two", b"three"])
    found = store.after(FIRST, 2)
    assert [raw for _, raw in found] == [b"one", b"two"]
    assert store.after(found[-1][0], 10) == [(last, b"three")]
    another = SharedStore(redis.url, "another")
    assert another.after(FIRST, 10) == [], "apps do not meet"
    another.close()
    assert not store.lost(last)
    assert store.lost("99999999999999-0"), "newer than all there is: an older copy was restored"
    assert not store.lost("1-0"), "older than all there is: cut off, as the stream is long"
    store.put("1:ab:champion", "a", "v1", b"first")
    store.put("1:ab:champion", "a", "v0", b"again", again=True)
    assert (store.versions("1:ab:champion"), store.learnt("1:ab:champion", ["a", "b"])) == (
        {"a": "v1"},
        {"a": b"first"},
    )
    store.put("1:ab:champion", "a", "v2", b"second")
    assert store.learnt("1:ab:champion", ["a"]) == {"a": b"second"}
    redis.stop()
    redis.start()
    assert store.life() != life
    assert store.versions("1:ab:champion") == {}
    store.close()
