"""Where a tuning begins: what a log is like, what earlier tunings came to, and which configurations are tried first."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from croupier.features.encoding import catalogue
from croupier.features.store import result_layout
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.models.simulation.synthetic import LinearWorld
from croupier.models.tuning import earlier_tunings
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.data_features import NAMES, data_features
from croupier.models.tuning.earlier_tunings import EarlierTuning
from croupier.models.tuning.warm_start import begun, likeness, normal_scores, predicted, proposed

COLD = [Configuration(f"cold{i}") for i in range(9)]
A, B, C, D = (Configuration("lin_ts", {"alpha": x}) for x in range(4))


def like(**change):
    """What some log is like."""
    return dict.fromkeys(NAMES, 1.0) | change


def tuning(*order, app="shop", **change):
    return EarlierTuning(app=app, on="k", data=like(**change), order=order)


def test_what_a_log_is_like_by_hand():
    world = LinearWorld.make(2, arms=6, candidates=4, d_u=3, d_a=4, d_p=2)
    log = world.log(1000, 1, ragged=False)
    found = data_features([log[:400], log[400:]])
    assert tuple(found) == NAMES
    assert found == pytest.approx(
        {
            "rows": 3.0, "candidates": 2.0, "arms": np.log2(6), "context": 2.0, "arm": np.log2(7),
            "level": log.reward.mean(), "spread": log.reward.std(), "values": 1.0, "ess": 1.0,
        }
    )  # fmt: skip
    assert data_features([log]) == pytest.approx(found)
    skewed = replace(log, reward=3.0 * log.reward - 7.0, propensity=np.where(np.arange(1000) < 500, 0.5, 0.125))
    other = data_features([skewed])
    assert (other["level"], other["spread"]) == pytest.approx((found["level"], found["spread"]))
    weights = np.where(np.arange(1000) < 500, 0.5, 2.0)
    assert other["ess"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / 1000)
    assert data_features([world.log(500, 3, ragged=True)])["ess"] == pytest.approx(1.0)  # uniform over 1 to 4
    with pytest.raises(ValueError, match="log: found no row"):
        data_features([log[:0]])
    assert data_features([replace(log, reward=np.ones(1000))])["spread"] == 0.0


def test_scores_are_normal_and_the_likest_log_counts_most():
    assert normal_scores(3) == pytest.approx(norm.ppf([2.625 / 3.25, 0.5, 0.625 / 3.25]))
    shares = likeness(like(rows=3.0), [like(rows=3.1), like(rows=5.0), like(rows=3.1)])
    sd = np.std([3.0, 3.1, 5.0, 3.1])
    kernel = np.exp([-((gap / sd) ** 2) / 9 / (2 * 0.7**2) for gap in (0.1, 2.0, 0.1)])
    assert shares == pytest.approx(kernel / kernel.sum())
    assert likeness(like(), []).tolist() == []
    assert likeness(like(), [like(), like()]).tolist() == [0.5, 0.5]
    far = likeness(like(**dict.fromkeys(NAMES, 1e9)), [like()] * 900)  # whose kernels are all 0 in doubles
    assert far == pytest.approx(np.full(900, 1 / 900))
    with pytest.raises(ValueError, match=r"data: found features other than rows, .*, expected these"):
        likeness(like(), [{"rows": 1.0}])


def test_what_came_out_well_on_the_likest_logs_is_proposed_first():
    near, far = tuning(A, B, C, rows=3.0), tuning(C, B, A, rows=6.0)
    assert proposed(like(rows=3.1), [near, far]) == [A]
    assert proposed(like(rows=5.9), [near, far]) == [C]
    found = predicted(like(rows=3.1), [near, far])
    share = likeness(like(rows=3.1), [near.data, far.data])
    assert found[A.key] == pytest.approx((share[0] - share[1]) * normal_scores(3)[0])
    assert found[B.key] == pytest.approx(0.0)
    # what the other tuning did not try counts there as one of the middle
    assert predicted(like(), [tuning(D, A), tuning(A, B, C)])[D.key] == pytest.approx(normal_scores(2)[0] / 2)
    assert proposed(like(), []) == []


def test_the_default_is_first_and_every_third_is_drawn_as_if_cold():
    many = tuning(*(Configuration("lin_ts", {"alpha": x}) for x in range(20)))
    found = begun(COLD, like(), [many])
    assert found[0] == COLD[0]
    assert [each.policy for each in found] == [
        "cold0", "lin_ts", "lin_ts", "cold1", "lin_ts", "lin_ts", "cold2", "lin_ts", "lin_ts",
    ]  # fmt: skip
    assert [each for each in found if each.policy == "lin_ts"] == list(many.order[:6])
    assert begun(COLD, like(), []) == COLD
    assert begun(COLD, like(), [tuning(COLD[4], COLD[0], B)]) == [COLD[0], COLD[4], *COLD[1:4], *COLD[5:]]


def test_the_order_of_a_tuning_is_by_rung_and_then_by_value():
    def trial(configuration, learnt, **found):
        return configuration.to_json() | {"learnt": learnt, "cpu_seconds": 1.0} | found

    rungs = [
        [trial(A, 100, value=0.5), trial(B, 100, value=0.4), trial(C, 100, value=0.45), trial(D, 100, failed="no")],
        [trial(B, 300, value=0.9), trial(A, 300, value=0.2)],
    ]
    body = {"app": "shop", "on": "k", "data": like(), "rungs": rungs}
    assert EarlierTuning.of(body).order == (B, A, C, D)
    assert tuning(B, COLD[0], A).only(["lin_ts"]).order == (B, A)
    for wrong in ({"rungs": None}, {"data": []}, {"app": {}, "rungs": [[{}]]}):
        with pytest.raises(ValueError, match="tuning: found"):
            EarlierTuning.of(body | wrong)


def declare(name):
    w = Workspace.open(name)
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(World().app_toml())
    catalogue.write(w.home / "catalogue.json", World().arms())
    return w


def test_records_of_all_apps_are_found_each_log_once_and_what_is_broken_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    shop, other, broken = (declare(name) for name in ("shop", "other", "broken"))
    rung = [A.to_json() | {"value": 0.2, "cpu_seconds": 3.0}, B.to_json() | {"value": 0.1, "cpu_seconds": 1.0}]
    for seconds in (1.0, 2.0):  # the same tuning again, as long as it took
        earlier_tunings.keep(shop, "k1", like(), [[trial | {"cpu_seconds": seconds} for trial in rung]])
    earlier_tunings.keep(shop, "k1", like(), [rung[:1]])
    assert len(shop.store.list("tunings/")) == 2
    earlier_tunings.keep(other, "k2", like(rows=2.0), [rung[::-1]])
    choice = {"candidates": {}, "on": "k3", "data": like(rows=4.0), "rungs": [rung]}
    import orjson

    for key, body in (("k3", choice), ("k4", choice | {"features": "k4"}), ("k5", choice | {"data": {}, "rungs": []})):
        other.store.create(result_layout.choice(key), orjson.dumps(body))  # k4 goes on as chosen on k3
    found, unread = earlier_tunings.known()
    assert unread == {}
    assert sorted((each.app, each.on, each.order) for each in found) == [
        ("other", "k2", (A, B)), ("other", "k3", (A, B)), ("shop", "k1", (A, B)),
    ]  # fmt: skip
    broken.store.create(result_layout.tuning("k", "x"), b'{"app": "broken"}')
    found, unread = earlier_tunings.known()
    assert len(found) == 3
    assert "tuning: found {'app': 'broken'}, expected app, on, data and rungs" in unread["broken"]
