"""[safety] baseline = "release 1": the champion of that release, kept in those that follow it, whatever becomes of it."""

import shutil

import numpy as np
import orjson
import pytest

from croupier import Embedded
from croupier.features import clock
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.models.ope.rounds import as_served
from croupier.serving.decide.replay import replay
from croupier.serving.operate import app_check, succession
from croupier.serving.operate.catalogue_release import release_catalogue
from croupier.serving.release import bundle, bundle_store
from tests.serving import apps
from tests.serving.constrained import declared
from tests.serving.embedded.shop import opened, publish

PROMISED = '\n[safety]\nconservative = 0.1\nbaseline = "release 1"\n'


@pytest.fixture
def w(tmp_path):
    """The app, whose release 1 is LinTS, and whose release 2 a network that is held to it."""
    publish(opened(tmp_path), apps.trained("lin_ts"))
    w = declared(tmp_path, PROMISED)
    publish(w, apps.trained("neural_linear"))
    return w


def decided(w, tmp_path, number):
    """Decisions of a release, each derived again: their pmf is .9 of release 1's champion and .1 of the release's."""
    with Embedded("shop", var=tmp_path) as shop:
        requests = apps.sample().requests(60, seed=number)
        answers = shop.select_batch(requests)
        release, spool = shop.host.selector.release, shop.host.spool
        assert release.number == number
        batch = shop.host.selector.encoded(requests)
        was, own = (as_served(p, batch, release.floor) for p in (apps.trained("lin_ts"), release.champion))
        found = spool.find([a.event_id for a in answers])
        for i, answer in enumerate(answers):
            d, k = found[answer.event_id], len(answer.pmf)
            np.testing.assert_allclose(answer.pmf, 0.9 * was[i, :k] + 0.1 * own[i, :k], atol=1e-9)
            said = orjson.loads(d.conservative)
            assert said["baseline"] == pytest.approx(was[i, d.arms.index(d.arm)])
            if not i % 10:
                steps = replay(d, load=lambda _: release, spool=spool, spec=RewardSpec())
                assert "baseline" in [s.step for s in steps]
                assert all(s.holds for s in steps), steps


@pytest.mark.slow
def test_a_return_to_an_earlier_release_keeps_it(w, tmp_path):
    publish(w, apps.trained("vw_cb_adf"))
    assert succession.roll_back(w.store, w.home, 2, triton=None).number == 4
    decided(w, tmp_path, 4)


@pytest.mark.slow
def test_decisions_are_held_to_it_also_in_a_release_of_the_catalogue_and_where_it_was_pruned(w, tmp_path):
    decided(w, tmp_path, 2)
    fresh = Arm(arm_id="reel-99", features=dict(apps.sample().arms[0].features))
    catalogue.write(w.home / layout.CATALOGUE, [*apps.sample().arms, fresh])
    for key in w.store.list(layout.release(1) + "/"):
        w.store.delete(key)  # as retention does
    assert release_catalogue(w, 1_800_000_000_000_000, by="test") == 3
    folder = tmp_path / "3"
    bundle_store.download(w.store, 3, folder)
    assert (folder / layout.BASELINE / layout.POLICY_FILE).exists()
    loaded = bundle.load(folder)
    assert (loaded.champion.name, loaded.baseline.name) == ("neural_linear", "lin_ts")
    shutil.rmtree(folder)
    publish(w, apps.trained("neural_linear"))
    decided(w, tmp_path, 4)


@pytest.mark.medium
def test_a_release_that_is_not_there_is_named_by_the_check_and_by_who_publishes(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = declared(tmp_path, PROMISED.replace("release 1", "release 7"))
    said = "safety.baseline: found 'release 7', expected one of the releases in the store: none"
    assert app_check.check(w, now=clock.now()).problems == (said,)
    with pytest.raises(ValueError, match=said):
        publish(w, apps.trained("lin_ts"))
    publish(opened(tmp_path), apps.trained("lin_ts"))
    w = declared(tmp_path, PROMISED.replace("release 1", "release 7"))
    with pytest.raises(ValueError, match="in the store: 1"):
        publish(w, apps.trained("lin_ts"))
    assert bundle_store.current(w.store) == 1


class Broken:
    """A policy that raises."""

    name, inline_arms = "lin_ts", "scored"

    def pmf(self, batch):
        raise RuntimeError("out of order")


def test_a_baseline_that_fails_is_uniform(w, tmp_path):
    with Embedded("shop", var=tmp_path) as shop:
        release = shop.host.selector.release
        object.__setattr__(release.exploration.beside, "kept", Broken())
        requests = apps.sample().requests(20)
        for request, answer in zip(requests, shop.select_batch(requests), strict=True):
            assert answer.error == ""
            assert min(answer.pmf) >= 0.9 / len(request.arms)
