"""A head that forgets is not shared: refused where it is released, and left out where it serves."""

import logging

import pytest

from croupier.features.settings import Settings
from croupier.models.bayesian.linear import LinTS
from croupier.serving.embedded.host import Host
from croupier.serving.fleet import half_life
from tests.redis_here import needs_redis
from tests.serving import apps
from tests.serving.embedded import shop
from tests.serving.fleet.fleets import until, workspaces

REDIS = Settings(redis="redis://127.0.0.1:1/0")


def forgetful():
    return LinTS(half_life=300.0).learn([apps.sample().log], seed=3)


def test_a_policy_that_forgets_is_refused_beside_the_shared_store_by_a_sentence_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"^lin_ts: found half_life = 300 and CROUPIER_REDIS.* set half_life = 0 "):
        half_life.refuse(REDIS, [None, forgetful()])
    half_life.refuse(REDIS, [None, apps.trained("lin_ts"), apps.trained("neural_linear"), LinTS(half_life=300.0)])
    half_life.refuse(Settings(), [forgetful()])


def test_its_release_is_refused_where_the_fast_loop_learns(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_REDIS", "redis://127.0.0.1:1/0")
    w = shop.opened(tmp_path, fast_loop=True)
    with pytest.raises(ValueError, match="depends on the order of its rows"):
        shop.publish(w, apps.trained("lin_ts"), forgetful())
    assert shop.publish(w, apps.trained("lin_ts")) == 1, "and nothing of the first was published"


@needs_redis
@pytest.mark.slow
def test_where_it_serves_already_it_learns_by_itself(tmp_path, redis, caplog):
    (w,) = workspaces(tmp_path, "", 1, forgetful())
    w = type(w)(w.settings.model_copy(update={"redis": REDIS.redis.__class__(redis.url)}))
    host = Host(w, every=0.5)
    try:
        with caplog.at_level(logging.ERROR):
            until(lambda: "is not shared: found half_life = 300" in caplog.text)
        gauges = host.meter.drain()[1]
        assert ("croupier_fleet_staleness_seconds", ()) in gauges
        assert not [key for key in gauges if key[0] == "croupier_fleet_other_hosts"]
        assert caplog.text.count("is not shared") == 1
    finally:
        host.close()
